/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podrecord.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/str.h"
#include "policy/fields.h"
#include "policy/ticket.h"

#define PODRECORD_BYTES_MAX ((size_t)1024 * 1024)

static const char *const stage_names[] =
	{[PODRECORD_ACCEPTED] = "Accepted", [PODRECORD_STOPPING] = "Stopping", [PODRECORD_FINISHED] = "Finished"};

static const struct policy_field fields[] = {
	{"stage", POLICY_FIELD_STRING, true, 16},  {"address", POLICY_FIELD_INTEGER, true, 0},
	{"range", POLICY_FIELD_INTEGER, true, 0},  {"createdMs", POLICY_FIELD_INTEGER, true, 0},
	{"attached", POLICY_FIELD_TRUE, false, 0}, {"containers", POLICY_FIELD_OBJECT, true, 0},
};

static int write_record(int dir, const struct podrecord *record, struct err *err)
{
	json_t *containers = record->containers ? json_incref(record->containers) : json_object();
	json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:o}", "stage", stage_names[record->stage], "address",
				 (json_int_t)record->address, "range", (json_int_t)record->range, "createdMs",
				 (json_int_t)record->created_ms, "containers", containers);
	CLEANUP_FREE char *text = NULL;

	if (root && (!record->attached || json_object_set_new(root, "attached", json_true()) == 0))
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return err_sys(err, -ENOMEM, "cannot write the record of pod '%s'", record->uid);
	return fdio_replace_file(dir, "record.json", text, strlen(text), 0600, err);
}

static int open_pod(const char *root, const char *uid, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/%s", root, uid);

	return path ? fdio_open_dir(AT_FDCWD, path, ret_fd, err)
		    : err_sys(err, -ENOMEM, "cannot open the record of pod '%s'", uid);
}

int podrecord_create(const char *root, const struct podrecord *record, const struct buf *payload, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/%s", root, record->uid);
	CLEANUP_CLOSE int dir = -1;
	int r;

	if (!path)
		return err_sys(err, -ENOMEM, "cannot write the record of pod '%s'", record->uid);
	r = fdio_mkdir_all(AT_FDCWD, path, 0700, err);
	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, &dir, err);
	if (r == 0)
		r = fdio_replace_file(dir, "payload.json", payload->data, payload->len, 0600, err);
	/* The record comes last: with it the pod counts as accepted. */
	if (r == 0)
		r = write_record(dir, record, err);
	if (r < 0) {
		struct err ignored = {0};

		if (fdio_remove_tree(AT_FDCWD, path, &ignored) < 0)
			(void)err_hint(err, "%s", ignored.msg);
	}
	return r;
}

int podrecord_save(const char *root, const struct podrecord *record, struct err *err)
{
	CLEANUP_CLOSE int dir = -1;
	int r = open_pod(root, record->uid, &dir, err);

	return r < 0 ? r : write_record(dir, record, err);
}

static int parse(struct podrecord *record, const json_t *root, struct err *err)
{
	const char *stage;
	int r = policy_fields_check(root, "record", fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	stage = json_string_value(json_object_get(root, "stage"));
	for (size_t i = 0; i < ARRAY_SIZE(stage_names); i++) {
		if (!str_eq(stage, stage_names[i]))
			continue;
		record->stage = (enum podrecord_stage)i;
		record->address = (uint32_t)json_integer_value(json_object_get(root, "address"));
		record->range = (uint32_t)json_integer_value(json_object_get(root, "range"));
		record->created_ms = json_integer_value(json_object_get(root, "createdMs"));
		record->attached = json_is_true(json_object_get(root, "attached"));
		record->containers = json_deep_copy(json_object_get(root, "containers"));
		return record->containers ? 0 : err_sys(err, -ENOMEM, "cannot read a record");
	}
	return err_set(err, ERR_INVALID, "field 'record.stage' is '%s'", stage);
}

int podrecord_load(const char *root, const char *uid, struct podrecord *record, struct buf *payload, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(PODRECORD_BYTES_MAX);
	CLEANUP_CLOSE int dir = -1;
	json_t *parsed = NULL;
	int r;

	memset(record, 0, sizeof(*record));
	r = str_copy(record->uid, sizeof(record->uid), uid);
	if (r == 0)
		r = open_pod(root, uid, &dir, err);
	if (r == 0)
		r = fdio_read_file(dir, "record.json", &text, err);
	if (r == 0)
		r = policy_fields_load("record", text.data, text.len, &parsed, err);
	if (r == 0)
		r = parse(record, parsed, err);
	if (r == 0 && payload)
		r = fdio_read_file(dir, "payload.json", payload, err);
	json_decref(parsed);
	return r < 0 ? err_prefix(err, "cannot read the record of pod '%s'", uid) : 0;
}

void podrecord_done(struct podrecord *record)
{
	json_decref(record->containers);
	record->containers = NULL;
}

int podrecord_list(const char *root, int (*each)(void *user, const char *uid, struct err *err), void *user,
		   struct err *err)
{
	DIR *dir = opendir(root);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, -errno, "cannot list '%s'", root);
	while (r == 0 && (entry = readdir(dir))) {
		CLEANUP_FREE char *record = NULL;

		if (entry->d_name[0] == '.')
			continue;
		record = str_format("%s/record.json", entry->d_name);
		if (!record)
			r = err_sys(err, -ENOMEM, "cannot list '%s'", root);
		else if (faccessat(dirfd(dir), record, F_OK, 0) == 0)
			r = each(user, entry->d_name, err);
		else
			r = fdio_remove_tree(dirfd(dir), entry->d_name, err);
	}
	(void)closedir(dir);
	return r;
}

int podrecord_remove(const char *root, const char *uid, struct err *err)
{
	CLEANUP_FREE char *record = str_format("%s/%s/record.json", root, uid), *path = str_format("%s/%s", root, uid);

	if (!record || !path)
		return err_sys(err, -ENOMEM, "cannot remove the record of pod '%s'", uid);
	/* Without its record the rest is what podrecord_list sweeps away. */
	if (unlink(record) < 0 && errno != ENOENT)
		return err_sys(err, -errno, "cannot remove '%s'", record);
	return fdio_remove_tree(AT_FDCWD, path, err);
}
