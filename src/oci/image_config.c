/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/image_config.h"

#include <errno.h>

#include "base/str.h"
#include "oci/document.h"

static int read_environment(const json_t *object, struct image_config *config, struct err *err)
{
	int r = document_strings(object, "config.", "Env", IMAGE_CONFIG_STRINGS_MAX, &config->environment,
				 &config->environment_count, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < config->environment_count; i++) {
		const char *equals = strchr(config->environment[i], '=');

		if (!equals || equals == config->environment[i])
			return err_set(err, ERR_INVALID, "config.Env[%zu] '%.100s' is not 'NAME=value'", i,
				       config->environment[i]);
	}
	return 0;
}

static int read_process(const json_t *object, struct image_config *config, struct err *err)
{
	static const char where[] = "config.";
	int r;

	if (object && !json_is_null(object) && !json_is_object(object))
		return err_set(err, ERR_INVALID, "config is not an object");
	r = document_strings(object, where, "Entrypoint", IMAGE_CONFIG_STRINGS_MAX, &config->entrypoint,
			     &config->entrypoint_count, err);
	if (r == 0)
		r = document_strings(object, where, "Cmd", IMAGE_CONFIG_STRINGS_MAX, &config->command,
				     &config->command_count, err);
	if (r == 0)
		r = read_environment(object, config, err);
	if (r == 0)
		r = document_string(object, where, "WorkingDir", false, &config->working_dir, err);
	if (r == 0)
		r = document_string(object, where, "User", false, &config->user, err);
	if (r == 0)
		r = document_string(object, where, "StopSignal", false, &config->stop_signal, err);
	if (r < 0)
		return r;
	if (config->working_dir && !*config->working_dir)
		config->working_dir = NULL;
	if (config->working_dir && config->working_dir[0] != '/')
		return err_set(err, ERR_INVALID, "config.WorkingDir '%.100s' is not absolute", config->working_dir);
	if (config->user && !*config->user)
		config->user = NULL;
	return 0;
}

static int read_rootfs(const json_t *root, struct image_config *config, struct err *err)
{
	const json_t *rootfs = json_object_get(root, "rootfs");
	CLEANUP_FREE const char **list = NULL;
	const char *type;
	size_t count;
	int r;

	if (!json_is_object(rootfs))
		return err_set(err, ERR_INVALID, "rootfs is not an object");
	r = document_string(rootfs, "rootfs.", "type", true, &type, err);
	if (r < 0)
		return r;
	if (!str_eq(type, "layers"))
		return err_set(err, ERR_INVALID, "rootfs.type is '%.100s', not 'layers'", type);
	r = document_strings(rootfs, "rootfs.", "diff_ids", IMAGE_CONFIG_LAYERS_MAX, &list, &count, err);
	if (r < 0)
		return r;
	config->diff_ids = calloc(count + 1, sizeof(*config->diff_ids));
	if (!config->diff_ids)
		return err_sys(err, -ENOMEM, "cannot read rootfs.diff_ids");
	for (size_t i = 0; i < count; i++) {
		r = digest_parse(list[i], &config->diff_ids[i], err);
		if (r < 0)
			return err_prefix(err, "rootfs.diff_ids[%zu]", i);
	}
	config->diff_id_count = count;
	return 0;
}

int image_config_parse(const char *bytes, size_t len, struct image_config *ret_config, struct err *err)
{
	struct image_config config = {0};
	int r = document_parse(bytes, len, IMAGE_CONFIG_BYTES_MAX, &config.document, err);

	if (r == 0)
		r = document_string(config.document, "", "os", true, &config.os, err);
	if (r == 0)
		r = document_string(config.document, "", "architecture", true, &config.architecture, err);
	if (r == 0)
		r = read_process(json_object_get(config.document, "config"), &config, err);
	if (r == 0)
		r = read_rootfs(config.document, &config, err);
	if (r < 0) {
		image_config_done(&config);
		return err_prefix(err, "image configuration");
	}
	*ret_config = config;
	return 0;
}

void image_config_done(struct image_config *config)
{
	free(config->entrypoint);
	free(config->command);
	free(config->environment);
	free(config->diff_ids);
	json_decref(config->document);
	*config = (struct image_config){0};
}

int image_config_ids(const struct image_config *config, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
	const char *user = config->user ? config->user : "0";
	const char *colon = strchr(user, ':');
	char first[8] = "";
	uint64_t uid, gid = 0;

	if ((colon ? (size_t)(colon - user) : strlen(user)) < sizeof(first))
		memcpy(first, user, colon ? (size_t)(colon - user) : strlen(user));
	if (str_parse_u64(first, 65535, &uid) < 0 || (colon && str_parse_u64(colon + 1, 65535, &gid) < 0))
		return err_set(
			err, ERR_INVALID,
			"image configuration: config.User '%.100s' is not 'uid' or 'uid:gid' with numbers up to 65535",
			user);
	*ret_uid = (uid_t)uid;
	*ret_gid = (gid_t)gid;
	return 0;
}
