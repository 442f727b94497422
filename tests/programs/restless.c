/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that are hard to stop, from inside a container:
 *   relay N       N processes, each of which makes the next one and ends, for ever
 *   read FILE     reads 4 KiB of FILE from its disk when SIGUSR1 says so, then prints dots
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void relay(void)
{
	while (1) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		/* Where there is no room for another one it waits for it. */
		if (pid < 0)
			(void)usleep(100);
	}
}

static int start_relays(int count)
{
	for (int i = 0; i < count; i++)
		if (fork() == 0)
			relay();
	while (1)
		(void)pause();
}

static void go_on(int number)
{
	(void)number;
}

static int read_disk(const char *path)
{
	static _Alignas(4096) char block[4096];
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0 || signal(SIGUSR1, go_on) == SIG_ERR)
		return 1;
	(void)puts("ready");
	(void)fflush(stdout);
	(void)pause();
	if (read(fd, block, sizeof(block)) != sizeof(block))
		return 1;
	while (puts(".") >= 0 && fflush(stdout) == 0)
		(void)usleep(10000);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "relay") == 0)
		return start_relays(atoi(argv[2]));
	if (argc == 3 && strcmp(argv[1], "read") == 0)
		return read_disk(argv[2]);
	(void)fputs("restless relay N | read FILE\n", stderr);
	return 2;
}
