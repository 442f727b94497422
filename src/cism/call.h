/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way through the service, and the ways it can be answered. */
#ifndef CISM_CALL_H
#define CISM_CALL_H

#include "cism/authorizer.h"
#include "cism/cism.h"
#include "cism/records.h"
#include "http/server.h"

struct call {
	struct cism *cism;
	struct http_request *request;
	struct routing routing;
	struct authorizer_user user;
	char audit_id[37];
	bool dry_run;
	enum api_strictness strictness;
	const char *manager; /* fieldManager, or what the user agent says */
	struct buf warnings; /* one a line: answered as Warning headers */
	const char *body;    /* valid while the request's handler runs */
	size_t body_len;
	void (*finish)(struct call *call); /* set by what workers_run ran: see there */
	void (*ended)(void *user);         /* called when the request ends, for whatever reason; or NULL */
	void *ended_user;
};

/* What a client wants to see instead of the objects themselves. */
enum call_form { CALL_FORM_OBJECT, CALL_FORM_TABLE, CALL_FORM_PARTIAL };

/* The first form of an Accept header that can be served. -EPROTONOSUPPORT (406) when there is none. accept may be NULL. */
int call_form(const char *accept, enum call_form *ret_form) MUST_CHECK;

/* Fills the call from the request's query: dryRun, fieldValidation, fieldManager. ERR_INVALID for values they do not have. */
int call_options(struct call *call, struct err *err) MUST_CHECK;

/* Answers. Each adds Audit-ID and the warnings and writes the audit line; the call may not be used afterwards. */
void call_answer(struct call *call, int status, const char *type, const void *bytes, size_t len);
void call_answer_json(struct call *call, int status, const json_t *json);
void call_answer_error(struct call *call, const struct err *err);
/* One object in the form the client asks for. */
void call_answer_object(struct call *call, int status, const struct api_kind *kind, json_t *object);
/* A list in that form; more: there are further objects, behind list->last_key. */
void call_answer_list(struct call *call, const struct api_kind *kind, const struct object_list *list);
/* A Status of success about an object that is gone. */
void call_answer_gone(struct call *call, const struct api_kind *kind, const json_t *object);

/* Adds the headers of every answer and writes the audit line, for answers that are streamed. */
void call_prepare(struct call *call, int status);

/* The partial form of an object: its type and metadata. A new reference; NULL without memory. */
json_t *call_partial(const json_t *object);

/* A Status object from an error, for the call's kind and name. */
json_t *call_status(const struct call *call, const struct err *err);

/* A random uid (RFC 4122, version 4). */
void call_uid(char to[static 37]);

#endif
