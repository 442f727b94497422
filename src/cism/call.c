/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "cism/continuation.h"
#include "crypto/key.h"

void call_uid(char to[static 37])
{
	uint8_t bytes[16];
	char hex[33];

	crypto_random(bytes, sizeof(bytes));
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	str_hex(hex, bytes, sizeof(bytes));
	(void)snprintf(to, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* Whether one alternative of an Accept header ("application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9") can be served. */
static bool form_of(const char *alternative, size_t len, enum call_form *ret_form)
{
	char text[256];
	char *rest = NULL;
	const char *type, *parameter;
	const char *as = "";

	if (len >= sizeof(text))
		return false;
	memcpy(text, alternative, len);
	text[len] = '\0';
	type = strtok_r(text, "; \t", &rest);
	if (!type || (!str_eq(type, "application/json") && !str_eq(type, "*/*") && !str_eq(type, "application/*")))
		return false;
	while ((parameter = strtok_r(NULL, "; \t", &rest)))
		if (str_starts(parameter, "as="))
			as = parameter + 3;
	if (str_eq(as, ""))
		*ret_form = CALL_FORM_OBJECT;
	else if (str_eq(as, "Table"))
		*ret_form = CALL_FORM_TABLE;
	else if (str_eq(as, "PartialObjectMetadata") || str_eq(as, "PartialObjectMetadataList"))
		*ret_form = CALL_FORM_PARTIAL;
	else
		return false;
	return true;
}

int call_form(const char *accept, enum call_form *ret_form)
{
	*ret_form = CALL_FORM_OBJECT;
	if (!accept || !accept[0])
		return 0;
	for (const char *at = accept; *at;) {
		size_t len = strcspn(at, ",");

		if (form_of(at, len, ret_form))
			return 0;
		at += len;
		at += *at == ',';
		at += strspn(at, " \t");
	}
	return -EPROTONOSUPPORT;
}

int call_options(struct call *call, struct err *err)
{
	const char *dry_run = http_query(call->request, "dryRun");
	const char *validation = http_query(call->request, "fieldValidation");
	const char *manager = http_query(call->request, "fieldManager");

	if (dry_run && !str_eq(dry_run, "All") && dry_run[0])
		return err_set(err, ERR_INVALID, "dryRun: Unsupported value: \"%s\": supported values: \"All\"",
			       dry_run);
	call->dry_run = dry_run && dry_run[0];
	call->strictness = API_STRICT;
	if (validation && str_eq(validation, "Warn"))
		call->strictness = API_WARN;
	else if (validation && str_eq(validation, "Ignore"))
		call->strictness = API_IGNORE;
	else if (validation && validation[0] && !str_eq(validation, "Strict"))
		return err_set(err, ERR_INVALID,
			       "fieldValidation: Unsupported value: \"%s\": supported values: \"Ignore\", \"Strict\", "
			       "\"Warn\"",
			       validation);
	if (manager && strlen(manager) > 128)
		return err_set(err, ERR_INVALID, "fieldManager: Too long: may not be more than 128 bytes");
	call->manager = manager && manager[0] ? manager : "unknown";
	return 0;
}

static void audit(const struct call *call, int status)
{
	const struct routing *routing = &call->routing;
	char code[8];
	bool denied = status == 401 || status == 403;

	if (routing_reads(routing->verb) && !denied)
		return;
	if (routing->kind && str_eq(routing->kind->resource, "leases") && !denied)
		return; /* heartbeats are no decision */
	(void)snprintf(code, sizeof(code), "%d", status);
	log_info("audit", "user", call->user.name, "verb", routing_verb_name(routing->verb), "resource",
		 routing->kind ? routing->kind->resource : http_path(call->request), "subresource",
		 routing->subresource, "namespace", routing->namespace, "name", routing->name, "address",
		 http_peer_of(call->request)->address, "code", code, "decision", denied ? "deny" : "allow", "auditID",
		 call->audit_id);
}

/* A quoted string of HTTP: quotes and backslashes escaped, control bytes gone. */
static void quote(const char *text, size_t len, char *to, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 3 < size; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			continue;
		if (text[i] == '"' || text[i] == '\\')
			to[used++] = '\\';
		to[used++] = text[i];
	}
	to[used] = '\0';
}

void call_prepare(struct call *call, int status)
{
	char quoted[480];
	char header[512];

	atomic_fetch_add(&call->cism->requests, 1);
	if (http_add_header(call->request, "Audit-ID", call->audit_id) < 0 ||
	    http_add_header(call->request, "Cache-Control", "no-cache, private") < 0)
		log_warn("answer goes without its headers", "auditID", call->audit_id);
	for (const char *line = call->warnings.data; line && *line;) {
		size_t len = strcspn(line, "\n");

		quote(line, len, quoted, sizeof(quoted));
		(void)snprintf(header, sizeof(header), "299 - \"%s\"", quoted);
		if (http_add_header(call->request, "Warning", header) < 0)
			break;
		line += len;
		line += *line == '\n';
	}
	audit(call, status);
}

void call_answer(struct call *call, int status, const char *type, const void *bytes, size_t len)
{
	call_prepare(call, status);
	http_answer(call->request, status, type, bytes, len);
}

void call_answer_json(struct call *call, int status, const json_t *json)
{
	CLEANUP_FREE char *text = json ? api_format(json) : NULL;

	if (!text)
		call_answer(call, 500, "text/plain", "out of memory\n", 14);
	else
		call_answer(call, status, "application/json", text, strlen(text));
}

json_t *call_status(const struct call *call, const struct err *err)
{
	return api_status(err_http_status(err->code), err, call->routing.kind,
			  call->routing.name[0] ? call->routing.name : NULL);
}

void call_answer_error(struct call *call, const struct err *err)
{
	CLEANUP_JSON json_t *status = call_status(call, err);

	if (err->code == ERR_BUSY && http_add_header(call->request, "Retry-After", "1") < 0)
		log_warn("answer goes without Retry-After", "auditID", call->audit_id);
	call_answer_json(call, err_http_status(err->code), status);
}

json_t *call_partial(const json_t *object)
{
	return json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1", "metadata",
			 json_object_get(object, "metadata"));
}

/* The form asked for; answers the error itself and returns it. */
static int form_or_answer(struct call *call, enum call_form *ret_form)
{
	struct err err = {0};

	if (call_form(http_header(call->request, "Accept"), ret_form) == 0)
		return 0;
	(void)err_set(&err, -EPROTONOSUPPORT, "only the following media types are accepted: application/json");
	call_answer_error(call, &err);
	return -EPROTONOSUPPORT;
}

static const char *include_of(const struct call *call)
{
	const char *include = http_query(call->request, "includeObject");

	return include && include[0] ? include : "Metadata";
}

void call_answer_object(struct call *call, int status, const struct api_kind *kind, json_t *object)
{
	CLEANUP_JSON json_t *shown = NULL;
	struct err err = {0};
	enum call_form form;

	if (form_or_answer(call, &form) < 0)
		return;
	if (form == CALL_FORM_TABLE && api_table(kind, &object, 1, include_of(call), true, &shown, &err) < 0) {
		call_answer_error(call, &err);
		return;
	}
	if (form == CALL_FORM_TABLE &&
	    api_set(shown, "metadata.resourceVersion", json_string(api_string(object, "metadata.resourceVersion"))) < 0)
		log_warn("table goes without its revision", "auditID", call->audit_id);
	if (form == CALL_FORM_PARTIAL)
		shown = call_partial(object);
	call_answer_json(call, status, form == CALL_FORM_OBJECT ? object : shown);
}

static json_t *list_items(const struct object_list *list, bool partial)
{
	json_t *items = json_array();

	for (size_t i = 0; i < list->count; i++)
		if (json_array_append_new(items, partial ? call_partial(list->items[i]) : json_incref(list->items[i])) <
		    0) {
			json_decref(items);
			return NULL;
		}
	return items;
}

static json_t *plain_list(const struct api_kind *kind, const struct object_list *list, bool partial)
{
	char api_version[300];

	(void)snprintf(api_version, sizeof(api_version), "%s%s%s", kind->group, kind->group[0] ? "/" : "",
		       kind->version);
	return json_pack("{s:s, s:s, s:{}, s:o}", "kind", partial ? "PartialObjectMetadataList" : kind->list_kind,
			 "apiVersion", partial ? "meta.k8s.io/v1" : api_version, "metadata", "items",
			 list_items(list, partial));
}

void call_answer_list(struct call *call, const struct api_kind *kind, const struct object_list *list)
{
	CLEANUP_JSON json_t *shown = NULL;
	char token[CONTINUATION_SIZE];
	char revision[24];
	struct err err = {0};
	enum call_form form;
	int r = 0;

	if (form_or_answer(call, &form) < 0)
		return;
	if (form == CALL_FORM_TABLE)
		r = api_table(kind, list->items, list->count, include_of(call), true, &shown, &err);
	else
		shown = plain_list(kind, list, form == CALL_FORM_PARTIAL);
	(void)snprintf(revision, sizeof(revision), "%" PRIu64, list->revision);
	if (r == 0 && (!shown || api_set(shown, "metadata.resourceVersion", json_string(revision)) < 0))
		r = err_sys(&err, -ENOMEM, "cannot answer the list");
	if (r == 0 && list->more) {
		r = continuation_format(list->revision, list->last_key, token, &err);
		if (r == 0)
			r = api_set(shown, "metadata.continue", json_string(token));
	}
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer_json(call, 200, shown);
}

void call_answer_gone(struct call *call, const struct api_kind *kind, const json_t *object)
{
	CLEANUP_JSON json_t *status = json_pack("{s:s, s:s, s:{}, s:s, s:{s:s*, s:s*, s:s, s:s*}}", "kind", "Status",
						"apiVersion", "v1", "metadata", "status", "Success", "details", "name",
						api_string(object, "metadata.name"), "group",
						kind->group[0] ? kind->group : NULL, "kind", kind->resource, "uid",
						api_string(object, "metadata.uid"));

	call_answer_json(call, 200, status);
}
