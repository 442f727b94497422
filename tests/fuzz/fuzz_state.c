/* SPDX-License-Identifier: Apache-2.0 */
/* state.json: what is accepted is written again and read back as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/state_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state state = {.root = -1, .dir = -1, .id = "box"}, again = {.root = -1, .dir = -1, .id = "box"};
	struct err err = {0};
	int r = state_file_parse((const char *)data, size, &state, &err);

	if (r < 0 && (r != ERR_CORRUPT || strncmp(err.msg, "state.json: ", 12) != 0))
		abort();
	if (r == 0) {
		char *text = state_file_format(&state);

		if (!text || state_file_parse(text, strlen(text), &again, &err) < 0 || again.pid != state.pid ||
		    again.start_time != state.start_time || strcmp(again.bundle, state.bundle) != 0 ||
		    strcmp(again.cgroup, state.cgroup) != 0)
			abort();
		free(text);
	}
	json_decref(state.annotations);
	json_decref(again.annotations);
	return 0;
}
