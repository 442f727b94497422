/* SPDX-License-Identifier: Apache-2.0 */
/* The "resources" object: what becomes a control group's limits. */
#include "oci/spec_read.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

#define NUMBER(json_name, member)                                                           \
	{                                                                                   \
		json_name, spec_read_number, offsetof(struct spec_resources, member), false \
	}

static int read_rule_type(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {"a", "c", "b"};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "device type", &which);

	if (r == 0)
		*(char *)to = words[which][0];
	return r;
}

static int read_device_number(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_integer(reader, value, -1, UINT32_MAX, to);
}

static int read_access(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);
	const char *word = json_string_value(value);

	if (r == 0 && (strspn(word, "rwm") != strlen(word) || strlen(word) > 3))
		return spec_read_fail(reader, ERR_INVALID, "must be of 'rwm', not '%.16s'", word);
	return r;
}

static int read_device_rule(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"allow", spec_read_bool, offsetof(struct spec_device_rule, allow), true},
		{"type", read_rule_type, offsetof(struct spec_device_rule, type), false},
		{"major", read_device_number, offsetof(struct spec_device_rule, major), false},
		{"minor", read_device_number, offsetof(struct spec_device_rule, minor), false},
		{"access", read_access, offsetof(struct spec_device_rule, access), false},
	};
	struct spec_device_rule *rule = to;
	int r;

	*rule = (struct spec_device_rule){.type = 'a', .major = -1, .minor = -1, .access = "rwm"};
	r = spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
	if (r < 0)
		return r;
	if (!rule->access[0])
		rule->access = "rwm";
	/* "All devices" leaves no room for one: what would be meant is not guessed. */
	if (rule->allow && rule->type == 'a' && (rule->major >= 0 || rule->minor >= 0 || strlen(rule->access) != 3))
		return spec_read_fail(reader, ERR_INVALID, "type 'a' allows everything: give 'c' or 'b'");
	return 0;
}

static int read_device_rules(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_device_rule), 4096, read_device_rule, to);
}

/* Callers write 0 for what they do not set. */
static int read_limit(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_number *number = to;
	int r = spec_read_number(reader, value, to);

	number->present = number->present && number->value != 0;
	return r;
}

/* Of any size: some callers write the largest number there is. */
static int read_ignored_number(struct spec_reader *reader, const json_t *value, void *unused)
{
	struct spec_number ignored;

	return json_is_real(value) ? 0 : spec_read_number(reader, value, &ignored);
}

static int read_ignored_bool(struct spec_reader *reader, const json_t *value, void *unused)
{
	bool ignored;

	return spec_read_bool(reader, value, &ignored);
}

/* -1 stands for "as it is"; some callers write it as the largest number. */
static int read_swappiness(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_number *number = to;
	int r = json_is_real(value) ? 0 : spec_read_integer(reader, value, -1, 100, &number->value);

	number->present = r == 0 && !json_is_real(value) && number->value >= 0;
	return r;
}

static int read_memory(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"limit", read_limit, offsetof(struct spec_resources, memory_limit), false},
		{"reservation", read_limit, offsetof(struct spec_resources, memory_reservation), false},
		{"swap", read_limit, offsetof(struct spec_resources, memory_swap), false},
		{"swappiness", read_swappiness, offsetof(struct spec_resources, memory_swappiness), false},
		{"disableOOMKiller", spec_read_bool, offsetof(struct spec_resources, disable_oom_killer), false},
		{"checkBeforeUpdate", spec_read_bool, offsetof(struct spec_resources, memory_check), false},
		/* Gone from Linux, which counts them with the rest; the specification says to ignore them. */
		{"kernel", read_ignored_number, 0, false},
		{"kernelTCP", read_ignored_number, 0, false},
		/* Linux has known nothing but hierarchies since 5.11. */
		{"useHierarchy", read_ignored_bool, 0, false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_cpu(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		NUMBER("shares", cpu_shares),
		{"quota", read_limit, offsetof(struct spec_resources, cpu_quota), false},
		{"period", read_limit, offsetof(struct spec_resources, cpu_period), false},
		NUMBER("burst", cpu_burst),
		NUMBER("idle", cpu_idle),
		{"cpus", spec_read_string, offsetof(struct spec_resources, cpus), false},
		{"mems", spec_read_string, offsetof(struct spec_resources, mems), false},
		NUMBER("realtimeRuntime", cpu_rt_runtime),
		NUMBER("realtimePeriod", cpu_rt_period),
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_pids(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"limit", spec_read_number, 0, false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_weight(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_number *number = to;
	int r = spec_read_integer(reader, value, 0, 1000, &number->value);

	if (r < 0)
		return r;
	/* 0 stands for "not set". */
	if (number->value && number->value < 10)
		return spec_read_fail(reader, ERR_INVALID, "%lld is not within 10 to 1000", (long long)number->value);
	number->present = number->value != 0;
	return 0;
}

static int read_weight_device(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"major", spec_read_u32, offsetof(struct spec_io_device, major), true},
		{"minor", spec_read_u32, offsetof(struct spec_io_device, minor), true},
		{"weight", read_weight, offsetof(struct spec_io_device, weight), false},
		{"leafWeight", read_weight, offsetof(struct spec_io_device, leaf_weight), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_rate_device(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"major", spec_read_u32, offsetof(struct spec_io_device, major), true},
		{"minor", spec_read_u32, offsetof(struct spec_io_device, minor), true},
		{"rate", spec_read_number, offsetof(struct spec_io_device, rate), true},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_weight_devices(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_io_device), 256, read_weight_device, to);
}

static int read_rate_devices(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_io_device), 256, read_rate_device, to);
}

#define RATES(json_name, which)                                                                                     \
	{                                                                                                           \
		json_name, read_rate_devices,                                                                       \
			offsetof(struct spec_resources, io_rates) + (which) * sizeof(struct spec_io_devices), false \
	}

static int read_block_io(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"weight", read_weight, offsetof(struct spec_resources, io_weight), false},
		{"leafWeight", read_weight, offsetof(struct spec_resources, io_leaf_weight), false},
		{"weightDevice", read_weight_devices, offsetof(struct spec_resources, io_weights), false},
		RATES("throttleReadBpsDevice", SPEC_IO_READ_BYTES),
		RATES("throttleWriteBpsDevice", SPEC_IO_WRITE_BYTES),
		RATES("throttleReadIOPSDevice", SPEC_IO_READ_OPERATIONS),
		RATES("throttleWriteIOPSDevice", SPEC_IO_WRITE_OPERATIONS),
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

/* "2MB": becomes part of a file's name. */
static int read_page_size(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);
	const char *text = json_string_value(value);
	size_t digits;

	if (r < 0)
		return r;
	digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 9 || text[0] == '0' || !text[digits] || !strchr("KMG", text[digits]) ||
	    !str_eq(text + digits + 1, "B"))
		return spec_read_fail(reader, ERR_INVALID, "must be a size like 2MB, not '%.16s'", text);
	return 0;
}

/* Without a bound some callers write the largest number there is. */
static int read_page_limit(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_number *number = to;

	if (json_is_real(value) && json_real_value(value) >= 9.2e18) {
		*number = (struct spec_number){.present = true, .value = INT64_MAX};
		return 0;
	}
	return spec_read_number(reader, value, to);
}

static int read_page(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"pageSize", read_page_size, offsetof(struct spec_huge_page, size), true},
		{"limit", read_page_limit, offsetof(struct spec_huge_page, limit), true},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_pages(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_huge_page), 64, read_page, to);
}

static int read_interface(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);
	size_t len = r == 0 ? json_string_length(value) : 0;

	/* The kernel's IFNAMSIZ, and no blank or line end that would end the word written to it. */
	if (r == 0 && (len == 0 || len > 15 || strpbrk(json_string_value(value), " \t\n/")))
		return spec_read_fail(reader, ERR_INVALID, "'%.32s' is no interface's name", json_string_value(value));
	return r;
}

static int read_priority(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"name", read_interface, offsetof(struct spec_net_priority, name), true},
		{"priority", spec_read_u32, offsetof(struct spec_net_priority, priority), true},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_priorities(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_net_priority), 256, read_priority, to);
}

static int read_network(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"classID", spec_read_number, offsetof(struct spec_resources, net_class), false},
		{"priorities", read_priorities, offsetof(struct spec_resources, net_priorities), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_rdma_device(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"hcaHandles", spec_read_number, offsetof(struct spec_rdma, handles), false},
		{"hcaObjects", spec_read_number, offsetof(struct spec_rdma, objects), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

/* An object whose keys are the devices' names. */
static int read_rdma(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_resources *resources = to;
	const char *name;
	json_t *member;
	int r = spec_read_object(reader, value, NULL, 0, NULL);

	if (r < 0)
		return r;
	resources->rdma = spec_read_alloc(reader, (json_object_size(value) + 1) * sizeof(*resources->rdma));
	if (!resources->rdma)
		return spec_read_fail(reader, -ENOMEM, "no memory");
	json_object_foreach((json_t *)value, name, member) {
		struct spec_rdma *device = &resources->rdma[resources->rdma_count];

		if (!name[0] || strlen(name) > 63 || strpbrk(name, " \t\n"))
			return spec_read_fail(reader, ERR_INVALID, "'%.64s' is no device's name", name);
		device->name = name;
		r = spec_read_member(reader, name, member, read_rdma_device, device);
		if (r < 0)
			return r;
		resources->rdma_count++;
	}
	return 0;
}

/* Keys become file names below the cgroup. */
static int read_unified(struct spec_reader *reader, const json_t *value, void *to)
{
	const struct spec_pairs *pairs = to;
	int r = spec_read_pairs(reader, value, to);

	for (size_t i = 0; r == 0 && i < pairs->count; i++) {
		const char *key = pairs->items[i].key;

		/* Of the core's own files only bounds: the others move processes about or stop them. */
		if (str_eq(key, "cgroup.max.depth") || str_eq(key, "cgroup.max.descendants"))
			continue;
		if (strchr(key, '/') || !strchr(key, '.') || key[0] == '.' || str_starts(key, "cgroup."))
			return spec_read_fail(reader, ERR_INVALID, "'%.64s' is no controller's file", key);
	}
	return r;
}

int spec_linux_read_resources(struct spec_reader *reader, const json_t *value, void *to_resources)
{
	static const struct spec_field fields[] = {
		{"devices", read_device_rules, offsetof(struct spec_resources, devices), false},
		{"memory", read_memory, 0, false},
		{"cpu", read_cpu, 0, false},
		{"pids", read_pids, offsetof(struct spec_resources, pids_limit), false},
		{"blockIO", read_block_io, 0, false},
		{"unified", read_unified, offsetof(struct spec_resources, unified), false},
		{"hugepageLimits", read_pages, offsetof(struct spec_resources, huge_pages), false},
		{"network", read_network, 0, false},
		{"rdma", read_rdma, 0, false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to_resources);
}
