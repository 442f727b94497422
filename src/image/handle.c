/* SPDX-License-Identifier: Apache-2.0 */
/* From an entry of the catalog to a mounted image that the caller holds, past the keys it needs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "image/catalog.h"
#include "image/grant.h"
#include "image/mounts.h"

static struct seal_binding binding_of(const struct catalog_entry *entry)
{
	struct seal_binding binding = {.image = entry->digest};

	memcpy(binding.domain, entry->domain, sizeof(binding.domain));
	memcpy(binding.id, entry->seal, sizeof(binding.id));
	return binding;
}

static int open_folder(struct image_store *store, const struct catalog_entry *entry, int *ret_dir, struct err *err)
{
	int dir, r = catalog_folder(store, entry->class, &dir, err);

	return r < 0 ? r : fdio_open_dir(dir, entry->name, ret_dir, err);
}

static int open_image(int dir, int *ret_file, struct err *err)
{
	*ret_file = openat(dir, CATALOG_IMAGE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_file < 0 ? err_sys(err, -errno, "cannot open the image's file") : 0;
}

/* --- the keys --- */

/*
 * The question of the first pull again, with the documents as they were verified then: who may start the image here and now,
 * and whether the key opens the very file. CACHE-4
 */
static int authorize(const struct catalog_entry *entry, int dir, const struct image_request *request, struct err *err)
{
	const struct image_protection *protection = request->protection;
	struct seal_binding binding = binding_of(entry);
	CLEANUP_CLOSE int file = -1;
	int r = request->grant ? grant_cached(dir, request, &entry->digest, err) : 0;

	if (r < 0 || entry->class == POLICY_CACHE_SHARED)
		return r;
	if (!protection || !protection->key)
		return err_set(err, ERR_DENIED, "it is kept sealed and no key for it was handed over");
	r = open_image(dir, &file, err);
	return r == 0 ? unseal_check(file, &binding, protection->key, err) : r;
}

/* --- mounts --- */

/* The process of a domain; one that is gone leaves its place to a new one. mounting is locked. */
static int find_view(struct image_store *store, const char *domain, struct view **ret_view, struct err *err)
{
	struct view *view = NULL, *views;
	int r;

	for (size_t i = 0; i < store->view_count; i++)
		if (str_eq(store->views[i].domain, domain))
			view = &store->views[i];
	if (view && view_is_alive(view)) {
		*ret_view = view;
		return 0;
	}
	if (view) {
		view_close(view);
		*view = store->views[--store->view_count];
	}
	views = reallocarray(store->views, store->view_count + 1, sizeof(*views));
	if (!views)
		return err_sys(err, -ENOMEM, "cannot serve sealed images");
	store->views = views;
	r = view_open(store->mounts, store->ingest, domain, &views[store->view_count], err);
	if (r == 0)
		*ret_view = &views[store->view_count++];
	return r;
}

/* The file that is mounted: the image's own, or what the domain's process makes of the sealed one. */
static int open_source(struct image_store *store, const struct catalog_entry *entry, int dir, const uint8_t *key,
		       int *ret_file, struct err *err)
{
	struct seal_binding binding = binding_of(entry);
	CLEANUP_CLOSE int sealed = -1;
	struct view *view = NULL;
	int r;

	if (entry->class == POLICY_CACHE_SHARED)
		return open_image(dir, ret_file, err);
	r = open_image(dir, &sealed, err);
	if (r == 0)
		r = find_view(store, entry->domain, &view, err);
	return r < 0 ? r : view_add(view, store->mounts, entry->name, sealed, &binding, key, ret_file, err);
}

/* A mount whose process is gone gives errors for what is not cached: it is made anew. */
static bool is_stale(const struct image_store *store, const struct catalog_entry *entry)
{
	if (entry->class == POLICY_CACHE_SHARED || !mounts_has(store->mounts, entry->name))
		return false;
	for (size_t i = 0; i < store->view_count; i++)
		if (str_eq(store->views[i].domain, entry->domain))
			return !view_is_alive(&store->views[i]);
	return !view_is_running(store->mounts, entry->domain);
}

static int mount_locked(struct image_store *store, const struct catalog_entry *entry, int dir, const uint8_t *key,
			struct err *err)
{
	CLEANUP_CLOSE int file = -1;
	int r = store->mounts < 0 ? mounts_open(store->mounts_path, &store->mounts, err) : 0;

	if (r == 0 && is_stale(store, entry))
		r = mounts_detach(store->mounts, entry->name, err);
	if (r < 0 || mounts_has(store->mounts, entry->name))
		return r;
	r = open_source(store, entry, dir, key, &file, err);
	return r < 0 ? r : mounts_attach(store->mounts, entry->name, file, err);
}

int handle_unmount(struct image_store *store, const struct catalog_entry *entry, struct err *err)
{
	int r;

	if (store->mounts < 0)
		return 0;
	r = mounts_detach(store->mounts, entry->name, err);
	if (r < 0 || entry->class == POLICY_CACHE_SHARED)
		return r;
	/* A process that is not connected to serves nothing of it, unless it was one of an earlier service. */
	if (view_is_running(store->mounts, entry->domain)) {
		struct view view;

		r = view_open(store->mounts, store->ingest, entry->domain, &view, err);
		if (r < 0)
			return r;
		r = view_drop(&view, entry->name, err);
		view_close(&view);
		/* Gone meanwhile, and its keys with it. */
		if (r == ERR_UNAVAILABLE)
			r = 0;
	}
	return r;
}

/* --- handles --- */

static int read_config(int dir, struct image_config *to, struct err *err)
{
	struct buf text CLEANUP_BUF = buf_of(IMAGE_CONFIG_BYTES_MAX);
	int r = fdio_read_file(dir, "config.json", &text, err);

	return r < 0 ? r : image_config_parse(text.data ? text.data : "", text.len, to, err);
}

static int fill(struct image *image, const struct catalog_entry *entry, const struct image_request *request,
		struct err *err)
{
	struct image_store *store = image->store;
	CLEANUP_CLOSE int dir = -1;
	int r = open_folder(store, entry, &dir, err);

	if (r == 0)
		r = read_config(dir, &image->config, err);
	if (r == 0 && request)
		r = authorize(entry, dir, request, err);
	if (r == 0 && (request || entry->class == POLICY_CACHE_SHARED)) {
		(void)pthread_mutex_lock(&store->mounting);
		r = mount_locked(store, entry, dir, request && request->protection ? request->protection->key : NULL,
				 err);
		(void)pthread_mutex_unlock(&store->mounting);
	}
	return r;
}

int handle_new(struct image_store *store, const struct catalog_entry *entry, const struct image_request *request,
	       struct image **ret_image, struct err *err)
{
	struct image *image = calloc(1, sizeof(*image));
	int r;

	if (!image) {
		catalog_let_go(store, entry->name);
		return err_sys(err, -ENOMEM, "cannot open an image");
	}
	image->store = store;
	image->digest = entry->digest;
	image->class = entry->class;
	image->bytes = entry->bytes;
	image->entries = entry->entries;
	memcpy(image->name, entry->name, sizeof(image->name));
	image->root = str_format("%s/%s", store->mounts_path, entry->name);
	r = image->root ? fill(image, entry, request, err) : err_sys(err, -ENOMEM, "cannot open an image");
	if (r < 0) {
		image_release(image);
		return r;
	}
	*ret_image = image;
	return 0;
}

void image_release(struct image *image)
{
	if (!image)
		return;
	catalog_let_go(image->store, image->name);
	image_config_done(&image->config);
	free(image->root);
	free(image);
}

int image_open_root(const struct image *image, int *ret_fd, struct err *err)
{
	int fd = open(image->root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, -errno, "cannot open the files of image '%s'", image->root);
	*ret_fd = fd;
	return 0;
}

int image_hold(struct image_store *store, const struct digest *digest, const char *domain, struct image **ret_image,
	       struct err *err)
{
	const struct image_protection protection = {.class = POLICY_CACHE_SHARED, .domain = domain};
	struct catalog_entry entry;
	int r = catalog_hold(store, digest, &protection, &entry, err);

	return r < 0 ? r : handle_new(store, &entry, NULL, ret_image, err);
}
