/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "oci/document.h"

#define BLOCK 65536
#define TEMPORARY "blobs/.new"
#define PATH_SIZE 160

static void blob_path(const struct digest *digest, char to[static PATH_SIZE])
{
	char hex[DIGEST_TEXT_SIZE];

	digest_hex(digest, hex);
	(void)snprintf(to, PATH_SIZE, "blobs/%s/%s", digest_algorithm_name(digest->algorithm), hex);
}

static int make(struct layout *layout, struct err *err)
{
	static const char text[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	int r = fdio_mkdir_all(layout->dir, "blobs/sha256", 0755, err);

	if (r == 0)
		r = fdio_mkdir_all(layout->dir, "blobs/sha512", 0755, err);
	if (r == 0)
		r = fdio_replace_file(layout->dir, "oci-layout", text, strlen(text), 0644, err);
	layout->manifests = json_array();
	return r == 0 && !layout->manifests ? err_set(err, -ENOMEM, "out of memory") : r;
}

static int read_index(struct layout *layout, struct err *err)
{
	struct buf text CLEANUP_BUF = buf_of(MANIFEST_BYTES_MAX);
	json_t *root;
	int r = fdio_read_file(layout->dir, "index.json", &text, err);

	if (r == 0)
		r = document_parse(text.data ? text.data : "", text.len, MANIFEST_BYTES_MAX, &root, err);
	if (r < 0)
		return err_prefix(err, "index.json");
	layout->manifests = json_incref(json_object_get(root, "manifests"));
	json_decref(root);
	return json_is_array(layout->manifests) ? 0 : err_set(err, ERR_INVALID, "index.json: manifests is not a list");
}

static int open_layout(const char *path, bool create, struct layout *layout, struct err *err)
{
	int r = create ? fdio_mkdir_all(AT_FDCWD, path, 0755, err) : 0;

	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, &layout->dir, err);
	if (r < 0)
		return r;
	if (create && faccessat(layout->dir, "index.json", F_OK, 0) < 0)
		return make(layout, err);
	if (faccessat(layout->dir, "oci-layout", F_OK, 0) < 0)
		return err_set(err, ERR_INVALID, "it has no file 'oci-layout'");
	return read_index(layout, err);
}

int layout_open(const char *path, bool create, struct layout *ret_layout, struct err *err)
{
	struct layout layout CLEANUP_LAYOUT = LAYOUT_NONE;

	if (open_layout(path, create, &layout, err) < 0)
		return err_prefix(err, "image layout '%.200s'", path);
	*ret_layout = layout;
	layout = LAYOUT_NONE;
	return 0;
}

void layout_close(struct layout *layout)
{
	if (layout->dir >= 0)
		(void)close(layout->dir);
	json_decref(layout->manifests);
	*layout = LAYOUT_NONE;
}

bool layout_has(const struct layout *layout, const struct digest *digest)
{
	char path[PATH_SIZE];

	blob_path(digest, path);
	return faccessat(layout->dir, path, F_OK, 0) == 0;
}

int layout_begin(const struct layout *layout, int *ret_fd, struct err *err)
{
	*ret_fd = openat(layout->dir, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	return *ret_fd < 0 ? err_sys(err, -errno, "cannot write the image layout") : 0;
}

int layout_commit(const struct layout *layout, int fd, const struct digest *digest, struct err *err)
{
	char path[PATH_SIZE];

	blob_path(digest, path);
	if (fsync(fd) < 0 || renameat(layout->dir, TEMPORARY, layout->dir, path) < 0)
		return err_sys(err, -errno, "cannot write '%s'", path);
	return 0;
}

static int verify(int fd, const struct digest *digest, uint64_t size, struct err *err)
{
	struct digest_stream *stream CLEANUP(cleanup_digest_stream) = NULL;
	char block[BLOCK];
	uint64_t left = size;
	ssize_t n = 1;
	int r = digest_stream_new(digest->algorithm, &stream);

	while (r == 0 && (n = read(fd, block, sizeof(block))) > 0) {
		if ((uint64_t)n > left)
			return err_set(err, ERR_CORRUPT, "it is longer than its descriptor says");
		left -= (uint64_t)n;
		r = digest_stream_update(stream, block, (size_t)n);
	}
	if (r < 0 || n < 0)
		return err_sys(err, r < 0 ? r : -errno, "cannot read it");
	if (left)
		return err_set(err, ERR_CORRUPT, "it is shorter than its descriptor says");
	r = digest_stream_verify(stream, digest, err);
	return r == 0 && lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, -errno, "cannot read it") : r;
}

int layout_open_blob(const struct layout *layout, const struct digest *digest, uint64_t size, int *ret_fd,
		     struct err *err)
{
	char path[PATH_SIZE];
	int fd CLEANUP_CLOSE = -1;

	blob_path(digest, path);
	fd = openat(layout->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "the image layout has no '%s'", path)
				       : err_sys(err, -errno, "cannot open '%s'", path);
	if (verify(fd, digest, size, err) < 0)
		return err_prefix(err, "'%s'", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Whether an entry of index.json is what is added again: the same tag, or no tag and the same digest. */
static bool is_same(const json_t *entry, const char *digest, const char *tag)
{
	const char *name = json_string_value(json_object_get(json_object_get(entry, "annotations"), LAYOUT_REF_NAME));
	const char *known = json_string_value(json_object_get(entry, "digest"));

	if (tag)
		return name && str_eq(name, tag);
	return !name && known && str_eq(known, digest);
}

int layout_add(struct layout *layout, const struct digest *digest, const char *type, uint64_t size, const char *tag,
	       struct err *err)
{
	char text[DIGEST_TEXT_SIZE];
	json_t *entry;
	int r;

	digest_format(digest, text);
	for (size_t i = json_array_size(layout->manifests); i-- > 0;)
		if (is_same(json_array_get(layout->manifests, i), text, tag))
			(void)json_array_remove(layout->manifests, i);
	entry = json_pack("{s:s,s:s,s:I}", "mediaType", type, "digest", text, "size", (json_int_t)size);
	r = entry ? 0 : -ENOMEM;
	if (r == 0 && tag)
		r = json_object_set_new(entry, "annotations", json_pack("{s:s}", LAYOUT_REF_NAME, tag));
	if (r == 0)
		r = json_array_append(layout->manifests, entry);
	json_decref(entry);
	return r < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

int layout_save(const struct layout *layout, struct err *err)
{
	json_t *index = json_pack("{s:i,s:s,s:O}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX, "manifests",
				  layout->manifests);
	char *text = index ? json_dumps(index, JSON_INDENT(2)) : NULL;
	int r = text ? fdio_replace_file(layout->dir, "index.json", text, strlen(text), 0644, err)
		     : err_set(err, -ENOMEM, "out of memory");

	free(text);
	json_decref(index);
	return r;
}
