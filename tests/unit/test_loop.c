/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fdio.h"

static struct loop *loop;
static char order[32];

static int make_loop(void **state)
{
	struct err err;

	(void)state;
	memset(order, 0, sizeof(order));
	return loop_new(&loop, &err);
}

static int drop_loop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

/* Notes one letter; '.' stops the loop. */
static void note(void *user)
{
	const char *letter = user;

	order[strlen(order)] = *letter;
	if (*letter == '.')
		loop_stop(loop, 7);
}

static void test_timers_in_order(void **state)
{
	static const struct {
		uint64_t delay_ms;
		const char *letter;
	} rows[] = {{30, "d"}, {5, "a"}, {40, "."}, {10, "b"}, {20, "c"}, {0, "x"}};
	struct loop_source *sources[ARRAY_SIZE(rows)], *removed;
	uint64_t now = clock_monotonic_ns();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(loop_add_timer(loop, rows[i].delay_ms ? now + rows[i].delay_ms * 1000000 : 0, note,
						(void *)rows[i].letter, &sources[i]),
				 0);
	assert_int_equal(loop_add_timer(loop, now + 1, note, (void *)"r", &removed), 0);
	loop_remove(removed);
	assert_int_equal(loop_run(loop), 7);
	assert_string_equal(order, "abcd.");
	assert_true(clock_monotonic_ns() - now >= 40000000);
	loop_set_timer(sources[1], clock_monotonic_ns());
	loop_set_timer(sources[2], clock_monotonic_ns() + 1000000);
	assert_int_equal(loop_run(loop), 7);
	assert_string_equal(order, "abcd.a.");
}

static void test_many_timers(void **state)
{
	struct loop_source *sources[200];
	uint64_t now = clock_monotonic_ns();

	(void)state;
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(loop_add_timer(loop, now + 1 + (i * 7919) % 200, note, (void *)"", &sources[i]), 0);
	for (size_t i = 0; i < 200; i += 2)
		loop_remove(sources[i]);
	assert_int_equal(loop_add_timer(loop, now + 1000000, note, (void *)".", &sources[0]), 0);
	assert_int_equal(loop_run(loop), 7);
}

struct reader {
	struct loop_source *self, *other;
	int calls;
};

static void read_and_remove_other(void *user, int fd, uint32_t events)
{
	struct reader *reader = user;

	assert_true(events & EPOLLIN);
	assert_true(fd >= 0);
	reader->calls++;
	loop_remove(reader->other);
	reader->other = NULL;
	loop_remove(reader->self);
	loop_stop(loop, 0);
}

/* Of two ready descriptors whose callbacks remove each other, exactly one is called. */
static void test_remove_in_callback(void **state)
{
	struct reader readers[2] = {{NULL}, {NULL}};
	int ends[2][2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe2(ends[i], O_CLOEXEC), 0);
		assert_int_equal(fdio_write_all(ends[i][1], "x", 1), 0);
		assert_int_equal(loop_add_fd(loop, ends[i][0], EPOLLIN, read_and_remove_other, &readers[i],
					     &readers[i].self),
				 0);
	}
	readers[0].other = readers[1].self;
	readers[1].other = readers[0].self;
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(readers[0].calls + readers[1].calls, 1);
	for (int i = 0; i < 2; i++) {
		(void)close(ends[i][0]);
		(void)close(ends[i][1]);
	}
}

static void test_regular_file_is_refused(void **state)
{
	CLEANUP_CLOSE int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct loop_source *source;

	(void)state;
	assert_int_equal(loop_add_fd(loop, fd, EPOLLIN, read_and_remove_other, NULL, &source), -EPERM);
}

static void on_signal(void *user, const struct signalfd_siginfo *info)
{
	int *seen = user;

	*seen = (int)info->ssi_signo;
	loop_stop(loop, 0);
}

static void test_signals(void **state)
{
	struct loop_source *source;
	sigset_t signals;
	int seen = 0;

	(void)state;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGUSR1);
	assert_int_equal(loop_add_signals(loop, &signals, on_signal, &seen, &source), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(seen, SIGUSR1);
}

static void *post_from_thread(void *unused)
{
	(void)unused;
	for (const char *letter = "abc."; *letter; letter++)
		if (loop_post(loop, note, (void *)letter) < 0)
			return (void *)letter;
	return NULL;
}

static void test_posts_from_a_thread(void **state)
{
	pthread_t thread;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, post_from_thread, NULL), 0);
	assert_int_equal(loop_run(loop), 7);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_string_equal(order, "abc.");
}

static void test_posts_are_bounded(void **state)
{
	(void)state;
	for (int i = 0; i < 65536; i++)
		assert_int_equal(loop_post(loop, note, (void *)""), 0);
	assert_int_equal(loop_post(loop, note, (void *)""), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_in_order, make_loop, drop_loop),
		cmocka_unit_test_setup_teardown(test_many_timers, make_loop, drop_loop),
		cmocka_unit_test_setup_teardown(test_remove_in_callback, make_loop, drop_loop),
		cmocka_unit_test_setup_teardown(test_regular_file_is_refused, make_loop, drop_loop),
		cmocka_unit_test_setup_teardown(test_signals, make_loop, drop_loop),
		cmocka_unit_test_setup_teardown(test_posts_from_a_thread, make_loop, drop_loop),
		cmocka_unit_test_setup_teardown(test_posts_are_bounded, make_loop, drop_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
