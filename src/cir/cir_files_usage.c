/* SPDX-License-Identifier: Apache-2.0 */
/* What the stored things are charged for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cir/cir_files.h"
#include "cir/cir_files_internal.h"

uint64_t cir_files_mark_size(const struct cir_files *files, const char *path)
{
	CLEANUP_BUF struct buf text = buf_of(CIR_MEDIA_TYPE_SIZE + 24);
	uint64_t size;

	if (cir_files_get_file(files->repositories, path, &text) < 0 || !text.len)
		return 0;
	text.data[strcspn(text.data, " ")] = '\0';
	return str_parse_u64(text.data, INT64_MAX, &size) < 0 ? 0 : size;
}

struct charge {
	const struct cir_files *files;
	const char *repository, *folder;
};

static int charge_mark(const char *name, void *user)
{
	const struct charge *charge = user;
	char path[CIR_PATH_SIZE];

	if (strlen(name) >= DIGEST_TEXT_SIZE)
		return 0; /* nothing of ours */
	cir_files_path(path, charge->repository, charge->folder, name, NULL);
	return cir_quota_found(charge->files->quota, charge->repository, cir_files_mark_size(charge->files, path), 1);
}

static int charge_tag(const char *name, void *user)
{
	const struct charge *charge = user;

	(void)name;
	return cir_quota_found(charge->files->quota, charge->repository, 0, 1);
}

static int charge_repository(const char *repository, void *user)
{
	struct charge *charge = user;
	int r;

	charge->repository = repository;
	charge->folder = "_blobs";
	r = cir_files_each_name(charge->files, repository, charge->folder, charge_mark, charge);
	charge->folder = "_manifests";
	if (r == 0)
		r = cir_files_each_name(charge->files, repository, charge->folder, charge_mark, charge);
	return r < 0 ? r : cir_files_each_name(charge->files, repository, "_tags", charge_tag, charge);
}

int cir_files_charge_all(const struct cir_files *files, struct err *err)
{
	struct charge charge = {.files = files};
	int r = cir_files_each_repository(files, charge_repository, &charge);

	return r < 0 ? err_sys(err, r, "cannot sum up what is stored") : 0;
}
