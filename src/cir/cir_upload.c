/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing blobs: one request with the whole blob, or a session of chunks (distribution specification, "Pushing blobs"). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cir/cir_work.h"

static void location_headers(struct http_request *request, const struct cir_work *work, const char *id, uint64_t size)
{
	cir_work_header(request, "Location", "/v2/%s/blobs/uploads/%s", work->route.repository, id);
	cir_work_header(request, "Range", "0-%llu", (unsigned long long)(size ? size - 1 : 0));
	cir_work_header(request, "Docker-Upload-UUID", "%s", id);
}

static void answer_created(struct http_request *request, const struct digest *digest)
{
	const struct cir_work *work = cir_work_of(request);
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	cir_work_header(request, "Location", "/v2/%s/blobs/%s", work->route.repository, text);
	cir_work_digest_header(request, digest);
	http_answer(request, 201, NULL, "", 0);
}

/* Answers where the session stands, and lets the next request have it. */
static void answer_session(struct http_request *request, int status)
{
	struct cir_work *work = cir_work_of(request);
	const struct cir_upload *upload = work->upload;

	location_headers(request, work, upload->id, upload->size);
	cir_work_release(work);
	http_answer(request, status, NULL, "", 0);
}

static void finish(struct http_request *request)
{
	struct cir_work *work = cir_work_of(request);
	struct err err = {0};

	if (cir_uploads_finish(work->service->uploads, take_ptr(work->upload), &work->expected, &err) == 0) {
		answer_created(request, &work->expected);
	} else if (err.code == ERR_CORRUPT) {
		cir_work_fail(request, 400, "DIGEST_INVALID", err.msg);
	} else {
		cir_work_fail_err(request, "BLOB_UPLOAD_INVALID", &err);
	}
}

static int take_piece(struct http_request *request, const char *bytes, size_t len, void *user)
{
	struct cir_work *work = cir_work_of(request);
	struct err err = {0};
	int r;

	(void)user;
	if (!bytes) {
		if (work->ends)
			finish(request);
		else
			answer_session(request, 202);
		return 0;
	}
	r = cir_uploads_write(work->service->uploads, work->upload, bytes, len, &err);
	if (r < 0) {
		cir_work_release(work);
		cir_work_fail_err(request, "SIZE_INVALID", &err);
	}
	return r;
}

/* The digest that ends an upload; false after it answered that there is none. */
static bool read_expected(struct http_request *request, struct cir_work *work)
{
	const char *text = http_query(request, "digest");
	struct err err = {0};

	if (!text)
		(void)err_set(&err, ERR_SYNTAX, "'digest' is missing");
	if (text && digest_parse(text, &work->expected, &err) == 0) {
		work->ends = true;
		return true;
	}
	cir_work_release(work);
	cir_work_fail(request, 400, "DIGEST_INVALID", err.msg);
	return false;
}

/* A blob that another repository holds and that the peer may read there. */
static bool mount(struct http_request *request, const struct cir_work *work)
{
	const char *from = http_query(request, "from"), *text = http_query(request, "mount");
	const struct cir_service *service = work->service;
	struct digest digest;
	struct err err = {0};
	uint64_t size;
	bool found;
	int r = 0;

	if (!text || !from || digest_parse(text, &digest, NULL) < 0 || !reference_is_repository(from))
		return false;
	if (cir_access_check(&work->identity, from, CIR_RIGHT_PULL, http_peer_of(request), NULL) < 0)
		return false;
	cir_guard_use(service->files.guard);
	found = cir_files_blob_touch(&service->files, from, &digest, &size, NULL) == 0;
	if (found)
		r = cir_files_blob_mark(&service->files, work->route.repository, &digest, size, &err);
	cir_guard_used(service->files.guard);
	if (r < 0)
		cir_work_fail_err(request, NULL, &err);
	else if (found)
		answer_created(request, &digest);
	return found;
}

void cir_upload_begin(struct http_request *request)
{
	struct cir_work *work = cir_work_of(request);
	char owner[CIR_UPLOADS_OWNER_SIZE];
	struct err err = {0};

	if (http_query(request, "mount") && mount(request, work))
		return;
	if (http_query(request, "digest") && !read_expected(request, work))
		return;
	work->alone = work->ends;
	(void)snprintf(owner, sizeof(owner), "%.64s", cir_access_name(&work->identity));
	if (cir_uploads_begin(work->service->uploads, work->route.repository, owner,
			      work->ends ? work->expected.algorithm : DIGEST_SHA256, &work->upload, &err) < 0) {
		cir_work_fail_err(request, NULL, &err);
		return;
	}
	if (work->ends)
		http_stream_body(request, take_piece);
	else
		answer_session(request, 202);
}

/* Takes the route's upload; false after it answered that this cannot be. */
static bool take(struct http_request *request)
{
	struct cir_work *work = cir_work_of(request);
	struct err err = {0};

	if (cir_uploads_take(work->service->uploads, work->route.repository, work->route.upload, &work->upload, &err) ==
	    0)
		return true;
	cir_work_fail_err(request, "BLOB_UPLOAD_UNKNOWN", &err);
	return false;
}

/* Whether the chunk goes on where the upload ends, and is as long as it says; false after it answered that it does not. */
static bool chunk_fits(struct http_request *request)
{
	const char *range = http_header(request, "Content-Range"), *length = http_header(request, "Content-Length");
	struct cir_work *work = cir_work_of(request);
	uint64_t first, last, len;

	if (!range)
		return true;
	if (cir_route_content_range(range, &first, &last) < 0 ||
	    (length && (str_parse_u64(length, INT64_MAX, &len) < 0 || len != last - first + 1))) {
		cir_work_release(work);
		cir_work_fail(request, 400, "SIZE_INVALID",
			      "Content-Range is malformed or does not agree with Content-Length");
		return false;
	}
	if (first == work->upload->size)
		return true;
	location_headers(request, work, work->upload->id, work->upload->size);
	cir_work_release(work);
	cir_work_fail(request, 416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload ends");
	return false;
}

void cir_upload_patch(struct http_request *request)
{
	if (take(request) && chunk_fits(request))
		http_stream_body(request, take_piece);
}

void cir_upload_put(struct http_request *request)
{
	if (take(request) && read_expected(request, cir_work_of(request)) && chunk_fits(request))
		http_stream_body(request, take_piece);
}

void cir_upload_status(struct http_request *request)
{
	if (take(request))
		answer_session(request, 204);
}

void cir_upload_cancel(struct http_request *request)
{
	struct cir_work *work = cir_work_of(request);

	if (!take(request))
		return;
	cir_uploads_drop(work->service->uploads, take_ptr(work->upload));
	http_answer(request, 204, NULL, "", 0);
}
