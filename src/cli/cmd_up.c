/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/part.h"
#include "cli/pki.h"
#include "cli/setup.h"

#define ROOT_MAX 64

static const char *root;
static const char *given[SETTINGS_COUNT];

/* In the order of settings_rows. */
static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"instance", 0, "NAME", "name of this machine's CIS instance (default node-1)", &given[0], NULL},
	{"server", 0, "NAME", "name of the physical server it is on (default server-1)", &given[1], NULL},
	{"deployment", 0, "OPTION", "BareMetal (the default), Nested or Hybrid", &given[2], NULL},
	{"address", 0, "ADDRESS", "where the CISM and the registry listen (default 127.0.0.1)", &given[3], NULL},
	{"cism-port", 0, "PORT", "port of the Kubernetes API (default 6443)", &given[4], NULL},
	{"cir-port", 0, "PORT", "port of the image registry (default 5000)", &given[5], NULL},
	{"pod-network", 0, "NETWORK", "addresses of pods (default 10.88.0.0/24)", &given[6], NULL},
	{"bridge", 0, "NAME", "bridge of the pods (default bh0)", &given[7], NULL},
	{"uid-base", 0, "UID", "first of 65,536,000 user ids for pods (default 1900000000)", &given[8], NULL},
	{"cgroup-parent", 0, "NAME", "control group of the pods (default bulkhead)", &given[9], NULL},
};

static const struct option_command options = {
	.program = "bulkhead up",
	.summary =
		"Starts the CISM, the image registry and the CIS instance of this machine, in this order, and waits "
		"until each "
		"serves. The first time it makes keys, certificates and configuration; later it takes what is there.",
	.footer = "Example:\n  bulkhead up --server rack3-blade7\n  export KUBECONFIG=/etc/bulkhead/kubeconfig",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

static int check_caller(struct err *err)
{
	if (geteuid() == 0)
		return 0;
	(void)err_set(err, -EPERM, "'bulkhead up' makes namespaces, mounts and firewall rules and needs to be root");
	return err_hint(err, "sudo bulkhead up");
}

/* What was set up before, or what the options say. */
static int choose_settings(const struct paths *paths, struct settings *settings, struct err *err)
{
	int r = settings_load(paths, settings, err);

	if (r == 0)
		return settings_compare(settings, given, err);
	if (r != ERR_NOT_FOUND)
		return r;
	r = settings_take(given, settings, err);
	return r == 0 ? settings_save(paths, settings, err) : r;
}

static int prepare(const struct paths *paths, struct settings *settings, struct err *err)
{
	char runtime[PATHS_MAX];
	unsigned made = 0;
	int r = part_program("bulkhead-runtime", runtime, err);

	if (r == 0)
		r = choose_settings(paths, settings, err);
	if (r == 0 && settings->joined)
		return 0;
	if (r == 0)
		r = pki_ensure(paths, settings, &made, err);
	if (r == 0)
		r = setup_files(paths, settings, runtime, made > 0, err);
	if (r == 0 && made)
		(void)printf("made   %u certificates and their keys below %s/pki\n", made, paths->etc);
	return r;
}

static void print_hints(const struct paths *paths, const struct settings *settings)
{
	(void)printf("\nThe API is at https://%s:%s:\n  export KUBECONFIG=%s/kubeconfig\n", settings->address,
		     settings->cism_port, paths->etc);
	(void)printf("The registry is at %s:%s; images are pushed with:\n  skopeo copy --authfile "
		     "%s/registry-auth.json --dest-cert-dir "
		     "%s/registry-ca \\\n    SOURCE docker://%s:%s/NAME:TAG\n",
		     settings->address, settings->cir_port, paths->etc, paths->etc, settings->address,
		     settings->cir_port);
}

static int run(int argc, char **argv, struct err *err)
{
	int lock CLEANUP_CLOSE = -1;
	struct settings settings = {0};
	struct paths paths;
	int r = check_caller(err);

	(void)argc;
	(void)argv;
	if (r == 0 && root && strlen(root) > ROOT_MAX)
		r = err_set(err, ERR_INVALID, "option --root is longer than %d bytes", ROOT_MAX);
	if (r == 0)
		r = paths_init(&paths, root, err);
	if (r == 0)
		r = setup_folders(&paths, err);
	if (r == 0)
		r = part_lock(&paths, &lock, err);
	if (r == 0)
		r = prepare(&paths, &settings, err);
	/* An instance alone is the last part. */
	for (size_t i = settings.joined ? PART_COUNT - 1 : 0; i < PART_COUNT && r == 0; i++)
		r = part_up(&paths, root ? root : "/", &part_rows[i], err);
	if (r == 0 && !settings.joined)
		print_hints(&paths, &settings);
	return r;
}

const struct command cmd_up = {"up", &options, run};
