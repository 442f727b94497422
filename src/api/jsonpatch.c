/* SPDX-License-Identifier: Apache-2.0 */
/* JSON patch (RFC 6902) and JSON merge patch (RFC 7386). */
#include <errno.h>

#include "api/patches.h"
#include "base/str.h"

#define OPERATIONS_MAX 2000
#define COPIED_MAX 20000   /* values that the copy operations of a patch may make together */
#define WEIGHED_MAX 500000 /* values that all its operations may put somewhere */
#define TOKEN_MAX 1024

/* Where a pointer leads: the value's container and the last token. */
struct target {
	json_t *parent; /* borrowed; NULL: the pointer is the whole document */
	char token[TOKEN_MAX];
	int depth;
};

struct patching {
	json_t *root;
	size_t copied;  /* values that copy operations made */
	size_t weighed; /* values that all operations put somewhere */
	size_t number;  /* of the operation, for messages */
	struct err *err;
};

static int fault(const struct patching *patching, const char *what, const char *path)
{
	return err_set(patching->err, ERR_INVALID, "json patch: operation %zu: %s '%.200s'", patching->number, what,
		       path);
}

/* Takes the next reference token ("~1" is '/', "~0" is '~'); false when it is malformed or too long. */
static bool next_token(const char **at, char to[static TOKEN_MAX])
{
	size_t len = 0;

	for ((*at)++; **at && **at != '/'; (*at)++) {
		char c = **at;

		if (c == '~') {
			(*at)++;
			if (**at != '0' && **at != '1')
				return false;
			c = **at == '1' ? '/' : '~';
		}
		if (len + 1 >= TOKEN_MAX)
			return false;
		to[len++] = c;
	}
	to[len] = '\0';
	return true;
}

/* The position a token names in an array, up to count; count itself only where allowed and by "-" too. */
static bool array_index(const json_t *array, const char *token, bool insert, size_t *ret_index)
{
	size_t count = json_array_size(array);
	uint64_t index;

	if (insert && str_eq(token, "-")) {
		*ret_index = count;
		return true;
	}
	if (str_parse_u64(token, count, &index) < 0 || (index == count && !insert))
		return false;
	*ret_index = index;
	return true;
}

static json_t *child_of(const json_t *parent, const char *token)
{
	size_t index;

	if (json_is_object(parent))
		return json_object_get(parent, token);
	return json_is_array(parent) && array_index(parent, token, false, &index) ? json_array_get(parent, index)
										  : NULL;
}

static int locate(const struct patching *patching, const char *path, struct target *ret_target)
{
	const char *at = path;

	*ret_target = (struct target){0};
	if (!*path)
		return 0;
	if (*path != '/')
		return fault(patching, "malformed path", path);
	for (json_t *value = patching->root; *at; value = child_of(value, ret_target->token)) {
		if (!json_is_object(value) && !json_is_array(value))
			return fault(patching, "no such path", path);
		if (!next_token(&at, ret_target->token) || ++ret_target->depth > API_DEPTH_MAX)
			return fault(patching, "malformed path", path);
		ret_target->parent = value;
	}
	return 0;
}

static json_t *value_at(const struct patching *patching, const struct target *target)
{
	return target->parent ? child_of(target->parent, target->token) : patching->root;
}

/* Counts the values within and the deepest nesting below. */
static void weigh(const json_t *value, int depth, size_t *count, int *deepest)
{
	const char *key;
	json_t *item;
	size_t i;

	(*count)++;
	if (depth > *deepest)
		*deepest = depth;
	json_array_foreach((json_t *)value, i, item)
		weigh(item, depth + 1, count, deepest);
	json_object_foreach((json_t *)value, key, item)
		weigh(item, depth + 1, count, deepest);
}

/* Puts a value where the target is; takes the reference. */
static int add(struct patching *patching, const struct target *target, const char *path, json_t *value)
{
	int deepest = 0;
	size_t index;

	if (!value)
		return err_set(patching->err, -ENOMEM, "out of memory");
	weigh(value, target->depth, &patching->weighed, &deepest);
	if (deepest > API_DEPTH_MAX || patching->weighed > WEIGHED_MAX) {
		json_decref(value);
		return fault(patching, "nests too deeply or moves too much at", path);
	}
	if (!target->parent) {
		json_decref(patching->root);
		patching->root = value;
		return 0;
	}
	if (json_is_object(target->parent))
		return json_object_set_new(target->parent, target->token, value) < 0
			       ? err_set(patching->err, -ENOMEM, "out of memory")
			       : 0;
	if (!array_index(target->parent, target->token, true, &index)) {
		json_decref(value);
		return fault(patching, "no such path", path);
	}
	return json_array_insert_new(target->parent, index, value) < 0
		       ? err_set(patching->err, -ENOMEM, "out of memory")
		       : 0;
}

static int take_away(const struct patching *patching, const struct target *target, const char *path)
{
	size_t index;

	if (!target->parent || !child_of(target->parent, target->token))
		return fault(patching, "no such path", path);
	if (json_is_object(target->parent))
		return json_object_del(target->parent, target->token);
	(void)array_index(target->parent, target->token, false, &index);
	return json_array_remove(target->parent, index);
}

static int op_add(struct patching *patching, const json_t *operation, const char *path, const struct target *target)
{
	json_t *value = json_object_get(operation, "value");

	return value ? add(patching, target, path, json_deep_copy(value))
		     : fault(patching, "value is missing for", path);
}

static int op_remove(struct patching *patching, const json_t *operation, const char *path, const struct target *target)
{
	(void)operation;
	return take_away(patching, target, path);
}

static int op_replace(struct patching *patching, const json_t *operation, const char *path, const struct target *target)
{
	int r = target->parent ? take_away(patching, target, path) : 0;

	return r < 0 ? r : op_add(patching, operation, path, target);
}

static int op_test(struct patching *patching, const json_t *operation, const char *path, const struct target *target)
{
	json_t *value = json_object_get(operation, "value");

	return value && json_equal(value, value_at(patching, target)) ? 0 : fault(patching, "test failed for", path);
}

static int op_copy(struct patching *patching, const json_t *operation, const char *path, const struct target *target)
{
	const char *from = api_string(operation, "from");
	struct target source;
	json_t *value;
	int deepest = 0;
	int r = from ? locate(patching, from, &source) : fault(patching, "from is missing for", path);

	if (r < 0)
		return r;
	value = value_at(patching, &source);
	if (!value)
		return fault(patching, "no such path", from);
	weigh(value, 0, &patching->copied, &deepest);
	if (patching->copied > COPIED_MAX)
		return fault(patching, "too much is copied to", path);
	return add(patching, target, path, json_deep_copy(value));
}

static int op_move(struct patching *patching, const json_t *operation, const char *path, const struct target *target)
{
	const char *from = api_string(operation, "from");
	struct target source, again;
	json_t *value;
	int r = from ? locate(patching, from, &source) : fault(patching, "from is missing for", path);

	(void)target;
	if (r < 0)
		return r;
	if (str_starts(path, from) && path[strlen(from)] == '/')
		return fault(patching, "cannot move into itself", path);
	value = json_incref(value_at(patching, &source));
	r = take_away(patching, &source, from);
	if (r == 0)
		r = locate(patching, path, &again);
	if (r < 0) {
		json_decref(value);
		return r;
	}
	return add(patching, &again, path, value);
}

static const struct {
	const char *name;
	int (*run)(struct patching *patching, const json_t *operation, const char *path, const struct target *target);
} verbs[] = {
	{"add", op_add},   {"remove", op_remove}, {"replace", op_replace},
	{"test", op_test}, {"copy", op_copy},     {"move", op_move},
};

static int run_operation(struct patching *patching, const json_t *operation)
{
	const char *name = api_string(operation, "op"), *path = api_string(operation, "path");
	struct target target;
	int r;

	if (!name || !path)
		return fault(patching, "op or path is missing", "");
	r = locate(patching, path, &target);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(verbs); i++)
		if (str_eq(verbs[i].name, name))
			return verbs[i].run(patching, operation, path, &target);
	return r < 0 ? r : fault(patching, "unknown op", name);
}

int patches_json(json_t **object, const json_t *operations, struct err *err)
{
	struct patching patching = {.root = *object, .err = err};
	json_t *operation;
	int r = 0;

	if (!json_is_array(operations))
		return err_set(err, ERR_SYNTAX, "the patch must be a list of operations");
	if (json_array_size(operations) > OPERATIONS_MAX)
		return err_set(err, ERR_TOO_LARGE, "the patch has more than %d operations", OPERATIONS_MAX);
	json_array_foreach((json_t *)operations, patching.number, operation) {
		r = run_operation(&patching, operation);
		if (r < 0)
			break;
	}
	*object = patching.root;
	return r;
}

int patches_merge(json_t *object, const json_t *patch)
{
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)patch, name, value) {
		json_t *now = json_object_get(object, name);

		if (json_is_null(value)) {
			(void)json_object_del(object, name);
			continue;
		}
		if (!json_is_object(value)) {
			r = json_object_set_new(object, name, json_deep_copy(value));
		} else {
			if (!json_is_object(now))
				r = json_object_set_new(object, name, now = json_object());
			if (r == 0)
				r = patches_merge(now, value);
		}
		if (r < 0)
			return -ENOMEM;
	}
	return 0;
}
