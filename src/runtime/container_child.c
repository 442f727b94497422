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
#include "runtime/apparmor.h"
#include "runtime/channel.h"
#include "runtime/console.h"
#include "runtime/container.h"
#include "runtime/hook.h"
#include "runtime/launch.h"
#include "runtime/rootless.h"
#include "runtime/spawner.h"
#include "runtime/traits.h"

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
	if (container->filters >= 0)
		(void)close(take_fd(&container->filters));
	/* Open here, the parent's own end would hide that the parent has ended. */
	(void)close(container->channel);
	container->channel = take_fd(&container->far_end);
}

static int raise_loopback(struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_sys(err, -errno, "cannot bring the loopback interface up");
	return 0;
}

/* The namespaces it was not born in; that of the control groups begins where the process is, so it comes last. */
static int enter(struct container *container, struct err *err)
{
	uint64_t flags = 0;
	int32_t made = 0;
	int r;

	if (container_makes(container, SPEC_NS_NETWORK))
		flags |= namespaces_flag(SPEC_NS_NETWORK);
	if (container_makes(container, SPEC_NS_IPC))
		flags |= namespaces_flag(SPEC_NS_IPC);
	if (flags && unshare((int)flags) < 0)
		return err_sys(err, -errno, "cannot make the container's namespaces");
	/* The parent makes the groups meanwhile. */
	r = container_makes(container, SPEC_NS_NETWORK) ? raise_loopback(err) : 0;
	if (r == 0)
		r = channel_expect(container->channel, CHANNEL_GROUPS, &made, err);
	if (r == -ECONNRESET)
		_exit(1);
	container->groups_made = (uint32_t)made;
	if (r == 0)
		r = cgroup_enter_legacy(&container->cgroup, container->groups_made, err);
	if (r == 0 && container_makes(container, SPEC_NS_CGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		r = err_sys(err, -errno, "cannot make the container's namespaces");
	return r;
}

/*
 * The real user stays the one from outside, who has no number in the user namespace: so nobody inside may signal this
 * process, or the spawner it makes, without CAP_KILL. Hooks of the machine's that are executed on the way would wonder.
 */
static int become_inner_root(struct container *container, struct err *err)
{
	uid_t other = container->spec->hooks[SPEC_CREATE_CONTAINER].count ? 0 : (uid_t)-1;

	if (setgroups(0, NULL) < 0 && !rootless_is())
		return err_sys(err, -errno, "cannot drop the groups");
	if (container->own[SPEC_NS_USER] && (setresgid(0, 0, 0) < 0 || setresuid(other, 0, other) < 0))
		return err_sys(err, -errno, "cannot become root of the user namespace");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot become non-dumpable");
	/* A new session takes the controlling terminal away, and with it what could be typed into it. */
	(void)setsid();
	return 0;
}

static int set_names(struct container *container, struct err *err)
{
	const struct spec *spec = container->spec;

	if (spec->hostname && spec->hostname[0] && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return err_sys(err, -errno, "config.json: hostname");
	if (spec->domainname && spec->domainname[0] && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
		return err_sys(err, -errno, "config.json: domainname");
	return 0;
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

/* The machine's /proc is in sight until the container's root is made the only one. */
static int open_apparmor(struct container *container, struct err *err)
{
	const char *profile = container->spec->process.apparmor_profile;
	CLEANUP_CLOSE int proc = -1;

	if (!profile || !profile[0])
		return 0;
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return proc < 0 ? err_sys(err, -errno, "cannot open /proc")
			: apparmor_open(proc, profile, &container->apparmor, err);
}

static int build(struct container *container, struct err *err)
{
	int r = container->keep_keyring ? 0 : traits_new_keyring(err);

	if (r == 0)
		r = open_apparmor(container, err);
	if (r == 0)
		r = become_inner_root(container, err);
	if (r == 0)
		r = traits_personate(&container->spec->linux_, err);
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
	if (r == 0)
		r = container_go_home(container, err);
	/* Callers tell a program that is not there from other errors by how `create` fails. */
	return r == 0 ? launch_check_program(&container->spec->process, err) : r;
}

/* From `start` to the program; an error goes to whoever asked for the start. */
static int start(struct container *container, const struct seccomp_program *filter, int peer, struct err *err)
{
	const struct spec_process *process = &container->spec->process;
	struct launch launch = {.process = process,
				.filter = filter,
				.preserve_fds = container->preserve_fds,
				.channel = peer,
				.apparmor = container->apparmor,
				.wait = spawner_await,
				.wait_for = -1};
	int r = launch_enter_cwd(process, err);

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot set no_new_privs");
	if (r == 0)
		r = container_confine(container, err);
	if (r == 0)
		r = hook_run_inside(&container->spec->hooks[SPEC_START_CONTAINER], "startContainer", container->state,
				    &launch, container->root, err);
	/* It gets ready while this process drops its rights. */
	if (r == 0)
		launch.wait_for = spawner_start(container);
	return r == 0 ? launch_execute(&launch, err) : r;
}

/* With an error it stays until the parent, who is busy with this very process, has come to hear it. */
static _Noreturn void await_end(const struct container *container, const struct err *err)
{
	struct err ignored;

	(void)channel_send_error(container->channel, err);
	while (channel_expect(container->channel, CHANNEL_GO, NULL, &ignored) != -ECONNRESET)
		;
	_exit(1);
}

/* Up to where the parent has done its part. */
static void await_parent(struct container *container)
{
	struct err err = {0};

	close_parents(container);
	if (enter(container, &err) < 0)
		await_end(container, &err);
	if (channel_send(container->channel, CHANNEL_NAMESPACES, 0) < 0)
		_exit(1);
	if (channel_expect(container->channel, CHANNEL_GO, &container->state->pid, &err) < 0)
		_exit(1);
}

/* The parent, which has more time, has compiled it. */
static void take_filter(const struct container *container, struct seccomp_program *filter)
{
	static struct sock_filter code[SECCOMP_PROGRAM_MAX];
	struct err ignored;
	int32_t value;
	size_t len;

	if (channel_expect_bytes(container->channel, CHANNEL_FILTER, &value, code, sizeof(code), &len, &ignored) < 0)
		_exit(1);
	*filter = (struct seccomp_program){.code = code,
					   .len = len / sizeof(*code),
					   .flags = (unsigned int)value >> 1,
					   .notifies = (value & 1) != 0};
}

/* Where an error of the start goes. */
static int await_start(struct container *container, struct seccomp_program *filter)
{
	struct err ignored;
	int peer;

	take_filter(container, filter);
	/* The parent's end before this word means that `create` did not come to its end: nothing may stay. */
	if (channel_expect(container->channel, CHANNEL_GO, NULL, &ignored) < 0)
		_exit(1);
	if (container->at_once)
		return container->channel;
	(void)close(take_fd(&container->channel));
	peer = wait_for_start(container);
	(void)close(take_fd(&container->listener));
	return peer;
}

_Noreturn void container_child(struct container *container)
{
	struct seccomp_program filter;
	struct err err = {0};
	int peer;

	await_parent(container);
	if (build(container, &err) < 0)
		fail(container, &err);
	if (channel_send(container->channel, CHANNEL_READY, 0) < 0)
		_exit(1);
	peer = await_start(container, &filter);
	(void)start(container, &filter, peer, &err);
	(void)channel_send_error(peer, &err);
	_exit(1);
}
