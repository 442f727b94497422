/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json_build.h"
#include "base/str.h"
#include "runtime/bounds.h"
#include "runtime/bounds_defaults.h"
#include "runtime/bounds_facts.h"
#include "runtime/idrange.h"
#include "runtime/rootless.h"
#include "sandbox/mountfd.h"
#include "sandbox/namespaces.h"

#define OWNER "bulkhead" /* of the subordinate ids */

struct search {
	struct bounds *bounds;
	const struct spec *spec;
	int bundle;
	struct idrange_pool pool;
	char obstacle[512];
};

/* Ids of the ceiling, else those the machine gives to the name. */
static int find_pool(struct search *search, struct err *err)
{
	const struct runtime_ceiling *ceiling;
	int r = runtime_ceiling_user_ids(search->bounds->ceilings, search->bounds->count, &ceiling, err);

	if (r < 0)
		return r;
	if (ceiling)
		search->pool = (struct idrange_pool){ceiling->user_first_id, ceiling->user_first_id,
						     ceiling->user_ranges};
	else if (idrange_subordinate(OWNER, &search->pool) < 0)
		(void)snprintf(search->obstacle, sizeof(search->obstacle),
			       "no ids: neither a ceiling file nor /etc/subuid and /etc/subgid give any to '" OWNER
			       "'");
	return 0;
}

static void drop_user(json_t *linux_)
{
	json_t *list = json_object_get(linux_, "namespaces");

	for (size_t i = json_array_size(list); i > 0; i--) {
		const char *type = json_string_value(json_object_get(json_array_get(list, i - 1), "type"));

		if (type && str_eq(type, "user"))
			(void)json_array_remove(list, i - 1);
	}
}

int bounds_settle_user(struct bounds *bounds, struct buf *text, struct spec *spec, struct err *err)
{
	const char *path = spec->linux_.namespaces[SPEC_NS_USER].path;
	struct stat st;
	json_t *config;
	int r;

	if (!path)
		return 0;
	/* What is not there is for create to complain of; what comes there meanwhile was not judged, and is no namespace. */
	bounds->namespaces[SPEC_NS_USER] = (struct bounds_identity){.judged = true};
	if (stat(path, &st) < 0)
		return 0;
	bounds->namespaces[SPEC_NS_USER] = (struct bounds_identity){.judged = true, .dev = st.st_dev, .ino = st.st_ino};
	if (!bounds_is_host_namespace(&st, SPEC_NS_USER))
		return 0;
	config = json_deep_copy(spec->json);
	drop_user(json_object_get(config, "linux"));
	r = config ? bounds_take_config(text, spec, config, err) : err_set(err, -ENOMEM, "no memory");
	json_decref(config);
	return r;
}

static bool touches(const struct spec_idmap *line, uint64_t first, uint64_t count)
{
	return line->host < first + count && first < (uint64_t)line->host + line->size;
}

/* Whether a map has an id of the machine's superuser or of the pool that others get theirs from. */
static bool is_exposed(struct search *search, const struct spec_idmap *lines, size_t count, const char *field,
		       uint32_t pool)
{
	for (size_t i = 0; i < count; i++) {
		const char *what = NULL;

		if (touches(&lines[i], 0, 1))
			what = "maps id 0 of the machine";
		else if (touches(&lines[i], pool, (uint64_t)search->pool.count * IDRANGE_IDS))
			what = "maps ids that are kept for added user namespaces";
		if (!what)
			continue;
		(void)snprintf(search->obstacle, sizeof(search->obstacle), "linux.%s: %s", field, what);
		return true;
	}
	return false;
}

static bool is_demanded(const struct bounds *bounds)
{
	for (size_t i = 0; i < bounds->count; i++)
		if (bounds->ceilings[i].user_demand)
			return true;
	return false;
}

/* The maps of one that is joined are asked for; it is the one that will be. */
static int joined_is_exposed(struct search *search, const char *path, bool *ret_is, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct idmap uids, gids;
	int r = namespaces_open(SPEC_NS_USER, path, &fd, err);

	if (r == 0)
		r = bounds_verify_namespace(search->bounds, SPEC_NS_USER, fd, err);
	if (r == 0)
		r = namespaces_read_maps_of(fd, &uids, &gids, err);
	if (r < 0)
		return err_prefix(err, "config.json: linux.namespaces");
	*ret_is = is_exposed(search, uids.lines, uids.count, "namespaces", search->pool.first_uid) ||
		  is_exposed(search, gids.lines, gids.count, "namespaces", search->pool.first_gid);
	return 0;
}

/* Only where a file demands one it matters what the one that is given maps. */
static int look_at_given(struct search *search, struct runtime_ceiling_user_facts *facts, struct err *err)
{
	const struct spec_linux *linux_ = &search->spec->linux_;
	const char *path = linux_->namespaces[SPEC_NS_USER].path;
	bool is = false;
	int r = 0;

	facts->given = linux_->namespaces[SPEC_NS_USER].wanted;
	if (!facts->given || !is_demanded(search->bounds))
		return 0;
	r = find_pool(search, err);
	if (r == 0 && path)
		r = joined_is_exposed(search, path, &is, err);
	else if (r == 0)
		is = is_exposed(search, linux_->uid_maps.items, linux_->uid_maps.count, "uidMappings",
				search->pool.first_uid) ||
		     is_exposed(search, linux_->gid_maps.items, linux_->gid_maps.count, "gidMappings",
				search->pool.first_gid);
	facts->exposed = is ? search->obstacle : NULL;
	return r;
}

/* Rights over a namespace come from the user namespace it was made in. */
static const char *shared_namespace(const struct spec *spec)
{
	static const enum spec_namespace_type types[] = {SPEC_NS_NETWORK, SPEC_NS_PID, SPEC_NS_IPC, SPEC_NS_UTS,
							 SPEC_NS_MOUNT};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!spec->linux_.namespaces[types[i]].wanted || spec->linux_.namespaces[types[i]].path)
			return spec_namespace_name(types[i]);
	return NULL;
}

static uint32_t greatest_id(const struct spec *spec)
{
	const struct spec_user *user = &spec->process.user;
	uint32_t greatest = user->uid > user->gid ? user->uid : user->gid;

	for (size_t i = 0; i < user->additional.count; i++)
		greatest = user->additional.items[i] > greatest ? user->additional.items[i] : greatest;
	for (size_t i = 0; i < spec->linux_.devices.count; i++) {
		const struct spec_device *device = &spec->linux_.devices.items[i];

		greatest = device->uid > greatest ? device->uid : greatest;
		greatest = device->gid > greatest ? device->gid : greatest;
	}
	return greatest;
}

/* Whether the kernel maps owners on copies of these mounts: tried on a copy that nobody sees. */
static bool try_mount(struct search *search, const char *path, bool recursive, const char *field, int user)
{
	CLEANUP_CLOSE int fd = -1;
	int r = mountfd_clone(search->bundle, path, recursive, &fd);

	/* What cannot be opened is for create to complain of. */
	if (r == 0)
		r = mountfd_idmap(fd, recursive, user);
	else
		r = 0;
	if (r < 0)
		(void)snprintf(search->obstacle, sizeof(search->obstacle),
			       "%s: the owners of '%.200s' cannot be mapped", field, path);
	return r == 0;
}

static bool try_binds(struct search *search, int user)
{
	const struct spec_mounts *mounts = &search->spec->mounts;

	for (size_t i = 0; i < mounts->count; i++) {
		const struct spec_mount *mount = &mounts->items[i];
		struct mountfd_options options;
		char field[48];

		if (mountfd_options_read(&options, &mount->options, NULL) < 0 || !mount->source ||
		    mount->uid_maps.count || mount->gid_maps.count)
			continue;
		if (!options.bind && !(mount->type && str_eq(mount->type, "bind")))
			continue;
		(void)snprintf(field, sizeof(field), "mounts[%zu].source", i);
		if (!try_mount(search, mount->source, options.recursive, field, user))
			return false;
	}
	return true;
}

static int try_mounts(struct search *search, struct err *err)
{
	struct spec_idmap uid = {0, search->pool.first_uid, IDRANGE_IDS},
			  gid = {0, search->pool.first_gid, IDRANGE_IDS};
	const struct spec_idmaps uids = {&uid, 1}, gids = {&gid, 1};
	CLEANUP_CLOSE int user = -1;
	int r;

	if (!search->spec->root_path)
		return 0;
	r = namespaces_make_user(&uids, &gids, &user, err);
	if (r == 0 && try_mount(search, search->spec->root_path, true, "root.path", user))
		(void)try_binds(search, user);
	return r;
}

/* The policy's word; why not goes to the log. */
static int decide(struct search *search, const struct runtime_ceiling_user_facts *facts, struct err *err)
{
	char reason[600];
	int r = runtime_ceiling_user_decide(search->bounds->ceilings, search->bounds->count, facts, reason,
					    sizeof(reason), err);

	if (r == 0 && reason[0])
		bounds_note(search->bounds, "config.json: linux.namespaces: no user namespace is added: %s", reason);
	return r;
}

/* 1: a user namespace is to be added from search->pool; 0: not. Mounts are tried when nothing else speaks against it. */
static int look(struct search *search, struct err *err)
{
	struct runtime_ceiling_user_facts facts = {.shared = shared_namespace(search->spec),
						   .capabilities = search->spec->process.capabilities[SPEC_BOUNDING],
						   .greatest_id = greatest_id(search->spec)};
	int r;

	/* Without the machine's superuser nobody is it. */
	if (rootless_is())
		return 0;
	r = look_at_given(search, &facts, err);
	if (r < 0 || facts.given)
		return r < 0 ? r : decide(search, &facts, err);
	r = find_pool(search, err);
	facts.obstacle = search->obstacle[0] ? search->obstacle : NULL;
	if (r == 0)
		r = decide(search, &facts, err);
	if (r != 1)
		return r;
	r = try_mounts(search, err);
	facts.obstacle = search->obstacle[0] ? search->obstacle : NULL;
	return r == 0 ? decide(search, &facts, err) : r;
}

int bounds_would_add_user(struct bounds *bounds, int bundle, const struct spec *spec, struct err *err)
{
	struct search search = {.bounds = bounds, .spec = spec, .bundle = bundle};

	return look(&search, err);
}

static int set_map(json_t *linux_, const char *name, uint32_t first)
{
	json_t *map = json_build("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)first, "size",
				 IDRANGE_IDS);

	return json_object_set_new(linux_, name, map) < 0 ? -ENOMEM : 0;
}

static int set_user(json_t *config, uint32_t first_uid, uint32_t first_gid)
{
	json_t *linux_ = bounds_defaults_object(config, "linux"), *list = json_object_get(linux_, "namespaces");

	if (json_array_append_new(list, json_build("{s:s}", "type", "user")) < 0)
		return -ENOMEM;
	return set_map(linux_, "uidMappings", first_uid) < 0 ? -ENOMEM : set_map(linux_, "gidMappings", first_gid);
}

static int add(struct search *search, const struct state *state, struct buf *text, struct spec *spec, struct err *err)
{
	uint32_t first_uid, first_gid;
	json_t *config;
	int r = idrange_take(&search->pool, state, &first_uid, &first_gid, err);

	if (r < 0)
		return r;
	config = json_deep_copy(spec->json);
	r = config && set_user(config, first_uid, first_gid) == 0 ? bounds_take_config(text, spec, config, err)
								  : err_set(err, -ENOMEM, "no memory");
	json_decref(config);
	search->bounds->user_added = r == 0;
	if (r == 0)
		bounds_note(search->bounds,
			    "config.json: linux.namespaces: a user namespace is added, its ids are %u to %u", first_uid,
			    first_uid + IDRANGE_IDS - 1);
	return r;
}

int bounds_add_user(struct bounds *bounds, const struct state *state, int bundle, struct buf *text, struct spec *spec,
		    struct err *err)
{
	struct search search = {.bounds = bounds, .spec = spec, .bundle = bundle};
	int r = look(&search, err);

	if (r != 1)
		return r;
	r = add(&search, state, text, spec, err);
	if (r != -EUSERS)
		return r;
	(void)snprintf(search.obstacle, sizeof(search.obstacle), "%.400s", err->msg);
	*err = (struct err){0};
	return decide(&search, &(struct runtime_ceiling_user_facts){.obstacle = search.obstacle}, err);
}
