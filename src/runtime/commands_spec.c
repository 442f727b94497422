/* SPDX-License-Identifier: Apache-2.0 */
/* The command that writes a config.json to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/fdio.h"
#include "base/json_build.h"
#include "base/json_text.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

/* A shell at a terminal, in namespaces of its own, that may do little. */
static const char template[] =
	"{'ociVersion':'1.2.0',"
	"'process':{'terminal':true,'user':{'uid':0,'gid':0},'args':['sh'],"
	"'env':['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin','TERM=xterm'],'cwd':'/',"
	"'capabilities':{'bounding':['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE'],"
	"'effective':['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE'],"
	"'permitted':['CAP_AUDIT_WRITE','CAP_KILL','CAP_NET_BIND_SERVICE']},"
	"'rlimits':[{'type':'RLIMIT_NOFILE','hard':1024,'soft':1024}],'noNewPrivileges':true},"
	"'root':{'path':'rootfs','readonly':true},'hostname':'bulkhead','mounts':["
	"{'destination':'/proc','type':'proc','source':'proc'},"
	"{'destination':'/"
	"dev','type':'tmpfs','source':'tmpfs','options':['nosuid','strictatime','mode=755','size=65536k']},"
	"{'destination':'/dev/pts','type':'devpts','source':'devpts',"
	"'options':['nosuid','noexec','newinstance','ptmxmode=0666','mode=0620','gid=5']},"
	"{'destination':'/dev/shm','type':'tmpfs','source':'shm',"
	"'options':['nosuid','noexec','nodev','mode=1777','size=65536k']},"
	"{'destination':'/dev/mqueue','type':'mqueue','source':'mqueue','options':['nosuid','noexec','nodev']},"
	"{'destination':'/sys','type':'sysfs','source':'sysfs','options':['nosuid','noexec','nodev','ro']},"
	"{'destination':'/sys/fs/cgroup','type':'cgroup','source':'cgroup',"
	"'options':['nosuid','noexec','nodev','relatime','ro']}],"
	"'linux':{'resources':{'devices':[{'allow':false,'access':'rwm'}]},"
	"'namespaces':[{'type':'pid'},{'type':'network'},{'type':'ipc'},{'type':'uts'},{'type':'mount'},{'type':'"
	"cgroup'}],"
	"'maskedPaths':['/proc/acpi','/proc/asound','/proc/kcore','/proc/keys','/proc/latency_stats','/proc/"
	"timer_list',"
	"'/proc/timer_stats','/proc/sched_debug','/sys/firmware','/proc/scsi'],"
	"'readonlyPaths':['/proc/bus','/proc/fs','/proc/irq','/proc/sys','/proc/sysrq-trigger']}}";

static json_t *read_template(void)
{
	char text[sizeof(template)];
	struct err ignored;

	for (size_t i = 0; i < sizeof(template); i++)
		text[i] = (char)(template[i] == '\'' ? '"' : template[i]);
	return json_text_read(text, strlen(text), &ignored);
}

static int map_id(json_t *linux_, const char *key, uint32_t id)
{
	return json_object_set_new(linux_, key,
				   json_build("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)id, "size",
					      1));
}

static const char *destination_of(const json_t *mount)
{
	return json_string_value(json_object_get(mount, "destination"));
}

/* Drops what somebody without privilege cannot have, and asks for what makes the rest possible. */
static int make_rootless(json_t *spec)
{
	json_t *linux_ = json_object_get(spec, "linux"), *mounts = json_object_get(spec, "mounts"), *mount;
	json_t *namespaces = json_object_get(linux_, "namespaces");
	size_t index;

	(void)json_object_del(linux_, "resources");
	json_array_foreach(mounts, index, mount)
		if (str_eq(destination_of(mount), "/dev/pts"))
			(void)json_array_remove(json_object_get(mount, "options"), 5);
	return json_array_append_new(namespaces, json_build("{s:s}", "type", "user")) < 0 ||
			       map_id(linux_, "uidMappings", geteuid()) < 0 ||
			       map_id(linux_, "gidMappings", getegid()) < 0
		       ? -ENOMEM
		       : 0;
}

static int write_new(const char *bundle, const json_t *spec, struct err *err)
{
	CLEANUP_CLOSE int folder = -1, fd = -1;
	CLEANUP_FREE char *text = json_dumps(spec, JSON_INDENT(4));
	int r = fdio_open_dir(AT_FDCWD, bundle, &folder, err);

	if (r < 0)
		return r;
	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	fd = openat(folder, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_EXISTS, "'%s/config.json' exists already", bundle);
	r = fd < 0 ? -errno : fdio_write_all(fd, text, strlen(text));
	if (r == 0)
		r = fdio_write_all(fd, "\n", 1);
	return r < 0 ? err_sys(err, r, "cannot write '%s/config.json'", bundle) : 0;
}

int commands_spec(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(cleanup_json) json_t *spec = NULL;
	const char *bundle = ".";
	bool rootless = false;
	const struct option_row rows[] = {
		{"bundle", 'b', "DIR", "folder that gets the config.json (the present one)", &bundle, NULL},
		{"rootless", 0, NULL, "for a caller without privilege", NULL, &rootless},
	};
	int first, r = commands_parse("bulkhead-runtime spec", "Writes a config.json to begin with.", NULL, 0, 0, rows,
				      ARRAY_SIZE(rows), argc, argv, &first, err);

	if (r)
		return r;
	spec = read_template();
	if (!spec || (rootless && make_rootless(spec) < 0))
		return err_set(err, -ENOMEM, "no memory");
	return write_new(bundle, spec, err);
}
