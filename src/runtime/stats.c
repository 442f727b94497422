/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/json_build.h"
#include "base/str.h"
#include "sandbox/cgroup_file.h"

#define NANOSECONDS_A_TICK 10000000u

/* A group's file as text; empty when it is not there. */
static const char *text_of(int group, const char *file, struct buf *buf)
{
	CLEANUP_CLOSE int fd = group < 0 ? -1 : openat(group, file, O_RDONLY | O_CLOEXEC);

	buf->len = 0;
	if (fd < 0 || fdio_read_all(fd, buf) < 0 || !buf->data)
		return "";
	return buf->data;
}

/* A file of one number; the word "max" and what no number holds become the largest one. */
static uint64_t number_of(int group, const char *file)
{
	char value[64];
	uint64_t number = 0;

	if (group < 0 || cgroup_file_read(group, file, value, sizeof(value)) < 0)
		return 0;
	if (str_eq(value, "max") || str_parse_u64(value, UINT64_MAX, &number) == -ERANGE)
		return UINT64_MAX;
	return number;
}

/* The decoder's numbers are signed: what is larger is written as the largest. */
static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static int set_number(json_t *object, const char *key, uint64_t value)
{
	return json_object_set_new(object, key, number(value));
}

static json_t *list_of_numbers(const char *text)
{
	json_t *list = json_array();
	char *end;

	for (const char *at = text; list && *at; at = end) {
		uint64_t value = strtoull(at, &end, 10);

		if (end == at)
			break;
		(void)json_array_append_new(list, number(value));
		end += strspn(end, " \n");
	}
	return list;
}

static json_t *cpu_legacy(struct cgroup *cgroup, struct buf *buf)
{
	int account = cgroup_controller_fd(cgroup, "cpuacct"), cpu = cgroup_controller_fd(cgroup, "cpu");
	json_t *usage = json_object(), *throttling = json_object();
	const char *text;

	(void)set_number(usage, "total", number_of(account, "cpuacct.usage"));
	(void)json_object_set_new(usage, "percpu", list_of_numbers(text_of(account, "cpuacct.usage_percpu", buf)));
	text = text_of(account, "cpuacct.stat", buf);
	(void)set_number(usage, "kernel", cgroup_file_counter(text, "system") * NANOSECONDS_A_TICK);
	(void)set_number(usage, "user", cgroup_file_counter(text, "user") * NANOSECONDS_A_TICK);
	text = text_of(cpu, "cpu.stat", buf);
	(void)set_number(throttling, "periods", cgroup_file_counter(text, "nr_periods"));
	(void)set_number(throttling, "throttledPeriods", cgroup_file_counter(text, "nr_throttled"));
	(void)set_number(throttling, "throttledTime", cgroup_file_counter(text, "throttled_time"));
	return json_build("{s:o, s:o}", "usage", usage, "throttling", throttling);
}

/* Version 2 counts microseconds. */
static json_t *cpu_unified(int group, struct buf *buf)
{
	const char *text = text_of(group, "cpu.stat", buf);
	json_t *usage = json_object(), *throttling = json_object();

	(void)set_number(usage, "total", cgroup_file_counter(text, "usage_usec") * 1000);
	(void)set_number(usage, "kernel", cgroup_file_counter(text, "system_usec") * 1000);
	(void)set_number(usage, "user", cgroup_file_counter(text, "user_usec") * 1000);
	(void)set_number(throttling, "periods", cgroup_file_counter(text, "nr_periods"));
	(void)set_number(throttling, "throttledPeriods", cgroup_file_counter(text, "nr_throttled"));
	(void)set_number(throttling, "throttledTime", cgroup_file_counter(text, "throttled_usec") * 1000);
	return json_build("{s:o, s:o}", "usage", usage, "throttling", throttling);
}

/* The next word of a text that is the kernel's own; false at its end. Not sscanf: that brings in a tenth of a megabyte. */
static bool next_word(const char **text, char *to, size_t size)
{
	const char *at = *text + strspn(*text, " \n");
	size_t len = strcspn(at, " \n");

	*text = at + len;
	(void)snprintf(to, size, "%.*s", (int)len, at);
	return len > 0 && len < size;
}

static bool next_number(const char **text, uint64_t *ret_value)
{
	char word[24];

	return next_word(text, word, sizeof(word)) && str_parse_u64(word, UINT64_MAX, ret_value) == 0;
}

/* "8:0" */
static bool next_device(const char **text, unsigned int *ret_major, unsigned int *ret_minor)
{
	char word[24], *colon;
	uint64_t major, minor;

	if (!next_word(text, word, sizeof(word)))
		return false;
	colon = strchr(word, ':');
	if (!colon)
		return false;
	*colon = '\0';
	if (str_parse_u64(word, UINT32_MAX, &major) < 0 || str_parse_u64(colon + 1, UINT32_MAX, &minor) < 0)
		return false;
	*ret_major = (unsigned int)major;
	*ret_minor = (unsigned int)minor;
	return true;
}

/* Every counter of memory.stat by its own name. */
static json_t *raw_counters(const char *text)
{
	json_t *raw = json_object();
	char name[64];
	uint64_t value;

	while (raw && next_word(&text, name, sizeof(name)) && next_number(&text, &value))
		(void)set_number(raw, name, value);
	return raw;
}

/* usage, largest usage, limit and failures under a common beginning of the files' names. */
static json_t *memory_legacy_entry(int group, const char *prefix)
{
	static const struct {
		const char *key, *file;
	} rows[] = {
		{"limit", "limit_in_bytes"},
		{"usage", "usage_in_bytes"},
		{"max", "max_usage_in_bytes"},
		{"failcnt", "failcnt"},
	};
	json_t *entry = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char file[64];

		(void)snprintf(file, sizeof(file), "%s.%s", prefix, rows[i].file);
		(void)set_number(entry, rows[i].key, number_of(group, file));
	}
	return entry;
}

static json_t *memory_legacy(struct cgroup *cgroup, struct buf *buf)
{
	int group = cgroup_controller_fd(cgroup, "memory");
	const char *text = text_of(group, "memory.stat", buf);
	json_t *memory = json_object();

	(void)set_number(memory, "cache", cgroup_file_counter(text, "cache"));
	(void)json_object_set_new(memory, "raw", raw_counters(text));
	(void)json_object_set_new(memory, "usage", memory_legacy_entry(group, "memory"));
	(void)json_object_set_new(memory, "swap", memory_legacy_entry(group, "memory.memsw"));
	(void)json_object_set_new(memory, "kernel", memory_legacy_entry(group, "memory.kmem"));
	(void)json_object_set_new(memory, "kernelTCP", memory_legacy_entry(group, "memory.kmem.tcp"));
	return memory;
}

static json_t *memory_unified(int group, struct buf *buf)
{
	json_t *memory = json_object(), *usage = json_object(), *swap = json_object();
	const char *text = text_of(group, "memory.stat", buf);
	uint64_t used = number_of(group, "memory.current"), limit = number_of(group, "memory.max");
	uint64_t swapped = number_of(group, "memory.swap.current"), swap_limit = number_of(group, "memory.swap.max");

	(void)set_number(memory, "cache", cgroup_file_counter(text, "file"));
	(void)json_object_set_new(memory, "raw", raw_counters(text));
	text = text_of(group, "memory.events", buf);
	(void)set_number(usage, "limit", limit);
	(void)set_number(usage, "usage", used);
	(void)set_number(usage, "max", number_of(group, "memory.peak"));
	(void)set_number(usage, "failcnt", cgroup_file_counter(text, "max"));
	/* Callers know the sum of memory and swap from version 1. */
	(void)set_number(swap, "limit",
			 swap_limit == UINT64_MAX || limit == UINT64_MAX ? UINT64_MAX : limit + swap_limit);
	(void)set_number(swap, "usage", used + swapped);
	(void)set_number(swap, "max", 0);
	(void)set_number(swap, "failcnt", 0);
	(void)json_object_set_new(memory, "usage", usage);
	(void)json_object_set_new(memory, "swap", swap);
	return memory;
}

static json_t *block_entry(unsigned int major, unsigned int minor, const char *op, uint64_t value)
{
	return json_build("{s:i, s:i, s:s, s:o}", "major", (int)major, "minor", (int)minor, "op", op, "value",
			  number(value));
}

/* Lines "8:0 Read 4096"; the sum over all devices has no numbers and is left out. */
static json_t *block_legacy(int group, const char *file, struct buf *buf)
{
	const char *text = text_of(group, file, buf);
	unsigned int major, minor;
	json_t *list = json_array();
	uint64_t value;
	char op[32];

	while (list && next_device(&text, &major, &minor) && next_word(&text, op, sizeof(op)) &&
	       next_number(&text, &value))
		(void)json_array_append_new(list, block_entry(major, minor, op, value));
	return list;
}

/* Lines "8:0 rbytes=4096 wbytes=0 rios=1 …" of version 2, by two of the words. */
static json_t *block_unified(const char *text, const char *read_word, const char *write_word)
{
	const char *const words[] = {read_word, write_word}, *const ops[] = {"Read", "Write"};
	json_t *list = json_array();

	for (const char *line = text; list && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		unsigned int major, minor;
		const char *device = line;

		if (!next_device(&device, &major, &minor))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			const char *at = strstr(line, words[i]);

			if (at && at < line + strcspn(line, "\n"))
				(void)json_array_append_new(list,
							    block_entry(major, minor, ops[i],
									strtoull(at + strlen(words[i]), NULL, 10)));
		}
	}
	return list;
}

static json_t *block(struct cgroup *cgroup, struct buf *buf)
{
	int group = cgroup_controller_fd(cgroup, "blkio");
	json_t *block_io = json_object();

	if (cgroup->only_unified) {
		const char *text = text_of(cgroup_unified_fd(cgroup), "io.stat", buf);

		(void)json_object_set_new(block_io, "ioServiceBytesRecursive",
					  block_unified(text, "rbytes=", "wbytes="));
		(void)json_object_set_new(block_io, "ioServicedRecursive", block_unified(text, "rios=", "wios="));
		return block_io;
	}
	(void)json_object_set_new(block_io, "ioServiceBytesRecursive",
				  block_legacy(group, "blkio.throttle.io_service_bytes_recursive", buf));
	(void)json_object_set_new(block_io, "ioServicedRecursive",
				  block_legacy(group, "blkio.throttle.io_serviced_recursive", buf));
	return block_io;
}

/* One entry for each page size that has a file "hugetlb.SIZE.…". */
static json_t *huge_pages(int group, bool unified)
{
	const char *usage = unified ? "current" : "usage_in_bytes", *most = unified ? "max" : "max_usage_in_bytes";
	json_t *pages = json_object();
	int fd = group < 0 ? -1 : openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		const char *at = entry->d_name + strlen("hugetlb.");
		char size[16], file[80];

		if (!str_starts(entry->d_name, "hugetlb.") || strcspn(at, ".") >= sizeof(size))
			continue;
		(void)snprintf(size, sizeof(size), "%.*s", (int)strcspn(at, "."), at);
		if (!at[strlen(size)] || !str_eq(at + strlen(size) + 1, usage))
			continue;
		(void)snprintf(file, sizeof(file), "hugetlb.%s.%s", size, most);
		(void)json_object_set_new(pages, size,
					  json_build("{s:o, s:o, s:i}", "usage",
						     number(number_of(group, entry->d_name)), "max",
						     number(number_of(group, file)), "failcnt", 0));
	}
	if (entries)
		(void)closedir(entries);
	return pages;
}

static json_t *pids(int group)
{
	uint64_t limit = number_of(group, "pids.max");

	/* Callers take 0 for "no limit". */
	return json_build("{s:o, s:o}", "current", number(number_of(group, "pids.current")), "limit",
			  number(limit == UINT64_MAX ? 0 : limit));
}

json_t *stats_read(struct cgroup *cgroup)
{
	CLEANUP_BUF struct buf buf = buf_of(1u << 20);
	int unified = cgroup_unified_fd(cgroup);
	bool only = cgroup->only_unified;

	return json_build("{s:o, s:o, s:o, s:o, s:o, s:{}, s:[]}", "cpu",
			  only ? cpu_unified(unified, &buf) : cpu_legacy(cgroup, &buf), "memory",
			  only ? memory_unified(unified, &buf) : memory_legacy(cgroup, &buf), "pids",
			  pids(only ? unified : cgroup_controller_fd(cgroup, "pids")), "blkio", block(cgroup, &buf),
			  "hugetlb", huge_pages(only ? unified : cgroup_controller_fd(cgroup, "hugetlb"), only),
			  "intel_rdt", "network_interfaces");
}

/* Version 1: the kernel counts up an eventfd that is named in cgroup.event_control beside the file to watch. */
static int open_legacy(struct stats_oom *oom, int group)
{
	char line[32];

	oom->legacy = openat(group, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	oom->fd = oom->legacy < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (oom->fd < 0)
		return -errno;
	(void)snprintf(line, sizeof(line), "%d %d", oom->fd, oom->legacy);
	return cgroup_file_write(group, "cgroup.event_control", line);
}

static int open_unified(struct stats_oom *oom, int group)
{
	char path[64];

	oom->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (oom->fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/memory.events", group);
	return inotify_add_watch(oom->fd, path, IN_MODIFY) < 0 ? -errno : 0;
}

int stats_oom_open(struct stats_oom *oom, struct cgroup *cgroup, struct err *err)
{
	int legacy = cgroup_controller_fd(cgroup, "memory"), r = 0;

	*oom = (struct stats_oom){.fd = -1, .legacy = -1, .kills = cgroup_oom_kills(cgroup)};
	if (legacy >= 0)
		r = open_legacy(oom, legacy);
	else if (cgroup_unified_fd(cgroup) >= 0)
		r = open_unified(oom, cgroup_unified_fd(cgroup));
	return r < 0 ? err_sys(err, r, "cannot watch the memory of control group '%s'", cgroup->path) : 0;
}

void stats_oom_close(struct stats_oom *oom)
{
	if (oom->fd >= 0)
		(void)close(oom->fd);
	if (oom->legacy >= 0)
		(void)close(oom->legacy);
}

bool stats_oom_happened(struct stats_oom *oom, struct cgroup *cgroup)
{
	uint64_t before = oom->kills;
	char events[4096];
	bool heard = read(oom->fd, events, sizeof(events)) > 0;
	char ignored[64];

	/* The kernel says so too when the group goes away. */
	if (oom->legacy >= 0)
		return heard && cgroup_file_read(cgroup_controller_fd(cgroup, "memory"), "memory.swappiness", ignored,
						 sizeof(ignored)) == 0;
	oom->kills = cgroup_oom_kills(cgroup);
	return oom->kills > before;
}
