/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/create.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/crashpoint.h"
#include "base/fdio.h"
#include "base/str.h"
#include "runtime/channel.h"
#include "runtime/child.h"
#include "runtime/console.h"
#include "runtime/container.h"
#include "runtime/executable.h"
#include "runtime/hook.h"
#include "runtime/idrange.h"
#include "runtime/launch.h"
#include "runtime/listen.h"
#include "runtime/notify.h"
#include "runtime/rootless.h"
#include "runtime/scratch.h"
#include "runtime/spawner.h"
#include "sandbox/seccomp_cache.h"

/* What is read before anything is made. */
struct bundle {
	int fd;
	int console; /* where the terminal's master end goes, -1: there is none */
	char path[4096];
	struct buf text;
	struct spec spec;
	const char **env; /* the process's environment when it is not in the spec's own memory */
};

static void bundle_done(struct bundle *bundle)
{
	if (bundle->fd >= 0)
		(void)close(bundle->fd);
	if (bundle->console >= 0)
		(void)close(bundle->console);
	buf_done(&bundle->text);
	free(bundle->env);
	/* What was read stays until this process ends: giving it back writes to pages that the container's one shares. */
}

static int read_bundle(struct bundle *bundle, const char *path, struct err *err)
{
	const char *at = path ? path : ".";
	char *real = realpath(at, NULL);
	int r = real ? str_copy(bundle->path, sizeof(bundle->path), real) : -errno;

	free(real);
	if (r < 0)
		return err_sys(err, r, "bundle '%s'", at);
	r = fdio_open_dir(AT_FDCWD, bundle->path, &bundle->fd, err);
	if (r == 0)
		r = fdio_read_file(bundle->fd, "config.json", &bundle->text, err);
	if (r < 0)
		return r;
	scratch_begin();
	r = spec_parse(&bundle->spec, bundle->text.data, bundle->text.len, err);
	scratch_end();
	if (r < 0)
		return r;
	return bundle->spec.process.present ? 0 : err_set(err, ERR_INVALID, "config.json: process: is missing");
}

static bool asks_for_limits(const struct spec_resources *resources)
{
	const struct spec_number *numbers[] = {
		&resources->memory_limit, &resources->memory_reservation, &resources->memory_swap,
		&resources->cpu_shares,   &resources->cpu_quota,          &resources->pids_limit,
		&resources->io_weight,
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (numbers[i]->present)
			return true;
	return resources->cpus || resources->mems || resources->unified.count;
}

/* A user who may make no groups runs containers without; a limit that was asked for is never forgotten. */
static int groups_for_user(struct container *container, struct err *err)
{
	struct err ignored;
	int r = cgroup_make(&container->cgroup, err);

	if (r != -EACCES && r != -EPERM && r != -EROFS)
		return r;
	(void)!cgroup_remove(&container->cgroup, &ignored);
	cgroup_done(&container->cgroup);
	container->cgroup = (struct cgroup){.unified = -1};
	container->state->cgroup[0] = '\0';
	if (!asks_for_limits(&container->spec->linux_.resources))
		return 0;
	(void)err_set(err, ERR_DENIED,
		      "config.json: linux.resources: has limits, but this user may make no control groups");
	return err_hint(err, "a version 2 group that is delegated to the user is one to make groups in");
}

/* Takes the group for the container's only when it is nobody else's. */
static int claim_cgroup(struct container *container, struct err *err)
{
	int r = state_group_path(container->state, container->spec, err);
	char owner[STATE_OWNER_MAX];

	state_owner(container->state, owner);
	if (r == 0)
		r = cgroup_init(&container->cgroup, container->state->cgroup, err);
	if (r == 0)
		r = cgroup_check_unused(&container->cgroup, owner, err);
	if (r == 0 && rootless_is())
		r = groups_for_user(container, err);
	if (r < 0)
		container->state->cgroup[0] = '\0';
	return r < 0 && !str_starts(err->msg, "config.json") ? err_prefix(err, "config.json: linux.cgroupsPath") : r;
}

/* The address of the start socket through the folder's descriptor: its path may be longer than an address holds. */
static int socket_address(const struct state *state, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", state->dir, STATE_SOCKET);
	return 0;
}

static int make_listener(const struct state *state, int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	(void)socket_address(state, &address);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0)
		return err_sys(err, -errno, "cannot make the start socket");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* What marks a container as created until its program runs: where `start` comes to, or only the name. */
static int make_start(struct container *container, struct err *err)
{
	const struct state *state = container->state;

	if (!container->at_once)
		return make_listener(state, &container->listener, err);
	return mknodat(state->dir, STATE_SOCKET, S_IFREG | 0600, 0) < 0
		       ? err_sys(err, -errno, "cannot mark the container as created")
		       : 0;
}

/* Programs re-open their output as /dev/stdout: pipes must then belong to the user they run as. */
static int give_pipes(const struct container *container, struct err *err)
{
	const struct spec_user *user = &container->spec->process.user;
	uint32_t uid, gid;

	if (container->spec->process.terminal)
		return 0;
	if (idmap_find(&container->uids, user->uid, &uid) < 0 || idmap_find(&container->gids, user->gid, &gid) < 0)
		return err_set(err, ERR_INVALID, "config.json: process.user: is not mapped");
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_uid != uid && fchown(fd, uid, gid) < 0 &&
		    !(errno == EPERM && rootless_is()))
			return err_sys(err, -errno, "cannot hand over descriptor %d", fd);
	}
	return 0;
}

static int prepare(struct container *container, struct err *err)
{
	struct state *state = container->state;
	int r = claim_cgroup(container, err);

	/* On disk before anything else exists, so that `delete --force` knows what to look for after a crash. */
	if (r == 0)
		r = state_save(state, err);
	if (r == 0)
		r = container_open_namespaces(container, err);
	if (r == 0)
		r = container_make_groups(container, err);
	if (r == 0)
		r = container_open_mounts(container, err);
	if (r == 0)
		r = spawner_listen(container, err);
	return r == 0 ? make_start(container, err) : r;
}

static int run_host_hooks(struct container *container, struct err *err)
{
	const struct spec_hook_list *hooks = container->spec->hooks;
	int r = hook_run(&hooks[SPEC_PRESTART], "prestart", container->state, STATE_CREATED, err);

	return r == 0 ? hook_run(&hooks[SPEC_CREATE_RUNTIME], "createRuntime", container->state, STATE_CREATED, err)
		      : r;
}

/* From a process that was told to start: the end of the connection is the program's execution. */
static int hear_start(const struct state *state, int fd, struct err *err)
{
	const struct attend process = {.pid = state->pid, .pidfd = -1, .signals = -1};
	int r = notify_wait(state, &process, STATE_CREATED, fd, err);

	return r < 0 ? err_prefix(err, "container '%s'", state->id) : 0;
}

/* Hooks of the container and agents of its filter take what time they like: others look, signal and delete meanwhile. */
static int hear_start_unlocked(struct state *state, int fd, struct err *err)
{
	struct err ignored;
	int r;

	state_unlock(state);
	r = hear_start(state, fd, err);
	(void)!state_lock(state, &ignored);
	return r;
}

/* What follows a start; the specification wants errors of these hooks to be passed over. */
static int note_start(struct state *state, const char *mark, const struct spec *spec, int r, struct err *err)
{
	struct err ignored;

	if (state->gone)
		return r;
	if (unlinkat(state->dir, mark, 0) < 0 && errno != ENOENT && r == 0)
		r = err_sys(err, -errno, "container '%s': cannot note the start", state->id);
	if (r == 0)
		(void)!hook_run(&spec->hooks[SPEC_POSTSTART], "poststart", state, STATE_RUNNING, &ignored);
	return r;
}

static int let_go(const struct container *container, struct err *err)
{
	return channel_send(container->channel, CHANNEL_GO, container->pid) < 0
		       ? err_set(err, -ECONNRESET, "the container's process ended before it was ready")
		       : 0;
}

/* Up to where the process waits to be started. */
static int finish_create(const struct container *container, const struct create_options *options, struct err *err)
{
	int r = channel_expect(container->channel, CHANNEL_READY, NULL, err);

	crashpoint("runtime-root-ready");
	if (r == 0)
		r = child_write_pid(options->pid_file, container->pid, err);
	return r == 0 ? let_go(container, err) : r;
}

static bool takes_time(const struct spec *spec)
{
	return spec->hooks[SPEC_START_CONTAINER].count || spec->linux_.seccomp.listener_path;
}

/* The process goes on to its program, whose execution closes the connection: this one sleeps until then. */
static int finish_run(const struct container *container, const struct create_options *options, struct err *err)
{
	struct pollfd end = {.fd = container->channel};
	int r = child_write_pid(options->pid_file, container->pid, err);

	if (r == 0 && options->hold_signals)
		options->hold_signals();
	if (r < 0)
		return r;
	/* A process that has ended already says why, below. */
	(void)channel_send(container->channel, CHANNEL_GO, container->pid);
	/* Nothing that matters comes before the end. */
	while (!takes_time(container->spec) && poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	r = channel_expect(container->channel, CHANNEL_READY, NULL, err);
	if (r < 0)
		return r;
	return takes_time(container->spec) ? hear_start_unlocked(container->state, container->channel, err)
					   : hear_start(container->state, container->channel, err);
}

static int note_process(const struct container *container, struct err *err)
{
	struct state *state = container->state;
	int r;

	state->pid = container->pid;
	r = state_process_start(state->pid, &state->start_time);
	if (r < 0)
		return err_sys(err, r, "the container's process is gone");
	r = container->bounds && container->bounds->user_added ? idrange_note_process(state, err) : 0;
	return r == 0 ? state_save(state, err) : r;
}

/* Compiled here while the process makes its namespaces and its root; a profile's error is one of `create`. */
static int compile_filter(const struct container *container, struct seccomp_program *filter, struct err *err)
{
	return launch_compile_filter(container->spec, &container->spec->process, container->filters,
				     bounds_calls(container->bounds), filter, err);
}

static int give_filter(const struct container *container, const struct seccomp_program *filter, struct err *err)
{
	int32_t value = (int32_t)(filter->flags << 1 | filter->notifies);
	int r = channel_send_bytes(container->channel, CHANNEL_FILTER, value, filter->code,
				   filter->len * sizeof(*filter->code));

	/* A process that has ended says why when it is asked. */
	return r == -EPIPE || r == -ECONNRESET || r == 0 ? 0 : err_sys(err, r, "cannot pass the filter on");
}

/* The error of noting a process: when that has ended meanwhile, what it said of that. */
static int hear_end(const struct container *container, int noted, struct err *err)
{
	struct err why = {0};
	int r = channel_expect(container->channel, CHANNEL_NAMESPACES, NULL, &why);

	if (r == 0)
		r = channel_expect(container->channel, CHANNEL_READY, NULL, &why);
	if (r == 0 || r == -ECONNRESET || r == -EPROTO)
		return noted;
	*err = why;
	return r;
}

/* Its hooks find the process noted and in its namespaces; without any it builds its root while it is being noted. */
static int let_build(struct container *container, struct seccomp_program *filter, struct err *err)
{
	const struct spec_hook_list *hooks = container->spec->hooks;
	bool hooked = hooks[SPEC_PRESTART].count || hooks[SPEC_CREATE_RUNTIME].count;
	int r = 0;

	if (hooked) {
		r = note_process(container, err);
		if (r == 0)
			r = channel_expect(container->channel, CHANNEL_NAMESPACES, NULL, err);
		if (r == 0)
			r = compile_filter(container, filter, err);
		if (r == 0)
			r = run_host_hooks(container, err);
		return r == 0 ? let_go(container, err) : r;
	}
	r = let_go(container, err);
	if (r < 0)
		return r;
	r = note_process(container, err);
	r = r == 0 ? channel_expect(container->channel, CHANNEL_NAMESPACES, NULL, err) : hear_end(container, r, err);
	return r == 0 ? compile_filter(container, filter, err) : r;
}

static int bring_up(struct container *container, const struct create_options *options, struct err *err)
{
	CLEANUP(seccomp_program_done) struct seccomp_program filter = {0};
	int r;

	/* Without the folder it compiles. */
	(void)!seccomp_cache_open(container->state->root, STATE_FILTERS, &container->filters);
	r = container_spawn(container, err);

	if (r == 0)
		r = give_pipes(container, err);
	if (r == 0)
		r = let_build(container, &filter, err);
	if (r == 0)
		r = give_filter(container, &filter, err);
	if (r < 0)
		return r;
	return container->at_once ? finish_run(container, options, err) : finish_create(container, options, err);
}

static void undo(struct state *state, pid_t pid)
{
	struct err ignored;

	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (!state->gone)
		(void)!create_destroy(state, &ignored);
}

static int build(struct state *state, struct bundle *bundle, const struct create_options *options, struct err *err)
{
	struct container container;
	int r = options->bounds ? bounds_add_user(options->bounds, state, bundle->fd, &bundle->text, &bundle->spec, err)
				: 0;

	if (r < 0) {
		undo(state, 0);
		return r;
	}
	container_init(&container, &bundle->spec, state);
	container.bundle = take_fd(&bundle->fd);
	container.preserve_fds = options->preserve_fds;
	container.keep_keyring = options->keep_keyring;
	container.at_once = options->start;
	container.bounds = options->bounds;
	container.console = take_fd(&bundle->console);
	memcpy(state->bundle, bundle->path, sizeof(state->bundle));
	if (json_is_object(json_object_get(bundle->spec.json, "annotations")))
		state->annotations = json_incref(json_object_get(bundle->spec.json, "annotations"));
	for (size_t i = 0; i < SPEC_HOOK_PHASES; i++)
		state->hooks |= (unsigned int)(bundle->spec.hooks[i].count > 0) << i;
	/* Later commands go by what the container was made from, not by what the bundle has become. */
	r = state_write_file(state, "config.json", bundle->text.data, bundle->text.len, err);
	/* Of a user's process that is not dumpable nobody could write the maps; nothing of it is the container's to reach. */
	if (r == 0 && !rootless_is_plain() && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot become non-dumpable");
	if (r == 0)
		r = prepare(&container, err);
	if (r == 0)
		r = bring_up(&container, options, err);
	/* What this one did not make it does not take away. */
	if (r < 0 && !cgroup_made(&container.cgroup))
		state->cgroup[0] = '\0';
	if (r < 0)
		undo(state, container.pid);
	else
		state->groups = container_take_groups(&container);
	container_done(&container);
	return r;
}

/* What was opened before belongs to mounts that cannot be copied any more. */
static int enter_as_user(struct bundle *bundle, struct err *err)
{
	int r = rootless_enter(&bundle->spec, err);

	if (r < 0)
		return r;
	(void)close(take_fd(&bundle->fd));
	return fdio_open_dir(AT_FDCWD, bundle->path, &bundle->fd, err);
}

/* A joined user namespace has whatever maps it was given; one that nobody can join counts as exposed. */
static bool is_exposed_to_joined(const char *path)
{
	CLEANUP_CLOSE int user = -1;
	struct idmap uids, gids;
	struct err ignored;

	return namespaces_open(SPEC_NS_USER, path, &user, &ignored) < 0 ||
	       namespaces_read_maps_of(user, &uids, &gids, &ignored) < 0 || executable_is_exposed(&uids, &gids);
}

static bool is_exposed(const struct spec *spec)
{
	const struct spec_namespace *user = &spec->linux_.namespaces[SPEC_NS_USER];
	struct idmap uids, gids;

	if (!user->wanted)
		return true;
	if (user->path)
		return is_exposed_to_joined(user->path);
	idmap_copy(&uids, &spec->linux_.uid_maps);
	idmap_copy(&gids, &spec->linux_.gid_maps);
	return executable_is_exposed(&uids, &gids);
}

int create_container(int root, const struct create_options *options, struct state *ret_state, struct err *err)
{
	CLEANUP(bundle_done) struct bundle bundle = {.fd = -1, .console = -1, .text = buf_of(SPEC_BYTES_MAX)};
	int r = read_bundle(&bundle, options->bundle, err);

	if (r == 0 && rootless_is_plain())
		r = enter_as_user(&bundle, err);
	if (r == 0 && options->bounds)
		r = bounds_settle_user(options->bounds, &bundle.text, &bundle.spec, err);
	if (r == 0 && is_exposed(&bundle.spec))
		r = executable_protect(options->argv, err);
	if (r == 0 && options->bounds)
		r = bounds_apply(options->bounds, bundle.fd, &bundle.text, &bundle.spec, err);
	/* Not before that: it may execute this program again, and a console socket takes one connection. */
	if (r == 0)
		r = console_prepare(&bundle.spec.process, options->console_socket, options->ret_console,
				    &bundle.console, err);
	if (r == 0)
		r = listen_tell(&bundle.spec.process.env, &bundle.env, err);
	if (r == 0)
		r = state_new(ret_state, root, options->id, err);
	ret_state->ceiling = options->bounds ? options->bounds->folder : NULL;
	if (r == 0)
		r = build(ret_state, &bundle, options, err);
	if (r == 0 && options->start) {
		r = note_start(ret_state, STATE_SOCKET, &bundle.spec, 0, err);
		if (r < 0)
			undo(ret_state, ret_state->pid);
	}
	if (r < 0)
		state_done(ret_state);
	return r;
}

static int ask_to_start(struct state *state, struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	(void)socket_address(state, &address);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, -errno, "container '%s': cannot reach its process", state->id);
	if (channel_send(fd, CHANNEL_GO, 0) < 0)
		return err_sys(err, -EPIPE, "container '%s': cannot reach its process", state->id);
	crashpoint("runtime-start");
	/* One who finds it so is not the one who starts it. */
	if (renameat(state->dir, STATE_SOCKET, state->dir, STATE_STARTING) < 0)
		return err_sys(err, -errno, "container '%s': cannot note the start", state->id);
	return hear_start_unlocked(state, fd, err);
}

/* The hooks as they were judged, and by the ceiling of now. */
static int load_hooks(const struct state *state, struct spec *spec, struct err *err)
{
	int r = state_load_spec(state, spec, err);

	return r == 0 ? bounds_hooks_later(state->ceiling, spec, err) : r;
}

int create_start(struct state *state, struct err *err)
{
	CLEANUP_SPEC struct spec spec = {0};
	enum state_status status = state_status_of(state);
	struct err ignored;
	int r;

	if (status != STATE_CREATED)
		return err_set(err, ERR_INVALID, "container '%s' cannot be started: it is %s", state->id,
			       state_status_name(status));
	if (faccessat(state->dir, STATE_STARTING, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, ERR_INVALID, "container '%s' cannot be started: it is being started", state->id);
	r = ask_to_start(state, err);
	if (state->gone)
		return r;
	/* Without its hooks it runs all the same. */
	if (state_has_hooks(state, SPEC_POSTSTART) && load_hooks(state, &spec, &ignored) < 0)
		spec_done(&spec);
	return note_start(state, STATE_STARTING, &spec, r, err);
}

static void wait_for_end(pid_t pid)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(pid, 0);
	struct pollfd wait = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0)
		(void)poll(&wait, 1, 5000);
}

/* Whoever made the container has its groups open still; others look for them. */
static int find_groups(struct state *state, struct err *err)
{
	if (state->groups)
		return 0;
	state->groups = calloc(1, sizeof(*state->groups));
	if (!state->groups)
		return err_set(err, -ENOMEM, "no memory");
	return cgroup_init(state->groups, state->cgroup, err);
}

/*
 * A container that did not come to its end may have noted a group that another one has. Of one that was made there is no
 * doubt, unless the group tells of one.
 */
static bool has_groups(const struct state *state)
{
	char owner[STATE_OWNER_MAX];

	state_owner(state, owner);
	switch (cgroup_claimed_by(state->groups, owner)) {
	case CGROUP_CLAIMED:
		return true;
	case CGROUP_CLAIMED_BY_OTHERS:
		return false;
	case CGROUP_UNCLAIMED:
		break;
	}
	if (state->pid || state->recovered)
		return true;
	cgroup_leave(state->groups);
	return false;
}

static int destroy_processes(struct state *state, struct err *err)
{
	enum state_status status = state->ended ? STATE_STOPPED : state_status_of(state);
	bool lives = status == STATE_CREATED || status == STATE_RUNNING, open = state->groups;
	int r;

	if (lives)
		(void)!state_signal(state, SIGKILL);
	r = state->cgroup[0] ? find_groups(state, err) : 0;
	if (r == 0 && (!state->cgroup[0] || (!open && !has_groups(state)))) {
		if (lives)
			wait_for_end(state->pid);
		return 0;
	}
	if (r == 0 && !lives && cgroup_remove_empty(state->groups))
		return 0;
	if (r == 0 && !state->groups->populated)
		r = cgroup_open(state->groups, err);
	if (r == 0)
		r = cgroup_kill(state->groups, SIGKILL, err);
	if (r == 0 && lives)
		wait_for_end(state->pid);
	return r == 0 ? cgroup_remove(state->groups, err) : r;
}

int create_destroy(struct state *state, struct err *err)
{
	CLEANUP_SPEC struct spec spec = {0};
	struct err ignored;
	int r = destroy_processes(state, err);

	if (r < 0)
		return r;
	crashpoint("runtime-delete");
	if (state->pid && state_has_hooks(state, SPEC_POSTSTOP) && load_hooks(state, &spec, &ignored) == 0)
		(void)!hook_run(&spec.hooks[SPEC_POSTSTOP], "poststop", state, STATE_STOPPED, &ignored);
	idrange_release(state);
	return state_remove(state, err);
}
