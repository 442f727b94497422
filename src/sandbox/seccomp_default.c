/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>

#include "base/str.h"
#include "sandbox/seccomp_rows.h"

/* Free to everyone. One string: pointers would have to be relocated at every start. */
static const char allowed[] = "accept\0"
			      "accept4\0"
			      "access\0"
			      "adjtimex\0"
			      "alarm\0"
			      "arch_prctl\0"
			      "bind\0"
			      "brk\0"
			      "cachestat\0"
			      "capget\0"
			      "capset\0"
			      "chdir\0"
			      "chmod\0"
			      "chown\0"
			      "clock_adjtime\0"
			      "clock_getres\0"
			      "clock_gettime\0"
			      "clock_nanosleep\0"
			      "close\0"
			      "close_range\0"
			      "connect\0"
			      "copy_file_range\0"
			      "creat\0"
			      "dup\0"
			      "dup2\0"
			      "dup3\0"
			      "epoll_create\0"
			      "epoll_create1\0"
			      "epoll_ctl\0"
			      "epoll_ctl_old\0"
			      "epoll_pwait\0"
			      "epoll_pwait2\0"
			      "epoll_wait\0"
			      "epoll_wait_old\0"
			      "eventfd\0"
			      "eventfd2\0"
			      "execve\0"
			      "execveat\0"
			      "exit\0"
			      "exit_group\0"
			      "faccessat\0"
			      "faccessat2\0"
			      "fadvise64\0"
			      "fallocate\0"
			      "fchdir\0"
			      "fchmod\0"
			      "fchmodat\0"
			      "fchmodat2\0"
			      "fchown\0"
			      "fchownat\0"
			      "fcntl\0"
			      "fdatasync\0"
			      "fgetxattr\0"
			      "flistxattr\0"
			      "flock\0"
			      "fork\0"
			      "fremovexattr\0"
			      "fsetxattr\0"
			      "fstat\0"
			      "fstatfs\0"
			      "fsync\0"
			      "ftruncate\0"
			      "futex\0"
			      "futex_requeue\0"
			      "futex_wait\0"
			      "futex_waitv\0"
			      "futex_wake\0"
			      "futimesat\0"
			      "getcpu\0"
			      "getcwd\0"
			      "getdents\0"
			      "getdents64\0"
			      "getegid\0"
			      "geteuid\0"
			      "getgid\0"
			      "getgroups\0"
			      "getitimer\0"
			      "getpeername\0"
			      "getpgid\0"
			      "getpgrp\0"
			      "getpid\0"
			      "getppid\0"
			      "getpriority\0"
			      "getrandom\0"
			      "getresgid\0"
			      "getresuid\0"
			      "getrlimit\0"
			      "get_robust_list\0"
			      "getrusage\0"
			      "getsid\0"
			      "getsockname\0"
			      "getsockopt\0"
			      "get_thread_area\0"
			      "gettid\0"
			      "gettimeofday\0"
			      "getuid\0"
			      "getxattr\0"
			      "getxattrat\0"
			      "inotify_add_watch\0"
			      "inotify_init\0"
			      "inotify_init1\0"
			      "inotify_rm_watch\0"
			      "io_cancel\0"
			      "io_destroy\0"
			      "io_getevents\0"
			      "io_pgetevents\0"
			      "ioprio_get\0"
			      "ioprio_set\0"
			      "io_setup\0"
			      "io_submit\0"
			      "kill\0"
			      "landlock_add_rule\0"
			      "landlock_create_ruleset\0"
			      "landlock_restrict_self\0"
			      "lchown\0"
			      "lgetxattr\0"
			      "link\0"
			      "linkat\0"
			      "listen\0"
			      "listmount\0"
			      "listxattr\0"
			      "listxattrat\0"
			      "llistxattr\0"
			      "lremovexattr\0"
			      "lseek\0"
			      "lsetxattr\0"
			      "lstat\0"
			      "madvise\0"
			      "map_shadow_stack\0"
			      "membarrier\0"
			      "memfd_create\0"
			      "memfd_secret\0"
			      "mincore\0"
			      "mkdir\0"
			      "mkdirat\0"
			      "mknod\0"
			      "mknodat\0"
			      "mlock\0"
			      "mlock2\0"
			      "mlockall\0"
			      "mmap\0"
			      "mprotect\0"
			      "mq_getsetattr\0"
			      "mq_notify\0"
			      "mq_open\0"
			      "mq_timedreceive\0"
			      "mq_timedsend\0"
			      "mq_unlink\0"
			      "mremap\0"
			      "mseal\0"
			      "msgctl\0"
			      "msgget\0"
			      "msgrcv\0"
			      "msgsnd\0"
			      "msync\0"
			      "munlock\0"
			      "munlockall\0"
			      "munmap\0"
			      "name_to_handle_at\0"
			      "nanosleep\0"
			      "newfstatat\0"
			      "open\0"
			      "openat\0"
			      "openat2\0"
			      "pause\0"
			      "pidfd_open\0"
			      "pidfd_send_signal\0"
			      "pipe\0"
			      "pipe2\0"
			      "pkey_alloc\0"
			      "pkey_free\0"
			      "pkey_mprotect\0"
			      "poll\0"
			      "ppoll\0"
			      "prctl\0"
			      "pread64\0"
			      "preadv\0"
			      "preadv2\0"
			      "prlimit64\0"
			      "process_mrelease\0"
			      "pselect6\0"
			      "pwrite64\0"
			      "pwritev\0"
			      "pwritev2\0"
			      "read\0"
			      "readahead\0"
			      "readlink\0"
			      "readlinkat\0"
			      "readv\0"
			      "recvfrom\0"
			      "recvmmsg\0"
			      "recvmsg\0"
			      "remap_file_pages\0"
			      "removexattr\0"
			      "removexattrat\0"
			      "rename\0"
			      "renameat\0"
			      "renameat2\0"
			      "restart_syscall\0"
			      "rmdir\0"
			      "rseq\0"
			      "rt_sigaction\0"
			      "rt_sigpending\0"
			      "rt_sigprocmask\0"
			      "rt_sigqueueinfo\0"
			      "rt_sigreturn\0"
			      "rt_sigsuspend\0"
			      "rt_sigtimedwait\0"
			      "rt_tgsigqueueinfo\0"
			      "sched_getaffinity\0"
			      "sched_getattr\0"
			      "sched_getparam\0"
			      "sched_get_priority_max\0"
			      "sched_get_priority_min\0"
			      "sched_getscheduler\0"
			      "sched_rr_get_interval\0"
			      "sched_setaffinity\0"
			      "sched_setattr\0"
			      "sched_setparam\0"
			      "sched_setscheduler\0"
			      "sched_yield\0"
			      "seccomp\0"
			      "select\0"
			      "semctl\0"
			      "semget\0"
			      "semop\0"
			      "semtimedop\0"
			      "sendfile\0"
			      "sendmmsg\0"
			      "sendmsg\0"
			      "sendto\0"
			      "setfsgid\0"
			      "setfsuid\0"
			      "setgid\0"
			      "setgroups\0"
			      "setitimer\0"
			      "setpgid\0"
			      "setpriority\0"
			      "setregid\0"
			      "setresgid\0"
			      "setresuid\0"
			      "setreuid\0"
			      "setrlimit\0"
			      "set_robust_list\0"
			      "setsid\0"
			      "set_thread_area\0"
			      "set_tid_address\0"
			      "setuid\0"
			      "setxattr\0"
			      "setxattrat\0"
			      "shmat\0"
			      "shmctl\0"
			      "shmdt\0"
			      "shmget\0"
			      "shutdown\0"
			      "sigaltstack\0"
			      "signalfd\0"
			      "signalfd4\0"
			      "splice\0"
			      "stat\0"
			      "statfs\0"
			      "statmount\0"
			      "statx\0"
			      "symlink\0"
			      "symlinkat\0"
			      "sync\0"
			      "sync_file_range\0"
			      "syncfs\0"
			      "sysinfo\0"
			      "tee\0"
			      "tgkill\0"
			      "time\0"
			      "timer_create\0"
			      "timer_delete\0"
			      "timerfd_create\0"
			      "timerfd_gettime\0"
			      "timerfd_settime\0"
			      "timer_getoverrun\0"
			      "timer_gettime\0"
			      "timer_settime\0"
			      "times\0"
			      "tkill\0"
			      "truncate\0"
			      "umask\0"
			      "uname\0"
			      "unlink\0"
			      "unlinkat\0"
			      "utime\0"
			      "utimensat\0"
			      "utimes\0"
			      "vfork\0"
			      "vmsplice\0"
			      "wait4\0"
			      "waitid\0"
			      "write\0"
			      "writev\0";

/* Refused with EPERM, which programs know how to take; what is in no list fails with ENOSYS as on an older kernel. */
static const char denied[] = "acct\0"
			     "add_key\0"
			     "bpf\0"
			     "chroot\0"
			     "clock_settime\0"
			     "delete_module\0"
			     "fanotify_init\0"
			     "finit_module\0"
			     "fsconfig\0"
			     "fsmount\0"
			     "fsopen\0"
			     "fspick\0"
			     "get_mempolicy\0"
			     "init_module\0"
			     "io_uring_enter\0"
			     "io_uring_register\0"
			     "io_uring_setup\0"
			     "ioperm\0"
			     "iopl\0"
			     "kcmp\0"
			     "kexec_file_load\0"
			     "kexec_load\0"
			     "keyctl\0"
			     "lookup_dcookie\0"
			     "mbind\0"
			     "migrate_pages\0"
			     "mount\0"
			     "mount_setattr\0"
			     "move_mount\0"
			     "move_pages\0"
			     "open_by_handle_at\0"
			     "open_tree\0"
			     "open_tree_attr\0"
			     "perf_event_open\0"
			     "pidfd_getfd\0"
			     "pivot_root\0"
			     "process_madvise\0"
			     "process_vm_readv\0"
			     "process_vm_writev\0"
			     "ptrace\0"
			     "quotactl\0"
			     "quotactl_fd\0"
			     "reboot\0"
			     "request_key\0"
			     "sethostname\0"
			     "setdomainname\0"
			     "setns\0"
			     "set_mempolicy\0"
			     "set_mempolicy_home_node\0"
			     "settimeofday\0"
			     "swapoff\0"
			     "swapon\0"
			     "syslog\0"
			     "umount2\0"
			     "unshare\0"
			     "uselib\0"
			     "userfaultfd\0"
			     "ustat\0"
			     "vhangup\0";

/* Calls that a capability opens. */
static const struct seccomp_row opened[] = {
	{"chroot", 0, CAP_SYS_CHROOT, 0, {{0}}},
	{"ptrace", 0, CAP_SYS_PTRACE, 0, {{0}}},
	{"process_vm_readv", 0, CAP_SYS_PTRACE, 0, {{0}}},
	{"process_vm_writev", 0, CAP_SYS_PTRACE, 0, {{0}}},
	{"pidfd_getfd", 0, CAP_SYS_PTRACE, 0, {{0}}},
	{"kcmp", 0, CAP_SYS_PTRACE, 0, {{0}}},
	{"get_mempolicy", 0, CAP_SYS_NICE, 0, {{0}}},
	{"mbind", 0, CAP_SYS_NICE, 0, {{0}}},
	{"set_mempolicy", 0, CAP_SYS_NICE, 0, {{0}}},
	{"set_mempolicy_home_node", 0, CAP_SYS_NICE, 0, {{0}}},
	{"mount", 0, CAP_SYS_ADMIN, 0, {{0}}},
	{"umount2", 0, CAP_SYS_ADMIN, 0, {{0}}},
	{"sethostname", 0, CAP_SYS_ADMIN, 0, {{0}}},
	{"setdomainname", 0, CAP_SYS_ADMIN, 0, {{0}}},
};

#define NAMESPACE_FLAGS \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)
/* Calls that depend on their arguments: all conditions of a row must hold. A row without any decides the rest. */
static const struct seccomp_row conditional[] = {
	{"clone", 0, -1, 1, {SECCOMP_NONE_OF(0, NAMESPACE_FLAGS)}},
	{"clone", EPERM, -1, 0, {{0}}},
	/* Its flags lie in memory where no filter can see them; the C library falls back to clone. */
	{"clone3", ENOSYS, -1, 0, {{0}}},
	/* Typing into a terminal for others: TIOCSTI, TIOCLINUX. */
	{"ioctl", EPERM, -1, 1, {SECCOMP_LOW(1, 0x5412)}},
	{"ioctl", EPERM, -1, 1, {SECCOMP_LOW(1, 0x541c)}},
	{"ioctl", 0, -1, 0, {{0}}},
	/* Replacing netfilter's tables: SOL_IP and SOL_IPV6 with *_SO_SET_REPLACE. */
	{"setsockopt", EPERM, -1, 2, {SECCOMP_LOW(1, 0), SECCOMP_LOW(2, 64)}},
	{"setsockopt", EPERM, -1, 2, {SECCOMP_LOW(1, 41), SECCOMP_LOW(2, 64)}},
	{"setsockopt", 0, -1, 0, {{0}}},
	{"personality", 0, -1, 1, {SECCOMP_LOW(0, 0)}},
	{"personality", 0, -1, 1, {SECCOMP_LOW(0, 0x8)}},
	{"personality", 0, -1, 1, {SECCOMP_LOW(0, 0x20000)}},
	{"personality", 0, -1, 1, {SECCOMP_LOW(0, 0x20008)}},
	{"personality", 0, -1, 1, {SECCOMP_LOW(0, 0xffffffff)}},
	{"personality", EPERM, -1, 0, {{0}}},
};

/* No name is shorter than three letters. */
#define NAMES_MAX ((sizeof(allowed) + sizeof(denied)) / 4)
#define RULES_MAX (2 + ARRAY_SIZE(opened) + SECCOMP_SOCKET_ROWS + ARRAY_SIZE(conditional))

static bool is_opened(const char *name, uint64_t capabilities)
{
	for (size_t i = 0; i < ARRAY_SIZE(opened); i++)
		if (seccomp_rows_holds(capabilities, opened[i].capability) && str_eq(opened[i].name, name))
			return true;
	return false;
}

/* The names of a list but for those that a capability opens. */
static struct spec_strings names_of(const char *list, uint64_t capabilities, const char **names)
{
	size_t count = 0;

	for (const char *at = list; *at; at += strlen(at) + 1)
		if (!is_opened(at, capabilities))
			names[count++] = at;
	return (struct spec_strings){names, count};
}

static size_t add_rules(struct spec_seccomp_rule *rules, const char **names, uint64_t capabilities)
{
	size_t count = 0;

	rules[count] = (struct spec_seccomp_rule){.names = names_of(allowed, 0, names), .action = SECCOMP_RET_ALLOW};
	names += rules[count++].names.count;
	rules[count++] = (struct spec_seccomp_rule){.names = names_of(denied, capabilities, names),
						    .action = SECCOMP_RET_ERRNO,
						    .errno_ret = {true, EPERM}};
	count += seccomp_rows_add(rules + count, opened, ARRAY_SIZE(opened), capabilities);
	count += seccomp_rows_add(rules + count, seccomp_rows_sockets, SECCOMP_SOCKET_ROWS, capabilities);
	return count + seccomp_rows_add(rules + count, conditional, ARRAY_SIZE(conditional), capabilities);
}

int seccomp_default(const struct seccomp_floor *floor, struct seccomp_program *ret_program, struct err *err)
{
	const char *names[NAMES_MAX];
	struct spec_seccomp_rule rules[RULES_MAX];
	struct spec_seccomp profile = {
		.present = true,
		.default_action = SECCOMP_RET_ERRNO,
		.default_errno_ret = {true, ENOSYS},
		.rules = {rules, add_rules(rules, names, floor->capabilities)},
	};

	const struct spec_seccomp *const profiles[] = {&profile, floor->ceiling};

	return seccomp_compile_all(profiles, floor->ceiling ? 2 : 1, 0, ret_program, err);
}
