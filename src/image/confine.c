/* SPDX-License-Identifier: Apache-2.0 */
#include "image/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sandbox/capability.h"
#include "sandbox/landlock.h"
#include "sandbox/mountfd.h"
#include "sandbox/seccomp.h"

#define FILES_MAX 64

/* The address sanitizer reserves terabytes and wants system calls of its own at the end. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static int limit_resources(const struct confine *confine, struct err *err)
{
	const struct rlimit none = {0, 0}, files = {FILES_MAX, FILES_MAX}, memory = {confine->memory, confine->memory};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    (!SANITIZED && setrlimit(RLIMIT_DATA, &memory) < 0))
		return err_sys(err, -errno, "cannot limit a process of the image store");
	/* What it reads and what it holds is not to be swapped: plain text and keys. */
	if (!SANITIZED && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		return err_sys(err, -errno, "cannot lock the memory of a process of the image store");
	return 0;
}

/* An empty folder in memory becomes the whole file system, and there is no network behind it. */
static int leave_machine(struct err *err)
{
	CLEANUP_CLOSE int root = -1;
	int r;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return err_sys(err, -errno, "cannot make namespaces for a process of the image store");
	r = mountfd_new("tmpfs", NULL, NULL, 0,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &root, err);
	if (r < 0)
		return r;
	if (fchdir(root) < 0 || chroot(".") < 0)
		return err_sys(err, -errno, "cannot take the file system from a process of the image store");
	return landlock_confine(root, false, NULL, 0, err);
}

static int become(enum privilege_part part, struct err *err)
{
	const uint64_t kept = 1ull << CAP_IPC_LOCK;
	const struct capability_sets sets = {.bounding = kept, .permitted = kept, .effective = kept};
	uid_t uid;
	gid_t gid;
	int r = capability_prepare(&sets, err);

	if (r < 0)
		return r;
	privilege_ids(part, &uid, &gid);
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, -errno, "cannot become the user of a process of the image store");
	return capability_apply(&sets, uid, err);
}

static int allow_calls(const struct confine *confine, struct err *err)
{
	struct spec_seccomp_rule rule = {.names = {(const char **)confine->calls, confine->call_count},
					 .action = SECCOMP_RET_ALLOW};
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

int confine_self(const struct confine *confine, struct err *err)
{
	int r;

	if (geteuid() != 0)
		return err_set(err, -EPERM, "the processes of the image store must be started as root");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot confine a process of the image store");
	r = leave_machine(err);
	if (r == 0)
		r = limit_resources(confine, err);
	if (r == 0)
		r = become(confine->part, err);
	/* Changing the user has made the process dumpable as the system's default says. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot confine a process of the image store");
	if (r == 0 && !SANITIZED)
		r = allow_calls(confine, err);
	return r;
}
