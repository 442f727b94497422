/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/cachecontrol.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

/* Of an answer that fits one packet. */
#define ROWS_MAX 400

/* Why an image lies as it does, naming the object that decides. */
static json_t *reason_of(const struct image_row *row)
{
	if (row->class == POLICY_CACHE_SHARED)
		return json_string("no rule of the trust domains that use it asks for more");
	if (row->encrypted && row->class == POLICY_CACHE_ENCRYPTED)
		return json_sprintf("its layers arrived encrypted, for TrustDomain '%s'", row->domain);
	return json_sprintf("spec.cache of TrustDomain '%s'", row->domain);
}

static json_t *format_row(const struct image_row *row)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&row->digest, digest);
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:s*, s:o}", "digest", digest, "class",
			 policy_cache_name(row->class), "domain", row->domain, "bytes", (json_int_t)row->bytes,
			 "entries", (json_int_t)row->entries, "usedMs", (json_int_t)row->used_ms, "containers",
			 (json_int_t)row->holds, "encryptedLayers", row->encrypted, "mechanism", row->mechanism,
			 "reason", reason_of(row));
}

json_t *cachecontrol_list(const struct cis *cis)
{
	CLEANUP_FREE struct image_row *rows = NULL;
	json_t *images = json_array();
	struct err err = {0};
	size_t count = 0;

	if (image_list(cis->images, &rows, &count, &err) < 0) {
		json_decref(images);
		return json_pack("{s:b, s:s}", "ok", 0, "error", err.msg);
	}
	for (size_t i = 0; i < count && i < ROWS_MAX; i++)
		(void)json_array_append_new(images, format_row(&rows[i]));
	return json_pack("{s:b, s:I, s:o}", "ok", 1, "count", (json_int_t)count, "images", images);
}

int cachecontrol_read(const char *what, struct cachecontrol_target *ret_target, struct err *err)
{
	struct cachecontrol_target target = {.is_digest = what && strchr(what, ':')};
	int r;

	if (!what || !*what)
		return err_set(err, ERR_INVALID, "'what' is neither a digest nor a trust domain");
	if (target.is_digest)
		r = digest_parse(what, &target.digest, err);
	else
		r = str_copy(target.domain, sizeof(target.domain), what);
	if (r == 0)
		*ret_target = target;
	return r;
}

static bool holds(const struct pod *pod, const struct cachecontrol_target *target)
{
	for (size_t i = 0; i < pod->count; i++) {
		const struct image *image = pod->containers[i].image;

		if (!image || image->class == POLICY_CACHE_SHARED)
			continue;
		if (target->is_digest
			    ? digest_equal(&image->digest, &target->digest)
			    : pod->admitted.ticket && str_eq(pod->admitted.ticket->domain_name, target->domain))
			return true;
	}
	return false;
}

void cachecontrol_stop(struct cis *cis, struct cachecontrol_target *target)
{
	/* From the end: one that comes to rest at once may leave the list. */
	for (size_t i = cis->pod_count; i > 0; i--) {
		struct pod *pod = cis->pods[i - 1];

		if (!holds(pod, target))
			continue;
		target->stopped++;
		podstatus_event(pod, NULL, "Warning", "Revoked", "an image of the pod was revoked on this instance");
		podlife_drain(pod);
	}
}

int cachecontrol_revoke(struct cis *cis, const struct cachecontrol_target *target, json_t **ret_answer)
{
	uint64_t begin = clock_monotonic_ns();
	struct err err = {0};
	size_t count;
	int r = image_revoke(cis->images, target->is_digest ? &target->digest : NULL,
			     target->is_digest ? NULL : target->domain, &count, &err);

	if (r == ERR_BUSY)
		return r;
	if (r < 0)
		*ret_answer = json_pack("{s:b, s:s}", "ok", 0, "error", err.msg);
	else
		*ret_answer = json_pack("{s:b, s:I, s:I, s:I}", "ok", 1, "revoked", (json_int_t)count, "stopped",
					(json_int_t)target->stopped, "milliseconds",
					(json_int_t)((clock_monotonic_ns() - begin) / 1000000));
	log_info("images were revoked", "what", target->is_digest ? "digest" : target->domain);
	return r;
}
