/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <strings.h>

#include "api/patches.h"
#include "base/str.h"

enum form { FORM_JSON, FORM_MERGE, FORM_STRATEGIC, FORM_APPLY, FORM_OTHER };

static enum form form_of(const char *content_type)
{
	static const struct {
		const char *name;
		enum form form;
	} rows[] = {
		{"application/json-patch+json", FORM_JSON},
		{"application/merge-patch+json", FORM_MERGE},
		{"application/strategic-merge-patch+json", FORM_STRATEGIC},
		{"application/apply-patch+yaml", FORM_APPLY},
	};
	size_t len = content_type ? strcspn(content_type, "; \t") : 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (len == strlen(rows[i].name) && strncasecmp(content_type, rows[i].name, len) == 0)
			return rows[i].form;
	return FORM_OTHER;
}

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* Parses the patch and runs it on a copy. */
static int run(const struct api_kind *kind, enum form form, json_t **object, const char *bytes, size_t len,
	       struct err *err)
{
	CLEANUP_JSON json_t *patch = NULL;
	int r = api_json_parse(bytes, len, false, &patch, err);

	if (r < 0)
		return r;
	if (form == FORM_JSON)
		return patches_json(object, patch, err);
	if (!json_is_object(patch))
		return err_set(err, ERR_SYNTAX, "the patch must be an object");
	if (form == FORM_STRATEGIC)
		return patches_strategic(kind->message, *object, patch, err);
	return patches_merge(*object, patch) < 0 ? no_memory(err) : 0;
}

static int apply(const struct api_kind *kind, json_t *object, const struct api_patch_options *options,
		 const char *bytes, size_t len, struct buf *warnings, struct err *err)
{
	CLEANUP_JSON json_t *applied = NULL;
	int r;

	if (!options->field_manager || !*options->field_manager)
		return err_set(err, ERR_INVALID, "fieldManager: Required value: is required for apply patch");
	r = api_decode(kind, "application/yaml", bytes, len, options->strictness, &applied, warnings, err);
	if (r < 0)
		return r;
	if (api_value(applied, "metadata.managedFields"))
		return err_set(err, ERR_SYNTAX, "metadata.managedFields must be nil");
	return patches_apply(kind, object, applied, options->field_manager, options->force, err);
}

/* The result is an object of the kind again; a patch cannot make another kind of it. */
static int check_result(const struct api_kind *kind, json_t *object, const struct api_patch_options *options,
			struct buf *warnings, struct err *err)
{
	const char *word = json_is_object(object) ? api_string(object, "kind") : NULL,
		   *version = api_string(object, "apiVersion");
	char expected[API_VERSION_MAX];
	int r;

	api_version_format(kind, expected);
	if (!word || !version || !str_eq(word, kind->kind) || !str_eq(version, expected))
		return err_set(err, ERR_SYNTAX, "the patch changes apiVersion or kind of the object");
	r = api_conform(kind, object, options->strictness, warnings, err);
	if (r == ERR_SYNTAX)
		(void)err_prefix(err, "%s in version \"%s\" cannot be handled as a %s", kind->kind, kind->version,
				 kind->kind);
	return r;
}

static json_t *empty_object(const struct api_kind *kind)
{
	char version[API_VERSION_MAX];

	api_version_format(kind, version);
	return json_pack("{s:s, s:s}", "apiVersion", version, "kind", kind->kind);
}

int api_patch(const struct api_kind *kind, const json_t *object, const struct api_patch_options *options,
	      const char *bytes, size_t len, json_t **ret_object, struct buf *warnings, struct err *err)
{
	enum form form = form_of(options->content_type);
	CLEANUP_JSON json_t *result = object ? json_deep_copy(object) : empty_object(kind);
	int r;

	if (form == FORM_OTHER)
		return err_set(err, -EMEDIUMTYPE,
			       "the body of the request was in an unknown format - accepted media types include: "
			       "application/json-patch+json, application/merge-patch+json, "
			       "application/strategic-merge-patch+json, application/apply-patch+yaml");
	if (!result)
		return no_memory(err);
	if (form == FORM_APPLY)
		r = apply(kind, result, options, bytes, len, warnings, err);
	else
		r = object ? run(kind, form, &result, bytes, len, err)
			   : err_set(err, ERR_NOT_FOUND, "there is no object to patch");
	if (r == 0)
		r = check_result(kind, result, options, warnings, err);
	if (r < 0)
		return r;
	*ret_object = take_ptr(result);
	return 0;
}
