/* SPDX-License-Identifier: Apache-2.0 */
/* The store as a whole: opening, listing, removing, revoking, trimming. */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "base/fdio.h"
#include "base/str.h"
#include "image/catalog.h"
#include "image/mounts.h"
#include "sandbox/mountfd.h"

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

static int configure(struct image_store *store, const struct image_store_config *config, struct err *err)
{
	struct sysinfo machine;

	store->config = *config;
	if (!store->config.budget_bytes)
		store->config.budget_bytes = UINT64_C(32) << 30;
	if (!store->config.image_bytes)
		store->config.image_bytes = UINT64_C(8) << 30;
	if (!store->config.image_entries)
		store->config.image_entries = 500000;
	if (!store->config.memory_bytes && sysinfo(&machine) == 0)
		store->config.memory_bytes = (uint64_t)machine.totalram * machine.mem_unit / 4;
	store->mounts_path = strdup(config->mounts);
	if (!store->mounts_path ||
	    str_copy(store->ingest, sizeof(store->ingest), config->ingest ? config->ingest : "/proc/self/exe") < 0)
		return err_sys(err, -ENOMEM, "cannot open the image store");
	return 0;
}

/* What an earlier process has mounted, and keeps in memory. */
static int take_over(struct image_store *store, struct err *err)
{
	struct err ignored;
	int r;

	if (!mounts_exist(store->mounts_path))
		return 0;
	r = mounts_open(store->mounts_path, &store->mounts, err);
	if (r < 0 || fdio_open_dir(store->mounts, CATALOG_MEMORY, &store->memory, &ignored) < 0)
		return r;
	return catalog_scan(store, store->memory, true, err);
}

int image_store_open(int dir, const struct image_store_config *config, struct image_store **ret_store, struct err *err)
{
	struct image_store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return err_sys(err, -ENOMEM, "cannot open the image store");
	store->dir = dir;
	store->lock = store->mounts = store->memory = -1;
	(void)pthread_mutex_init(&store->mounting, NULL);
	(void)pthread_mutex_init(&store->mutex, NULL);
	(void)pthread_cond_init(&store->pull_ended, NULL);
	r = configure(store, config, err);
	/* Images hold files that anybody may write or run: nobody but root gets to them by path. */
	if (r == 0 && fchmod(dir, 0700) < 0)
		r = err_sys(err, -errno, "cannot close the image store to others");
	if (r == 0)
		r = lock_store(store, err);
	if (r == 0)
		r = catalog_scan(store, dir, false, err);
	if (r == 0)
		r = take_over(store, err);
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
	for (size_t i = 0; i < store->view_count; i++)
		view_close(&store->views[i]);
	if (store->lock >= 0)
		(void)close(store->lock);
	if (store->memory >= 0)
		(void)close(store->memory);
	if (store->mounts >= 0)
		(void)close(store->mounts);
	(void)pthread_cond_destroy(&store->pull_ended);
	(void)pthread_mutex_destroy(&store->mutex);
	(void)pthread_mutex_destroy(&store->mounting);
	free(store->mounts_path);
	free(store->views);
	free(store->entries);
	free(store);
}

/* A file system in memory, below that of the mounts. What lies in it is sealed, so that it may be swapped. */
static int make_memory(struct image_store *store, struct err *err)
{
	CLEANUP_CLOSE int place = -1, fresh = -1;
	char size[40];
	const char *words[] = {"mode=0700", size};
	int r;

	(void)snprintf(size, sizeof(size), "size=%llu", (unsigned long long)store->config.memory_bytes);
	if (mkdirat(store->mounts, CATALOG_MEMORY, 0700) < 0 && errno != EEXIST)
		return err_sys(err, -errno, "cannot make a folder in memory");
	r = fdio_open_dir(store->mounts, CATALOG_MEMORY, &place, err);
	if (r == 0)
		r = mountfd_new("tmpfs", "bulkhead", words, ARRAY_SIZE(words),
				MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &fresh, err);
	if (r < 0)
		return r;
	r = mountfd_attach(fresh, place);
	if (r < 0)
		return err_sys(err, r, "cannot make a folder in memory");
	return fdio_open_dir(store->mounts, CATALOG_MEMORY, &store->memory, err);
}

int catalog_folder(struct image_store *store, enum policy_cache class, int *ret_dir, struct err *err)
{
	int r = 0;

	if (!catalog_in_memory(class)) {
		*ret_dir = store->dir;
		return 0;
	}
	(void)pthread_mutex_lock(&store->mounting);
	if (store->mounts < 0)
		r = mounts_open(store->mounts_path, &store->mounts, err);
	if (r == 0 && store->memory < 0)
		r = make_memory(store, err);
	*ret_dir = store->memory;
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}

/* --- the whole --- */

bool image_has(struct image_store *store, const struct digest *digest)
{
	bool has = false;

	(void)pthread_mutex_lock(&store->mutex);
	for (size_t i = 0; i < store->count; i++)
		has = has || digest_equal(&store->entries[i].digest, digest);
	(void)pthread_mutex_unlock(&store->mutex);
	return has;
}

static int by_use(const void *a, const void *b)
{
	const struct image_row *one = a, *other = b;

	return (one->used_ms > other->used_ms) - (one->used_ms < other->used_ms);
}

static struct image_row row_of(const struct image_store *store, const struct catalog_entry *entry)
{
	struct image_row row = {.digest = entry->digest,
				.class = entry->class,
				.bytes = entry->bytes,
				.entries = entry->entries,
				.used_ms = entry->used_ms,
				.holds = entry->holds,
				.encrypted = entry->encrypted};

	memcpy(row.domain, entry->domain, sizeof(row.domain));
	if (store->mounts >= 0)
		row.mechanism = mounts_mechanism(store->mounts, entry->name);
	return row;
}

int image_list(struct image_store *store, struct image_row **ret_rows, size_t *ret_count, struct err *err)
{
	struct image_row *rows;
	size_t count;

	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	count = store->count;
	rows = calloc(count + 1, sizeof(*rows));
	for (size_t i = 0; rows && i < count; i++)
		rows[i] = row_of(store, &store->entries[i]);
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
	if (!rows)
		return err_sys(err, -ENOMEM, "cannot list the images");
	qsort(rows, count, sizeof(*rows), by_use);
	*ret_rows = rows;
	*ret_count = count;
	return 0;
}

int image_remove(struct image_store *store, const struct digest *digest, struct err *err)
{
	char name[IMAGE_NAME_SIZE], text[DIGEST_TEXT_SIZE];
	struct catalog_entry *entry;
	int r = catalog_name(name, digest, NULL);

	if (r < 0)
		return err_sys(err, r, "cannot remove an image");
	digest_format(digest, text);
	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	entry = catalog_find(store, name);
	if (!entry)
		r = err_set(err, ERR_NOT_FOUND, "image '%s' is not in the store", text);
	else if (entry->holds)
		r = err_set(err, ERR_BUSY, "image '%s' is in use", text);
	else
		r = catalog_remove(store, entry, err);
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}

static bool is_meant(const struct catalog_entry *entry, const struct digest *digest, const char *domain)
{
	return entry->class != POLICY_CACHE_SHARED && (!digest || digest_equal(&entry->digest, digest)) &&
	       (!domain || str_eq(entry->domain, domain));
}

static int revoke_locked(struct image_store *store, const struct digest *digest, const char *domain, size_t *ret_count,
			 struct err *err)
{
	for (size_t i = 0; i < store->count; i++)
		if (is_meant(&store->entries[i], digest, domain) && store->entries[i].holds)
			return err_set(err, ERR_BUSY, "image '%s' is in use by %u containers of TrustDomain '%s'",
				       store->entries[i].name, store->entries[i].holds, store->entries[i].domain);
	/* From the end: what is removed gives its place to the last one. */
	for (size_t i = store->count; i > 0; i--) {
		int r = is_meant(&store->entries[i - 1], digest, domain)
				? catalog_remove(store, &store->entries[i - 1], err)
				: 1;

		if (r < 0)
			return r;
		*ret_count += r == 0;
	}
	return 0;
}

int image_revoke(struct image_store *store, const struct digest *digest, const char *domain, size_t *ret_count,
		 struct err *err)
{
	int r;

	*ret_count = 0;
	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	r = revoke_locked(store, digest, domain, ret_count, err);
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}

/* Unmounts what nobody holds; what lies in memory alone goes with that. Yields whether anything is left. */
static int trim_locked(struct image_store *store, bool *ret_left, struct err *err)
{
	*ret_left = false;
	for (size_t i = store->count; i > 0; i--) {
		struct catalog_entry *entry = &store->entries[i - 1];
		int r;

		if (entry->holds) {
			*ret_left = true;
			continue;
		}
		r = catalog_in_memory(entry->class) ? catalog_remove(store, entry, err)
						    : handle_unmount(store, entry, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int close_mounts(struct image_store *store, struct err *err)
{
	int r = view_end_all(store->mounts, err);

	for (size_t i = 0; i < store->view_count; i++)
		view_close(&store->views[i]);
	store->view_count = 0;
	if (r == 0)
		r = mounts_close(store->mounts_path, store->mounts, err);
	if (store->memory >= 0)
		(void)close(store->memory);
	(void)close(store->mounts);
	store->mounts = store->memory = -1;
	return r;
}

int image_store_trim(struct image_store *store, struct err *err)
{
	bool left;
	int r = 0;

	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	if (store->mounts >= 0)
		r = trim_locked(store, &left, err);
	(void)pthread_mutex_unlock(&store->mutex);
	if (r == 0 && store->mounts >= 0 && !left)
		r = close_mounts(store, err);
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}
