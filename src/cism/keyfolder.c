/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/keyfolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/str.h"
#include "crypto/jwe.h"
#include "crypto/key.h"
#include "crypto/token.h"

#define FILE_MAX ((size_t)64 << 10)
#define PATH_SIZE 600

CLEANUP_DEFINE(dir, DIR *, closedir)

static void wipe_buf(struct buf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->cap);
	buf_done(buf);
}
#define CLEANUP_SECRET_BUF CLEANUP(wipe_buf)

/* Whoever else could read a key has it, and whoever could write one could make this process use his. */
static int check_owner(int fd, mode_t type, mode_t forbidden, struct err *err)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return err_sys(err, -errno, "cannot look at it");
	if ((status.st_mode & S_IFMT) != type)
		return err_set(err, ERR_DENIED, "it is not a %s", type == S_IFDIR ? "folder" : "regular file");
	if ((status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & forbidden))
		return err_set(err, ERR_DENIED, "it is not root's alone (owner %u, mode %03o)", status.st_uid,
			       status.st_mode & 07777);
	return 0;
}

static int read_secret(int dir, const char *name, struct buf *to, struct err *err)
{
	CLEANUP_CLOSE int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_sys(err, -errno, "cannot open it");
	r = check_owner(fd, S_IFREG, 077, err);
	if (r == 0) {
		r = fdio_read_all(fd, to);
		r = r < 0 ? err_sys(err, r, "cannot read it") : 0;
	}
	while (r == 0 && to->len && strchr("\r\n", to->data[to->len - 1]))
		to->data[--to->len] = '\0';
	if (r == 0 && strlen(to->data ? to->data : "") != to->len)
		r = err_set(err, ERR_SYNTAX, "it is no text");
	return r;
}

static int read_pem(const char *text, size_t len, struct keyfolder *to, struct err *err)
{
	return unwrap_key_parse(text, len, &to->keys[to->key_count], err);
}

static int read_uri(const char *text, size_t len, struct keyfolder *to, struct err *err)
{
	(void)len;
	return token_key_open(text, &to->keys[to->key_count], err);
}

static const struct {
	const char *suffix;
	int (*read)(const char *text, size_t len, struct keyfolder *to, struct err *err); /* NULL: not here */
} rows[] = {
	{".pem", read_pem}, {".pkcs11", read_uri}, {".pin", NULL}, {"cache.key", NULL}, {"cache.jwe", NULL},
};

static int read_entry(int dir, const char *name, struct keyfolder *to, struct err *err)
{
	CLEANUP_SECRET_BUF struct buf text = buf_of(FILE_MAX);
	size_t i = 0;
	int r;

	while (i < ARRAY_SIZE(rows) && !str_ends(name, rows[i].suffix))
		i++;
	if (i == ARRAY_SIZE(rows))
		return err_set(err, ERR_INVALID, "its name ends with none of '.pem', '.pkcs11' and '.pin'");
	if (!rows[i].read)
		return 0;
	if (to->key_count == KEYFOLDER_KEYS_MAX)
		return err_set(err, ERR_TOO_LARGE, "a domain has at most %d keys", KEYFOLDER_KEYS_MAX);
	r = read_secret(dir, name, &text, err);
	if (r == 0)
		r = rows[i].read(text.data ? text.data : "", text.len, to, err);
	if (r == 0)
		to->key_count++;
	return r;
}

static int read_entries(int dir, const char *path, struct keyfolder *to, struct err *err)
{
	int copy = dup(dir), r = 0;
	CLEANUP(cleanup_dir) DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!stream) {
		r = -errno;
		if (copy >= 0)
			(void)close(copy);
		return err_sys(err, r, "cannot list '%s'", path);
	}
	while (r == 0 && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		r = read_entry(dir, entry->d_name, to, err);
		if (r < 0)
			r = err_prefix(err, "'%s/%.255s'", path, entry->d_name);
	}
	return r;
}

static int open_wrapped(const char *text, size_t len, struct keyfolder *to, struct err *err)
{
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	size_t got = 0;
	int r = jwe_parse(text, len, &jwe, err);

	if (r == 0)
		r = jwe_open(jwe, to->keys, to->key_count, to->cache_key, sizeof(to->cache_key), &got, err);
	return r < 0 || got == sizeof(to->cache_key) ? r : err_set(err, ERR_INVALID, "it holds %zu bytes, not 32", got);
}

static int decode_key(const char *text, size_t len, struct keyfolder *to, struct err *err)
{
	CLEANUP_SECRET_BUF struct buf bytes = buf_of(sizeof(to->cache_key) + 3);

	if (crypto_unbase64(&bytes, text, len) < 0 || bytes.len != sizeof(to->cache_key))
		return err_set(err, ERR_SYNTAX, "it is not base64 of 32 bytes");
	memcpy(to->cache_key, bytes.data, sizeof(to->cache_key));
	return 0;
}

static int read_cache_key(int dir, const char *path, struct keyfolder *to, struct err *err)
{
	CLEANUP_SECRET_BUF struct buf text = buf_of(FILE_MAX);
	struct stat status;
	bool plain = fstatat(dir, "cache.key", &status, AT_SYMLINK_NOFOLLOW) == 0;
	const char *name = plain ? "cache.key" : "cache.jwe";
	int r = read_secret(dir, name, &text, err);

	if (r == -ENOENT) {
		(void)err_set(err, ERR_NOT_FOUND, "'%s' has neither 'cache.key' nor 'cache.jwe'", path);
		return err_hint(err, "put base64 of 32 random bytes there: 'openssl rand -base64 32'");
	}
	if (r == 0)
		r = plain ? decode_key(text.data, text.len, to, err) : open_wrapped(text.data, text.len, to, err);
	return r < 0 ? err_prefix(err, "'%s/%s'", path, name) : 0;
}

int keyfolder_read(int etc, const char *domain, struct keyfolder *ret_folder, struct err *err)
{
	CLEANUP_KEYFOLDER struct keyfolder folder = {0};
	CLEANUP_CLOSE int dir = -1;
	char path[PATH_SIZE];
	int r;

	if (!str_is_dns_subdomain(domain))
		return err_set(err, ERR_INVALID, "'%.253s' is not the name of a trust domain", domain);
	(void)snprintf(path, sizeof(path), KEYFOLDER_PATH "/%s", domain);
	dir = openat(etc, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "folder 'etc/bulkhead/%s' is not there", path);
	r = dir < 0 ? err_sys(err, -errno, "cannot open it") : check_owner(dir, S_IFDIR, 022, err);
	if (r < 0)
		return err_prefix(err, "'%s'", path);
	r = read_entries(dir, path, &folder, err);
	if (r == 0)
		r = read_cache_key(dir, path, &folder, err);
	if (r < 0)
		return r;
	*ret_folder = folder;
	explicit_bzero(&folder, sizeof(folder));
	return 0;
}

void keyfolder_done(struct keyfolder *folder)
{
	for (size_t i = 0; i < folder->key_count; i++)
		unwrap_key_free(folder->keys[i]);
	explicit_bzero(folder, sizeof(*folder));
}
