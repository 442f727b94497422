/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "sandbox/cgroup_file.h"
#include "sandbox/cgroup_limit.h"
#include "sandbox/device_bpf.h"
#include "sandbox/device_list.h"

/* What every container has; these come last, so that no rule takes them away. */
static const struct spec_device_rule always[] = {
	{true, 'c', 1, 3, "rwm"}, {true, 'c', 1, 5, "rwm"}, {true, 'c', 1, 7, "rwm"}, {true, 'c', 1, 8, "rwm"},
	{true, 'c', 1, 9, "rwm"}, {true, 'c', 5, 0, "rwm"}, {true, 'c', 5, 2, "rwm"}, {true, 'c', 136, -1, "rwm"},
};

static void format_device(char *to, size_t size, const struct spec_device_rule *rule)
{
	char major[24] = "*", minor[24] = "*";

	if (rule->major >= 0)
		(void)snprintf(major, sizeof(major), "%" PRId64, rule->major);
	if (rule->minor >= 0)
		(void)snprintf(minor, sizeof(minor), "%" PRId64, rule->minor);
	if (rule->type == 'a')
		(void)snprintf(to, size, "a");
	else
		(void)snprintf(to, size, "%c %s:%s %s", rule->type, major, minor, rule->access);
}

/* Version 1 takes a rule a write. */
struct files {
	int allow, deny;
};

static void files_close(struct files *files)
{
	if (files->allow >= 0)
		(void)close(files->allow);
	if (files->deny >= 0)
		(void)close(files->deny);
}

static int put_rule(struct cgroup_limit_target *to, const char *field, const struct spec_device_rule *rule,
		    struct files *files)
{
	char line[80];

	format_device(line, sizeof(line), rule);
	return cgroup_limit_put_next(to, field, "devices", rule->allow ? "devices.allow" : "devices.deny", line,
				     rule->allow ? &files->allow : &files->deny);
}

/* Everything is denied first, then the rules in their order. */
static int set_legacy(struct cgroup_limit_target *to, const struct spec_device_rules *rules)
{
	static const struct spec_device_rule everything = {false, 'a', -1, -1, "rwm"};
	CLEANUP(files_close) struct files files = {-1, -1};

	TRY(put_rule(to, "devices", &everything, &files));
	for (size_t i = 0; i < rules->count; i++) {
		char field[32];

		(void)snprintf(field, sizeof(field), "devices[%zu]", i);
		TRY(put_rule(to, field, &rules->items[i], &files));
	}
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		TRY(put_rule(to, "devices", &always[i], &files));
	return 0;
}

static int list_rules(const struct spec_device_rules *rules, struct device_list *list)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->count; i++)
		r = device_list_add(list, &rules->items[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(always); i++)
		r = device_list_add(list, &always[i]);
	return r;
}

static int list_group(int group, struct device_list *list)
{
	CLEANUP_BUF struct buf text = buf_of(1u << 20);
	int r = fdio_read_file(group, "devices.list", &text, NULL);

	return r == 0 ? device_list_parse(list, text.data ? text.data : "") : r;
}

/* Writes the entries of one list with what the other has not of them. */
static int put_missing(struct cgroup_limit_target *to, const char *file, const struct device_list *list,
		       const struct device_list *other)
{
	for (size_t i = 0; i < list->count; i++) {
		struct device_list_entry entry = list->items[i];
		char line[80];

		entry.access &= ~device_list_find(other, &entry);
		if (!entry.access)
			continue;
		device_list_format(&entry, line, sizeof(line));
		TRY(cgroup_limit_put(to, "devices", "devices", file, line));
	}
	return 0;
}

/*
 * A group that has processes must at no time lack what it had and shall have: what is new is allowed first, then what is
 * no longer allowed goes. Only from a list of what is allowed to one of what is not, and back, there is no such way.
 */
static int limit_legacy(struct cgroup_limit_target *to, int group, const struct spec_device_rules *rules)
{
	CLEANUP(device_list_done) struct device_list wanted = {0}, present = {0};
	int r;

	if (!to->cgroup->populated)
		return set_legacy(to, rules);
	r = list_rules(rules, &wanted);
	if (r == 0)
		r = list_group(group, &present);
	if (r < 0)
		return err_sys(to->err, r, "config.json: linux.resources.devices: cannot read those of '%s'",
			       to->cgroup->path);
	if (wanted.open || present.open)
		return set_legacy(to, rules);
	TRY(put_missing(to, "devices.allow", &wanted, &present));
	return put_missing(to, "devices.deny", &present, &wanted);
}

/* The inode of the first user namespace is a constant of the kernel. */
#define FIRST_USER_NAMESPACE 0xEFFFFFFDu

/*
 * Whoever is not, cannot load programs. They can make no device either, and those of the machine keep their owners and
 * modes towards them: the rules have nothing to hold back.
 */
static bool is_machine_root(void)
{
	struct stat st;

	return geteuid() == 0 && stat("/proc/self/ns/user", &st) == 0 && st.st_ino == FIRST_USER_NAMESPACE;
}

static int limit_unified(struct cgroup_limit_target *to, const struct spec_device_rules *rules)
{
	CLEANUP_FREE struct spec_device_rule *all = calloc(rules->count + ARRAY_SIZE(always), sizeof(*all));
	struct device_bpf_program program = {0};
	int r = all ? 0 : -ENOMEM;

	if (r == 0 && rules->count)
		memcpy(all, rules->items, rules->count * sizeof(*all));
	if (r == 0) {
		memcpy(all + rules->count, always, sizeof(always));
		r = device_bpf_compile(all, rules->count + ARRAY_SIZE(always), &program);
	}
	if (r == 0)
		r = device_bpf_attach(&program, cgroup_unified_fd(to->cgroup));
	device_bpf_done(&program);
	if (r == 0 || (r == -EPERM && !is_machine_root()))
		return 0;
	(void)err_sys(to->err, r, "config.json: linux.resources.devices: cannot confine control group '%s'",
		      to->cgroup->path);
	return err_hint(to->err, "version 2 of control groups needs CONFIG_CGROUP_BPF and the privilege for it");
}

static int refuse_devices(struct cgroup_limit_target *to)
{
	(void)err_set(to->err, -EOPNOTSUPP,
		      "config.json: linux.resources.devices: nothing on this machine holds devices back");
	return err_hint(to->err, "mount the 'devices' controller of version 1 of control groups, or version 2");
}

int cgroup_limit_devices(struct cgroup_limit_target *to, const struct spec_device_rules *rules)
{
	int group;

	TRY(cgroup_controller_make(to->cgroup, "devices", &group, to->err));
	if (group >= 0)
		return limit_legacy(to, group, rules);
	if (cgroup_unified_fd(to->cgroup) >= 0)
		return limit_unified(to, rules);
	return is_machine_root() ? refuse_devices(to) : 0;
}
