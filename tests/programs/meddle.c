/* SPDX-License-Identifier: Apache-2.0 */
/* meddle PID: tries from inside of a container to take hold of a process, and prints what worked, one a line, then "end". */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pid_t target;
static int pidfd;

static long trace_attach(void)
{
	return ptrace(PTRACE_ATTACH, target, NULL, NULL);
}

static long trace_seize(void)
{
	return ptrace(PTRACE_SEIZE, target, NULL, NULL);
}

static long read_memory(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&target, 1};

	/* This program is as static as the other one: nothing lies at the same place, but being asked is enough. */
	return process_vm_readv(target, &here, 1, &there, 1, 0) < 0 && errno != EFAULT ? -1 : 0;
}

static long write_memory(void)
{
	char byte = 0;
	struct iovec here = {&byte, 1}, there = {&target, 1};

	return process_vm_writev(target, &here, 1, &there, 1, 0) < 0 && errno != EFAULT ? -1 : 0;
}

static long open_memory(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)target);
	return open(path, O_RDWR | O_CLOEXEC);
}

static long take_descriptor(void)
{
	return syscall(SYS_pidfd_getfd, pidfd, 3, 0);
}

static long enter_namespaces(void)
{
	return setns(pidfd, CLONE_NEWNS);
}

static long stop(void)
{
	return kill(target, SIGSTOP);
}

static long stop_thread(void)
{
	return syscall(SYS_tgkill, target, target, SIGSTOP);
}

static long stop_by_descriptor(void)
{
	return syscall(SYS_pidfd_send_signal, pidfd, SIGSTOP, NULL, 0);
}

static long end(void)
{
	return kill(target, SIGKILL);
}

/* The kernel says yes even when it let nobody be signalled. */
static long end_all(void)
{
	return kill(-1, SIGKILL) < 0 || kill(target, 0) < 0 ? -1 : 0;
}

static long limit(void)
{
	const struct rlimit none = {0, 0};

	return prlimit(target, RLIMIT_NOFILE, &none, NULL);
}

static long let_wait(void)
{
	const struct sched_param param = {0};

	return sched_setscheduler(target, SCHED_IDLE, &param);
}

static const struct {
	const char *name;
	long (*way)(void);
} ways[] = {
	{"ptrace attach", trace_attach},
	{"ptrace seize", trace_seize},
	{"process_vm_readv", read_memory},
	{"process_vm_writev", write_memory},
	{"mem", open_memory},
	{"pidfd_getfd", take_descriptor},
	{"setns", enter_namespaces},
	{"stop", stop},
	{"stop a thread", stop_thread},
	{"stop by descriptor", stop_by_descriptor},
	{"kill", end},
	{"kill all", end_all},
	{"prlimit", limit},
	{"idle", let_wait},
};

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	target = (pid_t)strtol(argv[1], NULL, 10);
	pidfd = (int)syscall(SYS_pidfd_open, target, 0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (ways[i].way() >= 0)
			printf("%s\n", ways[i].name);
	puts("end");
	return fflush(stdout) == 0 ? 0 : 1;
}
