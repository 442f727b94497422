/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "image/catalog.h"
#include "image/fetch.h"
#include "image/grant.h"
#include "image/ingest.h"

#define LAYERS_MAX 128

/* One pull: its documents, and the folder it fills. */
struct pull {
	struct image_store *store;
	const struct image_request *request;
	const struct reference *reference;
	struct fetch fetch;
	struct buf index_bytes, manifest_bytes, config_bytes;
	struct manifest manifest;
	struct image_config config;
	char name[CATALOG_NAME_SIZE];
	int dir; /* -1 until there is one */
};

static int check_layer(const struct pull *pull, size_t i, struct err *err)
{
	const struct descriptor *layer = &pull->manifest.entries[i];
	struct media media = media_of(layer->media_type);

	if (media.kind != MEDIA_LAYER)
		return err_set(err, -EMEDIUMTYPE, "layers[%zu].mediaType '%.100s' is not a layer", i,
			       layer->media_type);
	if (media.encrypted && !pull->request->unwrap)
		return err_set(err, ERR_DENIED, "layers[%zu] is encrypted and no key for it was handed over", i);
	if (layer->size > pull->store->config.image_bytes)
		return err_set(err, ERR_TOO_LARGE, "layers[%zu] has %llu bytes, more than an image may have (%llu)", i,
			       (unsigned long long)layer->size, (unsigned long long)pull->store->config.image_bytes);
	return 0;
}

static int check_config(const struct pull *pull, struct err *err)
{
	const char *os = pull->request->os ? pull->request->os : "linux";
	const char *architecture = pull->request->architecture ? pull->request->architecture : "amd64";

	if (!str_eq(pull->config.os, os) || !str_eq(pull->config.architecture, architecture))
		return err_set(err, ERR_INVALID, "it is for %.50s/%.50s, not for %s/%s", pull->config.os,
			       pull->config.architecture, os, architecture);
	if (pull->config.diff_id_count != pull->manifest.entry_count)
		return err_set(err, ERR_INVALID, "the configuration has %zu diff_ids for %zu layers",
			       pull->config.diff_id_count, pull->manifest.entry_count);
	return 0;
}

static int read_documents(struct pull *pull, struct err *err)
{
	const struct manifest *manifest = &pull->manifest;
	int r = fetch_manifest(&pull->fetch, &pull->index_bytes, &pull->manifest_bytes, &pull->manifest, err);

	if (r < 0)
		return r;
	if (media_of(manifest->config.media_type).kind != MEDIA_CONFIG)
		return err_set(err, -EMEDIUMTYPE, "config.mediaType '%.100s' is not an image configuration",
			       manifest->config.media_type);
	if (manifest->entry_count > LAYERS_MAX)
		return err_set(err, ERR_TOO_LARGE, "it has %zu layers, more than %d", manifest->entry_count,
			       LAYERS_MAX);
	for (size_t i = 0; r == 0 && i < manifest->entry_count; i++)
		r = check_layer(pull, i, err);
	if (r == 0)
		r = fetch_blob(&pull->fetch, &manifest->config, &pull->config_bytes, err);
	if (r == 0)
		r = image_config_parse(pull->config_bytes.data ? pull->config_bytes.data : "", pull->config_bytes.len,
				       &pull->config, err);
	return r < 0 ? r : check_config(pull, err);
}

/* Before a byte of a layer is asked for. */
static int ask_grant(const struct pull *pull, struct err *err)
{
	const struct image_documents documents = {.index = pull->index_bytes.len ? &pull->index_bytes : NULL,
						  .manifest_bytes = &pull->manifest_bytes,
						  .manifest = &pull->manifest};

	const struct image_protection *protection = pull->request->protection;
	int r = pull->request->grant ? pull->request->grant(pull->request->grant_user, &documents, err) : 0;

	if (r == 0 && protection && protection->class != POLICY_CACHE_SHARED)
		return err_set(err, -EOPNOTSUPP, "class %s cannot be kept here", policy_cache_name(protection->class));
	return r;
}

static int begin_layer(const struct pull *pull, size_t i, struct ingest *ingest, struct err *err)
{
	const struct descriptor *layer = &pull->manifest.entries[i];
	struct media media = media_of(layer->media_type);
	struct ingest_layer begin = {.compression = media.compression,
				     .diff_id = pull->config.diff_ids[i],
				     .encrypted = media.encrypted};
	int r = 0;

	if (media.encrypted)
		r = pull->request->unwrap(pull->request->unwrap_user, layer, &begin.secret, err);
	if (r == 0) {
		r = ingest_layer_begin(ingest, &begin);
		/* A process that ended said why; the layer's download finds it. */
		r = r < 0 && r != -EPIPE ? err_sys(err, r, "cannot unpack") : 0;
	}
	explicit_bzero(&begin, sizeof(begin));
	return r;
}

static int unpack_layers(struct pull *pull, struct unpack_totals *totals, struct err *err)
{
	const struct unpack_limits limits = {.bytes = pull->store->config.image_bytes,
					     .entries = pull->store->config.image_entries};
	CLEANUP(cleanup_ingest) struct ingest *ingest = NULL;
	CLEANUP_CLOSE int file = openat(pull->dir, CATALOG_IMAGE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = file < 0 ? err_sys(err, -errno, "cannot make the image's file")
			 : ingest_start(pull->store->ingest, file, &limits, &ingest, err);

	for (size_t i = 0; r == 0 && i < pull->manifest.entry_count; i++) {
		const struct descriptor *layer = &pull->manifest.entries[i];
		char digest[DIGEST_TEXT_SIZE];

		r = begin_layer(pull, i, ingest, err);
		if (r == 0)
			r = fetch_layer(&pull->fetch, layer, ingest, err);
		digest_format(&layer->digest, digest);
		if (r < 0)
			return err_prefix(err, "layer %s", digest);
	}
	return r < 0 ? r : ingest_finish(ingest, totals, err);
}

/* Downloads into a folder of its own and publishes that; nothing of it stays on failure. */
static int fill_and_publish(struct pull *pull, struct err *err)
{
	struct unpack_totals totals = {0};
	int r = catalog_begin(pull->store, pull->name, &pull->dir, err);

	if (r < 0)
		return r;
	r = unpack_layers(pull, &totals, err);
	if (r == 0)
		r = fdio_replace_file(pull->dir, "config.json", pull->config_bytes.data, pull->config_bytes.len, 0600,
				      err);
	if (r == 0)
		r = fdio_replace_file(pull->dir, "manifest.json", pull->manifest_bytes.data, pull->manifest_bytes.len,
				      0600, err);
	if (r == 0 && pull->index_bytes.len)
		r = fdio_replace_file(pull->dir, "index.json", pull->index_bytes.data, pull->index_bytes.len, 0600,
				      err);
	if (r == 0)
		r = catalog_publish(pull->store, pull->name, pull->dir, &pull->reference->digest, &totals, err);
	(void)close(pull->dir);
	pull->dir = -1;
	if (r < 0)
		catalog_abandon(pull->store, pull->name);
	return r;
}

/* On success the image is held. A full disk is met by letting go of what nobody holds, once. */
static int download(struct image_store *store, const struct image_request *request, const struct reference *reference,
		    struct err *err)
{
	struct pull pull = {.store = store, .request = request, .reference = reference, .dir = -1};
	int r = fetch_init(&pull.fetch, request, reference, err);

	if (r == 0)
		r = read_documents(&pull, err);
	if (r == 0)
		r = ask_grant(&pull, err);
	if (r == 0)
		r = fill_and_publish(&pull, err);
	if (r == -ENOSPC && catalog_evict(store, 0))
		r = fill_and_publish(&pull, err);
	image_config_done(&pull.config);
	manifest_done(&pull.manifest);
	buf_done(&pull.index_bytes);
	buf_done(&pull.manifest_bytes);
	buf_done(&pull.config_bytes);
	fetch_done(&pull.fetch);
	return r;
}

static struct catalog_pull *find_pull(struct image_store *store, const struct digest *digest)
{
	struct catalog_pull *pull = store->pulls;

	while (pull && !digest_equal(&pull->digest, digest))
		pull = pull->next;
	return pull;
}

/* Waits for somebody else's pull and takes its outcome over. The store is locked. */
static int wait_for(struct image_store *store, struct catalog_pull *pull, struct err *err)
{
	int code;

	pull->waiting++;
	while (!pull->ended)
		(void)pthread_cond_wait(&store->pull_ended, &store->mutex);
	code = pull->code;
	if (code < 0 && err)
		*err = pull->err;
	if (--pull->waiting == 0)
		free(pull);
	return code;
}

/* Makes the outcome known and forgets the pull. */
static void end_pull(struct image_store *store, struct catalog_pull *pull, int code, const struct err *err)
{
	struct catalog_pull **at = &store->pulls;

	(void)pthread_mutex_lock(&store->mutex);
	while (*at != pull)
		at = &(*at)->next;
	*at = pull->next;
	pull->code = code;
	if (code < 0)
		pull->err = *err;
	pull->ended = true;
	if (pull->waiting)
		(void)pthread_cond_broadcast(&store->pull_ended);
	else
		free(pull);
	(void)pthread_mutex_unlock(&store->mutex);
}

/* Begins a pull, or waits for the one under way: *ret_pull is NULL when its outcome stands. */
static int begin_pull(struct image_store *store, const struct digest *digest, struct catalog_pull **ret_pull,
		      struct err *err)
{
	struct catalog_pull *pull;
	int r = 0;

	*ret_pull = NULL;
	(void)pthread_mutex_lock(&store->mutex);
	pull = find_pull(store, digest);
	if (pull) {
		r = wait_for(store, pull, err);
	} else {
		pull = calloc(1, sizeof(*pull));
		if (pull) {
			pull->digest = *digest;
			pull->next = store->pulls;
			store->pulls = pull;
			*ret_pull = pull;
		} else {
			r = err_sys(err, -ENOMEM, "cannot pull");
		}
	}
	(void)pthread_mutex_unlock(&store->mutex);
	return r;
}

static int pull_once(struct image_store *store, const struct image_request *request, const struct reference *reference,
		     bool *ret_held, struct err *err)
{
	struct catalog_pull *pull;
	int r = begin_pull(store, &reference->digest, &pull, err);

	*ret_held = false;
	/* Another's pull that was called off, or that was not granted, says nothing about this one. */
	if ((r == -ECANCELED || r == ERR_DENIED) && !pull)
		return request->cancelled && atomic_load(request->cancelled) ? -ECANCELED : 0;
	if (r < 0 || !pull)
		return r;
	/* It may have been published between the look into the catalog and now. */
	r = catalog_hold(store, &reference->digest, err);
	if (r == ERR_NOT_FOUND)
		r = download(store, request, reference, err);
	if (r < 0)
		r = err_prefix(err, "image '%.400s'", request->image);
	*ret_held = r == 0;
	end_pull(store, pull, r, err);
	return r;
}

int image_pull(struct image_store *store, const struct image_request *request, struct image **ret_image,
	       struct err *err)
{
	struct reference reference;
	struct err here = {0};
	bool held = false;
	int r = reference_parse(request->image, &reference, err);

	if (r < 0)
		return r;
	if (!reference.has_digest)
		return err_set(err, ERR_INVALID, "image '%.400s' has no digest", request->image);
	/* What another's pull brought may be evicted again before it is held here. */
	while (!held && r == 0) {
		held = catalog_hold(store, &reference.digest, &here) == 0;
		if (!held)
			r = pull_once(store, request, &reference, &held, &here);
	}
	if (r == 0 && request->grant) {
		r = grant_cached(store, request, &reference, &here);
		if (r < 0) {
			r = err_prefix(&here, "image '%.400s'", request->image);
			catalog_let_go(store, &reference.digest);
		}
	}
	if (r == 0)
		r = catalog_handle(store, &reference.digest, ret_image, &here);
	if (r < 0 && err)
		*err = here;
	return r;
}
