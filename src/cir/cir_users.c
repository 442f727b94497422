/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_users.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cir/cir_json.h"

#define USERS_MAX 1000

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "no memory for users");
}

/* An optional string. */
static int read_string(const json_t *object, const char *field, const char *where, char **ret_string, struct err *err)
{
	const json_t *value = json_object_get(object, field);

	if (!value)
		return 0;
	if (!json_is_string(value) || !*json_string_value(value))
		return err_set(err, ERR_INVALID, "%s: '%s' is not a string", where, field);
	*ret_string = strdup(json_string_value(value));
	return *ret_string ? 0 : no_memory(err);
}

static int read_certificate(const json_t *certificate, const char *where, struct cir_user *user, struct err *err)
{
	static const char *const known[] = {"commonName", "organization", NULL};
	int r;

	if (!certificate)
		return 0;
	if (!json_is_object(certificate))
		return err_set(err, ERR_INVALID, "%s: 'certificate' is not an object", where);
	r = cir_json_known(certificate, known, "users: a certificate has an ", err);
	if (r == 0)
		r = read_string(certificate, "commonName", where, &user->common_name, err);
	if (r == 0)
		r = read_string(certificate, "organization", where, &user->organization, err);
	if (r == 0 && !user->common_name)
		r = err_set(err, ERR_INVALID, "%s: 'certificate' has no 'commonName'", where);
	return r;
}

/* What a right is given by when it has no list of its own. */
static int read_patterns(const json_t *object, const char *where, struct cir_user *user, struct err *err)
{
	const json_t *push = json_object_get(object, "push");
	int r = 0;

	for (unsigned right = 0; r == 0 && right < CIR_RIGHT_COUNT; right++) {
		const char *name = cir_right_name((enum cir_right)right);
		const json_t *list = json_object_get(object, name);

		if (!list && right != CIR_RIGHT_PULL)
			list = push;
		r = cir_json_strings(list, where, name, &user->patterns[right], err);
	}
	return r;
}

static int read_user(const json_t *object, struct cir_user *user, struct err *err)
{
	static const char *const known[] = {"name", "passwordHash", "certificate", "domains", "push",
					    "pull", "delete",       "sign",        NULL};
	const char *name = json_string_value(json_object_get(object, "name"));
	char where[160];
	int r;

	if (!name || !*name || strchr(name, ':') || strlen(name) > 100)
		return err_set(err, ERR_INVALID, "users: 'name' is not a name of 1 to 100 bytes without ':'");
	(void)snprintf(where, sizeof(where), "users: '%s'", name);
	user->name = strdup(name);
	if (!user->name)
		return no_memory(err);
	r = cir_json_known(object, known, "users: a user has an ", err);
	if (r == 0)
		r = read_string(object, "passwordHash", where, &user->hash, err);
	if (r == 0)
		r = read_certificate(json_object_get(object, "certificate"), where, user, err);
	if (r == 0)
		r = cir_json_strings(json_object_get(object, "domains"), where, "domains", &user->domains, err);
	if (r == 0)
		r = read_patterns(object, where, user, err);
	if (r == 0 && !user->hash && !user->common_name)
		r = err_set(err, ERR_INVALID, "%s: has neither 'passwordHash' nor 'certificate'", where);
	return r;
}

static int read_list(struct cir_users *users, const json_t *list, struct err *err)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > USERS_MAX)
		return err_set(err, ERR_INVALID, "users: 'users' is not a list of at most %d", USERS_MAX);
	users->list = calloc(count + 1, sizeof(*users->list));
	if (!users->list)
		return no_memory(err);
	for (size_t i = 0; i < count; i++) {
		int r;

		users->count = i + 1;
		r = read_user(json_array_get(list, i), &users->list[i], err);
		if (r < 0)
			return r;
		if (cir_users_find(users, users->list[i].name) != &users->list[i])
			return err_set(err, ERR_INVALID, "users: '%s' is there twice", users->list[i].name);
	}
	return 0;
}

int cir_users_parse(const char *text, size_t len, struct cir_users *ret_users, struct err *err)
{
	static const char *const known[] = {"users", NULL};
	struct cir_users users = {0};
	json_t *root;
	int r = cir_json_load(text, len, &root, err);

	if (r < 0)
		return r;
	r = cir_json_known(root, known, "users: ", err);
	if (r == 0)
		r = read_list(&users, json_object_get(root, "users"), err);
	json_decref(root);
	if (r < 0)
		cir_users_done(&users);
	else
		*ret_users = users;
	return r;
}

void cir_users_done(struct cir_users *users)
{
	for (size_t i = 0; i < users->count; i++) {
		struct cir_user *user = &users->list[i];

		free(user->name);
		free(user->hash);
		free(user->common_name);
		free(user->organization);
		cir_json_strings_free(user->domains);
		for (size_t right = 0; right < CIR_RIGHT_COUNT; right++)
			cir_json_strings_free(user->patterns[right]);
	}
	free(users->list);
	*users = (struct cir_users){0};
}

const struct cir_user *cir_users_find(const struct cir_users *users, const char *name)
{
	for (size_t i = 0; i < users->count; i++)
		if (str_eq(users->list[i].name, name))
			return &users->list[i];
	return NULL;
}

static bool has_organization(const struct http_peer *peer, const char *wanted)
{
	for (size_t i = 0; i < peer->organization_count; i++)
		if (str_eq(peer->organizations[i], wanted))
			return true;
	return false;
}

const struct cir_user *cir_users_of_certificate(const struct cir_users *users, const struct http_peer *peer)
{
	for (size_t i = 0; peer->common_name[0] && i < users->count; i++) {
		const struct cir_user *user = &users->list[i];

		if (user->common_name && str_eq(user->common_name, peer->common_name) &&
		    (!user->organization || has_organization(peer, user->organization)))
			return user;
	}
	return NULL;
}

static bool matches(char *const *patterns, const char *repository)
{
	for (; *patterns; patterns++)
		if (str_glob(*patterns, repository))
			return true;
	return false;
}

bool cir_user_may(const struct cir_user *user, enum cir_right right, const char *repository)
{
	bool may = matches(user->patterns[right], repository);

	/* Who may change something may see it. */
	for (size_t other = 0; right == CIR_RIGHT_PULL && !may && other < CIR_RIGHT_COUNT; other++)
		may = matches(user->patterns[other], repository);
	return may;
}
