/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/drain.h"
#include "cli/part.h"

static const char *root;
static bool keep_pods;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"keep-pods", 0, NULL, "leave the pods running; the next 'bulkhead up' takes them over", NULL, &keep_pods},
};

static const struct option_command options = {
	.program = "bulkhead down",
	.summary = "Stops the pods of this machine, then the CIS instance, the registry and the CISM. State stays: the "
		   "next "
		   "'bulkhead up' starts the same pods again.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

static int stop_part(const struct paths *paths, const struct part *part, struct err *err)
{
	struct part_process process;
	bool killed;
	int r = part_find(paths, part, &process, err);

	if (r < 0)
		return r;
	if (process.pidfd < 0) {
		(void)printf("%-5s  does not run\n", part->name);
		return part_forget(paths, part, err);
	}
	r = part_stop(paths, part, &process, &killed, err);
	if (r == 0)
		(void)printf("%-5s  %s\n", part->name, killed ? "killed: it did not stop in time" : "stopped");
	(void)fflush(stdout);
	return r;
}

/* Whether pods have folders yet: their supervisors outlive the instance. */
static bool has_pods(const struct paths *paths)
{
	char *path CLEANUP_FREE = str_format("%s/pods", paths->run);
	DIR *folder = path ? opendir(path) : NULL;
	const struct dirent *entry;
	bool found = false;

	while (folder && !found && (entry = readdir(folder)))
		found = entry->d_name[0] != '.';
	if (folder)
		(void)closedir(folder);
	return found;
}

/* Pods are stopped by the instance itself; without it nobody else may touch them. */
static int drain(const struct paths *paths, struct err *err)
{
	const struct part *cis = &part_rows[PART_COUNT - 1];
	struct part_process process;
	unsigned pods;
	int r = part_find(paths, cis, &process, err);

	if (r < 0)
		return r;
	if (process.pidfd < 0) {
		if (!has_pods(paths))
			return 0;
		(void)err_set(err, ERR_UNAVAILABLE, "the instance does not run, but pods of it do");
		return err_hint(err,
				"'bulkhead up' starts it again; 'bulkhead down --keep-pods' leaves the pods running");
	}
	(void)close(process.pidfd);
	r = drain_pods(paths, &pods, err);
	if (r == 0)
		(void)printf("pods   %u stopped\n", pods);
	(void)fflush(stdout);
	return r;
}

/* What stands in the folders yet belongs to pods that were kept: then they stay. */
static void remove_folders(const struct paths *paths)
{
	char *pods CLEANUP_FREE = str_format("%s/pods", paths->run);
	char *socket CLEANUP_FREE = str_format("%s/cis.sock", paths->run);

	/* An instance that was killed left its socket. */
	if (socket)
		(void)unlink(socket);
	if (pods && rmdir(pods) == 0)
		(void)rmdir(paths->run);
}

static int run(int argc, char **argv, struct err *err)
{
	int lock CLEANUP_CLOSE = -1;
	struct paths paths;
	int r = paths_init(&paths, root, err);

	(void)argc;
	(void)argv;
	if (r == 0 && geteuid() != 0)
		r = err_set(err, -EPERM, "'bulkhead down' stops daemons of root and needs to be root");
	if (r == 0)
		r = part_lock(&paths, &lock, err);
	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, "nothing runs here: '%s' does not exist", paths.state);
	if (r == 0 && !keep_pods)
		r = drain(&paths, err);
	for (size_t i = PART_COUNT; i > 0 && r == 0; i--)
		r = stop_part(&paths, &part_rows[i - 1], err);
	if (r == 0)
		remove_folders(&paths);
	return r;
}

const struct command cmd_down = {"down", &options, run};
