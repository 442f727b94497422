/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <stdio.h>

#include "base/str.h"

static const struct {
	const char *text;
	const char *reason;
} causes[] = {
	{"Required value", "FieldValueRequired"},
	{"Invalid value", "FieldValueInvalid"},
	{"Unsupported value", "FieldValueNotSupported"},
	{"Duplicate value", "FieldValueDuplicate"},
	{"Forbidden", "FieldValueForbidden"},
	{"Not found", "FieldValueNotFound"},
	{"Too long", "FieldValueTooLong"},
	{"Too many", "FieldValueTooMany"},
};

/* The end of one fault of a list "a: Required value; b: …": "; " outside quotes. */
static size_t fault_length(const char *text)
{
	bool quoted = false;
	size_t at;

	for (at = 0; text[at]; at++) {
		if (text[at] == '\\' && text[at + 1])
			at++;
		else if (text[at] == '"')
			quoted = !quoted;
		else if (!quoted && text[at] == ';' && text[at + 1] == ' ')
			break;
	}
	return at;
}

static json_t *cause_of(const char *fault)
{
	const char *colon = strstr(fault, ": ");

	for (size_t i = 0; colon && i < ARRAY_SIZE(causes); i++) {
		CLEANUP_FREE char *field = NULL;
		json_t *cause;

		if (!str_starts(colon + 2, causes[i].text))
			continue;
		field = strndup(fault, (size_t)(colon - fault));
		cause = json_object();
		if (api_set(cause, "reason", json_string(causes[i].reason)) < 0 ||
		    api_set(cause, "message", api_text(colon + 2)) < 0 || !field ||
		    api_set(cause, "field", api_text(field)) < 0) {
			json_decref(cause);
			return NULL;
		}
		return cause;
	}
	return json_pack("{s:s, s:o, s:s}", "reason", "FieldValueInvalid", "message", api_text(fault), "field",
			 "<nil>");
}

/* The faults of an invalid object one by one, and their list as one text. */
static json_t *causes_of(const char *message, char *joined, size_t size)
{
	json_t *list = json_array();
	size_t used = 0;

	joined[0] = '\0';
	while (*message) {
		size_t len = fault_length(message);
		CLEANUP_FREE char *fault = strndup(message, len);

		if (!fault || json_array_append_new(list, cause_of(fault)) < 0)
			break;
		if (used < size)
			used += (size_t)snprintf(joined + used, size - used, "%s%s", used ? ", " : "", fault);
		message += len + (message[len] ? 2 : 0);
	}
	return list;
}

static json_t *invalid_message(const struct err *err, const struct api_kind *kind, const char *name, json_t *details)
{
	char joined[ERR_MESSAGE_MAX + 64], text[2 * ERR_MESSAGE_MAX];
	json_t *list = causes_of(err->msg, joined, sizeof(joined));
	bool many = json_array_size(list) > 1;

	(void)snprintf(text, sizeof(text), "%s%s\"%.253s\" is invalid: %s%s%s", kind ? kind->kind : "", kind ? " " : "",
		       name ? name : "", many ? "[" : "", joined, many ? "]" : "");
	if (api_set(details, "causes", list) < 0)
		return NULL;
	return api_text(text);
}

static json_t *plain_message(int code, const struct err *err)
{
	char text[ERR_MESSAGE_MAX + 300];

	if (!err || !err->msg[0])
		(void)snprintf(text, sizeof(text), "the server answered with status %d", code);
	else
		(void)snprintf(text, sizeof(text), "%s%s%s", err->msg, err->hint[0] ? "\nhint: " : "", err->hint);
	return api_text(text);
}

static int fill_failure(json_t *status, int code, const struct err *err, const struct api_kind *kind, const char *name)
{
	int error = err && err->code ? err->code : err_from_http_status(code);
	bool invalid = error == ERR_INVALID && err && err->msg[0];
	CLEANUP_JSON json_t *details = json_object();
	int r = 0;

	if (name && *name)
		r |= api_set(details, "name", api_text(name));
	if (kind && *kind->group)
		r |= api_set(details, "group", json_string(kind->group));
	if (kind)
		r |= api_set(details, "kind", json_string(invalid || !kind->resource ? kind->kind : kind->resource));
	if (error == ERR_BUSY || error == ERR_UNAVAILABLE)
		r |= api_set(details, "retryAfterSeconds", json_integer(1));
	r |= api_set(status, "status", json_string("Failure"));
	r |= api_set(status, "message", invalid ? invalid_message(err, kind, name, details) : plain_message(code, err));
	r |= api_set(status, "reason", json_string(err_reason(error)));
	if (json_object_size(details))
		r |= api_set(status, "details", json_incref(details));
	r |= api_set(status, "code", json_integer(code));
	return r;
}

json_t *api_status(int code, const struct err *err, const struct api_kind *kind, const char *name)
{
	json_t *status = json_pack("{s:s, s:s, s:{}}", "kind", "Status", "apiVersion", "v1", "metadata");
	int r = 0;

	if (!status)
		return NULL;
	if (code == 0)
		r = api_set(status, "status", json_string("Success"));
	else
		r = fill_failure(status, code, err, kind, name);
	if (r < 0) {
		json_decref(status);
		return NULL;
	}
	return status;
}
