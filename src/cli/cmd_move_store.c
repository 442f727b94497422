/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/paths.h"
#include "base/str.h"
#include "cli/command.h"
#include "store/move.h"

#define CONFIG_MAX ((size_t)256 * 1024)
#define KEY_MAX ((size_t)256 * 1024)
#define PREFIX "/bulkhead/"
#define STATE "state.db"

static const char *root, *prefix, *ca, *certificate, *key;
static const char *endpoint_items[STORE_ENDPOINTS_MAX];
static struct option_list endpoints = {.items = endpoint_items, .most = STORE_ENDPOINTS_MAX};

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"endpoint", 0, "URL", "a member of etcd; may be given several times", NULL, NULL, &endpoints},
	{"prefix", 0, "TEXT", "what all keys in etcd begin with (" PREFIX ")", &prefix, NULL},
	{"ca", 0, "FILE", "the CA that etcd's certificates verify against (the cluster's)", &ca, NULL},
	{"certificate", 0, "FILE", "the certificate that is shown to etcd", &certificate, NULL},
	{"key", 0, "FILE", "its key", &key, NULL},
};

static const struct option_command options = {
	.program = "bulkhead move-store",
	.summary =
		"Moves the state of a CISM that does not run from its SQLite file to etcd, compares both by counting "
		"and digest, and has the CISM use etcd from then on.",
	.footer = "The file stays as state.db.moved. A move that was cut off is begun again by\n"
		  "the same command. Revisions begin anew: who watches lists again.\n",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

/* PEM texts of the files given. */
struct texts {
	char *ca, *certificate, *key;
};

static void texts_done(struct texts *texts)
{
	free(texts->ca);
	free(texts->certificate);
	if (texts->key)
		explicit_bzero(texts->key, strlen(texts->key));
	free(texts->key);
}

static int read_text(const char *path, size_t max, char **ret_text, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(max);
	int r = path ? fdio_read_file(AT_FDCWD, path, &text, err) : 0;

	if (r < 0 || !path)
		return r;
	*ret_text = buf_steal(&text);
	return *ret_text ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int open_target(const struct paths *paths, struct texts *texts, struct store **ret_store, struct err *err)
{
	char *cluster_ca CLEANUP_FREE = str_format("%s/pki/ca.pem", paths->etc);
	struct store_etcd_config config = {.endpoints = endpoint_items, .endpoint_count = endpoints.count};
	int r = cluster_ca ? read_text(ca ? ca : cluster_ca, KEY_MAX, &texts->ca, err)
			   : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = read_text(certificate, KEY_MAX, &texts->certificate, err);
	if (r == 0)
		r = read_text(key, KEY_MAX, &texts->key, err);
	config.prefix = prefix ? prefix : PREFIX;
	config.ca = texts->ca;
	config.certificate = texts->certificate;
	config.key = texts->key;
	return r == 0 ? store_etcd_open(&config, NULL, ret_store, err) : r;
}

/* The file must be there: opening it would make it. */
static int open_source(const struct paths *paths, int *ret_folder, struct store **ret_store, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/cism", paths->state);
	struct stat there;
	int r;

	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	r = fdio_open_dir(AT_FDCWD, path, ret_folder, err);
	if (r == -ENOENT || (r == 0 && fstatat(*ret_folder, STATE, &there, AT_SYMLINK_NOFOLLOW) < 0))
		return err_set(err, ERR_NOT_FOUND, "there is nothing to move: '%s/" STATE "' does not exist", path);
	return r == 0 ? store_sqlite_open(*ret_folder, STATE, ret_store, err) : r;
}

/* --- the configuration --- */

static int add_text(json_t *to, const char *name, const char *path)
{
	char *whole CLEANUP_FREE = path ? realpath(path, NULL) : NULL;

	return path ? json_object_set_new(to, name, json_string(whole ? whole : path)) : 0;
}

static json_t *store_of_options(void)
{
	json_t *list = json_array();
	json_t *etcd = json_pack("{s:o}", "endpoints", list);
	int r = etcd ? 0 : -1;

	for (size_t i = 0; r == 0 && i < endpoints.count; i++)
		r = json_array_append_new(list, json_string(endpoint_items[i]));
	if (r == 0 && prefix)
		r = json_object_set_new(etcd, "prefix", json_string(prefix));
	if (r < 0 || add_text(etcd, "ca", ca) < 0 || add_text(etcd, "certificate", certificate) < 0 ||
	    add_text(etcd, "key", key) < 0) {
		json_decref(etcd);
		return NULL;
	}
	return json_pack("{s:o}", "etcd", etcd);
}

static int read_config(const struct paths *paths, char **ret_path, json_t **ret_config, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/cism.json", paths->etc);
	char *text CLEANUP_FREE = NULL;
	json_t *config;
	int r = path ? read_text(path, CONFIG_MAX, &text, err) : err_set(err, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(config) || json_object_get(config, "store")) {
		r = json_is_object(config) ? err_set(err, ERR_EXISTS, "'%s' names a store already", path)
					   : err_set(err, ERR_SYNTAX, "'%s' is no JSON object", path);
		json_decref(config);
		return r;
	}
	*ret_path = take_ptr(path);
	*ret_config = config;
	return 0;
}

static int write_config(const char *path, json_t *config, struct err *err)
{
	json_t *store = store_of_options();
	char *text CLEANUP_FREE = NULL;
	struct stat before;

	if (!store || json_object_set_new(config, "store", store) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	text = json_dumps(config, JSON_INDENT(2));
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	if (stat(path, &before) < 0)
		return err_sys(err, -errno, "cannot read '%s'", path);
	return fdio_replace_file(AT_FDCWD, path, text, strlen(text), before.st_mode & 0777, err);
}

static int put_away(int folder, struct err *err)
{
	if (renameat(folder, STATE, folder, STATE ".moved") < 0)
		return err_sys(err, -errno, "cannot rename '" STATE "'");
	return 0;
}

/* --- the move --- */

/* The state here is held until nothing leads to it any more: a CISM that is started meanwhile finds it in use. */
static int move_all(const struct paths *paths, const char *path, json_t *config, struct move_report *report,
		    struct err *err)
{
	struct texts texts CLEANUP(texts_done) = {0};
	struct store *from = NULL, *to = NULL;
	int folder CLEANUP_CLOSE = -1;
	int r = open_source(paths, &folder, &from, err);

	if (r == 0)
		r = open_target(paths, &texts, &to, err);
	if (r == 0)
		r = move_store(from, to, report, err);
	if (r == 0)
		r = write_config(path, config, err);
	if (r == 0)
		r = put_away(folder, err);
	store_close(to);
	store_close(from);
	return r;
}

static int run(int argc, char **argv, struct err *err)
{
	json_t *config = NULL;
	char *path CLEANUP_FREE = NULL;
	struct move_report report;
	struct paths paths;
	int r = paths_init(&paths, root, err);

	(void)argc;
	(void)argv;
	if (r == 0 && !endpoints.count)
		r = err_set(err, ERR_INVALID, "option --endpoint is missing");
	if (r == 0 && !certificate != !key)
		r = err_set(err, ERR_INVALID, "--certificate goes with --key");
	if (r == 0)
		r = read_config(&paths, &path, &config, err);
	if (r == 0)
		r = move_all(&paths, path, config, &report, err);
	json_decref(config);
	if (r == 0)
		(void)printf("moved  %zu keys, %llu bytes, sha256 %s\n", report.keys, (unsigned long long)report.bytes,
			     report.sha256);
	return r;
}

const struct command cmd_move_store = {"move-store", &options, run};
