/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp_cache.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/str.h"

#define MAGIC "bhfilter"
#define NAME_SIZE 17 /* 16 hexadecimal digits */
#define ENTRIES_SEEN 4096

/* An entry: this, the key, the program. */
struct head {
	char magic[8];
	uint64_t sum; /* of all that follows */
	uint32_t key_len;
	uint32_t code_len; /* instructions */
	uint32_t flags;
	uint32_t notifies;
};

/* Quick and not for enemies: who could write an entry could run as this program's user. */
static uint64_t digest(uint64_t state, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		uint64_t word = len;
		size_t step = len < sizeof(word) ? len : sizeof(word);

		memcpy(&word, at, step);
		state = (state ^ word) * 0x9e3779b97f4a7c15;
		state ^= state >> 32;
		at += step;
		len -= step;
	}
	return state;
}

int seccomp_cache_open(int dir, const char *name, int *ret_cache)
{
	CLEANUP_CLOSE int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 07777) != 0700)
		return -EPERM;
	*ret_cache = take_fd(&fd);
	return 0;
}

/* The linker's mark of this build. */
static int find_build(struct dl_phdr_info *info, size_t size, void *to_buf)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		const char *at = (const char *)info->dlpi_addr + part->p_vaddr, *end = at + part->p_memsz;

		while (part->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) <= end) {
			const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
			size_t name_len = (note->n_namesz + 3u) & ~3u;

			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4)
				return buf_append(to_buf, at + sizeof(*note) + name_len, note->n_descsz) < 0 ? -1 : 1;
			at += sizeof(*note) + name_len + ((note->n_descsz + 3u) & ~3u);
		}
	}
	/* The first is the program itself. */
	return -1;
}

static int put(struct buf *key, uint64_t value)
{
	return buf_append(key, &value, sizeof(value));
}

static int put_number(struct buf *key, const struct spec_number *number)
{
	int r = put(key, number->present);

	return r == 0 && number->present ? put(key, (uint64_t)number->value) : r;
}

/* Words are kept with their NUL: the lengths of what follows stand before it, so no two profiles look the same. */
static int put_words(struct buf *key, const struct spec_strings *words)
{
	int r = put(key, words->count);

	for (size_t i = 0; r == 0 && i < words->count; i++)
		r = buf_append(key, words->items[i], strlen(words->items[i]) + 1);
	return r;
}

static int put_rule(struct buf *key, const struct spec_seccomp_rule *rule)
{
	int r = put_words(key, &rule->names);

	if (r == 0)
		r = put(key, (uint64_t)rule->action << 32 | rule->args.count);
	if (r == 0)
		r = put_number(key, &rule->errno_ret);
	for (size_t i = 0; r == 0 && i < rule->args.count; i++) {
		const struct spec_seccomp_arg *arg = &rule->args.items[i];

		r = put(key, (uint64_t)arg->index << 32 | (uint64_t)arg->op);
		if (r == 0)
			r = put(key, arg->value);
		if (r == 0)
			r = put(key, arg->value_two);
	}
	return r;
}

static int put_profile(struct buf *key, const struct spec_seccomp *profile)
{
	int r = put(key, profile && profile->present);

	if (r < 0 || !profile || !profile->present)
		return r;
	r = put(key, (uint64_t)profile->default_action << 32 | (profile->listener_path != NULL));
	if (r == 0)
		r = put_number(key, &profile->default_errno_ret);
	if (r == 0)
		r = put_words(key, &profile->architectures);
	if (r == 0)
		r = put_words(key, &profile->flags);
	if (r == 0)
		r = put(key, profile->rules.count);
	for (size_t i = 0; r == 0 && i < profile->rules.count; i++)
		r = put_rule(key, &profile->rules.items[i]);
	return r;
}

static int make_key(struct buf *key, const struct spec_seccomp *profile, const struct seccomp_floor *floor)
{
	int r = dl_iterate_phdr(find_build, key) == 1 ? 0 : -ENOENT;

	if (r == 0)
		r = put_profile(key, profile);
	if (r == 0)
		r = put(key, floor->capabilities);
	if (r == 0)
		r = put(key, floor->granted);
	return r == 0 ? put_profile(key, floor->ceiling) : r;
}

static void name_of(const struct buf *key, char name[static NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, "%016llx", (unsigned long long)digest(0xcbf29ce484222325, key->data, key->len));
}

static bool is_own_file(int fd, size_t *ret_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != 0600 ||
	    st.st_nlink != 1 || st.st_size > SECCOMP_CACHE_BYTES_MAX)
		return false;
	*ret_size = (size_t)st.st_size;
	return true;
}

/* The program in an entry's bytes when these are of this key and whole. */
static bool take(const char *bytes, size_t size, const struct buf *key, struct seccomp_program *ret_program)
{
	struct seccomp_program program = {0};
	struct head head;

	if (size < sizeof(head))
		return false;
	memcpy(&head, bytes, sizeof(head));
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || head.key_len != key->len || head.code_len == 0 ||
	    head.code_len > SECCOMP_PROGRAM_MAX || head.notifies > 1 ||
	    size != sizeof(head) + head.key_len + head.code_len * sizeof(struct sock_filter))
		return false;
	if (memcmp(bytes + sizeof(head), key->data, key->len) != 0 ||
	    digest(0, bytes + offsetof(struct head, key_len), size - offsetof(struct head, key_len)) != head.sum)
		return false;
	program.code = malloc(head.code_len * sizeof(*program.code));
	if (!program.code)
		return false;
	memcpy(program.code, bytes + sizeof(head) + head.key_len, head.code_len * sizeof(*program.code));
	program.len = head.code_len;
	program.flags = head.flags;
	program.notifies = head.notifies;
	*ret_program = program;
	return true;
}

static bool load(int cache, const char *name, const struct buf *key, struct seccomp_program *ret_program)
{
	CLEANUP_CLOSE int fd = openat(cache, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	CLEANUP_FREE char *bytes = NULL;
	size_t size;

	if (fd < 0 || !is_own_file(fd, &size))
		return false;
	bytes = malloc(size + 1);
	return bytes && fdio_read_exact(fd, bytes, size) == 0 && take(bytes, size, key, ret_program);
}

/* Takes the oldest entries away, temporary ones of the dead among them, until there is room for one more. */
static void make_room(int cache)
{
	while (true) {
		CLEANUP_CLOSE int fd = openat(cache, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *entries = fd < 0 ? NULL : fdopendir(fd);
		char oldest[NAME_MAX + 1] = "";
		struct timespec age = {0};
		size_t count = 0;
		struct dirent *entry;

		if (!entries)
			return;
		(void)take_fd(&fd);
		while ((entry = readdir(entries)) && count < ENTRIES_SEEN) {
			struct stat st;

			if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..") ||
			    fstatat(cache, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			count++;
			if (!oldest[0] || st.st_mtim.tv_sec < age.tv_sec ||
			    (st.st_mtim.tv_sec == age.tv_sec && st.st_mtim.tv_nsec < age.tv_nsec)) {
				memcpy(oldest, entry->d_name, sizeof(oldest));
				age = st.st_mtim;
			}
		}
		(void)closedir(entries);
		if (count < SECCOMP_CACHE_ENTRIES || unlinkat(cache, oldest, 0) < 0)
			return;
	}
}

static int publish(int cache, const char *name, const struct buf *bytes)
{
	char temporary[NAME_SIZE + 32];
	uint64_t nonce;
	int fd, r;

	/* Each container's first process has the same number. */
	if (getrandom(&nonce, sizeof(nonce), GRND_NONBLOCK) != sizeof(nonce))
		return -EAGAIN;
	(void)snprintf(temporary, sizeof(temporary), ".%s.%016llx", name, (unsigned long long)nonce);
	fd = openat(cache, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fdio_write_all(fd, bytes->data, bytes->len);
	(void)close(fd);
	if (r == 0 && renameat(cache, temporary, cache, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(cache, temporary, 0);
	return r;
}

static int keep(int cache, const char *name, const struct buf *key, const struct seccomp_program *program)
{
	CLEANUP_BUF struct buf bytes = buf_of(SECCOMP_CACHE_BYTES_MAX);
	struct head head = {
		.magic = MAGIC,
		.key_len = (uint32_t)key->len,
		.code_len = (uint32_t)program->len,
		.flags = program->flags,
		.notifies = program->notifies,
	};
	int r = buf_append(&bytes, &head, sizeof(head));

	if (r == 0)
		r = buf_append(&bytes, key->data, key->len);
	if (r == 0)
		r = buf_append(&bytes, program->code, program->len * sizeof(*program->code));
	if (r < 0)
		return r;
	head.sum = digest(0, bytes.data + offsetof(struct head, key_len), bytes.len - offsetof(struct head, key_len));
	memcpy(bytes.data, &head, sizeof(head));
	make_room(cache);
	return publish(cache, name, &bytes);
}

int seccomp_cache_compile(int cache, const struct spec_seccomp *profile, const struct seccomp_floor *floor,
			  struct seccomp_program *ret_program, struct err *err)
{
	CLEANUP_BUF struct buf key = buf_of(SECCOMP_CACHE_BYTES_MAX);
	bool kept = cache >= 0 && make_key(&key, profile, floor) == 0;
	char name[NAME_SIZE];
	int r;

	if (kept) {
		name_of(&key, name);
		if (load(cache, name, &key, ret_program))
			return 0;
	}
	r = profile->present ? seccomp_compile_within(profile, floor, ret_program, err)
			     : seccomp_default(floor, ret_program, err);
	/* What cannot be kept is compiled again next time. */
	if (r == 0 && kept)
		(void)!keep(cache, name, &key, ret_program);
	return r;
}
