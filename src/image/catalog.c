/* SPDX-License-Identifier: Apache-2.0 */
#include "image/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/fdio.h"
#include "base/str.h"
#include "image/imagenote.h"

#define TEMPORARY ".new-"

int catalog_name(char to[static IMAGE_NAME_SIZE], const struct digest *digest, const char *domain)
{
	char hex[DIGEST_TEXT_SIZE];
	struct digest hash;
	int r;

	digest_format(digest, to);
	*strchr(to, ':') = '-';
	if (!domain || !*domain)
		return 0;
	r = digest_of(DIGEST_SHA256, domain, strlen(domain), &hash);
	if (r < 0)
		return r;
	digest_hex(&hash, hex);
	(void)snprintf(to + strlen(to), IMAGE_NAME_SIZE - strlen(to), ".%.16s", hex);
	return 0;
}

struct catalog_entry *catalog_find(struct image_store *store, const char *name)
{
	for (size_t i = 0; i < store->count; i++)
		if (str_eq(store->entries[i].name, name))
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

/* --- what is there when the store opens --- */

static int digest_of_name(const char *name, struct digest *ret_digest)
{
	char text[IMAGE_NAME_SIZE];
	char *dash;

	if (str_copy(text, sizeof(text), name) < 0)
		return ERR_INVALID;
	text[strcspn(text, ".")] = '\0';
	dash = strchr(text, '-');
	if (!dash)
		return ERR_INVALID;
	*dash = ':';
	return digest_parse(text, ret_digest, NULL);
}

/* What the store noted about an image; it must stand where such an image belongs. */
static int read_entry(int dir, const char *name, bool memory, struct catalog_entry *entry)
{
	CLEANUP_CLOSE int folder = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char expected[IMAGE_NAME_SIZE];
	int r = folder < 0 ? -errno : imagenote_read(folder, entry);

	if (r == 0)
		r = catalog_name(expected, &entry->digest, entry->domain);
	if (r == 0 && (!str_eq(expected, name) || catalog_in_memory(entry->class) != memory))
		r = ERR_CORRUPT;
	return r < 0 ? r : str_copy(entry->name, sizeof(entry->name), name);
}

/* The process that filled it may be dying still, and make another file or two. */
static int remove_leftover(int dir, const char *name, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int r;

	for (int tries = 0; tries < 100; tries++) {
		r = fdio_remove_tree(dir, name, err);
		if (r != -ENOTEMPTY || nanosleep(&pause, NULL) < 0)
			return r;
	}
	return r;
}

/* One name in a folder of the store: an image, or what a crash left, which goes. */
static int scan_name(struct image_store *store, int dir, bool memory, const char *name, struct err *err)
{
	struct catalog_entry entry = {0};
	int r;

	if (str_starts(name, TEMPORARY))
		return remove_leftover(dir, name, err);
	if (name[0] == '.' || digest_of_name(name, &entry.digest) < 0)
		return 0;
	r = read_entry(dir, name, memory, &entry);
	if (r == -ENOMEM)
		return err_sys(err, r, "cannot read image '%s'", name);
	/* It appeared by a rename after everything was on disk, so this is damage, or a removal that was cut short. */
	if (r < 0)
		return fdio_remove_tree(dir, name, err);
	r = add(store, &entry);
	return r < 0 ? err_sys(err, r, "cannot read image '%s'", name) : 0;
}

int catalog_scan(struct image_store *store, int dir, bool memory, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
		r = scan_name(store, dir, memory, name->d_name, err);
	(void)closedir(names);
	return r;
}

/* --- new images --- */

int catalog_begin(struct image_store *store, enum policy_cache class, char name[static IMAGE_NAME_SIZE], int *ret_dir,
		  struct err *err)
{
	int dir, fd, r = catalog_folder(store, class, &dir, err);

	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&store->mutex);
	(void)snprintf(name, IMAGE_NAME_SIZE, TEMPORARY "%llu", (unsigned long long)store->next_temporary++);
	(void)pthread_mutex_unlock(&store->mutex);
	if (mkdirat(dir, name, 0700) < 0)
		return err_sys(err, -errno, "cannot make a folder in the image store");
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		r = -errno;
		catalog_abandon(store, class, name);
		return err_sys(err, r, "cannot make a folder in the image store");
	}
	*ret_dir = fd;
	return 0;
}

void catalog_abandon(struct image_store *store, enum policy_cache class, const char *name)
{
	struct err ignored;
	int dir;

	/* What cannot be removed now goes when the store opens. */
	if (catalog_folder(store, class, &dir, &ignored) < 0 || fdio_remove_tree(dir, name, &ignored) < 0)
		return;
}

static int bring_to_disk(int dir, struct err *err)
{
	CLEANUP_CLOSE int image = openat(dir, CATALOG_IMAGE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	/* The documents are synced already. */
	if (image < 0 || fsync(image) < 0 || fsync(dir) < 0)
		return err_sys(err, -errno, "cannot bring the image to disk");
	return 0;
}

/* Moves the folder aside first, so that a crash leaves no half of an image under its name. */
int catalog_remove(struct image_store *store, struct catalog_entry *entry, struct err *err)
{
	char aside[IMAGE_NAME_SIZE];
	int dir = catalog_in_memory(entry->class) ? store->memory : store->dir;
	int r = handle_unmount(store, entry, err);

	if (r < 0)
		return r;
	(void)snprintf(aside, sizeof(aside), TEMPORARY "gone-%llu", (unsigned long long)store->next_temporary++);
	if (renameat(dir, entry->name, dir, aside) < 0)
		return err_sys(err, -errno, "cannot remove image '%s'", entry->name);
	/* What cannot be removed now goes when the store opens. */
	(void)!fdio_remove_tree(dir, aside, &(struct err){0});
	*entry = store->entries[--store->count];
	return 0;
}

static uint64_t disk_bytes(const struct image_store *store)
{
	uint64_t total = 0;

	for (size_t i = 0; i < store->count; i++)
		if (!catalog_in_memory(store->entries[i].class))
			total += store->entries[i].bytes;
	return total;
}

static struct catalog_entry *longest_unused(struct image_store *store)
{
	struct catalog_entry *found = NULL;

	for (size_t i = 0; i < store->count; i++) {
		struct catalog_entry *entry = &store->entries[i];

		if (!entry->holds && !catalog_in_memory(entry->class) && (!found || entry->used_ms < found->used_ms))
			found = entry;
	}
	return found;
}

static bool evict_locked(struct image_store *store, uint64_t bytes)
{
	struct catalog_entry *entry;
	struct err ignored;
	bool any = false;

	while (disk_bytes(store) > bytes && (entry = longest_unused(store))) {
		if (catalog_remove(store, entry, &ignored) < 0)
			break;
		any = true;
	}
	return any;
}

bool catalog_evict(struct image_store *store, uint64_t bytes)
{
	bool any;

	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	any = evict_locked(store, bytes);
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
	return any;
}

/* What a domain has sealed is not to lie about in plain text for all, unless somebody runs on that. */
static void drop_plain_copy(struct image_store *store, const struct catalog_entry *sealed)
{
	struct catalog_entry *plain;
	char name[IMAGE_NAME_SIZE];
	struct err ignored;

	if (sealed->class == POLICY_CACHE_SHARED || catalog_name(name, &sealed->digest, NULL) < 0)
		return;
	plain = catalog_find(store, name);
	if (plain && !plain->holds)
		(void)!catalog_remove(store, plain, &ignored);
}

static int publish_locked(struct image_store *store, const char *temporary, const struct catalog_entry *entry,
			  struct err *err)
{
	int dir = catalog_in_memory(entry->class) ? store->memory : store->dir;
	int r = catalog_find(store, entry->name) ? -EEXIST : add(store, entry);

	if (r < 0)
		return err_sys(err, r, "cannot publish the image");
	if (renameat(dir, temporary, dir, entry->name) < 0 || fsync(dir) < 0) {
		r = -errno;
		store->count--;
		return err_sys(err, r, "cannot publish the image");
	}
	crashpoint("image-published");
	drop_plain_copy(store, entry);
	(void)evict_locked(store, store->config.budget_bytes);
	return 0;
}

int catalog_publish(struct image_store *store, const char *temporary, int dir, const struct catalog_entry *entry,
		    struct err *err)
{
	struct catalog_entry held = *entry;
	int r;

	held.used_ms = clock_wall_ms();
	held.holds = 1;
	r = imagenote_write(dir, &held, err);
	if (r == 0)
		r = bring_to_disk(dir, err);
	if (r < 0)
		return r;
	crashpoint("image-unpacked");
	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	r = publish_locked(store, temporary, &held, err);
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}

/* --- holds --- */

static struct catalog_entry *find_for(struct image_store *store, const struct digest *digest, const char *domain)
{
	char name[IMAGE_NAME_SIZE];

	return catalog_name(name, digest, domain) < 0 ? NULL : catalog_find(store, name);
}

/* The entry that fits, or NULL with *ret_code 0, or what is in the way. The store is locked. */
static struct catalog_entry *pick(struct image_store *store, const struct digest *digest,
				  const struct image_protection *protection, int *ret_code, struct err *err)
{
	struct catalog_entry *entry;

	*ret_code = 0;
	if (!protection || protection->class == POLICY_CACHE_SHARED) {
		entry = find_for(store, digest, NULL);
		if (entry || !protection || !protection->domain)
			return entry;
	}
	entry = find_for(store, digest, protection->domain);
	if (!entry)
		return NULL;
	/* Of class Never nothing is left when its last container is gone. */
	if (entry->class >= protection->class && (entry->holds || entry->class != POLICY_CACHE_NEVER))
		return entry;
	if (entry->holds)
		*ret_code = err_set(err, ERR_BUSY,
				    "it runs in cache class %s, and TrustDomain '%s' wants %s by now: stop those pods",
				    policy_cache_name(entry->class), protection->domain,
				    policy_cache_name(protection->class));
	else
		*ret_code = catalog_remove(store, entry, err);
	return NULL;
}

int catalog_hold(struct image_store *store, const struct digest *digest, const struct image_protection *protection,
		 struct catalog_entry *ret_entry, struct err *err)
{
	char text[DIGEST_TEXT_SIZE];
	struct catalog_entry *entry;
	int r;

	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	entry = pick(store, digest, protection, &r, err);
	if (entry) {
		entry->holds++;
		entry->used_ms = clock_wall_ms();
		*ret_entry = *entry;
	} else if (r == 0) {
		digest_format(digest, text);
		r = err_set(err, ERR_NOT_FOUND, "image '%s' is not in the store", text);
	}
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
	return r;
}

void catalog_let_go(struct image_store *store, const char *name)
{
	struct catalog_entry *entry;
	struct err ignored;

	(void)pthread_mutex_lock(&store->mounting);
	(void)pthread_mutex_lock(&store->mutex);
	entry = catalog_find(store, name);
	if (entry && entry->holds)
		entry->holds--;
	/* Class Never: gone with the last container. */
	if (entry && !entry->holds && entry->class == POLICY_CACHE_NEVER)
		(void)!catalog_remove(store, entry, &ignored);
	(void)pthread_mutex_unlock(&store->mutex);
	(void)pthread_mutex_unlock(&store->mounting);
}
