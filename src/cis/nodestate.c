/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/nodestate.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "policy/fields.h"

#define NODESTATE_BYTES_MAX ((size_t)32 * 1024 * 1024)

static const struct policy_field fields[] = {
	{"epoch", POLICY_FIELD_INTEGER, true, 0},
	{"server", POLICY_FIELD_STRING, false, 253},
	{"finished", POLICY_FIELD_ARRAY, true, NODESTATE_FINISHED_MAX},
};

static const struct policy_field finished_fields[] = {
	{"uid", POLICY_FIELD_STRING, true, 63},
	{"untilMs", POLICY_FIELD_INTEGER, true, 0},
	{"confirmed", POLICY_FIELD_TRUE, false, 0},
};

static int append(struct nodestate *state, const char *uid, int64_t until_ms, bool confirmed)
{
	struct nodestate_finished *grown;

	if (state->count >= NODESTATE_FINISHED_MAX)
		return -ENOSPC;
	grown = reallocarray(state->finished, state->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	state->finished = grown;
	grown[state->count] =
		(struct nodestate_finished){.uid = strdup(uid), .until_ms = until_ms, .confirmed = confirmed};
	if (!grown[state->count].uid)
		return -ENOMEM;
	state->count++;
	return 0;
}

static int parse(struct nodestate *state, const json_t *root, struct err *err)
{
	const json_t *item, *server = json_object_get(root, "server");
	size_t i;
	int r = policy_fields_check(root, "state", fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	state->epoch = (uint64_t)json_integer_value(json_object_get(root, "epoch"));
	state->server = server ? strdup(json_string_value(server)) : NULL;
	json_array_foreach(json_object_get(root, "finished"), i, item) {
		r = policy_fields_check(item, "state.finished[]", finished_fields, ARRAY_SIZE(finished_fields), err);
		if (r < 0)
			return r;
		r = append(state, json_string_value(json_object_get(item, "uid")),
			   json_integer_value(json_object_get(item, "untilMs")),
			   json_is_true(json_object_get(item, "confirmed")));
		if (r < 0)
			return err_sys(err, r, "cannot keep the finished pods");
	}
	return 0;
}

int nodestate_load(const char *path, struct nodestate *state, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(NODESTATE_BYTES_MAX);
	json_t *root = NULL;
	int r;

	*state = (struct nodestate){.path = strdup(path)};
	if (!state->path)
		return err_sys(err, -ENOMEM, "cannot read '%s'", path);
	r = fdio_read_file(AT_FDCWD, path, &text, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = policy_fields_load("state", text.data, text.len, &root, err);
	if (r == 0)
		r = parse(state, root, err);
	json_decref(root);
	return r < 0 ? err_prefix(err, "cannot read '%s'", path) : 0;
}

void nodestate_done(struct nodestate *state)
{
	for (size_t i = 0; i < state->count; i++)
		free(state->finished[i].uid);
	free(state->finished);
	free(state->server);
	free(state->path);
	memset(state, 0, sizeof(*state));
}

static int save(const struct nodestate *state, struct err *err)
{
	json_t *root = json_pack("{s:I, s:s*, s:[]}", "epoch", (json_int_t)state->epoch, "server", state->server,
				 "finished");
	json_t *list = json_object_get(root, "finished");
	CLEANUP_FREE char *text = NULL;

	for (size_t i = 0; i < state->count; i++) {
		const struct nodestate_finished *row = &state->finished[i];
		json_t *item = json_pack("{s:s, s:I}", "uid", row->uid, "untilMs", (json_int_t)row->until_ms);

		if (row->confirmed && json_object_set_new(item, "confirmed", json_true()) < 0)
			break;
		if (json_array_append_new(list, item) < 0)
			break;
	}
	/* Something left out for want of memory must not reach the disk as forgotten. */
	if (root && json_array_size(list) == state->count)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return err_sys(err, -ENOMEM, "cannot write '%s'", state->path);
	return fdio_replace_file(AT_FDCWD, state->path, text, strlen(text), 0600, err);
}

int nodestate_accept(struct nodestate *state, uint64_t epoch, const char *server, struct err *err)
{
	uint64_t old_epoch = state->epoch;
	char *old = state->server, *copy;
	int r;

	if (epoch <= state->epoch && state->server)
		return 0;
	copy = strdup(server);
	if (!copy)
		return err_sys(err, -ENOMEM, "cannot write '%s'", state->path);
	state->server = copy;
	state->epoch = epoch;
	r = save(state, err);
	/* What is not on disk is not accepted: the next try must write it. */
	if (r < 0) {
		state->server = old;
		state->epoch = old_epoch;
		old = copy;
	}
	free(old);
	return r;
}

static struct nodestate_finished *find(const struct nodestate *state, const char *uid)
{
	for (size_t i = 0; i < state->count; i++) {
		if (str_eq(state->finished[i].uid, uid))
			return &state->finished[i];
	}
	return NULL;
}

static void prune(struct nodestate *state, int64_t now_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < state->count; i++) {
		struct nodestate_finished row = state->finished[i];

		if (row.confirmed && row.until_ms <= now_ms)
			free(row.uid);
		else
			state->finished[kept++] = row;
	}
	state->count = kept;
}

int nodestate_finish(struct nodestate *state, const char *uid, int64_t until_ms, int64_t now_ms, struct err *err)
{
	int r = 0;

	prune(state, now_ms);
	if (!find(state, uid))
		r = append(state, uid, until_ms, false);
	if (r < 0)
		return err_sys(err, r, "cannot keep the finished pods");
	return save(state, err);
}

int nodestate_confirm(struct nodestate *state, const char *uid, struct err *err)
{
	struct nodestate_finished *row = find(state, uid);

	if (!row || row->confirmed)
		return 0;
	row->confirmed = true;
	return save(state, err);
}

bool nodestate_has_finished(const struct nodestate *state, const char *uid)
{
	return find(state, uid) != NULL;
}

const char **nodestate_uids(const struct nodestate *state)
{
	const char **uids = calloc(state->count + 1, sizeof(*uids));

	for (size_t i = 0; uids && i < state->count; i++)
		uids[i] = state->finished[i].uid;
	return uids;
}
