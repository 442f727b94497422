/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ingest_confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/privilege.h"
#include "sandbox/capability.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp.h"

#define FILES_MAX 512
#define MEMORY_MAX (64u << 20)

/* The address sanitizer reserves terabytes and wants system calls of its own at the end. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* All that unpacking does; everything else fails with EPERM. */
static const char *calls[] = {
	"read",          "write",   "close",      "openat",          "openat2",      "fstat",
	"newfstatat",    "mkdirat", "symlinkat",  "linkat",          "unlinkat",     "fchown",
	"fchownat",      "fchmod",  "utimensat",  "fsetxattr",       "getdents64",   "lseek",
	"fcntl",         "mmap",    "munmap",     "mremap",          "mprotect",     "madvise",
	"brk",           "futex",   "getrandom",  "rt_sigreturn",    "rt_sigaction", "rt_sigprocmask",
	"clock_gettime", "exit",    "exit_group", "restart_syscall", "getpid",
};

static int limit_resources(struct err *err)
{
	const struct rlimit none = {0, 0}, files = {FILES_MAX, FILES_MAX}, memory = {MEMORY_MAX, MEMORY_MAX};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    (!SANITIZED && setrlimit(RLIMIT_DATA, &memory) < 0))
		return err_sys(err, -errno, "cannot limit the unpacking process");
	return 0;
}

/* The folder becomes the whole file system, and there is no network behind it. */
static int leave_machine(int root, struct err *err)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return err_sys(err, -errno, "cannot make namespaces for unpacking");
	if (fchdir(root) < 0 || chroot(".") < 0)
		return err_sys(err, -errno, "cannot confine unpacking to its folder");
	return 0;
}

static int become_ingest(struct err *err)
{
	const uint64_t kept = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER;
	const struct capability_sets sets = {.bounding = kept, .permitted = kept, .effective = kept};
	uid_t uid;
	gid_t gid;
	int r = capability_prepare(&sets, err);

	if (r < 0)
		return r;
	privilege_ids(PRIVILEGE_INGEST, &uid, &gid);
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, -errno, "cannot become the user that unpacks");
	return capability_apply(&sets, uid, err);
}

static int allow_calls(struct err *err)
{
	struct spec_seccomp_rule rule = {.names = {calls, ARRAY_SIZE(calls)}, .action = SECCOMP_RET_ALLOW};
	const struct spec_seccomp profile = {
		.present = true,
		.default_action = SECCOMP_RET_ERRNO,
		.default_errno_ret = {true, EPERM},
		.rules = {&rule, 1},
	};
	struct seccomp_program program;
	int r = seccomp_compile(&profile, &program, err);

	if (r < 0)
		return r;
	r = seccomp_install(&program, NULL, err);
	seccomp_program_done(&program);
	return r;
}

int ingest_confine(int root, struct err *err)
{
	int r;

	if (geteuid() != 0)
		return err_set(err, -EPERM,
			       "unpacking must be started as root: the files of an image have many owners");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot confine unpacking");
	/* Folders that no entry announces are to be 0755, whatever the service's own mask. */
	(void)umask(022);
	r = limit_resources(err);
	if (r == 0)
		r = leave_machine(root, err);
	if (r == 0)
		r = landlock_confine(root, true, NULL, 0, err);
	if (r == 0)
		r = become_ingest(err);
	/* Changing the user has made the process dumpable as the system's default says. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot confine unpacking");
	if (r == 0 && !SANITIZED)
		r = allow_calls(err);
	return r;
}
