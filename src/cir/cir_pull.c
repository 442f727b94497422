/* SPDX-License-Identifier: Apache-2.0 */
/* What is read: manifests, blobs, listings. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>

#include "base/str.h"
#include "cir/cir_work.h"
#include "oci/manifest.h"

#define PAGE_DEFAULT 1000
#define PAGE_MAX 10000
#define METRICS_MAX ((size_t)1 << 20)
#define REFERRERS_BYTES_MAX ((size_t)4 << 20)

void cir_pull_ping(struct http_request *request)
{
	http_answer(request, 200, "application/json", "{}", 2);
}

void cir_pull_metrics(struct http_request *request)
{
	CLEANUP_BUF struct buf text = buf_of(METRICS_MAX);
	int r = cir_metrics_format(cir_work_of(request)->service, &text);

	if (r < 0 || !text.len)
		cir_work_fail(request, 503, "UNKNOWN", "the metrics cannot be read");
	else
		http_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
}

/* --- manifests --- */

static int find_digest(const struct cir_work *work, struct digest *ret_digest, struct err *err)
{
	if (!work->route.has_digest)
		return cir_files_tag_read(&work->service->files, work->route.repository, work->route.tag, ret_digest,
					  err);
	*ret_digest = work->route.digest;
	return 0;
}

/* From the disk, and into the cache. */
static int read_manifest(const struct cir_work *work, const char *reference, uint64_t version,
			 struct cir_cached **ret_manifest, struct err *err)
{
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	char type[CIR_MEDIA_TYPE_SIZE];
	struct cir_cached manifest = {.type = type};
	int r = find_digest(work, &manifest.digest, err);

	if (r == 0)
		r = cir_work_manifest(work, &manifest.digest, &bytes, type, err);
	if (r < 0)
		return r;
	manifest.bytes = bytes.data ? bytes.data : "";
	manifest.len = bytes.len;
	*ret_manifest = cir_cache_put(work->service->files.cache, work->route.repository, reference, version,
				      &manifest);
	return *ret_manifest ? 0 : err_set(err, -ENOMEM, "no memory for a manifest");
}

static void release_manifest(void *manifest)
{
	cir_cached_unref(manifest);
}

void cir_pull_manifest(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	struct cir_cached *manifest;
	char text[DIGEST_TEXT_SIZE];
	const char *reference = work->route.tag;
	struct err err = {0};
	uint64_t version;

	if (work->route.has_digest) {
		digest_format(&work->route.digest, text);
		reference = text;
	}
	manifest = cir_cache_get(work->service->files.cache, work->route.repository, reference, &version);
	if (!manifest && read_manifest(work, reference, version, &manifest, &err) < 0) {
		cir_work_fail_err(request, "MANIFEST_UNKNOWN", &err);
		return;
	}
	cir_work_digest_header(request, &manifest->digest);
	http_answer_static(request, 200, manifest->type, manifest->bytes, manifest->len, release_manifest, manifest);
}

/* --- blobs --- */

struct mapping {
	void *at;
	size_t len;
};

static void unmap(void *data)
{
	struct mapping *mapping = data;

	(void)munmap(mapping->at, mapping->len);
	free(mapping);
}

/* From a mapping: over TLS twice as fast as by reads through libmicrohttpd's buffer. The file never changes once published. */
static bool answer_mapped(struct http_request *request, int status, const char *type, int fd, uint64_t offset,
			  uint64_t len)
{
	uint64_t start = offset & ~(uint64_t)4095;
	struct mapping *mapping = malloc(sizeof(*mapping));

	if (!mapping)
		return false;
	mapping->len = (size_t)(offset - start + len);
	mapping->at = mmap(NULL, mapping->len, PROT_READ, MAP_PRIVATE, fd, (off_t)start);
	if (mapping->at == MAP_FAILED) {
		free(mapping);
		return false;
	}
	(void)madvise(mapping->at, mapping->len, MADV_SEQUENTIAL);
	http_answer_static(request, status, type, (const char *)mapping->at + (offset - start), (size_t)len, unmap,
			   mapping);
	return true;
}

/* The part of the blob that is asked for: 1 a range, 0 all of it; negative after it answered that there is no such part. */
static int find_part(struct http_request *request, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len)
{
	int ranged;

	*ret_offset = 0;
	*ret_len = size;
	ranged = cir_route_range(http_header(request, "Range"), size, ret_offset, ret_len);
	if (ranged < 0) {
		cir_work_header(request, "Content-Range", "bytes */%llu", (unsigned long long)size);
		cir_work_fail(request, 416, "RANGE_INVALID", "the range lies outside the blob");
	}
	return ranged;
}

static void blob_headers(struct http_request *request, int ranged, uint64_t offset, uint64_t len, uint64_t size)
{
	cir_work_digest_header(request, &cir_work_of(request)->route.digest);
	cir_work_header(request, "Accept-Ranges", "bytes");
	if (ranged)
		cir_work_header(request, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)offset,
				(unsigned long long)(offset + len - 1), (unsigned long long)size);
}

static void answer_blob(struct http_request *request, int fd, uint64_t size)
{
	static const char type[] = "application/octet-stream";
	uint64_t offset, len;
	int ranged = find_part(request, size, &offset, &len);

	if (ranged >= 0)
		blob_headers(request, ranged, offset, len, size);
	if (ranged < 0 || (len && answer_mapped(request, ranged ? 206 : 200, type, fd, offset, len)))
		(void)close(fd);
	else
		http_answer_file(request, ranged ? 206 : 200, type, fd, offset, len);
}

/* Not a byte goes out before the stored ones were found to have the digest, by this process, since they last changed. */
static void send_blob(struct http_request *request, const struct err *verdict)
{
	const struct cir_work *work = cir_work_of(request);
	const struct digest *digest = &work->route.digest;
	CLEANUP_CLOSE int fd = -1;
	struct stat status = {0};
	struct err err = {0};
	uint64_t size;

	if (verdict) {
		cir_work_fail_err(request, "BLOB_UNKNOWN", verdict);
		return;
	}
	if (cir_files_blob_open(&work->service->files, work->route.repository, digest, &fd, &size, &err) < 0) {
		cir_work_fail_err(request, "BLOB_UNKNOWN", &err);
		return;
	}
	if (fstat(fd, &status) == 0 && cir_verified_has(work->service->files.verified, digest, &status))
		answer_blob(request, take_fd(&fd), size);
	else if (cir_upkeep_verify(work->service->upkeep, request, digest, send_blob) < 0)
		cir_work_fail(request, 503, "UNKNOWN", "the registry stops");
}

/* Who asks whether a blob is here means to name it. */
static void tell_blob(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	const struct cir_files *files = &work->service->files;
	struct err err = {0};
	uint64_t size;
	int r, fd;

	cir_guard_use(files->guard);
	r = cir_files_blob_touch(files, work->route.repository, &work->route.digest, &size, &err);
	cir_guard_used(files->guard);
	if (r == 0)
		r = cir_files_blob_open(files, work->route.repository, &work->route.digest, &fd, &size, &err);
	if (r < 0) {
		cir_work_fail_err(request, "BLOB_UNKNOWN", &err);
		return;
	}
	blob_headers(request, 0, 0, size, size);
	http_answer_file(request, 200, "application/octet-stream", fd, 0, size);
}

void cir_pull_blob(struct http_request *request)
{
	if (str_eq(http_method(request), "HEAD"))
		tell_blob(request);
	else
		send_blob(request, NULL);
}

/* --- listings --- */

struct page {
	size_t first, count;
	bool more;
};

/* The part of a sorted list that "n" and "last" ask for; false after it answered that they are wrong. */
static bool find_page(struct http_request *request, const struct cir_list *list, struct page *ret_page)
{
	const char *n = http_query(request, "n"), *last = http_query(request, "last");
	uint64_t limit = PAGE_DEFAULT;
	size_t first = 0;

	if (n && str_parse_u64(n, INT64_MAX, &limit) < 0) {
		cir_work_fail(request, 400, "PAGINATION_NUMBER_INVALID", "'n' is not a number");
		return false;
	}
	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	while (last && first < list->count && strcmp(list->names[first], last) <= 0)
		first++;
	ret_page->first = first;
	ret_page->count = list->count - first < limit ? list->count - first : (size_t)limit;
	ret_page->more = ret_page->count > 0 && first + ret_page->count < list->count;
	return true;
}

static json_t *names_of(const struct cir_list *list, const struct page *page)
{
	json_t *names = json_array();

	for (size_t i = 0; i < page->count; i++)
		(void)json_array_append_new(names, json_string(list->names[page->first + i]));
	return names;
}

/* Takes the document over. */
static void answer_json(struct http_request *request, const char *type, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	json_decref(document);
	if (!text)
		cir_work_fail(request, 503, "UNKNOWN", "no memory for the answer");
	else
		http_answer_static(request, 200, type, text, strlen(text), free, text);
}

static void add_link(struct http_request *request, const struct cir_list *list, const struct page *page)
{
	/* Names are of characters that need no escape. */
	if (page->more)
		cir_work_header(request, "Link", "<%s?n=%zu&last=%s>; rel=\"next\"", http_path(request), page->count,
				list->names[page->first + page->count - 1]);
}

void cir_pull_tags(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	CLEANUP_CIR_LIST struct cir_list list = {0};
	struct err err = {0};
	struct page page;

	if (cir_files_list_tags(&work->service->files, work->route.repository, &list, &err) < 0) {
		cir_work_fail_err(request, "NAME_UNKNOWN", &err);
		return;
	}
	if (!find_page(request, &list, &page))
		return;
	add_link(request, &list, &page);
	answer_json(request, "application/json",
		    json_pack("{s:s,s:o}", "name", work->route.repository, "tags", names_of(&list, &page)));
}

void cir_pull_catalog(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	CLEANUP_CIR_LIST struct cir_list list = {0};
	struct err err = {0};
	struct page page;
	size_t kept = 0;

	if (cir_files_list_repositories(&work->service->files, &list, &err) < 0) {
		cir_work_fail_err(request, NULL, &err);
		return;
	}
	for (size_t i = 0; i < list.count; i++) {
		if (cir_access_check(&work->identity, list.names[i], CIR_RIGHT_PULL, http_peer_of(request), NULL) == 0)
			list.names[kept++] = list.names[i];
		else
			free(list.names[i]);
	}
	list.count = kept;
	if (!find_page(request, &list, &page))
		return;
	add_link(request, &list, &page);
	answer_json(request, "application/json", json_pack("{s:o}", "repositories", names_of(&list, &page)));
}

/* --- referrers --- */

/* Adds one descriptor if it passes the filter; returns its length, 0 when it was left out. */
static size_t add_referrer(const struct cir_work *work, const char *name, const char *wanted, json_t *manifests)
{
	CLEANUP_BUF struct buf text = buf_of(REFERRERS_BYTES_MAX);
	json_t *descriptor;
	const char *type;

	if (cir_files_referrer_read(&work->service->files, work->route.repository, &work->route.digest, name, &text,
				    NULL) < 0)
		return 0; /* deleted meanwhile */
	descriptor = json_loadb(text.data, text.len, 0, NULL);
	type = json_string_value(json_object_get(descriptor, "artifactType"));
	if (!descriptor || (wanted && (!type || !str_eq(type, wanted)))) {
		json_decref(descriptor);
		return 0;
	}
	(void)json_array_append_new(manifests, descriptor);
	return text.len;
}

void cir_pull_referrers(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	const char *wanted = http_query(request, "artifactType"), *last = http_query(request, "last");
	CLEANUP_CIR_LIST struct cir_list list = {0};
	json_t *manifests = json_array();
	struct err err = {0};
	size_t bytes = 0;

	if (cir_files_list_referrers(&work->service->files, work->route.repository, &work->route.digest, &list, &err) <
	    0) {
		json_decref(manifests);
		cir_work_fail_err(request, NULL, &err);
		return;
	}
	for (size_t i = 0; i < list.count; i++) {
		if (last && strcmp(list.names[i], last) <= 0)
			continue;
		if (bytes > REFERRERS_BYTES_MAX) {
			cir_work_header(request, "Link", "<%s?last=%s>; rel=\"next\"", http_path(request),
					list.names[i - 1]);
			break;
		}
		bytes += add_referrer(work, list.names[i], wanted, manifests);
	}
	if (wanted)
		cir_work_header(request, "OCI-Filters-Applied", "artifactType");
	answer_json(request, MEDIA_OCI_INDEX,
		    json_pack("{s:i,s:s,s:o}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX, "manifests",
			      manifests));
}
