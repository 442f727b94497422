/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/original.h"

#include <string.h>

#include "base/fdio.h"
#include "runtime/launch.h"
#include "sandbox/seccomp_cache.h"

#define FILE_NAME "exec"

int original_load(struct original *original, const struct state *state, struct err *err)
{
	struct err ignored;

	*original = (struct original){.state = state, .text = buf_of(SPAWN_REQUEST_MAX)};
	/* Left by another version, or not at all: it is made anew. */
	if (fdio_read_file(state->dir, FILE_NAME, &original->text, NULL) == 0 &&
	    spawn_request_parse(original->text.data, original->text.len, &original->own, &ignored) == 0) {
		original->has_filter = true;
		return 0;
	}
	return original_load_spec(original, err);
}

void original_done(struct original *original)
{
	spec_done(&original->spec);
	buf_done(&original->text);
}

int original_load_spec(struct original *original, struct err *err)
{
	int r;

	if (original->has_spec)
		return 0;
	r = state_load_spec(original->state, &original->spec, err);
	if (r < 0)
		return r;
	original->has_spec = true;
	if (!original->has_filter)
		original->own.process = original->spec.process;
	return 0;
}

/* Where it does not fit, or cannot be written, the next `exec` goes the long way again. */
static void keep(const struct original *original, const struct seccomp_program *filter)
{
	CLEANUP_BUF struct buf bytes = {0};
	const struct spawn_request own = {.process = original->spec.process, .filter = *filter};
	struct err ignored;

	/* Profile and processors do not travel in a request: they must be read anew each time. */
	if (own.process.apparmor_profile || own.process.affinity_initial || own.process.affinity_final)
		return;
	/* Without a user namespace there is no spawner, and what asks an agent is nothing for one. */
	if (original->spec.linux_.namespaces[SPEC_NS_USER].wanted && !filter->notifies &&
	    spawn_request_format(&own, &bytes) == 0)
		(void)!state_write_file(original->state, FILE_NAME, bytes.data, bytes.len, &ignored);
}

static int compile(const struct original *original, const struct spec_process *process,
		   const struct spec_seccomp *ceiling, struct seccomp_program *ret_new, struct err *err)
{
	CLEANUP_CLOSE int kept = -1;

	/* Without the folder it compiles. */
	(void)!seccomp_cache_open(original->state->root, STATE_FILTERS, &kept);
	return launch_compile_filter(&original->spec, process, kept, ceiling, ret_new, err);
}

int original_filter(struct original *original, const struct spec_process *process, const struct spec_seccomp *ceiling,
		    struct seccomp_program *ret_new, const struct seccomp_program **ret_filter, struct err *err)
{
	/* Besides config.json a filter depends on these two alone, and the ceiling of now may be another than before. */
	bool same = !ceiling &&
		    process->capabilities[SPEC_BOUNDING] == original->own.process.capabilities[SPEC_BOUNDING];
	int r;

	*ret_filter = &original->own.filter;
	if (same && original->has_filter)
		return 0;
	r = original_load_spec(original, err);
	if (r == 0)
		r = compile(original, process, ceiling, ret_new, err);
	if (r < 0)
		return r;
	if (same)
		keep(original, ret_new);
	*ret_filter = ret_new;
	return 0;
}
