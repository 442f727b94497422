/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/change.h"

#include <errno.h>

#include "api/api.h"
#include "base/str.h"

void change_init(struct change *change)
{
	change->compare_count = 0;
	change->op_count = 0;
	change->failed = 0;
}

void change_done(struct change *change)
{
	for (size_t i = 0; i < change->compare_count; i++)
		free((char *)(uintptr_t)change->compares[i].key);
	for (size_t i = 0; i < change->op_count; i++) {
		free((char *)(uintptr_t)change->ops[i].key);
		free((void *)(uintptr_t)change->ops[i].value);
	}
	change_init(change);
}

static void fail(struct change *change, int code)
{
	if (change->failed == 0)
		change->failed = code;
}

void change_compare(struct change *change, const char *key, uint64_t revision)
{
	char *copy;

	for (size_t i = 0; i < change->compare_count; i++)
		if (str_eq(change->compares[i].key, key) && change->compares[i].mod_revision == revision)
			return;
	copy = strdup(key);
	if (!copy || change->compare_count == STORE_OPS_MAX) {
		fail(change, copy ? ERR_TOO_LARGE : -ENOMEM);
		free(copy);
		return;
	}
	change->compares[change->compare_count++] = (struct store_compare){.key = copy, .mod_revision = revision};
}

/* Takes value. */
static void add(struct change *change, enum store_op_kind kind, const char *key, void *value, size_t len)
{
	char *copy = strdup(key);

	if (!copy || (kind == STORE_PUT && !value) || change->op_count == STORE_OPS_MAX) {
		fail(change, change->op_count == STORE_OPS_MAX ? ERR_TOO_LARGE : -ENOMEM);
		free(copy);
		free(value);
		return;
	}
	change->ops[change->op_count++] =
		(struct store_op){.kind = kind, .key = copy, .value = value, .value_len = len};
}

void change_put(struct change *change, const char *key, const json_t *value)
{
	char *text = api_format(value);

	add(change, STORE_PUT, key, text, text ? strlen(text) : 0);
}

void change_put_bytes(struct change *change, const char *key, const void *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy)
		memcpy(copy, bytes, len);
	add(change, STORE_PUT, key, copy, len);
}

void change_delete(struct change *change, const char *key)
{
	add(change, STORE_DELETE, key, NULL, 0);
}

int change_commit(struct change *change, struct store *store, uint64_t *ret_revision, struct err *err)
{
	size_t index = 0;
	int r;

	if (change->failed < 0)
		return err_sys(err, change->failed, "cannot put a transaction together");
	r = store_txn(store, change->compares, change->compare_count, change->ops, change->op_count, ret_revision,
		      &index, err);
	if (r == ERR_CONFLICT)
		return err_set(err, r, "'%s' was changed by somebody else", change->compares[index].key);
	return r;
}
