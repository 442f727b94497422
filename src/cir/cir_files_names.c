/* SPDX-License-Identifier: Apache-2.0 */
/* Tags and referrers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cir/cir_files.h"
#include "cir/cir_files_internal.h"

/* --- tags --- */

static int tag_failed(struct err *err, int code, const char *repository, const char *tag)
{
	if (code == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, "tag '%s' is not in repository '%s'", tag, repository);
	return err_sys(err, code, "tag '%s' of repository '%s'", tag, repository);
}

int cir_files_tag_read(const struct cir_files *files, const char *repository, const char *tag,
		       struct digest *ret_digest, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(DIGEST_TEXT_SIZE);
	char path[CIR_PATH_SIZE];
	int r;

	cir_files_path(path, repository, "_tags", tag, NULL);
	r = cir_files_get_file(files->repositories, path, &text);
	if (r < 0)
		return tag_failed(err, r, repository, tag);
	return digest_parse(text.len ? text.data : "", ret_digest, err) < 0
		       ? err_set(err, ERR_CORRUPT, "tag '%s' of repository '%s' is damaged", tag, repository)
		       : 0;
}

static int no_move(struct err *err, const char *repository, const char *tag)
{
	return err_set(err, ERR_EXISTS, "tag '%s' of repository '%s' is immutable", tag, repository);
}

/* A tag that is not there yet: 1 when it was made, 0 when another made it meanwhile. */
static int make_tag(const struct cir_files *files, const char *repository, const char *tag, const char *text,
		    struct err *err)
{
	char path[CIR_PATH_SIZE];
	int r = cir_quota_take(files->quota, repository, 0, 1, err);

	if (r < 0)
		return r;
	cir_files_path(path, repository, "_tags", tag, NULL);
	r = cir_files_put_new(files, files->repositories, path, text, strlen(text));
	if (r != 1)
		cir_quota_give(files->quota, repository, 0, 1);
	return r < 0 ? tag_failed(err, r, repository, tag) : r;
}

int cir_files_tag_write(const struct cir_files *files, const char *repository, const char *tag,
			const struct digest *digest, bool may_move, struct err *err)
{
	char path[CIR_PATH_SIZE], text[DIGEST_TEXT_SIZE];
	struct digest old;
	int r;

	digest_format(digest, text);
	r = cir_files_tag_read(files, repository, tag, &old, err);
	if (r == ERR_NOT_FOUND) {
		r = make_tag(files, repository, tag, text, err);
		if (r != 0)
			return r < 0 ? r : 0;
		r = cir_files_tag_read(files, repository, tag, &old, err);
	}
	if (r == 0 && digest_equal(&old, digest))
		return 0;
	if (!may_move)
		return r < 0 && r != ERR_CORRUPT ? r : no_move(err, repository, tag);
	cir_files_path(path, repository, "_tags", tag, NULL);
	r = cir_files_put_file(files, files->repositories, path, text, strlen(text));
	cir_cache_forget(files->cache, repository, tag);
	return r < 0 ? tag_failed(err, r, repository, tag) : 0;
}

int cir_files_tag_remove(const struct cir_files *files, const char *repository, const char *tag, struct err *err)
{
	char path[CIR_PATH_SIZE];
	int r;

	cir_files_path(path, repository, "_tags", tag, NULL);
	r = cir_files_remove_file(files->repositories, path);
	cir_cache_forget(files->cache, repository, tag);
	if (r == 0)
		cir_quota_give(files->quota, repository, 0, 1);
	return r < 0 ? tag_failed(err, r, repository, tag) : 0;
}

/* --- referrers --- */

static void referrer_path(char to[static CIR_PATH_SIZE], const char *repository, const struct digest *subject,
			  const char *name)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(subject, text);
	cir_files_path(to, repository, "_referrers", text, name);
}

int cir_files_referrer_write(const struct cir_files *files, const char *repository, const struct digest *subject,
			     const struct digest *digest, const char *descriptor, struct err *err)
{
	char path[CIR_PATH_SIZE], name[DIGEST_TEXT_SIZE];
	int r;

	digest_format(digest, name);
	referrer_path(path, repository, subject, name);
	r = cir_files_put_file(files, files->repositories, path, descriptor, strlen(descriptor));
	return r < 0 ? cir_files_failed(err, r, "referrer", repository, digest) : 0;
}

int cir_files_referrer_remove(const struct cir_files *files, const char *repository, const struct digest *subject,
			      const struct digest *digest, struct err *err)
{
	char path[CIR_PATH_SIZE], name[DIGEST_TEXT_SIZE];
	int r;

	digest_format(digest, name);
	referrer_path(path, repository, subject, name);
	r = cir_files_remove_file(files->repositories, path);
	return r < 0 && r != -ENOENT ? cir_files_failed(err, r, "referrer", repository, digest) : 0;
}

int cir_files_referrer_read(const struct cir_files *files, const char *repository, const struct digest *subject,
			    const char *name, struct buf *to, struct err *err)
{
	char path[CIR_PATH_SIZE];
	int r;

	referrer_path(path, repository, subject, name);
	r = cir_files_get_file(files->repositories, path, to);
	return r < 0 ? cir_files_failed(err, r, "referrers of", repository, subject) : 0;
}
