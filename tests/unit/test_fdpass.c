/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static void make_pair(int type, int *ends)
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
}

static void close_pair(const int *ends)
{
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static size_t count_open(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static bool is_same(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void test_bytes_and_descriptors_arrive(void **state)
{
	static const size_t counts[] = {0, 1, 3, FDPASS_MAX};
	int sent[FDPASS_MAX], got[FDPASS_MAX], ends[2];
	size_t before;

	make_pair(SOCK_SEQPACKET, ends);
	for (size_t i = 0; i < FDPASS_MAX; i++)
		sent[i] = ends[i % 2];
	before = count_open();
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		char text[8];
		struct fdpass message = {.bytes = text, .len = sizeof(text), .fds = got, .count = FDPASS_MAX};

		assert_int_equal(fdpass_send(ends[0], "words", 5, sent, counts[i]), 5);
		assert_int_equal(fdpass_receive(ends[1], &message, 0), 5);
		assert_memory_equal(text, "words", 5);
		assert_int_equal(message.count, counts[i]);
		assert_int_equal(message.sender, 0);
		for (size_t j = 0; j < message.count; j++) {
			assert_true(is_same(got[j], sent[j]));
			assert_int_equal(fcntl(got[j], F_GETFD), FD_CLOEXEC);
			(void)close(got[j]);
		}
		assert_int_equal(count_open(), before);
	}
	close_pair(ends);
}

static void test_what_has_no_room_is_lost_whole(void **state)
{
	static const struct {
		size_t bytes, fds;
	} rooms[] = {{5, 0}, {5, 1}, {4, 2}};
	int sent[2], got[2], ends[2];
	size_t before;
	char text[8];

	make_pair(SOCK_SEQPACKET, ends);
	memcpy(sent, ends, sizeof(sent));
	before = count_open();
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct fdpass message = {.bytes = text, .len = rooms[i].bytes, .fds = got, .count = rooms[i].fds};

		assert_int_equal(fdpass_send(ends[0], "words", 5, sent, 2), 5);
		assert_int_equal(fdpass_receive(ends[1], &message, 0), -EMSGSIZE);
		assert_int_equal(message.count, 0);
		assert_true(rooms[i].fds == 0 || got[0] == -1);
		assert_int_equal(count_open(), before);
	}
	close_pair(ends);
}

static void test_errors_and_ends(void **state)
{
	int ends[2], fds[FDPASS_MAX + 1] = {0}, bad = 1023;
	char text[8];
	struct fdpass message = {.bytes = text, .len = sizeof(text)};

	make_pair(SOCK_SEQPACKET, ends);
	assert_int_equal(fdpass_send(ends[0], "x", 1, fds, FDPASS_MAX + 1), -E2BIG);
	assert_int_equal(fdpass_send(ends[0], "x", 1, &bad, 1), -EBADF);
	assert_int_equal(fdpass_receive(ends[1], &message, MSG_DONTWAIT), -EAGAIN);
	(void)close(ends[0]);
	assert_int_equal(fdpass_receive(ends[1], &message, 0), 0);
	/* No signal. */
	assert_int_equal(fdpass_send(ends[1], "x", 1, fds, 0), -EPIPE);
	(void)close(ends[1]);
}

static void test_the_sender_is_told(void **state)
{
	const int yes = 1;
	int ends[2], got = -1;
	char text[8];
	struct fdpass message = {.bytes = text, .len = sizeof(text), .fds = &got, .count = 1};

	make_pair(SOCK_SEQPACKET, ends);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)), 0);
	assert_int_equal(fdpass_send(ends[0], "x", 1, &ends[0], 1), 1);
	assert_int_equal(fdpass_receive(ends[1], &message, 0), 1);
	assert_int_equal(message.sender, getpid());
	assert_int_equal(message.count, 1);
	(void)close(got);
	close_pair(ends);
}

static void test_a_stream_takes_what_fits(void **state)
{
	static char much[4 << 20];
	int ends[2], got = -1;
	char text[8];
	struct fdpass message = {.bytes = text, .len = sizeof(text), .fds = &got, .count = 1};
	ssize_t n;

	make_pair(SOCK_STREAM, ends);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	n = fdpass_send(ends[0], much, sizeof(much), &ends[0], 1);
	assert_true(n > 0 && (size_t)n < sizeof(much));
	/* They come with the first of the bytes. */
	assert_int_equal(fdpass_receive(ends[1], &message, 0), sizeof(text));
	assert_int_equal(message.count, 1);
	(void)close(got);
	assert_int_equal(fdpass_receive(ends[1], &message, 0), sizeof(text));
	assert_int_equal(message.count, 0);
	close_pair(ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_and_descriptors_arrive),
		cmocka_unit_test(test_what_has_no_room_is_lost_whole),
		cmocka_unit_test(test_errors_and_ends),
		cmocka_unit_test(test_the_sender_is_told),
		cmocka_unit_test(test_a_stream_takes_what_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
