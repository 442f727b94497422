/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_collect.h"

#include <errno.h>
#include <fcntl.h>

#include "base/crashpoint.h"
#include "cir/cir_digestset.h"
#include "cir/cir_files_internal.h"
#include "oci/manifest.h"

struct run {
	const struct cir_files *files;
	const _Atomic bool *stop;
	int64_t before_s;           /* what changed later stays */
	struct cir_digestset keep;  /* contents that are named anywhere */
	const char *repository;     /* in work, and of it: */
	struct cir_digestset named; /* by its manifests */
	bool damaged, dropped;
	struct cir_collected collected;
	struct err *err;
};

static int no_memory(const struct run *run, int code)
{
	return err_sys(run->err, code, "cannot remember what is needed");
}

static int keep(struct run *run, const struct digest *digest)
{
	int r = cir_digestset_add(&run->keep, digest);

	return r < 0 ? no_memory(run, r) : 0;
}

static int keep_named(struct run *run, const struct digest *digest)
{
	int r = cir_digestset_add(&run->named, digest);

	return r < 0 ? no_memory(run, r) : keep(run, digest);
}

static int read_names(struct run *run, const struct manifest *manifest)
{
	int r = manifest->kind == MANIFEST_IMAGE ? keep_named(run, &manifest->config.digest) : 0;

	for (size_t i = 0; r == 0 && i < manifest->entry_count; i++)
		r = keep_named(run, &manifest->entries[i].digest);
	return r;
}

/* Whether the error says that the manifest itself is not whole, and not that the machine could not read it now. */
static bool is_damage(int code)
{
	return code == ERR_CORRUPT || code == ERR_NOT_FOUND || code == -EIO || code == ERR_TOO_LARGE;
}

static int read_manifest(const char *name, void *user)
{
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	CLEANUP_MANIFEST struct manifest manifest = {0};
	char type[CIR_MEDIA_TYPE_SIZE];
	struct run *run = user;
	struct digest digest;
	int r;

	if (digest_parse(name, &digest, NULL) < 0)
		return 0;
	r = keep(run, &digest);
	if (r < 0)
		return r;
	r = cir_files_manifest_read(run->files, run->repository, &digest, &bytes, type, run->err);
	if (r == 0)
		r = manifest_parse(bytes.data ? bytes.data : "", bytes.len, type, &manifest, run->err);
	else if (!is_damage(r))
		return r;
	if (r == -ENOMEM)
		return r;
	if (r == 0)
		return read_names(run, &manifest);
	/* In doubt the repository keeps all it has; a manifest that was deleted meanwhile is none. */
	run->damaged |= cir_files_manifest_exists(run->files, run->repository, &digest);
	return 0;
}

static int drop_mark(const char *name, void *user)
{
	struct run *run = user;
	struct digest digest;
	int r = 0;

	if (atomic_load(run->stop))
		return 1;
	if (digest_parse(name, &digest, NULL) < 0)
		return 0;
	if (!run->damaged && !cir_digestset_has(&run->named, &digest))
		r = cir_files_blob_drop(run->files, run->repository, &digest, run->before_s, run->err);
	if (r <= 0)
		return r < 0 ? r : keep(run, &digest);
	run->collected.marks++;
	run->dropped = true;
	crashpoint("cir-mark-dropped");
	return 0;
}

/* Contents go only after the names that went are gone from the disk. */
static int sync_marks(struct run *run)
{
	char path[CIR_PATH_SIZE];
	int r;

	if (!run->dropped)
		return 0;
	cir_files_path(path, run->repository, "_blobs", "any", NULL);
	r = cir_files_sync_parent(run->files->repositories, path);
	return r < 0 ? err_sys(run->err, r, "repository '%s'", run->repository) : 0;
}

static int collect_repository(const char *repository, void *user)
{
	struct run *run = user;
	int r;

	if (atomic_load(run->stop))
		return 1;
	run->repository = repository;
	run->damaged = run->dropped = false;
	cir_digestset_done(&run->named);
	r = cir_files_each_name(run->files, repository, "_manifests", read_manifest, run);
	if (r == 0)
		r = cir_files_each_name(run->files, repository, "_blobs", drop_mark, run);
	if (r == 0)
		r = sync_marks(run);
	run->collected.damaged += run->damaged;
	return r;
}

static int drop_contents(const struct digest *digest, void *user)
{
	CLEANUP_CLOSE int fd = -1;
	struct run *run = user;
	struct stat status;
	int r;

	if (atomic_load(run->stop))
		return 1;
	if (cir_digestset_has(&run->keep, digest))
		return 0;
	r = cir_files_contents_open(run->files, digest, &fd, &status, run->err);
	if (r == 0)
		r = cir_files_contents_drop(run->files, digest, run->before_s, run->err);
	if (r <= 0)
		return r == ERR_NOT_FOUND ? 0 : r;
	run->collected.contents++;
	run->collected.bytes += (uint64_t)status.st_size;
	crashpoint("cir-contents-dropped");
	return 0;
}

int cir_collect(const struct cir_files *files, const _Atomic bool *stop, struct cir_collected *ret_collected,
		struct err *err)
{
	struct err failure = {0};
	struct run run = {
		.files = files,
		.stop = stop,
		.before_s = cir_guard_now_s(files->guard) - cir_guard_grace(files->guard),
		.err = &failure,
	};
	int r;

	cir_guard_age(files->guard);
	r = cir_files_each_repository(files, collect_repository, &run);
	if (r == 0)
		r = cir_files_each_contents(files, drop_contents, &run);
	cir_digestset_done(&run.keep);
	cir_digestset_done(&run.named);
	*ret_collected = run.collected;
	if (r >= 0)
		return 0;
	return failure.code == r ? err_set(err, r, "%s", failure.msg) : err_sys(err, r, "cannot read the folders");
}
