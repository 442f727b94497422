/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/str.h"
#include "runtime/channel.h"
#include "runtime/console.h"
#include "runtime/container.h"
#include "runtime/hook.h"
#include "runtime/launch.h"

static _Noreturn void fail(struct container *container, const struct err *err)
{
	(void)channel_send_error(container->channel, err);
	_exit(1);
}

/* Most of the parent's descriptors are of no use here, and the lock on the state must not live on in the container. */
static void close_parents(struct container *container)
{
	(void)close(take_fd(&container->state->dir));
	(void)close(take_fd(&container->state->root));
	(void)close(take_fd(&container->bundle));
}

/*
 * The stage: a process between the parent and the container, never seen from inside. As the machine's root it enters
 * the control groups and the namespaces to join, the user namespace last, and then clones the container's process.
 */
static int enter(struct container *container, struct err *err)
{
	static const enum spec_namespace_type order[] = {
		SPEC_NS_NETWORK, SPEC_NS_IPC, SPEC_NS_UTS, SPEC_NS_CGROUP, SPEC_NS_TIME, SPEC_NS_PID, SPEC_NS_USER,
	};
	int r = cgroup_enter_legacy(&container->cgroup, err);

	if (r == 0)
		r = launch_prepare(&container->spec->process, err);
	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0)
		return err_sys(err, -errno, "cannot drop the groups");
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (container->join[order[i]] >= 0 &&
		    setns(container->join[order[i]], (int)namespaces_flag(order[i])) < 0)
			return err_sys(err, -errno, "cannot join the %s namespace", spec_namespace_name(order[i]));
	/* Changing the user namespace may have changed it. */
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_sys(err, -errno, "cannot become non-dumpable") : 0;
}

static int become_inner_root(struct container *container, struct err *err)
{
	if (container->own[SPEC_NS_USER] && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_sys(err, -errno, "cannot become root of the user namespace");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot become non-dumpable");
	/* A new session takes the controlling terminal away, and with it what could be typed into it. */
	(void)setsid();
	return 0;
}

static int raise_loopback(struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_sys(err, -errno, "cannot bring the loopback interface up");
	return 0;
}

static bool is_new(const struct container *container, enum spec_namespace_type type)
{
	return container->own[type] && container->join[type] < 0;
}

static int set_names(struct container *container, struct err *err)
{
	const struct spec *spec = container->spec;

	if (spec->hostname && spec->hostname[0] && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return err_sys(err, -errno, "config.json: hostname");
	if (spec->domainname && spec->domainname[0] && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
		return err_sys(err, -errno, "config.json: domainname");
	return is_new(container, SPEC_NS_NETWORK) ? raise_loopback(err) : 0;
}

/* Waits for `start`; whoever else finds the socket and says something different is sent away. */
static int wait_for_start(struct container *container)
{
	while (true) {
		CLEANUP_CLOSE int peer = accept4(container->listener, NULL, NULL, SOCK_CLOEXEC);
		struct err ignored;

		if (peer < 0 && errno != EINTR && errno != ECONNABORTED)
			_exit(1);
		if (peer >= 0 && channel_expect(peer, CHANNEL_GO, NULL, &ignored) == 0)
			return take_fd(&peer);
	}
}

static int build(struct container *container, struct err *err)
{
	int r = become_inner_root(container, err);

	if (r == 0 && channel_send(container->channel, CHANNEL_NAMESPACES, 0) < 0)
		_exit(1);
	if (r == 0)
		r = channel_expect(container->channel, CHANNEL_GO, NULL, err);
	if (r == 0)
		r = set_names(container, err);
	if (r == 0)
		r = container_attach_mounts(container, err);
	if (r == 0)
		r = hook_run(&container->spec->hooks[SPEC_CREATE_CONTAINER], "createContainer", container->state,
			     STATE_CREATING, err);
	if (r == 0)
		r = container_seal_root(container, err);
	if (r == 0 && container->console >= 0)
		r = console_attach(container->root, container->dev, &container->spec->process, container->console, err);
	/* Callers tell a program that is not there from other errors by how `create` fails. */
	return r == 0 ? launch_check_program(&container->spec->process, err) : r;
}

/* From `start` to the program; an error goes to whoever asked for the start. */
static int start(struct container *container, const struct seccomp_program *filter, struct err *err)
{
	const struct spec_process *process = &container->spec->process;
	const struct launch launch = {.process = process, .filter = filter, .preserve_fds = container->preserve_fds};
	int r = hook_run(&container->spec->hooks[SPEC_START_CONTAINER], "startContainer", container->state,
			 STATE_CREATED, err);

	if (r == 0)
		r = launch_enter_cwd(process, err);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot set no_new_privs");
	if (r == 0)
		r = container_confine(container, err);
	return r == 0 ? launch_execute(&launch, err) : r;
}

static _Noreturn void run_child(struct container *container)
{
	struct seccomp_program filter;
	struct err err = {0};
	int peer;

	/* The stage names this process to the parent first, through the same socket. */
	if (channel_expect(container->channel, CHANNEL_GO, NULL, &err) < 0)
		_exit(1);
	/* Compiled before the root is sealed, so that a profile's error is one of `create`. */
	if (launch_compile_filter(container->spec, &container->spec->process, &filter, &err) < 0 ||
	    build(container, &err) < 0)
		fail(container, &err);
	if (channel_send(container->channel, CHANNEL_READY, 0) < 0)
		_exit(1);
	/* The parent's end before this word means that `create` did not come to its end: nothing may stay. */
	if (channel_expect(container->channel, CHANNEL_GO, NULL, &err) < 0)
		_exit(1);
	(void)close(take_fd(&container->channel));
	peer = wait_for_start(container);
	(void)close(take_fd(&container->listener));
	(void)start(container, &filter, &err);
	(void)channel_send_error(peer, &err);
	_exit(1);
}

_Noreturn void container_stage(struct container *container)
{
	uint64_t flags = CLONE_PARENT;
	struct err err = {0};
	pid_t pid;

	close_parents(container);
	if (enter(container, &err) < 0)
		fail(container, &err);
	for (size_t i = 0; i < SPEC_NS_TYPES; i++)
		if (is_new(container, (enum spec_namespace_type)i))
			flags |= namespaces_flag((enum spec_namespace_type)i);
	pid = namespaces_clone(flags, -1);
	if (pid == 0)
		run_child(container);
	if (pid < 0) {
		(void)err_sys(&err, pid, "cannot make the container's namespaces");
		fail(container, &err);
	}
	_exit(channel_send(container->channel, CHANNEL_PID, pid) < 0);
}
