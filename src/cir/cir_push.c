/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing and deleting manifests, and deleting blobs. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cir/cir_signature.h"
#include "cir/cir_work.h"
#include "oci/manifest.h"

#define DESCRIPTOR_MAX ((size_t)64 << 10)

/* --- what a manifest refers to --- */

/* Layers that nobody may redistribute stay where they are (image specification, "Non-Distributable Layers"). */
static bool stays_elsewhere(const char *media_type)
{
	return str_starts(media_type, "application/vnd.oci.image.layer.nondistributable.") ||
	       str_starts(media_type, "application/vnd.docker.image.rootfs.foreign.");
}

static int check_blob(const struct cir_work *work, const struct descriptor *descriptor, const char *what,
		      struct err *err)
{
	char text[DIGEST_TEXT_SIZE];
	uint64_t size;
	int r;

	if (stays_elsewhere(descriptor->media_type))
		return 0;
	digest_format(&descriptor->digest, text);
	r = cir_files_blob_touch(&work->service->files, work->route.repository, &descriptor->digest, &size, err);
	if (r < 0)
		return r == ERR_NOT_FOUND ? err_set(err, r, "the manifest's %s '%s' is not in repository '%s'", what,
						    text, work->route.repository)
					  : r;
	if (size == descriptor->size)
		return 0;
	return err_set(err, ERR_INVALID, "the manifest says that '%s' has %llu bytes, it has %llu", text,
		       (unsigned long long)descriptor->size, (unsigned long long)size);
}

static int check_entry(const struct cir_work *work, const struct descriptor *entry, struct err *err)
{
	if (cir_files_manifest_exists(&work->service->files, work->route.repository, &entry->digest))
		return 0;
	return check_blob(work, entry, "entry", err);
}

static int check_references(const struct cir_work *work, const struct manifest *manifest, struct err *err)
{
	bool image = manifest->kind == MANIFEST_IMAGE;
	int r = image ? check_blob(work, &manifest->config, "config", err) : 0;

	for (size_t i = 0; r == 0 && i < manifest->entry_count; i++)
		r = image ? check_blob(work, &manifest->entries[i], "layer", err)
			  : check_entry(work, &manifest->entries[i], err);
	return r;
}

/* --- referrers --- */

/* The descriptor of a manifest as its subject's referrers list it (distribution specification, "Listing Referrers"). */
static char *describe(const struct manifest *manifest, const struct digest *digest, size_t len)
{
	const char *type = manifest->artifact_type;
	char text[DIGEST_TEXT_SIZE];
	json_t *descriptor;
	char *result;

	digest_format(digest, text);
	if ((!type || !*type) && manifest->kind == MANIFEST_IMAGE)
		type = manifest->config.media_type;
	descriptor = json_pack("{s:s,s:s,s:I}", "mediaType", manifest->media_type, "digest", text, "size",
			       (json_int_t)len);
	if (descriptor && type)
		(void)json_object_set_new(descriptor, "artifactType", json_string(type));
	if (descriptor && manifest->annotations)
		(void)json_object_set_new(descriptor, "annotations", json_deep_copy(manifest->annotations));
	result = descriptor ? json_dumps(descriptor, JSON_COMPACT) : NULL;
	json_decref(descriptor);
	return result;
}

/* What the subject will be said to have; NULL without a subject. */
static int describe_referrer(const struct manifest *manifest, const struct digest *digest, size_t len,
			     char **ret_descriptor, struct err *err)
{
	CLEANUP_FREE char *descriptor = manifest->has_subject ? describe(manifest, digest, len) : NULL;

	if (manifest->has_subject && !descriptor)
		return err_set(err, -ENOMEM, "no memory for a descriptor");
	if (descriptor && strlen(descriptor) > DESCRIPTOR_MAX)
		return err_set(err, ERR_INVALID, "the annotations of a manifest with a subject are over %zu bytes",
			       DESCRIPTOR_MAX);
	*ret_descriptor = take_ptr(descriptor);
	return 0;
}

/* --- push --- */

static int find_digest(const struct cir_work *work, const char *body, size_t len, struct digest *ret_digest,
		       struct err *err)
{
	int r;

	if (work->route.has_digest) {
		*ret_digest = work->route.digest;
		return digest_verify(ret_digest, body, len, err);
	}
	r = digest_of(DIGEST_SHA256, body, len, ret_digest);
	return r < 0 ? err_sys(err, r, "cannot digest the manifest") : 0;
}

/* The media type that the client says it sends, without parameters; NULL when it says none. */
static const char *sent_type(struct http_request *request, char to[static CIR_MEDIA_TYPE_SIZE])
{
	const char *type = http_header(request, "Content-Type");
	size_t len = type ? strcspn(type, "; ") : 0;

	if (!len || len >= CIR_MEDIA_TYPE_SIZE)
		return NULL;
	memcpy(to, type, len);
	to[len] = '\0';
	return to;
}

/* --- what the policy says of the repository --- */

static const struct cir_rule *rule_of(const struct cir_work *work)
{
	return cir_rules_find(cir_access_rules(work->identity.access), work->route.repository);
}

static bool is_immutable(const struct cir_work *work, const char *tag)
{
	const struct cir_rule *rule = rule_of(work);

	return rule && cir_rule_is_immutable(rule, tag);
}

static int check_encrypted(const struct cir_work *work, const struct manifest *manifest, struct err *err)
{
	for (size_t i = 0; manifest->kind == MANIFEST_IMAGE && i < manifest->entry_count; i++)
		if (!media_of(manifest->entries[i].media_type).encrypted)
			return err_set(err, ERR_DENIED,
				       "repository '%s' takes encrypted layers alone, layer %zu is of type '%s'",
				       work->route.repository, i, manifest->entries[i].media_type);
	return 0;
}

/* Who may push what; a signature needs the right to sign and is asked for nothing more. */
static int check_policy(struct http_request *request, const struct manifest *manifest, const struct digest *digest,
			struct err *err)
{
	const struct cir_work *work = cir_work_of(request);
	bool signature = cir_signature_is(manifest, work->route.has_digest ? "" : work->route.tag);
	const struct cir_rule *rule = rule_of(work);
	int r = cir_access_check(&work->identity, work->route.repository, signature ? CIR_RIGHT_SIGN : CIR_RIGHT_PUSH,
				 http_peer_of(request), err);

	if (r == 0 && rule && rule->encrypted && !signature)
		r = check_encrypted(work, manifest, err);
	if (r == 0 && rule && rule->key_count && !signature && !work->route.has_digest)
		r = cir_signature_check(&work->service->files, work->route.repository, digest, rule, err);
	return r;
}

static int store(const struct cir_work *work, const struct manifest *manifest, const struct digest *digest,
		 const char *body, size_t len, struct err *err)
{
	const struct cir_service *service = work->service;
	CLEANUP_FREE char *descriptor = NULL;
	int r;

	if (strlen(manifest->media_type) >= CIR_MEDIA_TYPE_SIZE)
		return err_set(err, ERR_INVALID, "the manifest's media type is too long");
	r = describe_referrer(manifest, digest, len, &descriptor, err);
	/* First the manifest, for which there may be no room: nothing shall refer to a subject that is not there. */
	if (r == 0)
		r = cir_files_manifest_write(&service->files, work->route.repository, digest, body, len,
					     manifest->media_type, err);
	if (r == 0 && descriptor)
		r = cir_files_referrer_write(&service->files, work->route.repository, &manifest->subject.digest, digest,
					     descriptor, err);
	if (r == 0 && !work->route.has_digest)
		r = cir_files_tag_write(&service->files, work->route.repository, work->route.tag, digest,
					!is_immutable(work, work->route.tag), err);
	return r;
}

/* What the manifest refers to was found, and is named before it could be collected. */
static int check_and_store(const struct cir_work *work, const struct manifest *manifest, const struct digest *digest,
			   const char *body, size_t len, struct err *err)
{
	struct cir_guard *guard = work->service->files.guard;
	int r;

	cir_guard_use(guard);
	r = check_references(work, manifest, err);
	if (r == 0)
		r = store(work, manifest, digest, body, len, err);
	cir_guard_used(guard);
	return r;
}

static void answer_pushed(struct http_request *request, const struct manifest *manifest, const struct digest *digest)
{
	const struct cir_work *work = cir_work_of(request);
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	log_info("manifest pushed", "repository", work->route.repository, "digest", text, "tag", work->route.tag, "by",
		 cir_access_name(&work->identity));
	cir_work_header(request, "Location", "/v2/%s/manifests/%s", work->route.repository, text);
	cir_work_digest_header(request, digest);
	if (manifest->has_subject) {
		digest_format(&manifest->subject.digest, text);
		cir_work_header(request, "OCI-Subject", "%s", text);
	}
	http_answer(request, 201, NULL, "", 0);
}

static void take_manifest(struct http_request *request, const char *body, size_t len, void *user)
{
	const struct cir_work *work = cir_work_of(request);
	CLEANUP_MANIFEST struct manifest manifest = {0};
	char type[CIR_MEDIA_TYPE_SIZE];
	struct digest digest;
	struct err err = {0};

	(void)user;
	if (find_digest(work, body, len, &digest, &err) < 0) {
		cir_work_fail(request, 400, "DIGEST_INVALID", err.msg);
		return;
	}
	if (manifest_parse(body, len, sent_type(request, type), &manifest, &err) < 0) {
		cir_work_fail(request, err.code == ERR_TOO_LARGE ? 413 : 400, "MANIFEST_INVALID", err.msg);
		return;
	}
	if (check_policy(request, &manifest, &digest, &err) < 0) {
		cir_work_fail_err(request, NULL, &err);
		return;
	}
	if (check_and_store(work, &manifest, &digest, body, len, &err) == 0)
		answer_pushed(request, &manifest, &digest);
	else if (err.code == ERR_NOT_FOUND)
		cir_work_fail(request, 400, "MANIFEST_BLOB_UNKNOWN", err.msg);
	else
		cir_work_fail_err(request, "MANIFEST_INVALID", &err);
}

void cir_push_manifest(struct http_request *request)
{
	http_want_body(request, take_manifest);
}

/* --- delete --- */

static int forget_referrer(const struct cir_work *work, const struct digest *digest, struct err *err)
{
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	CLEANUP_MANIFEST struct manifest manifest = {0};
	char type[CIR_MEDIA_TYPE_SIZE];
	int r = cir_work_manifest(work, digest, &bytes, type, err);

	if (r < 0)
		return r;
	if (manifest_parse(bytes.data, bytes.len, type, &manifest, NULL) < 0 || !manifest.has_subject)
		return 0;
	return cir_files_referrer_remove(&work->service->files, work->route.repository, &manifest.subject.digest,
					 digest, err);
}

/* ERR_EXISTS when a tag that may not go names the manifest or the blob, or an image that needs it. */
static int check_tags(const struct cir_work *work, bool guarded, struct err *err)
{
	const struct cir_files *files = &work->service->files;
	const struct cir_route *route = &work->route;
	CLEANUP_CIR_LIST struct cir_list tags = {0};
	const struct cir_rule *rule = rule_of(work);
	struct digest named;
	int r;

	if (!rule || !rule->immutable[0])
		return 0;
	r = cir_files_list_tags(files, route->repository, &tags, err);
	for (size_t i = 0; r == 0 && i < tags.count; i++)
		if (is_immutable(work, tags.names[i]) &&
		    cir_files_tag_read(files, route->repository, tags.names[i], &named, NULL) == 0 &&
		    (digest_equal(&named, &route->digest) ||
		     cir_work_reaches(work, &named, &route->digest, true, guarded)))
			r = err_set(err, ERR_EXISTS, "tag '%s' of repository '%s' is immutable", tags.names[i],
				    route->repository);
	return r;
}

static int remove_manifest(const struct cir_work *work, struct err *err)
{
	const struct cir_files *files = &work->service->files;
	int r;

	/* Nobody tags it between the look and the deletion. */
	cir_guard_close(files->guard);
	r = check_tags(work, true, err);
	if (r == 0)
		r = cir_files_manifest_remove(files, work->route.repository, &work->route.digest, err);
	cir_guard_open(files->guard);
	return r;
}

void cir_push_delete_manifest(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	const struct cir_route *route = &work->route;
	struct err err = {0};
	int r;

	if (!route->has_digest && is_immutable(work, route->tag)) {
		r = err_set(&err, ERR_EXISTS, "tag '%s' of repository '%s' is immutable", route->tag,
			    route->repository);
	} else if (route->has_digest) {
		r = check_tags(work, false, &err);
		if (r == 0)
			r = forget_referrer(work, &route->digest, &err);
		/* One whose bytes are gone or corrupt can still be deleted. */
		if (r == 0 || r == ERR_CORRUPT || r == ERR_NOT_FOUND)
			r = remove_manifest(work, &err);
	} else {
		r = cir_files_tag_remove(&work->service->files, route->repository, route->tag, &err);
	}
	if (r < 0) {
		cir_work_fail_err(request, "MANIFEST_UNKNOWN", &err);
		return;
	}
	log_info("manifest deleted", "repository", route->repository, "tag", route->tag, "by",
		 cir_access_name(&work->identity));
	http_answer(request, 202, NULL, "", 0);
}

void cir_push_delete_blob(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	const struct cir_files *files = &work->service->files;
	struct err err = {0};
	int r;

	cir_guard_close(files->guard);
	r = check_tags(work, true, &err);
	/* A repository without tags has none that keep anything. */
	if (r == 0 || r == ERR_NOT_FOUND)
		r = cir_files_blob_remove(files, work->route.repository, &work->route.digest, &err);
	cir_guard_open(files->guard);
	if (r < 0)
		cir_work_fail_err(request, "BLOB_UNKNOWN", &err);
	else
		http_answer(request, 202, NULL, "", 0);
}
