/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <ctype.h>
#include <errno.h>

#include "api/schema.h"
#include "base/str.h"

#define SELECTOR_MAX 16384 /* bytes of a selector's text, and so of what it can hold */

enum op { OPERATOR_EXISTS, OPERATOR_ABSENT, OPERATOR_IN, OPERATOR_NOT_IN, OPERATOR_GREATER, OPERATOR_LESS };

struct requirement {
	struct requirement *next;
	enum op op;
	char *key;
	json_t *values; /* the set as the keys of an object */
};

struct api_selector {
	bool fields;
	struct requirement *first, **last;
};

void api_selector_free(struct api_selector *selector)
{
	if (!selector)
		return;
	while (selector->first) {
		struct requirement *requirement = selector->first;

		selector->first = requirement->next;
		free(requirement->key);
		json_decref(requirement->values);
		free(requirement);
	}
	free(selector);
}

static struct api_selector *selector_new(bool fields)
{
	struct api_selector *selector = calloc(1, sizeof(*selector));

	if (selector) {
		selector->fields = fields;
		selector->last = &selector->first;
	}
	return selector;
}

/* A new last requirement with an empty set of values; takes the key. NULL without memory. */
static struct requirement *requirement_add(struct api_selector *selector, enum op op, char *key)
{
	struct requirement *requirement = calloc(1, sizeof(*requirement));

	if (!requirement) {
		free(key);
		return NULL;
	}
	*requirement = (struct requirement){.op = op, .key = key, .values = json_object()};
	*selector->last = requirement;
	selector->last = &requirement->next;
	return key && requirement->values ? requirement : NULL;
}

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static int bad_selector(struct err *err, const char *text, const char *what)
{
	return err_set(err, ERR_SYNTAX, "unable to parse requirement: %s near \"%.60s\"", what, text);
}

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || strchr("-_./", c);
}

/* Takes a run of label characters; it may be empty. NULL without memory. */
static char *take_word(const char **at)
{
	const char *from = skip_blanks(*at), *end = from;

	while (*end && is_word(*end))
		end++;
	*at = skip_blanks(end);
	return strndup(from, (size_t)(end - from));
}

static int add_value(struct requirement *requirement, char *value, struct err *err)
{
	const char *wrong = value ? api_check_string(API_CHECK_LABELS, value) : NULL;
	int r = 0;

	if (!value || json_object_set_new(requirement->values, value, json_true()) < 0)
		r = no_memory(err);
	else if (wrong && requirement->op != OPERATOR_GREATER && requirement->op != OPERATOR_LESS)
		r = err_set(err, ERR_SYNTAX, "values: Invalid value: \"%.100s\": %s", value, wrong);
	free(value);
	return r;
}

/* "(a, b)" */
static int parse_set(const char **at, struct requirement *requirement, struct err *err)
{
	*at = skip_blanks(*at);
	if (**at != '(')
		return bad_selector(err, *at, "expected '('");
	(*at)++;
	while (true) {
		int r = add_value(requirement, take_word(at), err);

		if (r < 0)
			return r;
		if (**at == ')')
			break;
		if (**at != ',')
			return bad_selector(err, *at, "expected ',' or ')'");
		(*at)++;
	}
	*at = skip_blanks(*at + 1);
	return 0;
}

static bool take(const char **at, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool take_keyword(const char **at, const char *word)
{
	const char *rest = *at;

	if (!take(&rest, word) || (*rest && is_word(*rest)))
		return false;
	*at = rest;
	return true;
}

/* Takes the op behind a key; OPERATOR_EXISTS when there is none. *set: a list in parentheses follows. */
static enum op take_operator(const char **at, bool *set)
{
	*set = true;
	if (take_keyword(at, "in"))
		return OPERATOR_IN;
	if (take_keyword(at, "notin"))
		return OPERATOR_NOT_IN;
	*set = false;
	if (take(at, "==") || take(at, "="))
		return OPERATOR_IN;
	if (take(at, "!="))
		return OPERATOR_NOT_IN;
	if (take(at, ">"))
		return OPERATOR_GREATER;
	return take(at, "<") ? OPERATOR_LESS : OPERATOR_EXISTS;
}

static int parse_label_requirement(const char **at, struct api_selector *selector, struct err *err)
{
	const char *wrong, *begin = *at = skip_blanks(*at);
	bool absent = take(at, "!"), set;
	char *key = take_word(at);
	struct requirement *requirement;
	enum op op = take_operator(at, &set);

	if (absent && op != OPERATOR_EXISTS) {
		free(key);
		return bad_selector(err, begin, "'!' stands before a key alone");
	}
	requirement = requirement_add(selector, absent ? OPERATOR_ABSENT : op, key);
	if (!requirement)
		return no_memory(err);
	wrong = api_check_string(API_CHECK_LABEL_KEY, requirement->key);
	if (wrong)
		return err_set(err, ERR_SYNTAX, "unable to parse requirement: key: Invalid value: \"%.100s\": %s",
			       requirement->key, wrong);
	if (op == OPERATOR_EXISTS)
		return 0;
	return set ? parse_set(at, requirement, err) : add_value(requirement, take_word(at), err);
}

int api_selector_parse_labels(const char *text, struct api_selector **ret_selector, struct err *err)
{
	struct api_selector *selector = selector_new(false);
	const char *at = skip_blanks(text);
	int r = 0;

	if (!selector)
		return no_memory(err);
	if (strlen(text) > SELECTOR_MAX)
		r = err_set(err, ERR_SYNTAX, "selector is longer than %d bytes", SELECTOR_MAX);
	while (r == 0 && *at) {
		r = parse_label_requirement(&at, selector, err);
		at = skip_blanks(at);
		if (r == 0 && *at && (*at != ',' || !*skip_blanks(at + 1)))
			r = bad_selector(err, at, "expected ',' and a requirement");
		else if (r == 0 && *at)
			at++;
	}
	if (r < 0) {
		api_selector_free(selector);
		return r;
	}
	*ret_selector = selector;
	return 0;
}

/* Takes text up to one of the stops, with backslash escapes. NULL without memory. */
static char *take_field(const char **at, const char *stops)
{
	size_t len = 0;
	char *to = malloc(strlen(*at) + 1);

	if (!to)
		return NULL;
	for (; **at && !strchr(stops, **at); (*at)++) {
		if (**at == '\\' && (*at)[1])
			(*at)++;
		to[len++] = **at;
	}
	to[len] = '\0';
	return to;
}

static bool is_field_label(const struct api_kind *kind, const char *label)
{
	if (str_eq(label, "metadata.name") || (kind->namespaced && str_eq(label, "metadata.namespace")))
		return true;
	for (const char *const *known = kind->field_labels; known && *known; known++)
		if (str_eq(*known, label))
			return true;
	return false;
}

static int parse_field_requirement(const struct api_kind *kind, const char **at, struct api_selector *selector,
				   struct err *err)
{
	const char *begin = *at;
	char *key = take_field(at, "=!,");
	bool not = take(at, "!=");
	struct requirement *requirement;

	if (!not &&!take(at, "==") && !take(at, "=")) {
		free(key);
		return err_set(err, ERR_SYNTAX, "invalid selector: '%.60s'; can't understand '%.60s'", begin, begin);
	}
	requirement = requirement_add(selector, not ? OPERATOR_NOT_IN : OPERATOR_IN, key);
	if (!requirement)
		return no_memory(err);
	if (!is_field_label(kind, key))
		return err_set(err, ERR_SYNTAX, "field label not supported: %.100s", key);
	CLEANUP_FREE char *value = take_field(at, ",");
	if (!value || json_object_set_new(requirement->values, value, json_true()) < 0)
		return no_memory(err);
	return 0;
}

int api_selector_parse_fields(const struct api_kind *kind, const char *text, struct api_selector **ret_selector,
			      struct err *err)
{
	struct api_selector *selector = selector_new(true);
	const char *at = text;
	int r = 0;

	if (!selector)
		return no_memory(err);
	if (strlen(text) > SELECTOR_MAX)
		r = err_set(err, ERR_SYNTAX, "selector is longer than %d bytes", SELECTOR_MAX);
	while (r == 0 && *at) {
		r = parse_field_requirement(kind, &at, selector, err);
		if (r == 0 && *at == ',')
			at++;
	}
	if (r < 0) {
		api_selector_free(selector);
		return r;
	}
	*ret_selector = selector;
	return 0;
}

/* The text a field selector compares; an event's source is its component. */
static const char *field_text(const json_t *object, const char *path)
{
	const json_t *value = api_value(object, path);

	if (json_is_object(value))
		value = json_object_get(value, "component");
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	return json_is_string(value) ? json_string_value(value) : "";
}

static bool compare_numbers(const struct requirement *requirement, const char *value)
{
	const char *limit = json_object_iter_key(json_object_iter(requirement->values));
	int64_t a, b;

	if (str_parse_i64(value, INT64_MIN, INT64_MAX, &a) < 0 || !limit ||
	    str_parse_i64(limit, INT64_MIN, INT64_MAX, &b) < 0)
		return false;
	return requirement->op == OPERATOR_GREATER ? a > b : a < b;
}

static bool requirement_holds(const struct requirement *requirement, const char *value)
{
	bool in = value && json_object_get(requirement->values, value);

	switch (requirement->op) {
	case OPERATOR_EXISTS:
		return value;
	case OPERATOR_ABSENT:
		return !value;
	case OPERATOR_IN:
		return in;
	case OPERATOR_NOT_IN:
		return !in;
	case OPERATOR_GREATER:
	case OPERATOR_LESS:
		return value && compare_numbers(requirement, value);
	}
	return false;
}

/* An absent field is the empty text, and false. */
static bool field_holds(const struct requirement *requirement, const json_t *object)
{
	const char *value = field_text(object, requirement->key);

	if (*value)
		return requirement_holds(requirement, value);
	if (json_object_get(requirement->values, "false"))
		return requirement_holds(requirement, "false");
	return requirement_holds(requirement, "");
}

bool api_selector_matches(const struct api_selector *selector, const json_t *object)
{
	for (const struct requirement *requirement = selector->first; requirement; requirement = requirement->next) {
		bool holds = selector->fields ? field_holds(requirement, object)
					      : requirement_holds(requirement, api_label(object, requirement->key));

		if (!holds)
			return false;
	}
	return true;
}
