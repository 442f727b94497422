/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podvolume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/api.h"
#include "base/fdio.h"
#include "base/str.h"

#define FILE_MODE 0644
#define TEXT_MAX ((size_t)1024 * 1024)

/* A volume that is being filled with files. */
struct filling {
	const struct podvolume *volume;
	const char *object; /* "configmaps/NAME" */
	int dir;
	mode_t mode;
};

/* Relative, without empty, "." or ".." parts: it stays in the volume whatever it says. */
static bool is_inner_path(const char *path)
{
	while (true) {
		size_t len = strcspn(path, "/");

		if (len == 0 || (len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

static int write_file(const struct filling *filling, const char *path, mode_t mode, const struct buf *bytes,
		      struct err *err)
{
	const struct podvolume *volume = filling->volume;
	uint32_t group = volume->uid_base + (volume->spec->has_fs_group ? volume->spec->fs_group : 0);
	const char *slash = strrchr(path, '/');
	int r = 0;

	if (!is_inner_path(path))
		return err_set(err, ERR_INVALID, "path '%s' leaves the volume", path);
	if (slash) {
		CLEANUP_FREE char *parent = strndup(path, (size_t)(slash - path));

		r = parent ? fdio_mkdir_all(filling->dir, parent, 0755, err)
			   : err_sys(err, -ENOMEM, "cannot write '%s'", path);
	}
	if (r == 0)
		r = fdio_replace_file(filling->dir, path, bytes->data ? bytes->data : "", bytes->len, mode, err);
	if (r == 0 && (fchownat(filling->dir, path, volume->uid_base, group, AT_SYMLINK_NOFOLLOW) < 0 ||
		       fchmodat(filling->dir, path, mode, 0) < 0))
		r = err_sys(err, -errno, "cannot write '%s'", path);
	return r;
}

static int write_key(void *user, const char *key, struct err *err)
{
	const struct filling *filling = user;
	CLEANUP_BUF struct buf value = buf_of(PODSOURCE_VALUE_MAX);
	int r = podsource_value(filling->volume->objects, filling->object, key, &value, err);

	return r < 0 ? r : write_file(filling, key, filling->mode, &value, err);
}

static mode_t mode_of(const json_t *object, const char *name, mode_t otherwise)
{
	const json_t *mode = json_object_get(object, name);

	return json_is_integer(mode) ? (mode_t)json_integer_value(mode) & 0777 : otherwise;
}

static int write_item(const struct filling *filling, const json_t *item, bool optional, struct err *err)
{
	CLEANUP_BUF struct buf value = buf_of(PODSOURCE_VALUE_MAX);
	const char *key = json_string_value(json_object_get(item, "key")),
		   *path = json_string_value(json_object_get(item, "path"));
	int r;

	if (!key || !path)
		return err_set(err, ERR_INVALID, "an item has no key or no path");
	r = podsource_value(filling->volume->objects, filling->object, key, &value, err);
	if (r == ERR_NOT_FOUND && optional)
		return 0;
	return r < 0 ? r : write_file(filling, path, mode_of(item, "mode", filling->mode), &value, err);
}

/* A ConfigMap or Secret: all keys as files, or the items that are named. */
static int fill_from_object(struct filling *filling, const char *list, const char *name, const json_t *source,
			    struct err *err)
{
	const json_t *items = json_object_get(source, "items"), *item;
	bool optional = json_is_true(json_object_get(source, "optional"));
	char object[300];
	size_t i;

	if (!name || podsource_name(object, sizeof(object), list, name) < 0)
		return err_set(err, ERR_INVALID, "it names no object");
	filling->object = object;
	filling->mode = mode_of(source, "defaultMode", FILE_MODE);
	if (!json_object_get(filling->volume->objects, object))
		return optional ? 0 : err_set(err, ERR_NOT_FOUND, "'%s' is not there", object);
	if (!json_array_size(items))
		return podsource_keys(filling->volume->objects, object, write_key, filling, err);
	json_array_foreach(items, i, item) {
		int r = write_item(filling, item, optional, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_from_pod(struct filling *filling, const json_t *source, struct err *err)
{
	const json_t *item;
	size_t i;

	filling->mode = mode_of(source, "defaultMode", FILE_MODE);
	json_array_foreach(json_object_get(source, "items"), i, item) {
		CLEANUP_BUF struct buf value = buf_of(TEXT_MAX);
		const char *field = json_string_value(json_object_get(json_object_get(item, "fieldRef"), "fieldPath"));
		const char *path = json_string_value(json_object_get(item, "path"));
		int r;

		if (!field || !path)
			return err_set(err, -EOPNOTSUPP, "an item without fieldRef is not supported by this instance");
		r = podsource_field(filling->volume->spec, &filling->volume->place, field, &value, err);
		if (r == 0)
			r = write_file(filling, path, mode_of(item, "mode", filling->mode), &value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A folder root/volumes/NAME, empty unless it is to be kept. */
static int make_folder(const char *root, const char *name, bool keep, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/volumes/%s", root, name);
	int r = path ? 0 : err_sys(err, -ENOMEM, "cannot make a folder");

	if (r == 0 && !keep)
		r = fdio_remove_tree(AT_FDCWD, path, err);
	if (r == 0)
		r = fdio_mkdir_all(AT_FDCWD, path, 0755, err);
	return r < 0 ? r : fdio_open_dir(AT_FDCWD, path, ret_fd, err);
}

static size_t count_users(const struct podspec *spec, const char *name)
{
	size_t users = 0;

	for (size_t i = 0; i < spec->count; i++) {
		const json_t *mount;
		size_t k;

		json_array_foreach(json_object_get(spec->containers[i].object, "volumeMounts"), k, mount) {
			const char *wanted = json_string_value(json_object_get(mount, "name"));

			users += wanted && str_eq(wanted, name);
		}
	}
	return users;
}

static bool is_memory(const json_t *empty_dir)
{
	const char *medium = json_string_value(json_object_get(empty_dir, "medium"));

	return medium && str_eq(medium, "Memory");
}

static int make_empty_dir(const struct podvolume *volume, const char *name, const json_t *source, struct err *err)
{
	const char *medium = json_string_value(json_object_get(source, "medium"));
	uint32_t group = volume->uid_base + (volume->spec->has_fs_group ? volume->spec->fs_group : 0);
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (is_memory(source)) {
		/* It is a tmpfs of the container's own mount namespace; nothing on the host's side could be shared. */
		if (count_users(volume->spec, name) > 1)
			return err_set(err, -EOPNOTSUPP, "medium Memory is for one mount only on this instance");
		return 0;
	}
	if (medium && *medium)
		return err_set(err, -EOPNOTSUPP, "medium '%s' is not supported by this instance", medium);
	r = make_folder(volume->state, name, true, &fd, err);
	if (r == 0 &&
	    (fchown(fd, volume->uid_base, group) < 0 || fchmod(fd, volume->spec->has_fs_group ? 02777 : 0777) < 0))
		r = err_sys(err, -errno, "cannot give the folder to the pod");
	return r;
}

static int make_volume(const struct podvolume *volume, const json_t *object, struct err *err)
{
	const char *name = json_string_value(json_object_get(object, "name"));
	const json_t *map = json_object_get(object, "configMap"), *secret = json_object_get(object, "secret");
	const json_t *empty = json_object_get(object, "emptyDir"), *pod = json_object_get(object, "downwardAPI");
	struct filling filling = {.volume = volume, .dir = -1};
	int r;

	if (!name || !str_is_dns_label(name))
		return err_set(err, ERR_INVALID, "a volume has no valid name");
	if (json_is_object(empty)) {
		r = make_empty_dir(volume, name, empty, err);
		return r < 0 ? err_prefix(err, "volume '%s'", name) : 0;
	}
	r = make_folder(volume->run, name, false, &filling.dir, err);
	if (r == 0 && json_is_object(map))
		r = fill_from_object(&filling, "configmaps", json_string_value(json_object_get(map, "name")), map, err);
	else if (r == 0 && json_is_object(secret))
		r = fill_from_object(&filling, "secrets", json_string_value(json_object_get(secret, "secretName")),
				     secret, err);
	else if (r == 0 && json_is_object(pod))
		r = fill_from_pod(&filling, pod, err);
	else if (r == 0)
		r = err_set(err, -EOPNOTSUPP, "its source is not supported by this instance");
	if (filling.dir >= 0)
		(void)close(filling.dir);
	return r < 0 ? err_prefix(err, "volume '%s'", name) : 0;
}

static int put_hosts(const struct podvolume *volume, struct buf *to)
{
	const json_t *alias, *name;
	size_t i, k;
	int r = buf_printf(to, "127.0.0.1 localhost\n%s %s\n", volume->place.pod_ip, volume->spec->hostname);

	json_array_foreach(api_value(volume->spec->pod, "spec.hostAliases"), i, alias) {
		const char *ip = json_string_value(json_object_get(alias, "ip"));

		json_array_foreach(json_object_get(alias, "hostnames"), k, name) {
			if (r == 0 && ip && json_is_string(name) && !strpbrk(json_string_value(name), "\n\r") &&
			    !strpbrk(ip, "\n\r"))
				r = buf_printf(to, "%s %s\n", ip, json_string_value(name));
		}
	}
	return r;
}

/* Only what the pod itself names: the instance's own resolver is none of its business. */
static int put_resolver(const struct podvolume *volume, struct buf *to)
{
	const json_t *server, *list = api_value(volume->spec->pod, "spec.dnsConfig.nameservers");
	size_t i;
	int r = 0;

	json_array_foreach(list, i, server) {
		if (r == 0 && json_is_string(server) && !strpbrk(json_string_value(server), "\n\r"))
			r = buf_printf(to, "nameserver %s\n", json_string_value(server));
	}
	return r;
}

static int make_files(const struct podvolume *volume, struct err *err)
{
	CLEANUP_BUF struct buf hosts = buf_of(TEXT_MAX), name = buf_of(TEXT_MAX), resolver = buf_of(TEXT_MAX);
	CLEANUP_FREE char *path = str_format("%s/etc", volume->run);
	struct filling filling = {.volume = volume, .dir = -1};
	int r = path ? fdio_mkdir_all(AT_FDCWD, path, 0755, err) : err_sys(err, -ENOMEM, "cannot make a folder");

	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, &filling.dir, err);
	if (r == 0 && (put_hosts(volume, &hosts) < 0 || buf_printf(&name, "%s\n", volume->spec->hostname) < 0 ||
		       put_resolver(volume, &resolver) < 0))
		r = err_sys(err, -ENOMEM, "cannot write the hosts file");
	if (r == 0)
		r = write_file(&filling, "hosts", FILE_MODE, &hosts, err);
	if (r == 0)
		r = write_file(&filling, "hostname", FILE_MODE, &name, err);
	if (r == 0)
		r = write_file(&filling, "resolv.conf", FILE_MODE, &resolver, err);
	if (filling.dir >= 0)
		(void)close(filling.dir);
	return r;
}

int podvolume_prepare(const struct podvolume *volume, struct err *err)
{
	const json_t *object;
	size_t i;
	int r = make_files(volume, err);

	json_array_foreach(api_value(volume->spec->pod, "spec.volumes"), i, object) {
		if (r == 0)
			r = make_volume(volume, object, err);
	}
	return r;
}

static const json_t *find_volume(const struct podspec *spec, const char *name)
{
	const json_t *object;
	size_t i;

	json_array_foreach(api_value(spec->pod, "spec.volumes"), i, object) {
		const char *own = json_string_value(json_object_get(object, "name"));

		if (own && str_eq(own, name))
			return object;
	}
	return NULL;
}

static int append_bind(json_t *mounts, const char *target, const char *source, bool read_only, bool executable,
		       struct err *err)
{
	json_t *options = json_pack("[s, s, s, s]", "bind", "nosuid", "nodev", read_only ? "ro" : "rw");

	if (!executable)
		(void)json_array_append_new(options, json_string("noexec"));
	return json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:o}", "destination", target, "type", "bind",
						       "source", source, "options", options)) < 0
		       ? err_sys(err, -ENOMEM, "cannot build the mounts")
		       : 0;
}

static int append_memory(json_t *mounts, const char *target, const json_t *empty,
			 const struct podspec_container *container, struct err *err)
{
	const char *limit = json_string_value(json_object_get(empty, "sizeLimit"));
	int64_t milli = container->memory * 1000;
	int r = limit ? api_quantity(limit, &milli, err) : 0;

	if (r < 0)
		return r;
	/* Its pages count against the container's memory, so more than that could never be used. */
	if (milli / 1000 > container->memory)
		milli = container->memory * 1000;
	return json_array_append_new(mounts,
				     json_pack("{s:s, s:s, s:s, s:[s, s, s, o]}", "destination", target, "type",
					       "tmpfs", "source", "tmpfs", "options", "nosuid", "nodev", "mode=0777",
					       json_sprintf("size=%lld", (long long)(milli / 1000)))) < 0
		       ? err_sys(err, -ENOMEM, "cannot build the mounts")
		       : 0;
}

static int append_volume(const struct podvolume *volume, const struct podspec_container *container, const json_t *mount,
			 json_t *mounts, struct err *err)
{
	const char *name = json_string_value(json_object_get(mount, "name")),
		   *target = json_string_value(json_object_get(mount, "mountPath"));
	const json_t *object = name ? find_volume(volume->spec, name) : NULL,
		     *empty = json_object_get(object, "emptyDir");
	CLEANUP_FREE char *source = NULL;

	if (!object || !target || target[0] != '/')
		return err_set(err, ERR_INVALID, "container '%s' mounts a volume that is not there: '%s'",
			       container->name, name ? name : "");
	if (json_is_object(empty) && is_memory(empty))
		return append_memory(mounts, target, empty, container, err);
	source = str_format("%s/volumes/%s", json_is_object(empty) ? volume->state : volume->run, name);
	if (!source)
		return err_sys(err, -ENOMEM, "cannot build the mounts");
	return append_bind(mounts, target, source,
			   !json_is_object(empty) || json_is_true(json_object_get(mount, "readOnly")),
			   json_is_object(empty), err);
}

int podvolume_mounts(const struct podvolume *volume, const struct podspec_container *container, json_t *mounts,
		     struct err *err)
{
	static const char *const files[] = {"hosts", "hostname", "resolv.conf"};
	const json_t *mount;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		CLEANUP_FREE char *source = str_format("%s/etc/%s", volume->run, files[i]),
				  *target = str_format("/etc/%s", files[i]);

		r = source && target ? append_bind(mounts, target, source, true, false, err)
				     : err_sys(err, -ENOMEM, "cannot build the mounts");
	}
	json_array_foreach(json_object_get(container->object, "volumeMounts"), i, mount) {
		if (r == 0)
			r = append_volume(volume, container, mount, mounts, err);
	}
	return r;
}
