/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/fdio.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"

int commands_load_bounds(const struct commands_global *global, struct bounds *bounds, struct err *err)
{
	return bounds_load(bounds, global->ceiling, err);
}

void commands_log_bounds(const struct commands_global *global, const struct bounds *bounds)
{
	for (size_t i = 0; i < bounds->note_count; i++)
		commands_log(global, "warning", bounds->notes[i]);
}

/* What create would do with the bundle's config.json, without doing it. */
static int check_bundle(const struct commands_global *global, const char *path, bool print, struct err *err)
{
	struct bounds bounds CLEANUP(bounds_done) = {0};
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	CLEANUP_SPEC struct spec spec = {0};
	CLEANUP_CLOSE int folder = -1;
	int r = commands_load_bounds(global, &bounds, err);

	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, &folder, err);
	if (r == 0)
		r = fdio_read_file(folder, "config.json", &text, err);
	if (r == 0)
		r = spec_parse(&spec, text.data, text.len, err);
	if (r == 0)
		r = bounds_settle_user(&bounds, &text, &spec, err);
	if (r == 0)
		r = bounds_apply(&bounds, folder, &text, &spec, err);
	if (r == 0)
		r = bounds_would_add_user(&bounds, folder, &spec, err);
	if (r < 0)
		return r;
	if (r > 0)
		bounds_note(&bounds, "config.json: linux.namespaces: gets a user namespace");
	for (size_t i = 0; !print && i < bounds.note_count; i++)
		(void)puts(bounds.notes[i]);
	if (print)
		(void)puts(text.data);
	return fflush(stdout) != 0 ? err_sys(err, -errno, "cannot print") : 0;
}

int commands_check(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	const char *bundle = ".";
	bool print = false;
	const struct option_row rows[] = {
		{"bundle", 'b', "DIR", "folder of config.json (the present one)", &bundle, NULL},
		{"print", 0, NULL, "print the config.json that comes out", NULL, &print},
	};
	int first, r = commands_parse("bulkhead-runtime check", "Tells what the machine's ceiling does to a bundle.",
				      NULL, 0, 0, rows, 2, argc, argv, &first, err);

	return r == 0 ? check_bundle(global, bundle, print, err) : r;
}
