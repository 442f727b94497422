/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "base/fdio.h"
#include "base/str.h"
#include "image/catalog.h"
#include "image/fetch.h"
#include "image/ingest.h"
#include "policy/cacheclass.h"

#define LAYERS_MAX 128

/* One pull: its documents, and the folder it fills. */
struct pull {
	struct image_store *store;
	const struct image_request *request;
	const struct reference *reference;
	struct fetch fetch;
	struct buf index_bytes, manifest_bytes, config_bytes; /* the first is empty when the digest is the manifest's */
	struct manifest manifest;
	struct image_config config;
	struct catalog_entry entry; /* what it becomes */
	struct ingest_orders orders;
	char name[IMAGE_NAME_SIZE];
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

static size_t count_encrypted(const struct manifest *manifest)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->entry_count; i++)
		count += media_of(manifest->entries[i].media_type).encrypted;
	return count;
}

/* Before a byte of a layer is asked for. */
static int ask_grant(const struct pull *pull, struct err *err)
{
	const struct image_documents documents = {.index = pull->index_bytes.len ? &pull->index_bytes : NULL,
						  .manifest_bytes = &pull->manifest_bytes,
						  .manifest = &pull->manifest};

	return pull->request->grant ? pull->request->grant(pull->request->grant_user, &documents, err) : 0;
}

/* The domain's key, and an id for the file that will be sealed with it. */
static int order_seal(struct pull *pull, struct err *err)
{
	const struct image_protection *protection = pull->request->protection;
	struct seal_binding *binding = &pull->orders.binding;
	int r;

	if (!protection || !protection->domain || !protection->key)
		return err_set(err, ERR_DENIED, "it is to be kept in cache class %s and no key for it was handed over",
			       policy_cache_name(pull->entry.class));
	r = str_copy(pull->entry.domain, sizeof(pull->entry.domain), protection->domain);
	if (r < 0 || getrandom(pull->entry.seal, SEAL_ID_SIZE, 0) != SEAL_ID_SIZE)
		return err_sys(err, r < 0 ? r : -EIO, "cannot seal the image");
	pull->orders.sealed = true;
	binding->image = pull->entry.digest;
	memcpy(binding->domain, pull->entry.domain, sizeof(binding->domain));
	memcpy(binding->id, pull->entry.seal, sizeof(binding->id));
	memcpy(pull->orders.key, protection->key, SEAL_KEY_SIZE);
	return 0;
}

/* How the image will lie in the store: as the policy says, and never plain when it did not arrive so. */
static int choose_class(struct pull *pull, struct err *err)
{
	const struct image_protection *protection = pull->request->protection;
	struct catalog_entry *entry = &pull->entry;
	int r = ask_grant(pull, err);

	if (r < 0)
		return r;
	*entry = (struct catalog_entry){.digest = pull->reference->digest,
					.encrypted = count_encrypted(&pull->manifest) > 0};
	entry->class = policy_cacheclass_arrived(protection ? protection->class : POLICY_CACHE_SHARED,
						 entry->encrypted);
	pull->orders.limits = (struct unpack_limits){.bytes = pull->store->config.image_bytes,
						     .entries = pull->store->config.image_entries};
	if (entry->class != POLICY_CACHE_SHARED)
		r = order_seal(pull, err);
	if (r < 0)
		return r;
	r = catalog_name(entry->name, &entry->digest, entry->domain);
	return r < 0 ? err_sys(err, r, "cannot name the image") : 0;
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
	CLEANUP(cleanup_ingest) struct ingest *ingest = NULL;
	CLEANUP_CLOSE int file = openat(pull->dir, CATALOG_IMAGE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = file < 0 ? err_sys(err, -errno, "cannot make the image's file")
			 : ingest_start(pull->store->ingest, file, &pull->orders, &ingest, err);

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

static int keep_document(const struct pull *pull, const char *name, const struct buf *bytes, struct err *err)
{
	return fdio_replace_file(pull->dir, name, bytes->data ? bytes->data : "", bytes->len, 0600, err);
}

/* Downloads into a folder of its own and publishes that; nothing of it stays on failure. */
static int fill_and_publish(struct pull *pull, struct err *err)
{
	struct unpack_totals totals = {0};
	int r = catalog_begin(pull->store, pull->entry.class, pull->name, &pull->dir, err);

	if (r < 0)
		return r;
	r = unpack_layers(pull, &totals, err);
	if (r == 0)
		r = keep_document(pull, "config.json", &pull->config_bytes, err);
	if (r == 0)
		r = keep_document(pull, "manifest.json", &pull->manifest_bytes, err);
	if (r == 0 && pull->index_bytes.len)
		r = keep_document(pull, "index.json", &pull->index_bytes, err);
	pull->entry.bytes = totals.bytes;
	pull->entry.entries = totals.entries;
	if (r == 0)
		r = catalog_publish(pull->store, pull->name, pull->dir, &pull->entry, err);
	(void)close(pull->dir);
	pull->dir = -1;
	if (r < 0)
		catalog_abandon(pull->store, pull->entry.class, pull->name);
	return r;
}

/* On success the image is held. A full disk is met by letting go of what nobody holds, once. */
static int download(struct image_store *store, const struct image_request *request, const struct reference *reference,
		    struct catalog_entry *ret_entry, struct err *err)
{
	struct pull pull = {.store = store, .request = request, .reference = reference, .dir = -1};
	int r = fetch_init(&pull.fetch, request, reference, err);

	if (r == 0)
		r = read_documents(&pull, err);
	if (r == 0)
		r = choose_class(&pull, err);
	if (r == 0)
		r = fill_and_publish(&pull, err);
	/* A retry draws another key: no index of a file is sealed twice with one. */
	if (r == -ENOSPC && !catalog_in_memory(pull.entry.class) && catalog_evict(store, 0))
		r = fill_and_publish(&pull, err);
	if (r == 0)
		*ret_entry = pull.entry;
	explicit_bzero(&pull.orders, sizeof(pull.orders));
	image_config_done(&pull.config);
	manifest_done(&pull.manifest);
	buf_done(&pull.index_bytes);
	buf_done(&pull.manifest_bytes);
	buf_done(&pull.config_bytes);
	fetch_done(&pull.fetch);
	return r;
}

static struct catalog_pull *find_pull(struct image_store *store, const char *name)
{
	struct catalog_pull *pull = store->pulls;

	while (pull && !str_eq(pull->name, name))
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
static int begin_pull(struct image_store *store, const char *name, struct catalog_pull **ret_pull, struct err *err)
{
	struct catalog_pull *pull;
	int r = 0;

	*ret_pull = NULL;
	(void)pthread_mutex_lock(&store->mutex);
	pull = find_pull(store, name);
	if (pull) {
		r = wait_for(store, pull, err);
	} else {
		pull = calloc(1, sizeof(*pull));
		if (pull) {
			memcpy(pull->name, name, sizeof(pull->name));
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

/* Yields whether the image is held; if it is not and there was no error, another's pull has ended. */
static int pull_once(struct image_store *store, const struct image_request *request, const struct reference *reference,
		     bool *ret_held, struct catalog_entry *ret_entry, struct err *err)
{
	const struct image_protection *protection = request->protection;
	bool shared = !protection || protection->class == POLICY_CACHE_SHARED;
	char name[IMAGE_NAME_SIZE];
	struct catalog_pull *pull;
	int r = catalog_name(name, &reference->digest, shared ? NULL : protection->domain);

	*ret_held = false;
	if (r == 0)
		r = begin_pull(store, name, &pull, err);
	/* Another's pull that was called off, or that had no key, says nothing about this one. */
	if (r == -ECANCELED && !pull)
		return request->cancelled && atomic_load(request->cancelled) ? r : 0;
	if (r == ERR_DENIED && !pull)
		return 0;
	if (r < 0 || !pull)
		return r;
	/* It may have been published between the look into the catalog and now. */
	r = catalog_hold(store, &reference->digest, protection, ret_entry, err);
	if (r == ERR_NOT_FOUND)
		r = download(store, request, reference, ret_entry, err);
	*ret_held = r == 0;
	/* One of another class was faster: that is looked for again. */
	if (r == -EEXIST)
		r = 0;
	if (r < 0)
		r = err_prefix(err, "image '%.400s'", request->image);
	end_pull(store, pull, r, err);
	return r;
}

static int read_reference(const struct image_request *request, struct reference *ret_reference, struct err *err)
{
	int r = reference_parse(request->image, ret_reference, err);

	if (r == 0 && !ret_reference->has_digest)
		r = err_set(err, ERR_INVALID, "image '%.400s' has no digest", request->image);
	return r;
}

static int open_held(struct image_store *store, const struct image_request *request, const struct catalog_entry *entry,
		     struct image **ret_image, struct err *err)
{
	int r = handle_new(store, entry, request, ret_image, err);

	return r < 0 ? err_prefix(err, "image '%.400s'", request->image) : 0;
}

int image_pull(struct image_store *store, const struct image_request *request, struct image **ret_image,
	       struct err *err)
{
	struct catalog_entry entry;
	struct reference reference;
	struct err here = {0};
	bool held = false;
	int r = read_reference(request, &reference, err);

	if (r < 0)
		return r;
	/* What another's pull brought may be evicted again before it is held here. */
	while (!held && r == 0) {
		r = catalog_hold(store, &reference.digest, request->protection, &entry, &here);
		held = r == 0;
		if (r == ERR_NOT_FOUND)
			r = pull_once(store, request, &reference, &held, &entry, &here);
		else if (r < 0)
			r = err_prefix(&here, "image '%.400s'", request->image);
	}
	if (r == 0)
		r = open_held(store, request, &entry, ret_image, &here);
	if (r < 0 && err)
		*err = here;
	return r;
}
