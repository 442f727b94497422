/* SPDX-License-Identifier: Apache-2.0 */
/* state.json: one object, read strictly: every key is known, those without which nothing can be done must be there. */
#ifndef RUNTIME_STATE_FILE_H
#define RUNTIME_STATE_FILE_H

#include "base/err.h"
#include "runtime/state.h"

#define STATE_FILE_VERSION 1

/*
 * Reads the text of a state.json into the members of state that it holds; state->id must be set, and the file must be
 * of that container. ERR_CORRUPT with the key that is wrong; state's annotations may be set all the same.
 */
int state_file_parse(const char *bytes, size_t len, struct state *state, struct err *err) MUST_CHECK;

/* The text of a state.json; the caller frees it. NULL without memory, or when a member is no UTF-8. */
char *state_file_format(const struct state *state);

#endif
