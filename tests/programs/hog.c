/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hog once|forever KIND [PATH]: takes as much of one resource as it is given. `once` prints how much that was and the
 * error that ended it, "COUNT ERROR"; `forever` gives it back and starts again until it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 65536
#define HELD 200000

static const char *place = "/tmp";
static int held[HELD];
static char block[BLOCK];

/* Each takes one unit more; false at the end, with errno. */
static bool take_process(unsigned long count)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	return pid > 0;
}

static bool take_memory(unsigned long count)
{
	char *page = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	(void)memset(page, 1, BLOCK);
	return true;
}

static bool take_file(unsigned long count, const char *text, size_t len)
{
	char path[256];
	int fd;
	bool done;

	(void)snprintf(path, sizeof(path), "%s/f%lu", place, count);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	done = fd >= 0 && write(fd, text, len) == (ssize_t)len;
	if (fd >= 0)
		(void)close(fd);
	return done;
}

static bool take_bytes(unsigned long count)
{
	return take_file(count, block, sizeof(block));
}

static bool take_inode(unsigned long count)
{
	return take_file(count, "", 0);
}

static bool hold(unsigned long count, int fd)
{
	if (count >= HELD)
		errno = E2BIG;
	else
		held[count] = fd;
	return count < HELD;
}

static bool take_pipe(unsigned long count)
{
	int ends[2];

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return false;
	while (write(ends[1], block, sizeof(block)) > 0)
		;
	return hold(2 * count, ends[0]) && hold(2 * count + 1, ends[1]);
}

static bool take_socket(unsigned long count)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	while (send(ends[1], block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	return hold(2 * count, ends[0]) && hold(2 * count + 1, ends[1]);
}

static bool take_queue(unsigned long count)
{
	char name[32];
	mqd_t queue;

	(void)snprintf(name, sizeof(name), "/q%lu", count);
	queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600, NULL);
	if (queue < 0)
		return false;
	while (mq_send(queue, block, 8192, 0) == 0)
		;
	(void)close(queue);
	return true;
}

static bool take_line(unsigned long count)
{
	return write(1, block, 200) == 200 && write(1, "\n", 1) == 1;
}

/* A second of every processor there is. */
static bool take_processor(unsigned long count)
{
	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			(void)alarm(1);
			while (true)
				;
		}
	while (wait(NULL) > 0)
		;
	return true;
}

/* Past the page cache, which version 1 of the control groups cannot limit. */
static bool take_disk(unsigned long count)
{
	static char *aligned;
	char path[256];
	int fd;
	bool done;

	if (!aligned)
		aligned = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)snprintf(path, sizeof(path), "%s/direct", place);
	fd = open(path, O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	done = fd >= 0 && pwrite(fd, aligned, 1 << 20, (off_t)(count % 32) << 20) == 1 << 20 && fsync(fd) == 0;
	if (fd >= 0)
		(void)close(fd);
	return done;
}

static void give_files(unsigned long count)
{
	char path[256];

	for (unsigned long i = 0; i <= count; i++) {
		(void)snprintf(path, sizeof(path), "%s/f%lu", place, i);
		(void)unlink(path);
	}
}

static void give_descriptors(unsigned long count)
{
	for (unsigned long i = 0; i < 2 * count && i < HELD; i++)
		(void)close(held[i]);
}

static void give_processes(unsigned long count)
{
	(void)signal(SIGTERM, SIG_IGN);
	(void)kill(0, SIGTERM);
	(void)signal(SIGTERM, SIG_DFL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static const struct {
	const char *name;
	bool (*take)(unsigned long count);
	void (*give)(unsigned long count);
} kinds[] = {
	{"processes", take_process, give_processes},
	{"memory", take_memory, NULL},
	{"bytes", take_bytes, give_files},
	{"inodes", take_inode, give_files},
	{"pipes", take_pipe, give_descriptors},
	{"sockets", take_socket, give_descriptors},
	{"queues", take_queue, NULL},
	{"lines", take_line, NULL},
	{"processor", take_processor, NULL},
	{"disk", take_disk, NULL},
};

static unsigned long take_all(size_t kind)
{
	unsigned long count = 0;

	while (kinds[kind].take(count))
		count++;
	return count;
}

/* In a child, so that the end of memory is the end of the child and not of the flood. */
static void take_forever(size_t kind)
{
	while (true) {
		pid_t pid = fork();

		if (pid == 0) {
			unsigned long count = take_all(kind);

			if (kinds[kind].give)
				kinds[kind].give(count);
			_exit(0);
		}
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (argc > 3)
		place = argv[3];
	(void)memset(block, 'x', sizeof(block));
	(void)setpgid(0, 0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned long count;

		if (strcmp(kinds[i].name, argv[2]) != 0)
			continue;
		if (strcmp(argv[1], "forever") == 0)
			take_forever(i);
		count = take_all(i);
		printf("%lu %s\n", count, strerror(errno));
		return fflush(stdout) != 0;
	}
	return 2;
}
