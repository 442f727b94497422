/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fdio.h"
#include "base/str.h"
#include "runtime/apparmor.h"
#include "runtime/notify.h"
#include "runtime/rootless.h"
#include "runtime/traits.h"
#include "sandbox/capability.h"
#include "sandbox/inroot.h"
#include "sandbox/seccomp_cache.h"

static struct capability_sets sets_of(const struct spec_process *process)
{
	const struct capability_sets asked = {
		.bounding = process->capabilities[SPEC_BOUNDING],
		.permitted = process->capabilities[SPEC_PERMITTED],
		.effective = process->capabilities[SPEC_EFFECTIVE],
		.ambient = process->capabilities[SPEC_AMBIENT],
	};

	return capability_compute(&asked);
}

static int check_there(int pidfd, struct err *err)
{
	if (pidfd >= 0 && pidfd_send_signal(pidfd, 0, NULL, 0) < 0)
		return err_set(err, -ECONNRESET, "the container's process ended before it was ready");
	return 0;
}

/* Only the machine's own root raises a hard limit: done before the user namespace is entered. */
static int raise_limits(pid_t pid, const struct spec_rlimits *limits, struct err *err)
{
	for (size_t i = 0; i < limits->count; i++) {
		const struct spec_rlimit *limit = &limits->items[i];
		struct rlimit now;

		if (prlimit(pid, (__rlimit_resource_t)limit->resource, NULL, &now) < 0)
			return err_sys(err, -errno, "config.json: process.rlimits[%zu]: %s", i, limit->name);
		if (limit->hard <= now.rlim_max)
			continue;
		now.rlim_max = limit->hard;
		if (prlimit(pid, (__rlimit_resource_t)limit->resource, &now, NULL) < 0)
			return err_sys(err, -errno, "config.json: process.rlimits[%zu]: cannot raise %s to %llu", i,
				       limit->name, (unsigned long long)limit->hard);
	}
	return 0;
}

static int set_oom_score(pid_t pid, int pidfd, const struct spec_process *process, struct err *err)
{
	char value[16], path[64];
	int fd, r;

	if (!process->has_oom_score_adj)
		return 0;
	(void)snprintf(value, sizeof(value), "%d", process->oom_score_adj);
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)(pid ? pid : getpid()));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "config.json: process.oomScoreAdj");
	/* The file is that of whoever had the number when it was opened. */
	r = check_there(pidfd, err) < 0 ? -ECONNRESET : fdio_write_all(fd, value, strlen(value));
	(void)close(fd);
	/* An ordinary user cannot lower it, and a container that is killed first harms nobody. */
	if (r == -EACCES && rootless_is())
		return 0;
	if (r < 0) {
		(void)err_sys(err, r, "config.json: process.oomScoreAdj: cannot set %s", value);
		return err_hint(err, "lowering the score needs CAP_SYS_RESOURCE on the host");
	}
	return 0;
}

int launch_prepare(pid_t pid, int pidfd, const struct spec_process *process, struct err *err)
{
	int r = check_there(pidfd, err);

	if (r == 0)
		r = raise_limits(pid, &process->rlimits, err);
	if (r == 0)
		r = check_there(pidfd, err);
	if (r == 0)
		r = traits_schedule(pid, process, err);
	if (r == 0)
		r = set_oom_score(pid, pidfd, process, err);
	/* Whatever went wrong with a process that is gone, that is why. */
	return check_there(pidfd, err) < 0 ? -ECONNRESET : r;
}

int launch_compile_filter(const struct spec *spec, const struct spec_process *process, int kept,
			  const struct spec_seccomp *ceiling, struct seccomp_program *ret_filter, struct err *err)
{
	const struct seccomp_floor floor = {.capabilities = sets_of(process).bounding,
					    .granted = SECCOMP_GRANT_FOREIGN,
					    .ceiling = ceiling};
	int r = seccomp_cache_compile(kept, &spec->linux_.seccomp, &floor, ret_filter, err);

	return r < 0 ? err_prefix(err, "config.json") : 0;
}

int launch_enter_cwd(const struct spec_process *process, struct err *err)
{
	CLEANUP_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	char where[4096];
	int r = root < 0 ? -errno : inroot_open_target(root, process->cwd, false, &fd, NULL);

	/* The kernel's links to what other descriptors hold (/proc/self/fd/N) are not followed: they lead out of the root. */
	if (r == 0 && fchdir(fd) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(err, r, "config.json: process.cwd: cannot enter '%s'", process->cwd);
	/*
	 * A folder outside of the root has no path from here: the kernel says so with "(unreachable)" or an error. Not
	 * getcwd(): the C library then walks upwards, and takes a folder of the root's device and inode for the root.
	 */
	if (syscall(SYS_getcwd, where, sizeof(where)) < 0 || where[0] != '/')
		return err_set(err, -EXDEV, "config.json: process.cwd: '%s' is outside of the root", process->cwd);
	return 0;
}

static int lower_limits(const struct spec_rlimits *limits, struct err *err)
{
	for (size_t i = 0; i < limits->count; i++) {
		const struct rlimit limit = {.rlim_cur = limits->items[i].soft, .rlim_max = limits->items[i].hard};

		if (setrlimit((__rlimit_resource_t)limits->items[i].resource, &limit) < 0)
			return err_sys(err, -errno, "config.json: process.rlimits[%zu]: %s", i, limits->items[i].name);
	}
	return 0;
}

/* Callers pass on what they have themselves, which may be a billion: open files are kernel memory. */
static int limit_files(const struct spec_rlimits *limits, struct err *err)
{
	struct rlimit limit;

	for (size_t i = 0; i < limits->count; i++)
		if (limits->items[i].resource == RLIMIT_NOFILE)
			return 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, -errno, "cannot read the limit of open files");
	if (limit.rlim_max > LAUNCH_FILES_HARD)
		limit.rlim_max = LAUNCH_FILES_HARD;
	limit.rlim_cur = limit.rlim_max < LAUNCH_FILES_SOFT ? limit.rlim_max : LAUNCH_FILES_SOFT;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? err_sys(err, -errno, "cannot limit open files") : 0;
}

static int become_user(const struct spec_user *user, struct err *err)
{
	/* Made by an ordinary user without newgidmap, the namespace keeps the groups its maker had. */
	if (setgroups(user->additional.count, user->additional.items) < 0 &&
	    !(errno == EPERM && user->additional.count == 0 && rootless_is()))
		return err_sys(err, -errno, "config.json: process.user.additionalGids");
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return err_sys(err, -errno, "config.json: process.user.gid: cannot become %u", user->gid);
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return err_sys(err, -errno, "config.json: process.user.uid: cannot become %u", user->uid);
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *path_of(char *const *env)
{
	for (size_t i = 0; env[i]; i++)
		if (str_starts(env[i], "PATH="))
			return env[i] + strlen("PATH=");
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* What is tried on each path the program may have: 0 ends the search. */
typedef int (*launch_try_fn)(const char *path, char *const *argv, char *const *envp);

static int try_execute(const char *path, char *const *argv, char *const *envp)
{
	(void)execve(path, argv, envp);
	return -errno;
}

/* What lies relative to the working folder is left for later. */
static int try_look(const char *path, char *const *argv, char *const *envp)
{
	return path[0] != '/' || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

/* Tries each folder of PATH; a file that is there but may not be executed counts over one that is not there. */
static int try_by_path(launch_try_fn try, char *const *argv, char *const *envp)
{
	const char *at = path_of(envp);
	int worst = -ENOENT;

	while (true) {
		size_t len = strcspn(at, ":");
		char candidate[4096];

		if (snprintf(candidate, sizeof(candidate), "%.*s/%s", len ? (int)len : 1, len ? at : ".", argv[0]) <
		    (int)sizeof(candidate)) {
			int r = try(candidate, argv, envp);

			if (r == 0)
				return 0;
			if (r != -ENOENT && r != -ENOTDIR)
				worst = r;
		}
		if (!at[len])
			return worst;
		at += len + 1;
	}
}

static int try_program(launch_try_fn try, const struct spec_process *process, struct err *err)
{
	static char *const empty[] = {NULL};
	char *const *argv = (char *const *)process->args.items;
	char *const *envp = process->env.items ? (char *const *)process->env.items : empty;
	int r = strchr(argv[0], '/') ? try(argv[0], argv, envp) : try_by_path(try, argv, envp);

	return r == 0 ? 0 : err_sys(err, r, "config.json: process.args[0]: cannot execute '%s'", argv[0]);
}

int launch_check_program(const struct spec_process *process, struct err *err)
{
	return try_program(try_look, process, err);
}

static int execute(const struct launch *launch, struct err *err)
{
	static char *const empty[] = {NULL};
	const struct spec_process *process = launch->process;
	int r;

	if (!launch->path)
		return try_program(try_execute, process, err);
	r = try_execute(launch->path, (char *const *)process->args.items,
			process->env.items ? (char *const *)process->env.items : empty);
	return err_sys(err, r, "cannot execute it");
}

int launch_execute(const struct launch *launch, struct err *err)
{
	const struct spec_process *process = launch->process;
	const struct capability_sets sets = sets_of(process);
	int r;

	(void)umask(process->user.has_umask ? process->user.umask : 0022);
	r = capability_prepare(&sets, err);
	if (r == 0)
		r = become_user(&process->user, err);
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot become non-dumpable");
	if (r == 0)
		r = capability_apply(&sets, process->user.uid, err);
	if (r == 0)
		r = lower_limits(&process->rlimits, err);
	if (r == 0)
		r = limit_files(&process->rlimits, err);
	if (r < 0)
		return r;
	if (close_range(3 + (unsigned int)launch->preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(err, -errno, "cannot close descriptors");
	reset_signals();
	r = apparmor_set(launch->apparmor, process->apparmor_profile, err);
	if (r < 0)
		return r;
	if (launch->wait)
		launch->wait(launch->wait_for);
	r = notify_install(launch->filter, launch->channel, err);
	return r < 0 ? r : execute(launch, err);
}
