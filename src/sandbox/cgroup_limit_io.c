/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/cgroup_file.h"
#include "sandbox/cgroup_limit.h"

/* Where each rate is written: a file of its own on version 1, a word in io.max on version 2. */
static const struct {
	const char *field;
	const char *legacy;
	const char *word;
} rates[SPEC_IO_RATES] = {
	[SPEC_IO_READ_BYTES] = {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
	[SPEC_IO_WRITE_BYTES] = {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
	[SPEC_IO_READ_OPERATIONS] = {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
	[SPEC_IO_WRITE_OPERATIONS] = {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
};

static bool has_file(int group, const char *file)
{
	return group >= 0 && faccessat(group, file, F_OK, 0) == 0;
}

static int put_rate(struct cgroup_limit_target *to, enum spec_io_rate which, size_t index,
		    const struct spec_io_device *device)
{
	bool none = device->rate.value <= 0;
	char field[64], value[96], rate[32] = "max";

	(void)snprintf(field, sizeof(field), "blockIO.%s[%zu]", rates[which].field, index);
	if (!to->cgroup->only_unified) {
		(void)snprintf(value, sizeof(value), "%u:%u %" PRId64, device->major, device->minor,
			       none ? 0 : device->rate.value);
		return cgroup_limit_put(to, field, "blkio", rates[which].legacy, value);
	}
	if (!none)
		(void)snprintf(rate, sizeof(rate), "%" PRId64, device->rate.value);
	(void)snprintf(value, sizeof(value), "%u:%u %s=%s", device->major, device->minor, rates[which].word, rate);
	return cgroup_limit_put(to, field, NULL, "io.max", value);
}

static int limit_rates(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	for (size_t which = 0; which < SPEC_IO_RATES; which++)
		for (size_t i = 0; i < res->io_rates[which].count; i++)
			TRY(put_rate(to, (enum spec_io_rate)which, i, &res->io_rates[which].items[i]));
	return 0;
}

/* io.weight counts 1 to 10000 where the field counts 10 to 1000. */
static int64_t wider(int64_t weight)
{
	return 1 + (weight - 10) * 9999 / 990;
}

static int put_weight_unified(struct cgroup_limit_target *to, const char *field, const char *device, int64_t weight)
{
	bool bfq = has_file(cgroup_unified_fd(to->cgroup), "io.bfq.weight");
	char value[64];

	(void)snprintf(value, sizeof(value), "%s %" PRId64, device ? device : "default", bfq ? weight : wider(weight));
	return cgroup_limit_put(to, field, NULL, bfq ? "io.bfq.weight" : "io.weight", value);
}

/* Kernels name the scheduler that keeps weights, those of old do not. */
static int put_weight_legacy(struct cgroup_limit_target *to, const char *field, const char *device, int64_t weight)
{
	char value[64];
	bool bfq;
	int group;

	TRY(cgroup_controller_make(to->cgroup, "blkio", &group, to->err));
	bfq = has_file(group, "blkio.bfq.weight");
	(void)snprintf(value, sizeof(value), "%s%s%" PRId64, device ? device : "", device ? " " : "", weight);
	if (device)
		return cgroup_limit_put(to, field, "blkio", bfq ? "blkio.bfq.weight_device" : "blkio.weight_device",
					value);
	return cgroup_limit_put(to, field, "blkio", bfq ? "blkio.bfq.weight" : "blkio.weight", value);
}

static int put_weight(struct cgroup_limit_target *to, const char *field, const char *device,
		      const struct spec_number *weight)
{
	if (!weight->present)
		return 0;
	return to->cgroup->only_unified ? put_weight_unified(to, field, device, weight->value)
					: put_weight_legacy(to, field, device, weight->value);
}

static int put_leaf(struct cgroup_limit_target *to, const char *field, const char *file, const char *device,
		    const struct spec_number *weight)
{
	char value[64];

	if (!weight->present)
		return 0;
	if (to->cgroup->only_unified)
		return cgroup_limit_refuse(to, field, 2);
	(void)snprintf(value, sizeof(value), "%s%s%" PRId64, device ? device : "", device ? " " : "", weight->value);
	return cgroup_limit_put(to, field, "blkio", file, value);
}

static int limit_weights(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	TRY(put_weight(to, "blockIO.weight", NULL, &res->io_weight));
	TRY(put_leaf(to, "blockIO.leafWeight", "blkio.leaf_weight", NULL, &res->io_leaf_weight));
	for (size_t i = 0; i < res->io_weights.count; i++) {
		const struct spec_io_device *at = &res->io_weights.items[i];
		char field[64], device[32];

		(void)snprintf(device, sizeof(device), "%u:%u", at->major, at->minor);
		(void)snprintf(field, sizeof(field), "blockIO.weightDevice[%zu].weight", i);
		TRY(put_weight(to, field, device, &at->weight));
		(void)snprintf(field, sizeof(field), "blockIO.weightDevice[%zu].leafWeight", i);
		TRY(put_leaf(to, field, "blkio.leaf_weight_device", device, &at->leaf_weight));
	}
	return 0;
}

/* What is reserved counts like what is used, where the kernel counts it. */
static int put_pages(struct cgroup_limit_target *to, const char *field, const struct spec_huge_page *page,
		     bool reserved)
{
	const char *controller = to->cgroup->only_unified ? NULL : "hugetlb";
	const char *end = to->cgroup->only_unified ? "max" : "limit_in_bytes";
	char file[64], value[32] = "max";
	int group = cgroup_unified_fd(to->cgroup);

	if (controller)
		TRY(cgroup_controller_make(to->cgroup, controller, &group, to->err));
	(void)snprintf(file, sizeof(file), "hugetlb.%s.%s%s", page->size, reserved ? "rsvd." : "", end);
	if (reserved && !has_file(group, file))
		return 0;
	if (page->limit.value >= 0 && (controller || page->limit.value != INT64_MAX))
		(void)snprintf(value, sizeof(value), "%" PRId64, page->limit.value);
	else if (controller)
		(void)snprintf(value, sizeof(value), "-1");
	return cgroup_limit_put(to, field, controller, file, value);
}

static int limit_pages(struct cgroup_limit_target *to, const struct spec_huge_pages *pages)
{
	for (size_t i = 0; i < pages->count; i++) {
		char field[40];

		(void)snprintf(field, sizeof(field), "hugepageLimits[%zu]", i);
		TRY(put_pages(to, field, &pages->items[i], false));
		TRY(put_pages(to, field, &pages->items[i], true));
	}
	return 0;
}

static int limit_network(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	bool asked = res->net_class.value > 0;

	if (asked && to->cgroup->only_unified)
		return cgroup_limit_refuse(to, "network.classID", 2);
	if (asked)
		TRY(cgroup_limit_put_number(to, "network.classID", "net_cls", "net_cls.classid", &res->net_class));
	for (size_t i = 0; i < res->net_priorities.count; i++) {
		const struct spec_net_priority *at = &res->net_priorities.items[i];
		char field[40], value[48];

		(void)snprintf(field, sizeof(field), "network.priorities[%zu]", i);
		if (to->cgroup->only_unified)
			return cgroup_limit_refuse(to, field, 2);
		(void)snprintf(value, sizeof(value), "%s %u", at->name, at->priority);
		TRY(cgroup_limit_put(to, field, "net_prio", "net_prio.ifpriomap", value));
	}
	return 0;
}

static void add_rdma(char *to, size_t size, const char *word, const struct spec_number *number)
{
	size_t used = strlen(to);

	if (number->present && number->value >= 0)
		(void)snprintf(to + used, size - used, " %s=%" PRId64, word, number->value);
}

static int limit_rdma(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	for (size_t i = 0; i < res->rdma_count; i++) {
		const struct spec_rdma *at = &res->rdma[i];
		char field[80], value[160];

		(void)snprintf(field, sizeof(field), "rdma.%s", at->name);
		(void)snprintf(value, sizeof(value), "%s", at->name);
		add_rdma(value, sizeof(value), "hca_handle", &at->handles);
		add_rdma(value, sizeof(value), "hca_object", &at->objects);
		if (strchr(value, '='))
			TRY(cgroup_limit_put(to, field, to->cgroup->only_unified ? NULL : "rdma", "rdma.max", value));
	}
	return 0;
}

int cgroup_limit_io(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	TRY(limit_weights(to, res));
	TRY(limit_rates(to, res));
	TRY(limit_pages(to, &res->huge_pages));
	TRY(limit_network(to, res));
	return limit_rdma(to, res);
}
