/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/str.h"
#include "cli/command.h"

static const char *output;

static const struct option_row rows[] = {COMMAND_OUTPUT(output)};

static const struct option_command options = {
	.program = "bulkhead version",
	.summary = "Shows the version and what the kernel of this machine offers.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

static const char *cgroup_layout(void)
{
	struct statfs fs;

	if (statfs("/sys/fs/cgroup", &fs) < 0)
		return "none";
	if (fs.f_type == CGROUP2_SUPER_MAGIC)
		return "v2";
	if (statfs("/sys/fs/cgroup/unified", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return "hybrid";
	return "v1";
}

/* The newest interface of Landlock, 0 for none. */
static long landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);

	return abi < 0 ? 0 : abi;
}

static int run(int argc, char **argv, struct err *err)
{
	struct utsname name;
	bool as_json;
	int r = main_wants_json(output, &as_json, err);

	(void)argc;
	(void)argv;
	if (r < 0)
		return r;
	if (uname(&name) < 0)
		return err_sys(err, -errno, "cannot ask for the kernel's name");
	if (!as_json) {
		(void)printf("bulkhead %s\nkernel %s, control groups %s, Landlock ABI %ld, user namespaces %s\n",
			     BULKHEAD_VERSION, name.release, cgroup_layout(), landlock_abi(),
			     access("/proc/self/ns/user", F_OK) == 0 ? "yes" : "no");
		return 0;
	}
	(void)printf(
		"{\"version\":\"%s\",\"kernel\":\"%s\",\"cgroups\":\"%s\",\"landlockAbi\":%ld,\"userNamespaces\":%s}\n",
		BULKHEAD_VERSION, name.release, cgroup_layout(), landlock_abi(),
		access("/proc/self/ns/user", F_OK) == 0 ? "true" : "false");
	return 0;
}

const struct command cmd_version = {"version", &options, run};
