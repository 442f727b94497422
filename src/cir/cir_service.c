/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_service.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cir/cir_work.h"
#include "oci/manifest.h"

int cir_service_open(struct cir_service *service, int state, const struct cir_config *config, struct cir_access *access,
		     struct err *err)
{
	const struct cir_upkeep_config upkeep = {config->collect_seconds, config->scrub_bytes_per_second};
	int r;

	*service = (struct cir_service){.files = CIR_FILES_NONE,
					.access_lock = PTHREAD_MUTEX_INITIALIZER,
					.log = config->log,
					.plain = config->plain};
	r = cir_files_open(state, config->grace_seconds, &service->files, err);
	if (r < 0)
		cir_access_unref(access);
	else
		r = cir_service_set_access(service, access, err);
	if (r == 0)
		r = cir_uploads_new(&service->files, &service->uploads, err);
	return r < 0 ? r : cir_upkeep_new(&service->files, &upkeep, &service->upkeep, err);
}

int cir_service_set_access(struct cir_service *service, struct cir_access *access, struct err *err)
{
	struct cir_access *old = access;
	int r = cir_quota_set_access(service->files.quota, access, err);

	if (r == 0) {
		(void)pthread_mutex_lock(&service->access_lock);
		old = service->access;
		service->access = access;
		(void)pthread_mutex_unlock(&service->access_lock);
	}
	cir_access_unref(old);
	return r;
}

void cir_service_quiet(struct cir_service *service)
{
	cir_upkeep_stop(service->upkeep);
}

void cir_service_close(struct cir_service *service)
{
	cir_upkeep_free(service->upkeep);
	cir_uploads_free(service->uploads);
	cir_files_close(&service->files);
	cir_access_unref(service->access);
	*service = (struct cir_service){.files = CIR_FILES_NONE};
}

/* --- answers --- */

struct cir_work *cir_work_of(const struct http_request *request)
{
	return http_data(request);
}

void cir_work_header(struct http_request *request, const char *name, const char *format, ...)
{
	char value[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(value) || http_add_header(request, name, value) < 0)
		log_warn("a header was left out", "header", name);
}

void cir_work_digest_header(struct http_request *request, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	cir_work_header(request, "Docker-Content-Digest", "%s", text);
}

void cir_work_fail(struct http_request *request, int status, const char *code, const char *message)
{
	json_t *document = json_pack("{s:[{s:s,s:s}]}", "errors", "code", code, "message", message);
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	if (status == 401)
		cir_login_challenge(request);
	http_answer(request, status, "application/json", text, text ? strlen(text) : 0);
	free(text);
	json_decref(document);
}

static const char *spec_code(int code)
{
	switch (code) {
	case ERR_UNKNOWN_PEER:
		return "UNAUTHORIZED";
	case ERR_DENIED:
	case ERR_EXPIRED:
	case ERR_EXISTS:
		return "DENIED";
	case ERR_BUSY:
		return "TOOMANYREQUESTS";
	case ERR_CORRUPT:
		return "DIGEST_INVALID";
	case -ENOSPC:
	case -EDQUOT:
		return "STORAGE_FULL";
	default: /* errno values: there are no others with a word of their own */
		return "UNKNOWN";
	}
}

void cir_work_fail_err(struct http_request *request, const char *code, const struct err *err)
{
	bool named = err->code == ERR_NOT_FOUND || err->code == ERR_SYNTAX || err->code == ERR_INVALID ||
		     err->code == ERR_TOO_LARGE;
	int status = err->code == -EDQUOT       ? 507
		     : err->code == ERR_INVALID ? 400
		     : err->code == ERR_EXPIRED ? 403
						: err_http_status(err->code);

	if (status >= 500)
		log_failure("a request failed", err);
	cir_work_fail(request, status, named && code ? code : spec_code(err->code), err->msg);
}

void cir_work_release(struct cir_work *work)
{
	struct cir_upload *upload = take_ptr(work->upload);

	if (upload && work->alone)
		cir_uploads_drop(work->service->uploads, upload);
	else
		cir_uploads_release(work->service->uploads, upload);
}

int cir_work_manifest(const struct cir_work *work, const struct digest *digest, struct buf *bytes,
		      char type[static CIR_MEDIA_TYPE_SIZE], struct err *err)
{
	int r = cir_files_manifest_read(&work->service->files, work->route.repository, digest, bytes, type, err);

	if (r == ERR_CORRUPT)
		cir_upkeep_found(work->service->upkeep, digest);
	return r;
}

/* --- what a pull token opens --- */

static bool lists(const struct manifest *manifest, const struct digest *digest)
{
	if (manifest->kind == MANIFEST_IMAGE && digest_equal(&manifest->config.digest, digest))
		return true;
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (digest_equal(&manifest->entries[i].digest, digest))
			return true;
	return false;
}

bool cir_work_reaches(const struct cir_work *work, const struct digest *from, const struct digest *digest, bool deeper,
		      bool guarded)
{
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	CLEANUP_MANIFEST struct manifest manifest = {0};
	char type[CIR_MEDIA_TYPE_SIZE];
	bool found;
	int r = guarded ? cir_files_manifest_read(&work->service->files, work->route.repository, from, &bytes, type,
						  NULL)
			: cir_work_manifest(work, from, &bytes, type, NULL);

	if (r < 0 || manifest_parse(bytes.data, bytes.len, type, &manifest, NULL) < 0)
		return false;
	found = lists(&manifest, digest);
	for (size_t i = 0; deeper && !found && manifest.kind == MANIFEST_INDEX && i < manifest.entry_count; i++)
		found = cir_work_reaches(work, &manifest.entries[i].digest, digest, false, guarded);
	return found;
}

static int check_token_scope(const struct cir_work *work, struct err *err)
{
	const struct cir_route *route = &work->route;
	struct digest opened;
	bool covered = false;

	if (digest_parse(work->identity.token.digest, &opened, err) < 0)
		return err_set(err, ERR_DENIED, "the token names no digest");
	if (route->has_digest && route->kind == CIR_ROUTE_MANIFEST)
		covered = digest_equal(&opened, &route->digest) ||
			  cir_work_reaches(work, &opened, &route->digest, false, false);
	else if (route->kind == CIR_ROUTE_BLOB)
		covered = cir_work_reaches(work, &opened, &route->digest, true, false);
	return covered ? 0 : err_set(err, ERR_DENIED, "the token does not open this");
}

/* --- dispatch --- */

#define PULL CIR_RIGHT_PULL
#define PUSH CIR_RIGHT_PUSH
#define DELETE CIR_RIGHT_DELETE

static const struct operation {
	enum cir_route_kind kind;
	const char *method;
	enum cir_right right;
	void (*run)(struct http_request *request);
} operations[] = {
	{CIR_ROUTE_METRICS, "GET", PULL, cir_pull_metrics},
	{CIR_ROUTE_TOKEN, "GET", PULL, cir_login_token},
	{CIR_ROUTE_PING, "GET", PULL, cir_pull_ping},
	{CIR_ROUTE_CATALOG, "GET", PULL, cir_pull_catalog},
	{CIR_ROUTE_TAGS, "GET", PULL, cir_pull_tags},
	{CIR_ROUTE_MANIFEST, "GET", PULL, cir_pull_manifest},
	{CIR_ROUTE_MANIFEST, "PUT", PUSH, cir_push_manifest},
	{CIR_ROUTE_MANIFEST, "DELETE", DELETE, cir_push_delete_manifest},
	{CIR_ROUTE_BLOB, "GET", PULL, cir_pull_blob},
	{CIR_ROUTE_BLOB, "DELETE", DELETE, cir_push_delete_blob},
	{CIR_ROUTE_UPLOADS, "POST", PUSH, cir_upload_begin},
	{CIR_ROUTE_UPLOAD, "PATCH", PUSH, cir_upload_patch},
	{CIR_ROUTE_UPLOAD, "PUT", PUSH, cir_upload_put},
	{CIR_ROUTE_UPLOAD, "GET", PUSH, cir_upload_status},
	{CIR_ROUTE_UPLOAD, "DELETE", PUSH, cir_upload_cancel},
	{CIR_ROUTE_REFERRERS, "GET", PULL, cir_pull_referrers},
};

static const struct operation *find_operation(enum cir_route_kind kind, const char *method)
{
	const char *wanted = str_eq(method, "HEAD") ? "GET" : method;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (operations[i].kind == kind && str_eq(operations[i].method, wanted))
			return &operations[i];
	return NULL;
}

static int authorize(const struct cir_work *work, const struct operation *operation, const struct http_peer *peer,
		     struct err *err)
{
	int r;

	if (work->route.kind == CIR_ROUTE_METRICS)
		return cir_access_check_metrics(&work->identity, err);
	if (work->route.kind == CIR_ROUTE_TOKEN)
		return 0;
	if (!work->route.repository[0]) {
		/* Clients find out here whether they need a name. */
		if (work->identity.kind == CIR_IDENTITY_ANONYMOUS)
			return err_set(err, ERR_UNKNOWN_PEER, "authentication required");
		if (work->route.kind == CIR_ROUTE_CATALOG && work->identity.kind == CIR_IDENTITY_TOKEN)
			return err_set(err, ERR_DENIED, "the token does not open this");
		return 0;
	}
	r = cir_access_check(&work->identity, work->route.repository, operation->right, peer, err);
	/* Signatures are pushed too: what it is shows when it is there. */
	if (r == ERR_DENIED && operation->right == CIR_RIGHT_PUSH &&
	    cir_access_check(&work->identity, work->route.repository, CIR_RIGHT_SIGN, peer, NULL) == 0)
		r = 0;
	if (r == 0 && work->identity.kind == CIR_IDENTITY_TOKEN)
		r = check_token_scope(work, err);
	return r;
}

static int identify(struct http_request *request, struct cir_work *work, struct err *err)
{
	struct cir_service *service = work->service;
	struct cir_access *access;
	int r;

	(void)pthread_mutex_lock(&service->access_lock);
	access = cir_access_ref(service->access);
	(void)pthread_mutex_unlock(&service->access_lock);
	r = cir_access_identify(access, http_header(request, "Authorization"), http_peer_of(request), &work->identity,
				err);
	cir_access_unref(access);
	return r;
}

/* Whether the request has a line in the access log. */
static bool is_logged(const struct cir_work *work, int status)
{
	const char *method = http_method(work->request);

	switch (work->service->log) {
	case CIR_LOG_NONE:
		return false;
	case CIR_LOG_CHANGES:
		return status >= 400 || status == 0 || !(str_eq(method, "GET") || str_eq(method, "HEAD"));
	case CIR_LOG_ALL:
		return true;
	}
	return true;
}

static void log_request(const struct cir_work *work, int status, uint64_t bytes, uint64_t duration_ns)
{
	char code[16], size[24], time[24];

	(void)snprintf(code, sizeof(code), "%d", status);
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	(void)snprintf(time, sizeof(time), "%llu", (unsigned long long)(duration_ns / 1000));
	log_info("request", "method", http_method(work->request), "path", http_path(work->request), "status", code,
		 "bytes", size, "microseconds", time, "by", cir_access_name(&work->identity), "address",
		 http_peer_of(work->request)->address);
}

static void account(const struct cir_work *work)
{
	uint64_t duration = clock_monotonic_ns() - work->began_ns;
	int status = http_status(work->request);
	uint64_t bytes = str_eq(http_method(work->request), "HEAD") ? 0 : http_answer_size(work->request);

	cir_metrics_count(&work->service->metrics, work->routed ? work->route.kind : CIR_ROUTE_COUNT, status, bytes,
			  duration);
	if (is_logged(work, status))
		log_request(work, status, bytes, duration);
}

static void work_free(void *data)
{
	struct cir_work *work = data;

	account(work);
	cir_work_release(work);
	cir_identity_done(&work->identity);
	free(work);
}

void cir_service_handle(struct http_request *request, void *user)
{
	struct cir_work *work = calloc(1, sizeof(*work));
	const struct http_peer *peer = http_peer_of(request);
	const struct operation *operation;
	const char *code = "UNSUPPORTED";
	struct err err = {0}, bad_path = {0};

	if (!work) {
		cir_work_fail(request, 503, "UNKNOWN", "no memory for a request");
		return;
	}
	work->service = user;
	work->request = request;
	work->began_ns = clock_monotonic_ns();
	http_set_data(request, work, work_free);
	cir_work_header(request, "Docker-Distribution-Api-Version", "registry/2.0");
	work->routed = cir_route_parse(http_path(request), &work->route, &code, &bad_path) == 0;
	if (identify(request, work, &err) < 0) {
		cir_work_fail_err(request, NULL, &err);
		return;
	}
	if (!work->routed) {
		cir_work_fail_err(request, code, &bad_path);
		return;
	}
	operation = find_operation(work->route.kind, http_method(request));
	if (!operation)
		cir_work_fail(request, 405, "UNSUPPORTED", "this endpoint has no such method");
	else if (authorize(work, operation, peer, &err) < 0)
		cir_work_fail_err(request, NULL, &err);
	else
		operation->run(request);
}
