/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "base/options.h"
#include "base/str.h"
#include "cis/instance.h"
#include "image/image.h"

int main(int argc, char **argv)
{
	static const char *root, *ticket, *ready;
	static const struct option_row rows[] = {
		{"root", 0, "DIR", "folder that etc, var and run lie below (default /)", &root, NULL},
		{"ticket", 0, "FILE", "run the one pod of a signed ticket, without a CISM", &ticket, NULL},
		{"ready-fd", 0, "N", "descriptor that gets one byte once the service is ready", &ready, NULL},
	};
	static const struct option_command command = {
		.program = "bulkhead-cis",
		.summary = "Runs the pods that are bound to this instance, each by its signed ticket.",
		.footer = "Configuration: etc/bulkhead/cis.json. SIGTERM ends the service and leaves pods\nrunning; "
			  "'bulkhead down' stops them.",
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
	};
	struct instance_options options = {.ready_fd = -1};
	struct err err = {0};
	uint64_t fd;
	int first, r;

	/* Layers are unpacked, and sealed images served, by this program as confined processes of its own. */
	if (argc > 1 && str_eq(argv[1], IMAGE_INGEST_WORD))
		return image_ingest_main();
	if (argc > 1 && str_eq(argv[1], IMAGE_VIEW_WORD))
		return image_view_main();
	log_init("cis", LOG_LEVEL_INFO);
	r = options_parse(&command, argc, argv, &first, &err);
	if (r > 0)
		return 0;
	if (r == 0 && ready) {
		r = str_parse_u64(ready, 1023, &fd);
		if (r < 0)
			(void)err_set(&err, ERR_INVALID, "'--ready-fd' is not a descriptor: '%s'", ready);
		else
			options.ready_fd = (int)fd;
	}
	if (r == 0)
		r = paths_init(&options.paths, root, &err);
	options.ticket = ticket;
	if (r == 0)
		r = instance_run(&options, &err);
	if (r < 0)
		log_failure("the instance service ends", &err);
	return err_exit_code(r);
}
