/* SPDX-License-Identifier: Apache-2.0 */
/* One request in work, shared by the files that answer it; and how they answer. */
#ifndef CIR_CIR_WORK_H
#define CIR_CIR_WORK_H

#include "cir/cir_service.h"

struct cir_work {
	struct http_request *request;
	uint64_t began_ns;
	bool routed;
	struct cir_service *service;
	struct cir_route route;
	struct cir_identity identity;
	struct cir_upload *upload; /* taken, or NULL */
	struct digest expected;    /* of the upload when its body ends it */
	bool ends;
	bool alone; /* the upload is this request's only: nobody can go on with it */
};

struct cir_work *cir_work_of(const struct http_request *request);

/* Answers with the specification's error document. A status of 401 asks for credentials. */
void cir_work_fail(struct http_request *request, int status, const char *code, const char *message);
/* The same for an error: its code decides the status, and the error code unless one is given for it. */
void cir_work_fail_err(struct http_request *request, const char *code, const struct err *err);
/* Adds a header; a failure (no memory) leaves it out. */
void cir_work_header(struct http_request *request, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
void cir_work_digest_header(struct http_request *request, const struct digest *digest);
/* Gives the upload back, or drops it when it is alone; before the answer that lets the client go on with it. */
void cir_work_release(struct cir_work *work);

/* Reads a manifest of the route's repository and parses it. */
int cir_work_manifest(const struct cir_work *work, const struct digest *digest, struct buf *bytes,
		      char type[static CIR_MEDIA_TYPE_SIZE], struct err *err) MUST_CHECK;

/*
 * Whether the manifest of the route's repository, or (deeper) one that it lists, refers to the digest. guarded: the caller has
 * closed the guard, so that nothing that is found corrupt is put into quarantine here.
 */
bool cir_work_reaches(const struct cir_work *work, const struct digest *from, const struct digest *digest, bool deeper,
		      bool guarded);

/* cir_login.c */
/* Adds the headers of an answer 401: how to show who one is. */
void cir_login_challenge(struct http_request *request);
void cir_login_token(struct http_request *request);

/* cir_pull.c */
void cir_pull_metrics(struct http_request *request);
void cir_pull_ping(struct http_request *request);
void cir_pull_catalog(struct http_request *request);
void cir_pull_tags(struct http_request *request);
void cir_pull_manifest(struct http_request *request);
void cir_pull_blob(struct http_request *request);
void cir_pull_referrers(struct http_request *request);

/* cir_upload.c */
void cir_upload_begin(struct http_request *request);
void cir_upload_patch(struct http_request *request);
void cir_upload_put(struct http_request *request);
void cir_upload_status(struct http_request *request);
void cir_upload_cancel(struct http_request *request);

/* cir_push.c */
void cir_push_manifest(struct http_request *request);
void cir_push_delete_manifest(struct http_request *request);
void cir_push_delete_blob(struct http_request *request);

#endif
