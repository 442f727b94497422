/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply WINDOW_MS: a client and a server that exchange a small request every millisecond over a Unix socket. The server
 * does a little work for each. After each window a line: the monotonic clock in ns, then each request's time in ns.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 256
#define MOST 100000

static int64_t now(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void serve(int fd)
{
	unsigned char text[REQUEST];
	uint32_t sum = 1;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fd, text, sizeof(text)) == sizeof(text)) {
		for (int round = 0; round < 40; round++)
			for (size_t i = 0; i < sizeof(text); i++)
				sum = sum * 31 + text[i];
		text[0] = (unsigned char)sum;
		if (write(fd, text, sizeof(text)) != sizeof(text))
			break;
	}
	_exit(0);
}

static int64_t ask(int fd)
{
	unsigned char text[REQUEST] = "request";
	int64_t begin = now();

	if (write(fd, text, sizeof(text)) != sizeof(text) || read(fd, text, sizeof(text)) != sizeof(text))
		exit(1);
	return now() - begin;
}

int main(int argc, char **argv)
{
	static int64_t times[MOST];
	int64_t window = argc > 1 ? atoll(argv[1]) * 1000000 : 500000000;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return 1;
	if (fork() == 0)
		serve(ends[1]);
	(void)close(ends[1]);
	while (true) {
		int64_t end = now() + window;
		size_t count = 0;

		while (now() < end && count < MOST) {
			times[count++] = ask(ends[0]);
			(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		printf("%lld", (long long)now());
		for (size_t i = 0; i < count; i++)
			printf(" %lld", (long long)times[i]);
		puts("");
		if (fflush(stdout) != 0)
			return 1;
	}
}
