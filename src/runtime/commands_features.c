/* SPDX-License-Identifier: Apache-2.0 */
/* The command that says what is built in, in the shape of the specification's features document. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/json_build.h"
#include "base/options.h"
#include "base/str.h"
#include "oci/spec.h"
#include "runtime/commands.h"
#include "sandbox/landlock.h"
#include "sandbox/mountfd.h"

static json_t *word_list(const char *const *words, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, json_string(words[i]));
	return list;
}

static json_t *capability_names(void)
{
	json_t *names = json_array();

	for (int i = 0; spec_capability_name(i); i++)
		(void)json_array_append_new(names, json_string(spec_capability_name(i)));
	return names;
}

static json_t *namespace_names(void)
{
	json_t *names = json_array();

	for (int i = 0; i < SPEC_NS_TYPES; i++)
		(void)json_array_append_new(names, json_string(spec_namespace_name((enum spec_namespace_type)i)));
	return names;
}

static json_t *mount_options(void)
{
	json_t *names = json_array();

	for (size_t i = 0; mountfd_option_name(i); i++)
		(void)json_array_append_new(names, json_string(mountfd_option_name(i)));
	return names;
}

static json_t *hook_names(void)
{
	static const char *const names[] = {"prestart",       "createRuntime", "createContainer",
					    "startContainer", "poststart",     "poststop"};

	return word_list(names, ARRAY_SIZE(names));
}

static json_t *seccomp(void)
{
	static const char *const actions[] = {
		"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
		"SCMP_ACT_LOG",   "SCMP_ACT_TRACE", "SCMP_ACT_TRAP", "SCMP_ACT_NOTIFY",
	};
	static const char *const operators[] = {
		"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",        "SCMP_CMP_EQ",
		"SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ",
	};
	static const char *const architectures[] = {
		"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",
	};
	static const char *const flags[] = {
		"SECCOMP_FILTER_FLAG_TSYNC",
		"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
		"SECCOMP_FILTER_FLAG_LOG",
		"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	};

	return json_build("{s:b, s:o, s:o, s:o, s:o, s:o}", "enabled", 1, "actions",
			  word_list(actions, ARRAY_SIZE(actions)), "operators",
			  word_list(operators, ARRAY_SIZE(operators)), "archs",
			  word_list(architectures, ARRAY_SIZE(architectures)), "knownFlags",
			  word_list(flags, ARRAY_SIZE(flags)), "supportedFlags", word_list(flags, ARRAY_SIZE(flags)));
}

static json_t *linux_features(void)
{
	json_t *json = json_object();

	(void)json_object_set_new(json, "namespaces", namespace_names());
	(void)json_object_set_new(json, "capabilities", capability_names());
	(void)json_object_set_new(json, "cgroup",
				  json_build("{s:b, s:b, s:b, s:b, s:b}", "v1", 1, "v2", 1, "systemd", 0, "systemdUser",
					     0, "rdma", 1));
	(void)json_object_set_new(json, "seccomp", seccomp());
	(void)json_object_set_new(json, "apparmor", json_build("{s:b}", "enabled", 1));
	(void)json_object_set_new(json, "selinux", json_build("{s:b}", "enabled", 0));
	(void)json_object_set_new(json, "intelRdt", json_build("{s:b}", "enabled", 0));
	(void)json_object_set_new(json, "mountExtensions", json_build("{s:{s:b}}", "idmap", "enabled", 1));
	return json;
}

/* The document; the caller owns it. NULL without memory. */
static json_t *features(void)
{
	json_t *json = json_object();

	(void)json_object_set_new(json, "ociVersionMin", json_string("1.0.0"));
	(void)json_object_set_new(json, "ociVersionMax", json_string("1.2.0"));
	(void)json_object_set_new(json, "hooks", hook_names());
	(void)json_object_set_new(json, "mountOptions", mount_options());
	(void)json_object_set_new(json, "linux", linux_features());
	(void)json_object_set_new(json, "annotations",
				  json_build("{s:s, s:s}", "dev.bulkhead.version", BULKHEAD_VERSION,
					     "dev.bulkhead.landlock", landlock_abi() ? "true" : "false"));
	return json;
}

int commands_features(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	const struct option_command command = {.program = "bulkhead-runtime features",
					       .summary = "Prints what this runtime can do."};
	CLEANUP_FREE char *text = NULL;
	json_t *json;
	int first, r = options_parse(&command, argc, argv, &first, err);

	if (r)
		return r;
	json = features();
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	return puts(text) < 0 || fflush(stdout) != 0 ? err_sys(err, -EIO, "cannot print") : 0;
}
