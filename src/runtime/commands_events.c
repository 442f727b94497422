/* SPDX-License-Identifier: Apache-2.0 */
/* The command that tells what a container uses, and when it runs out of memory: one JSON object a line. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_build.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "runtime/stats.h"

struct watch {
	struct state *state;
	struct cgroup *cgroup;
	struct stats_oom oom;
	int pidfd;
	int interval_ms;
};

static int say(const struct state *state, const char *type, json_t *data, struct err *err)
{
	json_t *json = json_build("{s:s, s:s, s:o*}", "type", type, "id", state->id, "data", data);
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	return puts(text) < 0 || fflush(stdout) != 0 ? err_sys(err, -EIO, "cannot print") : 0;
}

static int say_stats(const struct watch *watch, struct err *err)
{
	json_t *stats = stats_read(watch->cgroup);

	return stats ? say(watch->state, "stats", stats, err) : err_set(err, -ENOMEM, "no memory");
}

static int milliseconds_until(uint64_t due_ns)
{
	uint64_t now = clock_monotonic_ns();

	return now >= due_ns ? 0 : (int)((due_ns - now) / 1000000 + 1);
}

/* Until the container ends. */
static int follow(struct watch *watch, struct err *err)
{
	uint64_t step = (uint64_t)watch->interval_ms * 1000000, due = clock_monotonic_ns() + step;
	int r = 0;

	while (r == 0) {
		struct pollfd fds[] = {{.fd = watch->oom.fd, .events = POLLIN}, {.fd = watch->pidfd, .events = POLLIN}};

		if (poll(fds, ARRAY_SIZE(fds), milliseconds_until(due)) < 0 && errno != EINTR)
			return err_sys(err, -errno, "cannot wait");
		if (fds[0].revents && stats_oom_happened(&watch->oom, watch->cgroup))
			r = say(watch->state, "oom", NULL, err);
		if (fds[1].revents)
			return r;
		if (r == 0 && clock_monotonic_ns() >= due) {
			r = say_stats(watch, err);
			due += step;
		}
	}
	return r;
}

static int open_watch(struct watch *watch, struct err *err)
{
	enum state_status status = commands_status(watch->state);
	int r;

	if (status == STATE_STOPPED || status == STATE_CREATING)
		return err_set(err, ERR_INVALID, "container '%s' has no events: it is %s", watch->state->id,
			       state_status_name(status));
	r = cgroup_init(watch->cgroup, watch->state->cgroup, err);
	if (r == 0)
		r = cgroup_open(watch->cgroup, err);
	if (r < 0)
		return r;
	r = state_open_process(watch->state, &watch->pidfd);
	return r < 0 ? err_sys(err, r, "container '%s' has ended", watch->state->id) : 0;
}

/* Go's notation, as far as callers use it: "5s", "500ms", "1m", and a plain number of seconds. */
static int read_interval(const char *text, int *ret_ms, struct err *err)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
	size_t digits = strspn(text, "0123456789");
	char number[16];
	uint64_t value;

	if (digits && digits < sizeof(number)) {
		(void)snprintf(number, sizeof(number), "%.*s", (int)digits, text);
		for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
			if (!str_eq(units[i].unit, text + digits) || str_parse_u64(number, 86400000, &value) < 0 ||
			    value == 0 || value * units[i].ms > 86400000)
				continue;
			*ret_ms = (int)(value * units[i].ms);
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "--interval: '%.32s' is no time from 1ms to 24h", text);
}

int commands_events(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	struct cgroup cgroup = {0};
	struct watch watch = {.state = &state, .cgroup = &cgroup, .pidfd = -1, .oom = {.fd = -1, .legacy = -1}};
	const char *interval = "5s";
	bool once = false;
	const struct option_row rows[] = {
		{"interval", 0, "TIME", "time between two lines of statistics (5s)", &interval, NULL},
		{"stats", 0, NULL, "print the statistics once", NULL, &once},
	};
	int first, r = commands_parse("bulkhead-runtime events", "Tells what a container uses, until it ends.", "ID", 1,
				      1, rows, ARRAY_SIZE(rows), argc, argv, &first, err);

	if (r == 0)
		r = read_interval(interval, &watch.interval_ms, err);
	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r)
		return r;
	r = open_watch(&watch, err);
	state_unlock(&state);
	if (r == 0 && once)
		r = say_stats(&watch, err);
	if (r == 0 && !once)
		r = stats_oom_open(&watch.oom, &cgroup, err);
	if (r == 0 && !once)
		r = follow(&watch, err);
	stats_oom_close(&watch.oom);
	if (watch.pidfd >= 0)
		(void)close(watch.pidfd);
	cgroup_done(&cgroup);
	return r;
}
