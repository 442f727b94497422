/* SPDX-License-Identifier: Apache-2.0 */
#include "image/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/fdio.h"
#include "base/str.h"
#include "image/mounts.h"

#define TEMPORARY ".new-"
#define INFO "info.json"

static void name_of(const struct digest *digest, char to[static CATALOG_NAME_SIZE])
{
	digest_format(digest, to);
	*strchr(to, ':') = '-';
}

static int digest_of_name(const char *name, struct digest *ret_digest)
{
	char text[DIGEST_TEXT_SIZE];
	char *dash;

	if (str_copy(text, sizeof(text), name) < 0)
		return ERR_INVALID;
	dash = strchr(text, '-');
	if (!dash)
		return ERR_INVALID;
	*dash = ':';
	return digest_parse(text, ret_digest, NULL);
}

static struct catalog_entry *find(struct image_store *store, const struct digest *digest)
{
	for (size_t i = 0; i < store->count; i++)
		if (digest_equal(&store->entries[i].digest, digest))
			return &store->entries[i];
	return NULL;
}

static int add(struct image_store *store, const struct catalog_entry *entry)
{
	if (store->count == store->capacity) {
		size_t capacity = store->capacity ? store->capacity * 2 : 16;
		struct catalog_entry *entries = reallocarray(store->entries, capacity, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		store->entries = entries;
		store->capacity = capacity;
	}
	store->entries[store->count++] = *entry;
	return 0;
}

/* --- opening --- */

/* What the store noted about an image; one whose note cannot be read is no image. */
static int read_info(struct image_store *store, const char *name, struct catalog_entry *entry)
{
	CLEANUP_FREE char *path = str_format("%s/" INFO, name);
	struct buf text CLEANUP_BUF = buf_of(65536);
	json_t *info;
	struct stat st;
	int r = path ? fdio_read_file(store->dir, path, &text, NULL) : -ENOMEM;

	if (r < 0)
		return r;
	info = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	r = json_is_integer(json_object_get(info, "bytes")) && json_is_integer(json_object_get(info, "entries"))
		    ? 0
		    : ERR_CORRUPT;
	if (r == 0) {
		entry->bytes = (uint64_t)json_integer_value(json_object_get(info, "bytes"));
		entry->entries = (uint64_t)json_integer_value(json_object_get(info, "entries"));
	}
	json_decref(info);
	if (r == 0 && fstatat(store->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		entry->used_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return r;
}

/* The process that filled it may be dying still, and make another file or two. */
static int remove_leftover(struct image_store *store, const char *name, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int r;

	for (int tries = 0; tries < 100; tries++) {
		r = fdio_remove_tree(store->dir, name, err);
		if (r != -ENOTEMPTY || nanosleep(&pause, NULL) < 0)
			return r;
	}
	return r;
}

/* One name in the store's folder: an image, or what a crash left, which goes. */
static int scan_name(struct image_store *store, const char *name, struct err *err)
{
	struct catalog_entry entry = {0};
	int r;

	if (str_starts(name, TEMPORARY))
		return remove_leftover(store, name, err);
	if (name[0] == '.' || digest_of_name(name, &entry.digest) < 0)
		return 0;
	r = read_info(store, name, &entry);
	if (r == -ENOMEM)
		return err_sys(err, r, "cannot read image '%s'", name);
	/* It appeared by a rename after everything was on disk, so this is damage, or a removal that was cut short. */
	if (r < 0)
		return fdio_remove_tree(store->dir, name, err);
	r = add(store, &entry);
	return r < 0 ? err_sys(err, r, "cannot read image '%s'", name) : 0;
}

static int scan(struct image_store *store, struct err *err)
{
	int fd = openat(store->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *name;
	int r = 0;

	if (!names) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return err_sys(err, r, "cannot read the image store");
	}
	while (r == 0 && (name = readdir(names)))
		r = scan_name(store, name->d_name, err);
	(void)closedir(names);
	return r;
}

/* A child of a service that was killed holds the lock until it has noticed: some patience before the store counts as open. */
static int lock_store(struct image_store *store, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int r = -EWOULDBLOCK;

	store->lock = openat(store->dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock < 0)
		return err_sys(err, -errno, "cannot lock the image store");
	for (int tries = 0; tries < 300 && r == -EWOULDBLOCK; tries++) {
		r = flock(store->lock, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
		if (r == -EWOULDBLOCK && nanosleep(&pause, NULL) < 0)
			break;
	}
	if (r == -EWOULDBLOCK)
		return err_set(err, ERR_BUSY, "the image store is open in another process");
	return r < 0 ? err_sys(err, r, "cannot lock the image store") : 0;
}

int image_store_open(int dir, const struct image_store_config *config, struct image_store **ret_store, struct err *err)
{
	struct image_store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return err_sys(err, -ENOMEM, "cannot open the image store");
	store->dir = dir;
	store->lock = store->mounts = -1;
	store->config = *config;
	if (!store->config.budget_bytes)
		store->config.budget_bytes = UINT64_C(32) << 30;
	if (!store->config.image_bytes)
		store->config.image_bytes = UINT64_C(8) << 30;
	if (!store->config.image_entries)
		store->config.image_entries = 500000;
	(void)pthread_mutex_init(&store->mounting, NULL);
	(void)pthread_mutex_init(&store->mutex, NULL);
	(void)pthread_cond_init(&store->pull_ended, NULL);
	r = str_copy(store->ingest, sizeof(store->ingest), config->ingest ? config->ingest : "/proc/self/exe");
	if (r < 0)
		r = err_sys(err, r, "cannot open the image store");
	store->mounts_path = strdup(config->mounts);
	if (r == 0 && !store->mounts_path)
		r = err_sys(err, -ENOMEM, "cannot open the image store");
	/* Images hold files that anybody may write or run: nobody but root gets to them by path. */
	if (r == 0 && fchmod(dir, 0700) < 0)
		r = err_sys(err, -errno, "cannot close the image store to others");
	if (r == 0)
		r = lock_store(store, err);
	if (r == 0)
		r = scan(store, err);
	if (r < 0) {
		image_store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void image_store_close(struct image_store *store)
{
	if (!store)
		return;
	if (store->lock >= 0)
		(void)close(store->lock);
	if (store->mounts >= 0)
		(void)close(store->mounts);
	(void)pthread_cond_destroy(&store->pull_ended);
	(void)pthread_mutex_destroy(&store->mutex);
	(void)pthread_mutex_destroy(&store->mounting);
	free(store->mounts_path);
	free(store->entries);
	free(store);
}

/* --- new images --- */

int catalog_begin(struct image_store *store, char name[static CATALOG_NAME_SIZE], int *ret_dir, struct err *err)
{
	int fd;

	(void)pthread_mutex_lock(&store->mutex);
	(void)snprintf(name, CATALOG_NAME_SIZE, TEMPORARY "%llu", (unsigned long long)store->next_temporary++);
	(void)pthread_mutex_unlock(&store->mutex);
	if (mkdirat(store->dir, name, 0700) < 0)
		return err_sys(err, -errno, "cannot make a folder in the image store");
	fd = openat(store->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		int r = -errno;

		catalog_abandon(store, name);
		return err_sys(err, r, "cannot make a folder in the image store");
	}
	*ret_dir = fd;
	return 0;
}

void catalog_abandon(struct image_store *store, const char *name)
{
	struct err ignored;

	/* What cannot be removed now goes when the store opens. */
	if (fdio_remove_tree(store->dir, name, &ignored) < 0)
		return;
}

/* Moves the folder aside first, so that a crash leaves no half of an image under its name. */
static int remove_image(struct image_store *store, const struct digest *digest, struct err *err)
{
	char name[CATALOG_NAME_SIZE], aside[CATALOG_NAME_SIZE];
	int r;

	name_of(digest, name);
	r = store->mounts >= 0 ? mounts_detach(store->mounts, name, err) : 0;
	if (r < 0)
		return r;
	(void)snprintf(aside, sizeof(aside), TEMPORARY "gone-%llu", (unsigned long long)store->next_temporary++);
	if (renameat(store->dir, name, store->dir, aside) < 0)
		return err_sys(err, -errno, "cannot remove image '%s'", name);
	catalog_abandon(store, aside);
	return 0;
}

static uint64_t total_bytes(const struct image_store *store)
{
	uint64_t total = 0;

	for (size_t i = 0; i < store->count; i++)
		total += store->entries[i].bytes;
	return total;
}

static struct catalog_entry *longest_unused(struct image_store *store)
{
	struct catalog_entry *found = NULL;

	for (size_t i = 0; i < store->count; i++)
		if (!store->entries[i].holds && (!found || store->entries[i].used_ms < found->used_ms))
			found = &store->entries[i];
	return found;
}

static bool evict_locked(struct image_store *store, uint64_t bytes)
{
	struct catalog_entry *entry;
	struct err ignored;
	bool any = false;

	while (total_bytes(store) > bytes && (entry = longest_unused(store))) {
		if (remove_image(store, &entry->digest, &ignored) < 0)
			break;
		*entry = store->entries[--store->count];
		any = true;
	}
	return any;
}

bool catalog_evict(struct image_store *store, uint64_t bytes)
{
	bool any;

	(void)pthread_mutex_lock(&store->mutex);
	any = evict_locked(store, bytes);
	(void)pthread_mutex_unlock(&store->mutex);
	return any;
}

static int write_info(int dir, const struct unpack_totals *totals, struct err *err)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "{\"bytes\":%llu,\"entries\":%llu}\n", (unsigned long long)totals->bytes,
			   (unsigned long long)totals->entries);

	return fdio_replace_file(dir, INFO, text, (size_t)len, 0600, err);
}

static int bring_to_disk(int dir, struct err *err)
{
	CLEANUP_CLOSE int image = openat(dir, CATALOG_IMAGE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	/* The documents are synced already. */
	if (image < 0 || fsync(image) < 0 || fsync(dir) < 0)
		return err_sys(err, -errno, "cannot bring the image to disk");
	return 0;
}

int catalog_publish(struct image_store *store, const char *name, int dir, const struct digest *digest,
		    const struct unpack_totals *totals, struct err *err)
{
	struct catalog_entry entry = {.digest = *digest,
				      .bytes = totals->bytes,
				      .entries = totals->entries,
				      .used_ms = clock_wall_ms(),
				      .holds = 1};
	char final[CATALOG_NAME_SIZE];
	int r = write_info(dir, totals, err);

	if (r < 0)
		return r;
	r = bring_to_disk(dir, err);
	if (r < 0)
		return r;
	crashpoint("image-unpacked");
	name_of(digest, final);
	(void)pthread_mutex_lock(&store->mutex);
	r = add(store, &entry);
	if (r < 0) {
		r = err_sys(err, r, "cannot publish the image");
	} else if (renameat(store->dir, name, store->dir, final) < 0 || fsync(store->dir) < 0) {
		r = err_sys(err, -errno, "cannot publish the image");
		store->count--;
	}
	if (r == 0) {
		crashpoint("image-published");
		(void)evict_locked(store, store->config.budget_bytes);
	}
	(void)pthread_mutex_unlock(&store->mutex);
	return r;
}

/* --- handles --- */

int catalog_hold(struct image_store *store, const struct digest *digest, struct err *err)
{
	char name[CATALOG_NAME_SIZE], text[DIGEST_TEXT_SIZE];
	CLEANUP_FREE char *info = NULL;
	struct catalog_entry *entry;
	int r = 0;

	name_of(digest, name);
	info = str_format("%s/" INFO, name);
	(void)pthread_mutex_lock(&store->mutex);
	entry = find(store, digest);
	if (entry) {
		entry->holds++;
		entry->used_ms = clock_wall_ms();
	} else {
		digest_format(digest, text);
		r = err_set(err, ERR_NOT_FOUND, "image '%s' is not in the store", text);
	}
	(void)pthread_mutex_unlock(&store->mutex);
	/* Its time is when the image was last used; losing it does no harm. */
	if (r == 0 && info && utimensat(store->dir, info, NULL, 0) < 0)
		return 0;
	return r;
}

void catalog_let_go(struct image_store *store, const struct digest *digest)
{
	struct catalog_entry *entry;

	(void)pthread_mutex_lock(&store->mutex);
	entry = find(store, digest);
	if (entry && entry->holds)
		entry->holds--;
	(void)pthread_mutex_unlock(&store->mutex);
}

/* Mounts an image that is held, once for all who use it. */
static int mount_image(struct image_store *store, const char *name, char **ret_root, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/" CATALOG_IMAGE, name);
	CLEANUP_CLOSE int file = path ? openat(store->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	int r;

	if (file < 0)
		return err_sys(err, path ? -errno : -ENOMEM, "cannot open image '%s'", name);
	(void)pthread_mutex_lock(&store->mounting);
	r = store->mounts < 0 ? mounts_open(store->mounts_path, &store->mounts, err) : 0;
	if (r == 0)
		r = mounts_attach(store->mounts, name, file, err);
	(void)pthread_mutex_unlock(&store->mounting);
	if (r < 0)
		return err_prefix(err, "image '%s'", name);
	*ret_root = str_format("%s/%s", store->mounts_path, name);
	return *ret_root ? 0 : err_sys(err, -ENOMEM, "cannot open image '%s'", name);
}

static int fill_handle(struct image *image, struct err *err)
{
	struct image_store *store = image->store;
	struct buf text CLEANUP_BUF = buf_of(IMAGE_CONFIG_BYTES_MAX);
	CLEANUP_FREE char *path = NULL;
	char name[CATALOG_NAME_SIZE];
	struct catalog_entry *entry;
	int r;

	name_of(&image->digest, name);
	r = mount_image(store, name, &image->root, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&store->mutex);
	entry = find(store, &image->digest);
	if (entry) {
		image->bytes = entry->bytes;
		image->entries = entry->entries;
	}
	(void)pthread_mutex_unlock(&store->mutex);
	path = str_format("%s/config.json", name);
	if (!path)
		return err_sys(err, -ENOMEM, "cannot open image '%s'", name);
	r = fdio_read_file(store->dir, path, &text, err);
	return r < 0 ? r : image_config_parse(text.data, text.len, &image->config, err);
}

int catalog_handle(struct image_store *store, const struct digest *digest, struct image **ret_image, struct err *err)
{
	struct image *image = calloc(1, sizeof(*image));
	int r;

	if (!image) {
		catalog_let_go(store, digest);
		return err_sys(err, -ENOMEM, "cannot open an image");
	}
	image->store = store;
	image->digest = *digest;
	r = fill_handle(image, err);
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
	catalog_let_go(image->store, &image->digest);
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

int image_get(struct image_store *store, const struct digest *digest, struct image **ret_image, struct err *err)
{
	int r = catalog_hold(store, digest, err);

	return r < 0 ? r : catalog_handle(store, digest, ret_image, err);
}

/* --- the whole --- */

bool image_has(struct image_store *store, const struct digest *digest)
{
	bool has;

	(void)pthread_mutex_lock(&store->mutex);
	has = find(store, digest) != NULL;
	(void)pthread_mutex_unlock(&store->mutex);
	return has;
}

static int by_use(const void *a, const void *b)
{
	const struct image_row *one = a, *other = b;

	return (one->used_ms > other->used_ms) - (one->used_ms < other->used_ms);
}

int image_list(struct image_store *store, struct image_row **ret_rows, size_t *ret_count, struct err *err)
{
	struct image_row *rows;
	size_t count;

	(void)pthread_mutex_lock(&store->mutex);
	count = store->count;
	rows = calloc(count + 1, sizeof(*rows));
	for (size_t i = 0; rows && i < count; i++)
		rows[i] = (struct image_row){.digest = store->entries[i].digest,
					     .bytes = store->entries[i].bytes,
					     .entries = store->entries[i].entries,
					     .used_ms = store->entries[i].used_ms,
					     .holds = store->entries[i].holds};
	(void)pthread_mutex_unlock(&store->mutex);
	if (!rows)
		return err_sys(err, -ENOMEM, "cannot list the images");
	qsort(rows, count, sizeof(*rows), by_use);
	*ret_rows = rows;
	*ret_count = count;
	return 0;
}

int image_remove(struct image_store *store, const struct digest *digest, struct err *err)
{
	char text[DIGEST_TEXT_SIZE];
	struct catalog_entry *entry;
	int r;

	digest_format(digest, text);
	(void)pthread_mutex_lock(&store->mutex);
	entry = find(store, digest);
	if (!entry)
		r = err_set(err, ERR_NOT_FOUND, "image '%s' is not in the store", text);
	else if (entry->holds)
		r = err_set(err, ERR_BUSY, "image '%s' is in use", text);
	else
		r = remove_image(store, digest, err);
	if (r == 0)
		*entry = store->entries[--store->count];
	(void)pthread_mutex_unlock(&store->mutex);
	return r;
}

static bool is_held(struct image_store *store, const char *name)
{
	struct catalog_entry *entry;
	struct digest digest;
	bool held;

	if (digest_of_name(name, &digest) < 0)
		return false;
	(void)pthread_mutex_lock(&store->mutex);
	entry = find(store, &digest);
	held = entry && entry->holds;
	(void)pthread_mutex_unlock(&store->mutex);
	return held;
}

static int trim(struct image_store *store, bool *ret_empty, struct err *err)
{
	int copy = openat(store->mounts, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *names = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *name;

	*ret_empty = true;
	while (names && r == 0 && (name = readdir(names))) {
		if (name->d_name[0] == '.')
			continue;
		if (is_held(store, name->d_name))
			*ret_empty = false;
		else
			r = mounts_detach(store->mounts, name->d_name, err);
	}
	if (names)
		(void)closedir(names);
	else if (copy >= 0)
		(void)close(copy);
	return names ? r : err_sys(err, -errno, "cannot read the folder of images");
}

int image_store_trim(struct image_store *store, struct err *err)
{
	bool empty;
	int r;

	(void)pthread_mutex_lock(&store->mounting);
	r = store->mounts < 0 && mounts_exist(store->mounts_path) ? mounts_open(store->mounts_path, &store->mounts, err)
								  : 0;
	if (r == 0 && store->mounts >= 0) {
		r = trim(store, &empty, err);
		if (r == 0 && empty) {
			r = mounts_close(store->mounts_path, store->mounts, err);
			(void)close(store->mounts);
			store->mounts = -1;
		}
	}
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}
