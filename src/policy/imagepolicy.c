/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/imagepolicy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define PLACE_SIZE 160
#define IMAGE_SIZE 1024

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

static int copy(char **to, const char *text, struct err *err)
{
	*to = strdup(text);
	return *to ? 0 : out_of_memory(err);
}

/* --- one requirement --- */

static int add_key(const json_t *item, const char *path, struct policy_image_requirement *to, struct err *err)
{
	const char *text = json_string_value(item);

	if (!text || !*text || json_string_length(item) > POLICY_IMAGE_KEY_MAX ||
	    strlen(text) != json_string_length(item))
		return err_set(err, ERR_INVALID, "field '%s' is not a key of at most %zu bytes", path,
			       POLICY_IMAGE_KEY_MAX);
	return copy(&to->keys[to->key_count++], text, err);
}

static int read_keys(const json_t *json, const char *path, struct policy_image_requirement *to, struct err *err)
{
	const json_t *one = json_object_get(json, "keyData"), *many = json_object_get(json, "keyDatas");
	size_t count = one ? 1 : json_array_size(many);
	char below[PLACE_SIZE];
	int r = 0;

	if (!one == !many || !count)
		return err_set(err, ERR_INVALID, "field '%s' needs exactly one of keyData and keyDatas", path);
	to->keys = calloc(count, sizeof(*to->keys));
	if (!to->keys)
		return out_of_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		(void)snprintf(below, sizeof(below), one ? "%s.keyData" : "%s.keyDatas[%zu]", path, i);
		r = add_key(one ? one : json_array_get(many, i), below, to, err);
	}
	return r;
}

/* The kinds of identity: what they mean here, and the fields they take. */
static const struct identity_row {
	const char *word;
	enum policy_image_identity identity;
	const char *wanted, *second;
} identity_rows[] = {
	{"matchRepoDigestOrExact", POLICY_IMAGE_SAME_REPOSITORY, NULL, NULL},
	{"matchRepository", POLICY_IMAGE_SAME_REPOSITORY, NULL, NULL},
	{"exactReference", POLICY_IMAGE_EXACT_REFERENCE, "dockerReference", NULL},
	{"exactRepository", POLICY_IMAGE_EXACT_REPOSITORY, "dockerRepository", NULL},
	{"remapIdentity", POLICY_IMAGE_REMAPPED, "prefix", "signedPrefix"},
	{"matchDigest", POLICY_IMAGE_ANY, NULL, NULL},
};

static const struct identity_row *find_identity(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(identity_rows); i++)
		if (str_eq(identity_rows[i].word, word))
			return &identity_rows[i];
	return NULL;
}

static int read_identity(const json_t *json, const char *path, struct policy_image_requirement *to, struct err *err)
{
	const char *word = text_of(json, "type");
	const struct identity_row *row = find_identity(word ? word : "");
	struct policy_field fields[3] = {{"type", POLICY_FIELD_STRING, true, 0}};
	size_t count = 1;
	int r;

	if (word && str_eq(word, "matchExact"))
		return err_set(err, ERR_INVALID,
			       "field '%s.type' is 'matchExact': images are started by digest, say 'matchRepository'",
			       path);
	if (!row)
		return err_set(err, ERR_INVALID, "field '%s.type' '%.32s' is not known", path, word ? word : "");
	if (row->wanted)
		fields[count++] = (struct policy_field){row->wanted, POLICY_FIELD_STRING, true, 512};
	if (row->second)
		fields[count++] = (struct policy_field){row->second, POLICY_FIELD_STRING, true, 512};
	r = policy_fields_check(json, path, fields, count, err);
	if (r == 0 && row->wanted)
		r = copy(&to->wanted, text_of(json, row->wanted), err);
	if (r == 0 && row->second)
		r = copy(&to->signed_prefix, text_of(json, row->second), err);
	if (r == 0 && row->wanted && (!*to->wanted || (row->second && !*to->signed_prefix)))
		r = err_set(err, ERR_INVALID, "field '%s' has an empty member", path);
	to->identity = row->identity;
	return r;
}

static int read_signed(const json_t *json, const char *path, struct policy_image_requirement *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"type", POLICY_FIELD_STRING, true, 0},
		{"keyData", POLICY_FIELD_STRING, false, POLICY_IMAGE_KEY_MAX},
		{"keyDatas", POLICY_FIELD_ARRAY, false, POLICY_IMAGE_KEYS_MAX},
		{"signedIdentity", POLICY_FIELD_OBJECT, false, 0},
	};
	const json_t *identity = json_object_get(json, "signedIdentity");
	char below[PLACE_SIZE];
	int r;

	if (json_object_get(json, "keyPath") || json_object_get(json, "keyPaths"))
		return err_set(
			err, ERR_INVALID,
			"field '%s' names files of keys, which this API cannot read: give them in keyData or keyDatas",
			path);
	r = policy_fields_check(json, path, fields, ARRAY_SIZE(fields), err);
	if (r == 0)
		r = read_keys(json, path, to, err);
	if (r < 0 || !identity)
		return r;
	(void)snprintf(below, sizeof(below), "%s.signedIdentity", path);
	return read_identity(identity, below, to, err);
}

static int read_requirement(const json_t *json, const char *path, struct policy_image_requirement *to, struct err *err)
{
	static const struct policy_field bare[] = {{"type", POLICY_FIELD_STRING, true, 0}};
	const char *type = text_of(json, "type");

	if (!type)
		return err_set(err, ERR_INVALID, "field '%s.type' is missing", path);
	if (str_eq(type, "sigstoreSigned")) {
		to->kind = POLICY_IMAGE_SIGNED;
		return read_signed(json, path, to, err);
	}
	to->kind = str_eq(type, "reject") ? POLICY_IMAGE_REJECT : POLICY_IMAGE_ACCEPT;
	if (to->kind == POLICY_IMAGE_ACCEPT && !str_eq(type, "insecureAcceptAnything"))
		return err_set(err, ERR_INVALID,
			       "field '%s.type' '%.32s' is not insecureAcceptAnything, reject or sigstoreSigned", path,
			       type);
	return policy_fields_check(json, path, bare, ARRAY_SIZE(bare), err);
}

int policy_image_requirement_parse(const json_t *json, const char *path, struct policy_image_requirement *ret,
				   struct err *err)
{
	struct policy_image_requirement requirement = {0};
	int r = read_requirement(json, path, &requirement, err);

	if (r < 0) {
		policy_image_requirement_done(&requirement);
		return r;
	}
	requirement.json = json_incref((json_t *)(uintptr_t)json);
	*ret = requirement;
	return 0;
}

void policy_image_requirement_done(struct policy_image_requirement *requirement)
{
	for (size_t i = 0; i < requirement->key_count; i++)
		free(requirement->keys[i]);
	free(requirement->keys);
	free(requirement->wanted);
	free(requirement->signed_prefix);
	json_decref(requirement->json);
	*requirement = (struct policy_image_requirement){0};
}

/* --- the object --- */

static void scope_done(struct policy_image_scope *scope)
{
	for (size_t i = 0; i < scope->count; i++)
		policy_image_requirement_done(&scope->requirements[i]);
	free(scope->requirements);
	free(scope->name);
}

static int read_scope(const char *name, const json_t *list, const char *path, struct policy_image_scope *scope,
		      struct err *err)
{
	size_t count = json_array_size(list);
	char below[PLACE_SIZE];
	int r = copy(&scope->name, name, err);

	if (r < 0)
		return r;
	if (!count || count > POLICY_IMAGE_REQUIREMENTS_MAX)
		return err_set(err, ERR_INVALID, "field '%s' is not a list of 1 to %d requirements", path,
			       POLICY_IMAGE_REQUIREMENTS_MAX);
	scope->requirements = calloc(count, sizeof(*scope->requirements));
	if (!scope->requirements)
		return out_of_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		(void)snprintf(below, sizeof(below), "%s[%zu]", path, i);
		r = policy_image_requirement_parse(json_array_get(list, i), below, &scope->requirements[i], err);
		scope->count += r == 0;
	}
	return r;
}

/* A scope that could never match would be believed to protect something. */
static int check_scope_name(const char *name, struct err *err)
{
	const char *slash = strrchr(name, '/'), *at = strchr(name, '@');
	const char *colon = strchr(slash ? slash : "", ':');

	if (strlen(name) > 600)
		return err_set(err, ERR_INVALID, "field 'spec.transports.docker' has a scope of more than 600 bytes");
	if (colon && (!at || colon < at))
		return err_set(err, ERR_INVALID,
			       "field 'spec.transports.docker[%.200s]' has a tag: images are judged by digest", name);
	if (strchr(name, '*') && (strncmp(name, "*.", 2) != 0 || strchr(name + 1, '*') || slash || !name[2]))
		return err_set(err, ERR_INVALID,
			       "field 'spec.transports.docker[%.200s]': '*.' stands for hosts at the beginning alone",
			       name);
	if (*name == '/' || (slash && !slash[1]))
		return err_set(err, ERR_INVALID, "field 'spec.transports.docker[%.200s]' begins or ends with a slash",
			       name);
	return 0;
}

static int read_transports(const json_t *transports, struct policy_image *policy, struct err *err)
{
	static const struct policy_field fields[] = {{"docker", POLICY_FIELD_OBJECT, false, 0}};
	const json_t *docker = json_object_get(transports, "docker"), *list;
	const char *name;
	char path[PLACE_SIZE];
	int r = 0;

	if (!transports)
		return 0;
	r = policy_fields_check(transports, "spec.transports", fields, ARRAY_SIZE(fields), err);
	if (r < 0 || !json_object_size(docker))
		return r;
	if (json_object_size(docker) > POLICY_IMAGE_SCOPES_MAX)
		return err_set(err, ERR_INVALID, "field 'spec.transports.docker' has more than %d scopes",
			       POLICY_IMAGE_SCOPES_MAX);
	policy->scopes = calloc(json_object_size(docker), sizeof(*policy->scopes));
	if (!policy->scopes)
		return out_of_memory(err);
	json_object_foreach((json_t *)(uintptr_t)docker, name, list) {
		(void)snprintf(path, sizeof(path), "spec.transports.docker[%.80s]", name);
		r = check_scope_name(name, err);
		if (r == 0)
			r = read_scope(name, list, path, &policy->scopes[policy->scope_count++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_policy(const json_t *object, struct policy_image *policy, struct err *err)
{
	static const struct policy_field fields[] = {
		{"domains", POLICY_FIELD_ARRAY, false, 256},
		{"default", POLICY_FIELD_ARRAY, true, POLICY_IMAGE_REQUIREMENTS_MAX},
		{"transports", POLICY_FIELD_OBJECT, false, 0},
	};
	const char *name = text_of(json_object_get(object, "metadata"), "name");
	const json_t *spec = json_object_get(object, "spec");
	int r;

	if (!name || !str_is_dns_subdomain(name))
		return err_set(err, ERR_INVALID, "field 'metadata.name' is not a name");
	r = copy(&policy->name, name, err);
	if (r == 0)
		r = policy_fields_check(spec, "spec", fields, ARRAY_SIZE(fields), err);
	if (r == 0)
		r = policy_names_read(json_object_get(spec, "domains"), "spec.domains", &policy->domains, err);
	if (r == 0)
		r = read_scope("", json_object_get(spec, "default"), "spec.default", &policy->fallback, err);
	return r < 0 ? r : read_transports(json_object_get(spec, "transports"), policy, err);
}

int policy_image_parse(const json_t *object, struct policy_image **ret_policy, struct err *err)
{
	CLEANUP(cleanup_policy_image) struct policy_image *policy = calloc(1, sizeof(*policy));
	int r = policy ? read_policy(object, policy, err) : out_of_memory(err);

	if (r < 0)
		return r;
	*ret_policy = take_ptr(policy);
	return 0;
}

void policy_image_free(struct policy_image *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->scope_count; i++)
		scope_done(&policy->scopes[i]);
	free(policy->scopes);
	scope_done(&policy->fallback);
	policy_names_done(&policy->domains);
	free(policy->name);
	free(policy);
}

/* --- the decision --- */

static const struct policy_image_scope *scope_of(const struct policy_image *policy, const char *name)
{
	for (size_t i = 0; i < policy->scope_count; i++)
		if (str_eq(policy->scopes[i].name, name))
			return &policy->scopes[i];
	return NULL;
}

/* "*.b.c:5000", "*.c:5000" for the host "a.b.c:5000". */
static const struct policy_image_scope *scope_of_host(const struct policy_image *policy, const char *host)
{
	const struct policy_image_scope *found = NULL;
	char pattern[IMAGE_SIZE];

	for (const char *dot = strchr(host, '.'); !found && dot; dot = strchr(dot + 1, '.')) {
		(void)snprintf(pattern, sizeof(pattern), "*%s", dot);
		found = scope_of(policy, pattern);
	}
	return found;
}

const struct policy_image_scope *policy_image_find(const struct policy_image *policy, const char *domain,
						   const char *image)
{
	const struct policy_image_scope *found;
	char text[IMAGE_SIZE], *end;

	if (policy->domains.count && !policy_names_have(&policy->domains, domain))
		return NULL;
	if (str_copy(text, sizeof(text), image) < 0)
		return &policy->fallback;
	found = scope_of(policy, text);
	end = strchr(text, '@');
	if (!end)
		end = strrchr(text, '/');
	for (; !found && end; end = strrchr(text, '/')) {
		*end = '\0';
		found = scope_of(policy, text);
	}
	if (!found)
		found = scope_of_host(policy, text);
	if (!found)
		found = scope_of(policy, "");
	return found ? found : &policy->fallback;
}

/* "host/repository" of "host/repository[:tag][@digest]". */
static void repository_of(const char *reference, char to[static IMAGE_SIZE])
{
	char *slash;

	(void)snprintf(to, IMAGE_SIZE, "%s", reference);
	to[strcspn(to, "@")] = '\0';
	slash = strrchr(to, '/');
	if (slash)
		slash[strcspn(slash, ":")] = '\0';
}

/* What remapIdentity wants to read for a repository: prefix ends at a part of the name. */
static void remap(const struct policy_image_requirement *requirement, char repository[static IMAGE_SIZE])
{
	size_t len = strlen(requirement->wanted);
	char rest[IMAGE_SIZE];

	if (!str_starts(repository, requirement->wanted) || (repository[len] && repository[len] != '/'))
		return;
	(void)snprintf(rest, sizeof(rest), "%s", repository + len);
	(void)snprintf(repository, IMAGE_SIZE, "%.500s%.500s", requirement->signed_prefix, rest);
}

/* The repository that the signature must name. */
static void wanted_repository(const struct policy_image_requirement *requirement, const char *image,
			      char to[static IMAGE_SIZE])
{
	bool exact = requirement->identity == POLICY_IMAGE_EXACT_REPOSITORY;

	repository_of(exact ? requirement->wanted : image, to);
	if (requirement->identity == POLICY_IMAGE_REMAPPED)
		remap(requirement, to);
}

static bool identity_fits(const struct policy_image_requirement *requirement, const char *image, const char *identity)
{
	char wanted[IMAGE_SIZE], said[IMAGE_SIZE];

	switch (requirement->identity) {
	case POLICY_IMAGE_ANY:
		return true;
	case POLICY_IMAGE_EXACT_REFERENCE:
		return str_eq(requirement->wanted, identity);
	case POLICY_IMAGE_SAME_REPOSITORY:
	case POLICY_IMAGE_EXACT_REPOSITORY:
	case POLICY_IMAGE_REMAPPED:
		wanted_repository(requirement, image, wanted);
		repository_of(identity, said);
		return *said && str_eq(wanted, said);
	}
	return false;
}

static bool digest_fits(const char *image, const char *digest)
{
	const char *at = strrchr(image, '@');

	return at && str_eq(at + 1, digest);
}

bool policy_image_claim_fits(const struct policy_image_requirement *requirement, const char *image,
			     const struct policy_image_claim *claim)
{
	return digest_fits(image, claim->digest) && identity_fits(requirement, image, claim->identity);
}

static int not_signed(const char *policy, const char *image, const struct policy_image_evidence *evidence,
		      struct err *err)
{
	if (evidence->found)
		return err_set(
			err, ERR_DENIED,
			"image '%s' is not signed by %s, which ImagePolicy '%s' demands: none of the %zu signatures "
			"found is by it",
			image, evidence->keys, policy, evidence->found);
	return err_set(err, ERR_DENIED,
		       "image '%s' is not signed by %s, which ImagePolicy '%s' demands: it has no signature", image,
		       evidence->keys, policy);
}

/* The first claim that does not fit, and why. */
static int other_claim(const struct policy_image_requirement *requirement, const char *policy, const char *image,
		       const struct policy_image_claim *claim, struct err *err)
{
	char wanted[IMAGE_SIZE];

	if (!digest_fits(image, claim->digest))
		return err_set(err, ERR_DENIED,
			       "image '%s' is refused by ImagePolicy '%s': the signature by key '%s' is of '%s'", image,
			       policy, claim->key, claim->digest);
	if (requirement->identity == POLICY_IMAGE_EXACT_REFERENCE)
		(void)snprintf(wanted, sizeof(wanted), "%s", requirement->wanted);
	else
		wanted_repository(requirement, image, wanted);
	if (!*claim->identity)
		return err_set(
			err, ERR_DENIED,
			"image '%s' is refused by ImagePolicy '%s': the signature by key '%s' names no image, not "
			"'%s'",
			image, policy, claim->key, wanted);
	return err_set(err, ERR_DENIED,
		       "image '%s' is refused by ImagePolicy '%s': the signature by key '%s' is for '%s', not for '%s'",
		       image, policy, claim->key, claim->identity, wanted);
}

int policy_image_decide(const struct policy_image_requirement *requirement, const char *policy, const char *image,
			const struct policy_image_evidence *evidence, struct err *err)
{
	switch (requirement->kind) {
	case POLICY_IMAGE_ACCEPT:
		return 0;
	case POLICY_IMAGE_REJECT:
		return err_set(err, ERR_DENIED, "image '%s' is refused: ImagePolicy '%s' rejects all that lies there",
			       image, policy);
	case POLICY_IMAGE_SIGNED:
		break;
	}
	for (size_t i = 0; i < evidence->count; i++)
		if (policy_image_claim_fits(requirement, image, &evidence->claims[i]))
			return 0;
	if (!evidence->count)
		return not_signed(policy, image, evidence, err);
	return other_claim(requirement, policy, image, &evidence->claims[0], err);
}
