/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the host: seen, signalled, looked into, written to. The victim is a process of the test's own. */
#include "probe.h"

#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void victims(char *to, size_t size, const struct facts *facts, const char *rest)
{
	(void)snprintf(to, size, "/proc/%d%s", (int)facts->victim, rest);
}

static int seen(const struct facts *facts)
{
	char path[64];

	victims(path, sizeof(path), facts, "/cmdline");
	return probe_result(open(path, O_RDONLY | O_CLOEXEC));
}

static int signalled(const struct facts *facts)
{
	return probe_result(kill(facts->victim, SIGCONT));
}

static int signalled_by_fd(const struct facts *facts)
{
	int fd = (int)syscall(SYS_pidfd_open, facts->victim, 0);

	return fd < 0 ? -errno : probe_result(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
}

static int traced(const struct facts *facts)
{
	if (ptrace(PTRACE_SEIZE, facts->victim, NULL, NULL) < 0)
		return -errno;
	(void)ptrace(PTRACE_DETACH, facts->victim, NULL, NULL);
	return 0;
}

static int memory_read(const struct facts *facts)
{
	char text[sizeof(PROBE_SECRET)] = "";
	struct iovec own = {text, sizeof(text) - 1}, other = {(void *)(uintptr_t)facts->address, sizeof(text) - 1};

	if (process_vm_readv(facts->victim, &own, 1, &other, 1, 0) < 0)
		return -errno;
	return strcmp(text, PROBE_SECRET) == 0 ? 0 : -ENOMSG;
}

/* Writes the bytes that are there. */
static int memory_write(const struct facts *facts)
{
	char text[] = PROBE_SECRET;
	struct iovec own = {text, sizeof(text) - 1}, other = {(void *)(uintptr_t)facts->address, sizeof(text) - 1};

	return probe_result(process_vm_writev(facts->victim, &own, 1, &other, 1, 0));
}

static int memory_file(const struct facts *facts)
{
	char path[64], text[] = PROBE_SECRET;
	int fd;

	victims(path, sizeof(path), facts, "/mem");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return probe_result(pwrite(fd, text, sizeof(text) - 1, (off_t)facts->address));
}

static int root_link(const struct facts *facts)
{
	char path[4096];

	victims(path, sizeof(path), facts, "/root");
	(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s", facts->secret);
	return probe_read_secret(AT_FDCWD, path);
}

static int descriptor_theft(const struct facts *facts)
{
	int fd = (int)syscall(SYS_pidfd_open, facts->victim, 0);

	return fd < 0 ? -errno : probe_result(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

/* A socket by a path outside, reached through the victim's root: what an engine's control socket would be. */
static int path_socket(const struct facts *facts)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[64];
	int folder, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	victims(path, sizeof(path), facts, "/root");
	folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || folder < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d%s", folder, facts->socket);
	return probe_result(connect(fd, (const struct sockaddr *)&address, sizeof(address)));
}

static int segment(const struct facts *facts)
{
	int id = shmget(facts->segment, 0, 0);
	const char *text;

	if (id < 0)
		return -errno;
	text = shmat(id, NULL, SHM_RDONLY);
	if ((intptr_t)text == -1)
		return -errno;
	return strncmp(text, PROBE_SECRET, strlen(PROBE_SECRET)) == 0 ? 0 : -ENOMSG;
}

/* The machine's name set to what it is, where it is the machine's. */
static int host_name(const struct facts *facts)
{
	struct utsname now;
	char own[64] = "";

	if (uname(&now) < 0 || readlink("/proc/self/ns/uts", own, sizeof(own) - 1) < 0)
		return -errno;
	if (strcmp(own, facts->names) != 0)
		return -EXDEV;
	return probe_result(sethostname(now.nodename, strlen(now.nodename)));
}

static int priority(const struct facts *facts)
{
	char path[64];
	int r;

	victims(path, sizeof(path), facts, "/oom_score_adj");
	r = probe_rewrite(path);
	return r == PROBE_INAPPLICABLE ? -ENOENT : r;
}

/* Types into the terminal that standard input is. */
static int terminal_input(const struct facts *facts)
{
	if (!isatty(STDIN_FILENO))
		return PROBE_INAPPLICABLE;
	return probe_result(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int terminal_take(const struct facts *facts)
{
	if (!isatty(STDIN_FILENO))
		return PROBE_INAPPLICABLE;
	(void)setsid();
	return probe_result(ioctl(STDIN_FILENO, TIOCSCTTY, 1));
}

/* On a terminal of the container's own making. */
static int terminal_own(const struct facts *facts)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), zero = 0;
	char path[64];
	unsigned int number;

	if (fd < 0 || ioctl(fd, TIOCSPTLCK, &zero) < 0 || ioctl(fd, TIOCGPTN, &number) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/dev/pts/%u", number);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	(void)setsid();
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
		return -errno;
	return probe_result(ioctl(fd, TIOCSTI, "x"));
}

/* The filter compares the whole word, the kernel only its lower half. */
static int terminal_high_bits(const struct facts *facts)
{
	if (!isatty(STDIN_FILENO))
		return PROBE_INAPPLICABLE;
	return probe_result(syscall(SYS_ioctl, STDIN_FILENO, TIOCSTI | 1ull << 32, "x"));
}

#define PROCESSES "processes of the host"
#define TERMINALS "terminals"

static const struct probe probes[] = {
	{"process_seen", PROCESSES, "shared /proc", seen},
	{"process_signalled", PROCESSES, "kill", signalled},
	{"process_signalled_by_fd", PROCESSES, "pidfd_send_signal", signalled_by_fd},
	{"process_traced", PROCESSES, "CVE-2014-4699", traced},
	{"process_memory_read", PROCESSES, "process_vm_readv", memory_read},
	{"process_memory_write", PROCESSES, "process_vm_writev", memory_write},
	{"process_memory_file", PROCESSES, "/proc/PID/mem", memory_file},
	{"process_root", PROCESSES, "/proc/PID/root", root_link},
	{"process_descriptor", PROCESSES, "pidfd_getfd", descriptor_theft},
	{"process_priority", PROCESSES, "/proc/PID/oom_score_adj", priority},
	{"path_socket", PROCESSES, "engine socket", path_socket},
	{"shared_segment", PROCESSES, "System V memory", segment},
	{"host_name", PROCESSES, "sethostname", host_name},
	{"terminal_input", TERMINALS, "CVE-2016-10124", terminal_input},
	{"terminal_high_bits", TERMINALS, "CVE-2019-10063", terminal_high_bits},
	{"terminal_own", TERMINALS, "CVE-2017-5226", terminal_own},
	{"terminal_take", TERMINALS, "TIOCSCTTY", terminal_take},
};

const struct probe_list probe_host = {probes, sizeof(probes) / sizeof(probes[0])};
