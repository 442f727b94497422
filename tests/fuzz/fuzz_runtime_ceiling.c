/* SPDX-License-Identifier: Apache-2.0 */
/* A ceiling file: parse, then hold facts that ask for much against it in both modes. */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "policy/runtime_ceiling.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct runtime_ceiling *ceiling)
{
	static const struct runtime_ceiling_machine machine = {.cpu_milli = 2000, .memory = 1u << 30, .pids = 100};
	static const char *const words[] = {"ptrace", "kernel.msgmax"};
	static const struct runtime_ceiling_rule_call call = {{words, 2}, true, false};
	static const struct runtime_ceiling_mount mount = {.bind = true,
							   .source = "/etc/x",
							   .writable = true,
							   .propagation = RUNTIME_CEILING_SHARED,
							   .device = 'c'};
	static const struct runtime_ceiling_device device = {'b', 8, 0, "rwm"};
	struct runtime_ceiling_facts facts = {.document = "config.json",
					      .capabilities = {{"bounding", UINT64_MAX >> 23}},
					      .set_count = 1,
					      .has_namespaces = true,
					      .namespaces = {RUNTIME_CEILING_HOST, RUNTIME_CEILING_JOINED},
					      .mounts = &mount,
					      .mount_count = 1,
					      .nodes = &device,
					      .node_count = 1,
					      .has_profile = true,
					      .calls = &call,
					      .call_count = 1,
					      .sysctls = {words, 2},
					      .has_limits = true,
					      .limits = {{true, true, false, 0}, {true, false, false, UINT64_MAX}},
					      .has_process = true,
					      .has_root = true,
					      .annotations = {words, 2},
					      .cgroups_path = "/x"};
	struct runtime_ceiling_findings findings = {0};
	struct err err = {0};
	int r = runtime_ceiling_check(ceiling, &facts, &machine, &findings, &err);

	if ((r < 0) != (err.msg[0] != '\0') || (r == 0 && !ceiling->narrow && findings.count))
		abort();
	for (size_t i = 0; i < RUNTIME_CEILING_LIMITS; i++) {
		enum runtime_ceiling_limit_kind kind = (enum runtime_ceiling_limit_kind)i;
		uint64_t value;

		if (runtime_ceiling_default(ceiling, 1, kind, &machine, &value) && ceiling->limits[i].has_most &&
		    !ceiling->limits[i].most_percent && value > ceiling->limits[i].most)
			abort();
	}
	runtime_ceiling_findings_done(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct runtime_ceiling ceiling;
	struct err err = {0};

	if (runtime_ceiling_parse(&ceiling, "f.json", (const char *)bytes, len, &err) == 0)
		check(&ceiling);
	else if (!err.msg[0])
		abort();
	runtime_ceiling_done(&ceiling);
	return 0;
}
