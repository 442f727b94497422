/* SPDX-License-Identifier: Apache-2.0 */
/* What a ticket says about each image: the pull token, what policy demands of it, and the signatures that meet that. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "policy/ticket.h"

#define WHERE "ticket.pulls[]"

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

static int parse_demand(const json_t *object, struct policy_image_demand *demand, struct err *err)
{
	static const struct policy_field fields[] = {
		{"policy", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"requirement", POLICY_FIELD_OBJECT, true, 0},
	};
	int r = policy_fields_check(object, WHERE ".demands[]", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = policy_image_requirement_parse(json_object_get(object, "requirement"),
						   WHERE ".demands[].requirement", &demand->requirement, err);
	return r < 0 ? r : copy(&demand->policy, text_of(object, "policy"), err);
}

static int parse_demands(const json_t *list, struct policy_pull *pull, struct err *err)
{
	size_t count = json_array_size(list);
	int r = 0;

	pull->demands = calloc(count + 1, sizeof(*pull->demands));
	if (!pull->demands)
		return out_of_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = parse_demand(json_array_get(list, i), &pull->demands[pull->demand_count++], err);
	return r;
}

static int parse_signature(const json_t *object, struct policy_image_signature *signature, struct err *err)
{
	static const struct policy_field fields[] = {
		{"bundle", POLICY_FIELD_STRING, false, POLICY_IMAGE_SIGNATURE_MAX},
		{"payload", POLICY_FIELD_STRING, false, POLICY_IMAGE_SIGNATURE_MAX},
		{"signature", POLICY_FIELD_STRING, false, 2048},
	};
	int r = policy_fields_check(object, WHERE ".signatures[]", fields, ARRAY_SIZE(fields), err);
	const char *bundle = text_of(object, "bundle"), *payload = text_of(object, "payload");
	const char *beside = text_of(object, "signature");

	if (r < 0)
		return r;
	if (!bundle == !payload || !payload != !beside)
		return err_set(err, ERR_INVALID,
			       "field '" WHERE ".signatures[]' is neither a bundle nor a payload with its signature");
	r = copy(&signature->bytes, bundle ? bundle : payload, err);
	return r < 0 || !beside ? r : copy(&signature->signature, beside, err);
}

static int parse_signatures(const json_t *list, struct policy_pull *pull, struct err *err)
{
	size_t count = json_array_size(list);
	int r = 0;

	pull->signatures = calloc(count + 1, sizeof(*pull->signatures));
	if (!pull->signatures)
		return out_of_memory(err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = parse_signature(json_array_get(list, i), &pull->signatures[pull->signature_count++], err);
	return r;
}

int policy_pull_parse(const json_t *object, struct policy_pull *pull, struct err *err)
{
	static const struct policy_field fields[] = {
		{"image", POLICY_FIELD_STRING, true, 1024},
		{"token", POLICY_FIELD_STRING, true, POLICY_TOKEN_MAX},
		{"demands", POLICY_FIELD_ARRAY, false, POLICY_IMAGE_DEMANDS_MAX},
		{"signatures", POLICY_FIELD_ARRAY, false, POLICY_IMAGE_SIGNATURES_MAX},
	};
	int r = policy_fields_check(object, WHERE, fields, ARRAY_SIZE(fields), err);

	if (r == 0 && (!*text_of(object, "image") || !*text_of(object, "token")))
		r = err_set(err, ERR_INVALID, "field '" WHERE ".%s' is empty",
			    *text_of(object, "image") ? "token" : "image");
	if (r == 0)
		r = copy(&pull->image, text_of(object, "image"), err);
	if (r == 0)
		r = copy(&pull->token, text_of(object, "token"), err);
	if (r == 0)
		r = parse_demands(json_object_get(object, "demands"), pull, err);
	return r < 0 ? r : parse_signatures(json_object_get(object, "signatures"), pull, err);
}

void policy_pull_done(struct policy_pull *pull)
{
	for (size_t i = 0; i < pull->demand_count; i++) {
		free(pull->demands[i].policy);
		policy_image_requirement_done(&pull->demands[i].requirement);
	}
	for (size_t i = 0; i < pull->signature_count; i++) {
		free(pull->signatures[i].bytes);
		free(pull->signatures[i].signature);
	}
	free(pull->demands);
	free(pull->signatures);
	free(pull->image);
	free(pull->token);
	*pull = (struct policy_pull){0};
}

/* Adds to a list that *list may be: of a member that is not there, none. -ENOMEM when item is NULL. */
static int add(json_t *list, json_t *item)
{
	return item ? json_array_append_new(list, item) : -ENOMEM;
}

static int format_lists(const struct policy_pull *pull, json_t *demands, json_t *signatures)
{
	int r = demands && signatures ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < pull->demand_count; i++)
		r = add(demands, json_pack("{s:s,s:O}", "policy", pull->demands[i].policy, "requirement",
					   pull->demands[i].requirement.json));
	for (size_t i = 0; r == 0 && i < pull->signature_count; i++) {
		const struct policy_image_signature *one = &pull->signatures[i];

		r = add(signatures, one->signature
					    ? json_pack("{s:s,s:s}", "payload", one->bytes, "signature", one->signature)
					    : json_pack("{s:s}", "bundle", one->bytes));
	}
	return r;
}

json_t *policy_pull_format(const struct policy_pull *pull)
{
	json_t *demands = json_array(), *signatures = json_array();
	json_t *object = json_pack("{s:s,s:s}", "image", pull->image, "token", pull->token);
	int r = object ? format_lists(pull, demands, signatures) : -ENOMEM;

	if (r == 0 && pull->demand_count)
		r = json_object_set(object, "demands", demands);
	if (r == 0 && pull->signature_count)
		r = json_object_set(object, "signatures", signatures);
	json_decref(demands);
	json_decref(signatures);
	if (r == 0)
		return object;
	json_decref(object);
	return NULL;
}
