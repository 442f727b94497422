/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fdio.h"

static int shell(const char *script, const char *input, struct buf *out, struct buf *error, int timeout_ms,
		 struct err *err)
{
	return proc_run("/bin/sh", (const char *const[]){"sh", "-c", script, NULL}, input, out, error, timeout_ms, err);
}

static void test_run(void **state)
{
	CLEANUP_BUF struct buf out = buf_of(100000), error = buf_of(100);
	struct err err = {0};

	(void)state;
	assert_int_equal(shell("cat; echo problem >&2", "some input", &out, &error, 10000, &err), 0);
	assert_string_equal(out.data, "some input");
	assert_string_equal(error.data, "problem\n");
	buf_clear(&out);
	assert_int_equal(shell("cat; head -c 90000 /dev/zero", NULL, &out, NULL, 10000, &err), 0);
	assert_int_equal(out.len, 90000);
}

static void test_run_fails(void **state)
{
	CLEANUP_BUF struct buf out = buf_of(10);
	struct err err = {0};

	(void)state;
	assert_int_equal(shell("echo one >&2; echo two >&2; exit 3", NULL, NULL, NULL, 10000, &err), -EREMOTEIO);
	assert_string_equal(err.msg, "'/bin/sh' failed with exit status 3: two");
	assert_int_equal(shell("kill -9 $$", NULL, NULL, NULL, 10000, &err), -EREMOTEIO);
	assert_string_equal(err.msg, "'/bin/sh' failed with signal 9 (Killed)");
	assert_int_equal(shell("exec sleep 60", NULL, NULL, NULL, 50, &err), -ETIMEDOUT);
	assert_string_equal(err.msg, "'/bin/sh' did not end within 50 ms and was killed");
	assert_int_equal(shell("while :; do echo more; done", NULL, &out, NULL, 10000, &err), -EFBIG);
	assert_string_equal(err.msg, "'/bin/sh' printed more than its limit and was killed");
	assert_int_equal(proc_run("/none", (const char *const[]){"none", NULL}, NULL, NULL, NULL, 1000, &err), -ENOENT);
	assert_string_equal(err.msg, "cannot run '/none': No such file or directory");
}

static void test_nothing_is_inherited(void **state)
{
	CLEANUP_BUF struct buf out = buf_of(100);
	CLEANUP_CLOSE int open_one = open("/dev/null", O_RDONLY);
	struct err err = {0};

	(void)state;
	assert_true(open_one >= 0);
	assert_int_equal(shell("ls /proc/self/fd | tr '\\n' ' '", NULL, &out, NULL, 10000, &err), 0);
	/* 3 is the folder that ls reads. */
	assert_string_equal(out.data, "0 1 2 3 ");
}

static void test_signals_are_reset(void **state)
{
	CLEANUP_BUF struct buf out = buf_of(1000);
	struct err err = {0};
	sigset_t all;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	assert_int_equal(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t'", NULL, &out, NULL, 10000,
			       &err),
			 0);
	(void)sigprocmask(SIG_UNBLOCK, &all, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	assert_string_equal(out.data, "SigBlk:0000000000000000SigIgn:0000000000000000");
}

/* Descriptors handed over come out at 3, 4, … in their order, even when they crossed over before. */
static void test_keep(void **state)
{
	int a[2], b[2], status;
	struct err err = {0};
	struct proc proc;
	char bytes[2];

	(void)state;
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(proc_spawn(&(struct proc_spec){.path = "/bin/sh",
							.argv = (const char *const[]){"sh", "-c",
										      "printf A >&3; printf B >&4",
										      NULL},
							.in = -1,
							.out = -1,
							.error = -1,
							.keep = (const int[]){b[1], a[1]},
							.keep_count = 2},
				    &proc, &err),
			 0);
	assert_int_equal(proc_wait(&proc, 10000, &status), 0);
	assert_int_equal(status, 0);
	assert_int_equal(proc.pidfd, -1);
	assert_int_equal(fdio_read_exact(b[0], bytes, 1), 0);
	assert_int_equal(fdio_read_exact(a[0], bytes + 1, 1), 0);
	assert_memory_equal(bytes, "AB", 2);
	for (int i = 0; i < 2; i++) {
		(void)close(a[i]);
		(void)close(b[i]);
	}
}

static void test_wait_and_kill(void **state)
{
	struct err err = {0};
	struct proc proc;
	char words[64];
	int status = -1;

	(void)state;
	assert_int_equal(proc_spawn(&(struct proc_spec){.path = "/bin/sleep",
							.argv = (const char *const[]){"sleep", "60", NULL},
							.in = -1,
							.out = -1,
							.error = -1,
							.new_session = true},
				    &proc, &err),
			 0);
	assert_int_equal(getsid(proc.pid), proc.pid);
	assert_int_equal(proc_wait(&proc, 20, &status), -ETIMEDOUT);
	assert_int_equal(status, -1);
	assert_int_equal(proc_kill(&proc, SIGTERM), 0);
	assert_int_equal(proc_wait(&proc, -1, &status), 0);
	assert_true(WIFSIGNALED(status));
	proc_describe(words, sizeof(words), status);
	assert_string_equal(words, "signal 15 (Terminated)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_run_fails),
		cmocka_unit_test(test_nothing_is_inherited),
		cmocka_unit_test(test_signals_are_reset),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_wait_and_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
