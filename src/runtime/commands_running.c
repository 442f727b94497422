/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for a container that runs: ps, pause, resume. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/proc.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "sandbox/cgroup.h"

static int open_groups(const struct state *state, struct cgroup *cgroup, struct err *err)
{
	int r;

	if (!state->cgroup[0])
		return err_set(err, ERR_INVALID, "container '%s' has no control group", state->id);
	r = cgroup_init(cgroup, state->cgroup, err);
	return r == 0 ? cgroup_open(cgroup, err) : r;
}

static int freeze(const struct commands_global *global, const char *program, const char *summary, bool frozen, int argc,
		  char **argv, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	struct cgroup cgroup = {0};
	enum state_status status, wanted = frozen ? STATE_RUNNING : STATE_PAUSED;
	int first, r = commands_parse(program, summary, "ID", 1, 1, NULL, 0, argc, argv, &first, err);

	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r)
		return r;
	status = commands_status(&state);
	if (status != wanted)
		return err_set(err, ERR_INVALID, "container '%s' cannot be %s: it is %s", state.id,
			       frozen ? "paused" : "resumed", state_status_name(status));
	r = open_groups(&state, &cgroup, err);
	if (r == 0)
		r = cgroup_freeze(&cgroup, frozen, err);
	cgroup_done(&cgroup);
	return r;
}

int commands_pause(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	return freeze(global, "bulkhead-runtime pause", "Stops all processes of a container.", true, argc, argv, err);
}

int commands_resume(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	return freeze(global, "bulkhead-runtime resume", "Lets a paused container go on.", false, argc, argv, err);
}

static const char *find_ps(void)
{
	static const char *const places[] = {"/usr/bin/ps", "/bin/ps", "/usr/local/bin/ps"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* The machine's `ps` with these words; what it prints goes to text. */
static int run_ps(const char *const *words, size_t count, struct buf *text, struct err *err)
{
	CLEANUP_FREE const char **argv = calloc(count + 2, sizeof(*argv));
	const char *program = find_ps();

	if (!argv)
		return err_set(err, -ENOMEM, "no memory");
	if (!program) {
		(void)err_set(err, ERR_NOT_FOUND, "ps: the table is made by the program 'ps', which is not installed");
		return err_hint(err, "install procps, or use --format json");
	}
	argv[0] = "ps";
	memcpy(argv + 1, words, count * sizeof(*words));
	return proc_run(program, argv, NULL, text, NULL, 20000, err);
}

/* In which word of the heading the process ids stand; -1 when nowhere. */
static int pid_column(const char *heading, size_t len)
{
	int column = 0;

	for (size_t at = strspn(heading, " "); at < len; column++) {
		size_t word = strcspn(heading + at, " \n");

		if (word == 3 && memcmp(heading + at, "PID", 3) == 0)
			return column;
		at += word;
		at += strspn(heading + at, " ");
	}
	return -1;
}

static pid_t pid_in(const char *line, int column)
{
	for (line += strspn(line, " "); column > 0; column--) {
		line += strcspn(line, " \n");
		line += strspn(line, " ");
	}
	return (pid_t)strtol(line, NULL, 10);
}

/* Of the machine's table the heading and the rows of the container's processes. */
static int print_rows(const char *text, const pid_t *pids, size_t count, struct err *err)
{
	size_t len = strcspn(text, "\n");
	int column = pid_column(text, len);

	if (column < 0)
		return err_set(err, ERR_INVALID, "ps: its table has no column 'PID' with these options");
	(void)printf("%.*s\n", (int)len, text);
	for (const char *line = text + len + (text[len] != 0); *line; line += len + (line[len] != 0)) {
		pid_t pid = pid_in(line, column);

		len = strcspn(line, "\n");
		for (size_t i = 0; i < count; i++)
			if (pids[i] == pid)
				(void)printf("%.*s\n", (int)len, line);
	}
	return 0;
}

static int print_table(const char *const *words, size_t word_count, const pid_t *pids, size_t count, struct err *err)
{
	static const char *const usual[] = {"-ef"};
	CLEANUP_BUF struct buf text = buf_of(64u << 20);
	int r = word_count ? run_ps(words, word_count, &text, err) : run_ps(usual, 1, &text, err);

	return r == 0 ? print_rows(text.data ? text.data : "", pids, count, err) : r;
}

static void print_list(const pid_t *pids, size_t count)
{
	(void)putchar('[');
	for (size_t i = 0; i < count; i++)
		(void)printf("%s%d", i ? "," : "", (int)pids[i]);
	(void)puts("]");
}

int commands_ps(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_FREE pid_t *pids = NULL;
	const char *format = "table";
	const struct option_row rows[] = {{"format", 'f', "FORMAT", "table or json", &format, NULL}};
	const struct option_command command = {
		.program = "bulkhead-runtime ps",
		.operands = "ID [OPTIONS OF PS …]",
		.summary = "Lists the processes of a container.",
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
		.least_operands = 1,
		.most_operands = INT32_MAX,
		.stop_at_operand = true,
	};
	struct cgroup cgroup = {0};
	size_t count = 0;
	int first, r = options_parse(&command, argc, argv, &first, err);

	if (r == 0 && !str_eq(format, "table") && !str_eq(format, "json"))
		return err_set(err, ERR_INVALID, "unknown format '%s'", format);
	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r)
		return r;
	r = open_groups(&state, &cgroup, err);
	if (r == 0)
		r = cgroup_pids(&cgroup, &pids, &count, err);
	cgroup_done(&cgroup);
	if (r < 0)
		return r;
	if (str_eq(format, "table"))
		return print_table((const char *const *)argv + first + 1, (size_t)(argc - first - 1), pids, count, err);
	print_list(pids, count);
	return 0;
}
