/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podenv.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

#define VALUE_MAX ((size_t)128 * 1024) /* the kernel's own limit of one argument */
#define GROUPS_MAX 64
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Variables in their order: {"NAME": "value"}; a later one of a name replaces the earlier. */
static int set_variable(json_t *variables, const char *name, const char *value, struct err *err)
{
	if (!*name || strchr(name, '='))
		return err_set(err, ERR_INVALID, "'%s' is no name of an environment variable", name);
	return json_object_set_new(variables, name, json_string(value)) < 0
		       ? err_set(err, ERR_INVALID, "environment variable '%s' is not UTF-8 text", name)
		       : 0;
}

/* Expands $(NAME) where NAME is known, and $$ to $, as the Kubernetes API says of command, args and env. */
static int expand(const json_t *variables, const char *from, struct buf *to, struct err *err)
{
	while (*from) {
		const char *end = from[0] == '$' && from[1] == '(' ? strchr(from, ')') : NULL;
		int r;

		if (from[0] == '$' && from[1] == '$') {
			r = buf_putc(to, '$');
			from += 2;
		} else if (end) {
			CLEANUP_FREE char *name = strndup(from + 2, (size_t)(end - from) - 2);
			const char *value = name ? json_string_value(json_object_get(variables, name)) : NULL;

			r = value ? buf_puts(to, value) : buf_append(to, from, (size_t)(end - from) + 1);
			from = end + 1;
		} else {
			r = buf_putc(to, *from++);
		}
		if (r < 0)
			return err_sys(err, r, "a value of the container is too long");
	}
	return buf_append(to, "", 0);
}

static int set_expanded(json_t *variables, const char *name, const char *value, struct err *err)
{
	CLEANUP_BUF struct buf expanded = buf_of(VALUE_MAX);
	int r = expand(variables, value, &expanded, err);

	return r < 0 ? r : set_variable(variables, name, expanded.data, err);
}

/* One key of a ConfigMap or Secret; a missing one is passed over when the reference is optional. */
static int set_from_key(const struct podenv *env, json_t *variables, const char *name, const char *list,
			const json_t *reference, struct err *err)
{
	CLEANUP_BUF struct buf value = buf_of(VALUE_MAX);
	const char *object = json_string_value(json_object_get(reference, "name"));
	const char *key = json_string_value(json_object_get(reference, "key"));
	char path[300];
	int r;

	if (!object || !key || podsource_name(path, sizeof(path), list, object) < 0)
		return err_set(err, ERR_INVALID, "environment variable '%s' refers to nothing", name);
	r = podsource_value(env->objects, path, key, &value, err);
	if (r == ERR_NOT_FOUND && json_is_true(json_object_get(reference, "optional")))
		return 0;
	if (r == 0)
		r = buf_append(&value, "", 0);
	if (r == 0 && strlen(value.data) != value.len)
		return err_set(err, ERR_INVALID, "environment variable '%s' holds a NUL byte", name);
	return r < 0 ? err_prefix(err, "environment variable '%s'", name)
		     : set_variable(variables, name, value.data, err);
}

static int set_from(const struct podenv *env, json_t *variables, const char *name, const json_t *from, struct err *err)
{
	CLEANUP_BUF struct buf value = buf_of(VALUE_MAX);
	const json_t *map = json_object_get(from, "configMapKeyRef"), *secret = json_object_get(from, "secretKeyRef");
	const char *field = json_string_value(json_object_get(json_object_get(from, "fieldRef"), "fieldPath"));
	int r;

	if (map)
		return set_from_key(env, variables, name, "configmaps", map, err);
	if (secret)
		return set_from_key(env, variables, name, "secrets", secret, err);
	if (!field)
		return err_set(err, -EOPNOTSUPP,
			       "the source of environment variable '%s' is not supported by this instance", name);
	r = podsource_field(env->spec, &env->place, field, &value, err);
	if (r == 0)
		r = buf_append(&value, "", 0);
	return r < 0 ? r : set_variable(variables, name, value.data, err);
}

struct whole {
	const struct podenv *env;
	json_t *variables;
	const char *prefix;
	const char *object;
};

static int set_whole_key(void *user, const char *key, struct err *err)
{
	const struct whole *whole = user;
	CLEANUP_BUF struct buf value = buf_of(VALUE_MAX);
	CLEANUP_FREE char *name = str_format("%s%s", whole->prefix, key);
	int r = name ? podsource_value(whole->env->objects, whole->object, key, &value, err) : -ENOMEM;

	if (r == 0)
		r = buf_append(&value, "", 0);
	return r < 0 ? r : set_variable(whole->variables, name, value.data, err);
}

static int set_all_from(const struct podenv *env, json_t *variables, const json_t *item, struct err *err)
{
	static const struct {
		const char *member, *list;
	} kinds[] = {{"configMapRef", "configmaps"}, {"secretRef", "secrets"}};
	const char *prefix = json_string_value(json_object_get(item, "prefix"));

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const json_t *reference = json_object_get(item, kinds[i].member);
		const char *name = json_string_value(json_object_get(reference, "name"));
		char path[300];
		struct whole whole = {.env = env,
				      .variables = variables,
				      .prefix = prefix ? prefix : "",
				      .object = path};

		if (!name)
			continue;
		if (podsource_name(path, sizeof(path), kinds[i].list, name) < 0)
			return err_set(err, ERR_INVALID, "'%s' is too long a name", name);
		if (!json_object_get(env->objects, path) && !json_is_true(json_object_get(reference, "optional")))
			return err_set(err, ERR_NOT_FOUND, "'%s' is not there", path);
		return podsource_keys(env->objects, path, set_whole_key, &whole, err);
	}
	return 0;
}

static int set_image_variables(const struct podenv *env, json_t *variables, struct err *err)
{
	int r = set_variable(variables, "PATH", DEFAULT_PATH, err);

	for (const char *const *at = (const char *const *)env->image->environment; r == 0 && *at; at++) {
		const char *equals = strchr(*at, '=');
		CLEANUP_FREE char *name = equals ? strndup(*at, (size_t)(equals - *at)) : NULL;

		if (name)
			r = set_variable(variables, name, equals + 1, err);
	}
	return r == 0 ? set_variable(variables, "HOSTNAME", env->spec->hostname, err) : r;
}

static int build_variables(const struct podenv *env, json_t *variables, struct err *err)
{
	const json_t *item;
	size_t i;
	int r = set_image_variables(env, variables, err);

	json_array_foreach(json_object_get(env->container->object, "envFrom"), i, item) {
		if (r == 0)
			r = set_all_from(env, variables, item, err);
	}
	json_array_foreach(json_object_get(env->container->object, "env"), i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));
		const char *value = json_string_value(json_object_get(item, "value"));
		const json_t *from = json_object_get(item, "valueFrom");

		if (r < 0)
			break;
		if (!name)
			r = err_set(err, ERR_INVALID, "an environment variable has no name");
		else if (json_is_object(from))
			r = set_from(env, variables, name, from, err);
		else
			r = set_expanded(variables, name, value ? value : "", err);
	}
	return r;
}

static int append_expanded(json_t *args, const json_t *list, const json_t *variables, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		CLEANUP_BUF struct buf expanded = buf_of(VALUE_MAX);
		int r;

		if (!json_is_string(item))
			return err_set(err, ERR_INVALID, "command and args are lists of strings");
		r = expand(variables, json_string_value(item), &expanded, err);
		if (r < 0)
			return r;
		if (json_array_append_new(args, json_string(expanded.data)) < 0)
			return err_sys(err, -ENOMEM, "cannot build the arguments");
	}
	return 0;
}

static int append_plain(json_t *args, const char *const *list, struct err *err)
{
	for (; *list; list++) {
		if (json_array_append_new(args, json_string(*list)) < 0)
			return err_set(err, ERR_INVALID, "an argument of the image is not UTF-8 text");
	}
	return 0;
}

/* command replaces the entrypoint and, with it, the image's command; args replace the image's command alone. */
static int build_args(const struct podenv *env, const json_t *variables, json_t *args, struct err *err)
{
	const json_t *command = json_object_get(env->container->object, "command"),
		     *own = json_object_get(env->container->object, "args");
	int r;

	if (json_array_size(command))
		r = append_expanded(args, command, variables, err);
	else
		r = append_plain(args, (const char *const *)env->image->entrypoint, err);
	if (r == 0 && json_array_size(own))
		r = append_expanded(args, own, variables, err);
	else if (r == 0 && !json_array_size(command))
		r = append_plain(args, (const char *const *)env->image->command, err);
	if (r == 0 && json_array_size(args) == 0)
		return err_set(err, ERR_INVALID, "neither the pod nor the image says what to run");
	return r;
}

int podenv_user(const struct podenv *env, uint32_t *ret_user, uint32_t *ret_group, struct err *err)
{
	uid_t user = 0;
	gid_t group = 0;

	if (env->container->has_user) {
		user = env->container->user;
	} else {
		int r = image_config_ids(env->image, &user, &group, err);

		if (r < 0)
			return r;
	}
	if (env->container->has_group)
		group = env->container->group;
	if (user == 0 && env->container->must_not_be_root)
		return err_set(err, ERR_DENIED, "it would run as user 0, and 'runAsNonRoot' is true");
	*ret_user = user;
	*ret_group = group;
	return 0;
}

static json_t *format_variables(const json_t *variables)
{
	json_t *list = json_array();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)variables, key, value) {
		if (json_array_append_new(list, json_sprintf("%s=%s", key, json_string_value(value))) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *format_user(const struct podenv *env, uint32_t user, uint32_t group)
{
	uint32_t groups[GROUPS_MAX];
	size_t count = podspec_groups(env->spec, groups, GROUPS_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, json_integer(groups[i]));
	return json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)user, "gid", (json_int_t)group, "additionalGids", list);
}

int podenv_process(const struct podenv *env, json_t **ret_process, struct err *err)
{
	const char *cwd = json_string_value(json_object_get(env->container->object, "workingDir"));
	json_t *variables = json_object(), *args = json_array();
	uint32_t user = 0, group = 0;
	int r = podenv_user(env, &user, &group, err);

	if (r == 0)
		r = build_variables(env, variables, err);
	if (r == 0)
		r = build_args(env, variables, args, err);
	if (!cwd || !*cwd)
		cwd = env->image->working_dir ? env->image->working_dir : "/";
	if (r == 0) {
		*ret_process = json_pack("{s:b, s:o, s:O, s:o, s:s, s:b}", "terminal", 0, "user",
					 format_user(env, user, group), "args", args, "env",
					 format_variables(variables), "cwd", cwd, "noNewPrivileges", 1);
		if (!*ret_process)
			r = err_sys(err, -ENOMEM, "cannot build the process");
	}
	json_decref(variables);
	json_decref(args);
	return r < 0 ? err_prefix(err, "container '%s'", env->container->name) : 0;
}
