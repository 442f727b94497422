/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/hook.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fdio.h"
#include "base/proc.h"

/* The state as an unnamed file, so that a hook that never reads cannot block. */
static int state_file(const struct state *state, enum state_status status, int *ret_fd)
{
	json_t *json = state_to_json(state, status);
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	CLEANUP_CLOSE int fd = memfd_create("state", MFD_CLOEXEC);
	int r;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	r = fdio_write_all(fd, text, strlen(text));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static int run_one(const struct spec_hook *hook, const struct state *state, enum state_status status, struct err *err)
{
	const char *const alone[] = {hook->path, NULL};
	CLEANUP_CLOSE int in = -1;
	struct proc_spec spec = {
		.path = hook->path,
		.argv = hook->args.count ? hook->args.items : alone,
		.envp = hook->env.items,
		.out = 1,
		.error = 2,
	};
	struct proc proc;
	char words[64];
	int r = state_file(state, status, &in), wait_status;

	if (r < 0)
		return err_sys(err, r, "cannot pass the state");
	spec.in = in;
	r = proc_spawn(&spec, &proc, err);
	if (r < 0)
		return r;
	r = proc_wait(&proc, hook->timeout_s ? hook->timeout_s * 1000 : -1, &wait_status);
	if (r == -ETIMEDOUT) {
		(void)!proc_kill(&proc, SIGKILL);
		(void)!proc_wait(&proc, -1, &wait_status);
		return err_set(err, r, "no end within %d seconds", hook->timeout_s);
	}
	if (r < 0)
		return err_sys(err, r, "cannot wait for it");
	if (wait_status != 0) {
		proc_describe(words, sizeof(words), wait_status);
		return err_set(err, -ECHILD, "ended with %s", words);
	}
	return 0;
}

int hook_run(const struct spec_hook_list *hooks, const char *phase, const struct state *state, enum state_status status,
	     struct err *err)
{
	for (size_t i = 0; i < hooks->count; i++)
		if (run_one(&hooks->items[i], state, status, err) < 0)
			return err_prefix(err, "config.json: hooks.%s[%zu]: '%s'", phase, i, hooks->items[i].path);
	return 0;
}
