/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "policy/runtime_ceiling_check.h"

static uint64_t amount(uint64_t value, bool percent, enum runtime_ceiling_limit_kind kind,
		       const struct runtime_ceiling_machine *machine)
{
	uint64_t whole = 0, share;

	if (!percent)
		return value;
	switch (kind) {
	case RUNTIME_CEILING_CPU:
		whole = machine->cpu_milli;
		break;
	case RUNTIME_CEILING_MEMORY:
	case RUNTIME_CEILING_SWAP:
		whole = machine->memory;
		break;
	case RUNTIME_CEILING_PIDS:
		whole = machine->pids;
		break;
	case RUNTIME_CEILING_LIMITS:
		break;
	}
	share = whole / 100 * value + whole % 100 * value / 100;
	return share ? share : 1;
}

static int check_limit(const struct runtime_ceiling_check *check, enum runtime_ceiling_limit_kind kind)
{
	static const char *const fields[] = {"cpu.quota", "memory.limit", "memory.swap", "pids.limit"};
	static const char *const raw_fields[] = {"cpu.max", "memory.max", "memory.swap.max", "pids.max"};
	const struct runtime_ceiling_limit *limit = &check->ceiling->limits[kind];
	const struct runtime_ceiling_asked_limit *asked = &check->facts->limits[kind];
	uint64_t most = amount(limit->most, limit->most_percent, kind, check->machine);
	char key[32];

	(void)snprintf(key, sizeof(key), "limits.%s", runtime_ceiling_limit_name(kind));
	/* What is written as it is cannot be compared: where there is a maximum, the typed field is the only way. */
	if (asked->raw)
		return runtime_ceiling_report(check, key,
					      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_RAW_LIMIT,
									       .part = kind,
									       .word = raw_fields[kind]},
					      "linux.resources.unified: sets '%s'", raw_fields[kind]);
	if (asked->present && asked->unlimited)
		return runtime_ceiling_report(check, key,
					      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_LIMIT,
									       .part = kind,
									       .number = most},
					      "linux.resources.%s: asks for no limit where %" PRIu64 " is the most",
					      fields[kind], most);
	if (asked->present && asked->value > most)
		return runtime_ceiling_report(check, key,
					      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_LIMIT,
									       .part = kind,
									       .number = most},
					      "linux.resources.%s: asks for %" PRIu64 " where %" PRIu64 " is the most",
					      fields[kind], asked->value, most);
	return 0;
}

int runtime_ceiling_check_limits(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; check->facts->has_limits && i < RUNTIME_CEILING_LIMITS; i++) {
		int r = check->ceiling->limits[i].has_most ? check_limit(check, (enum runtime_ceiling_limit_kind)i) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* What holds where no file says otherwise. Swap is the machine's own matter. */
static bool built_in(enum runtime_ceiling_limit_kind kind, struct runtime_ceiling_limit *ret)
{
	static const struct runtime_ceiling_limit rows[RUNTIME_CEILING_LIMITS] = {
		[RUNTIME_CEILING_CPU] = {.has_default = true, .default_percent = true, .value = 75},
		[RUNTIME_CEILING_MEMORY] = {.has_default = true, .default_percent = true, .value = 50},
		[RUNTIME_CEILING_PIDS] = {.has_default = true, .value = 4096},
	};

	*ret = rows[kind];
	return rows[kind].has_default;
}

static void lower(uint64_t *to, bool *has, uint64_t value)
{
	if (!*has || value < *to)
		*to = value;
	*has = true;
}

bool runtime_ceiling_default(const struct runtime_ceiling *ceilings, size_t count, enum runtime_ceiling_limit_kind kind,
			     const struct runtime_ceiling_machine *machine, uint64_t *ret_value)
{
	struct runtime_ceiling_limit own;
	uint64_t value = 0;
	bool has = false;

	for (size_t i = 0; i < count; i++)
		if (ceilings[i].limits[kind].has_default)
			lower(&value, &has,
			      amount(ceilings[i].limits[kind].value, ceilings[i].limits[kind].default_percent, kind,
				     machine));
	if (!has && built_in(kind, &own))
		lower(&value, &has, amount(own.value, own.default_percent, kind, machine));
	for (size_t i = 0; i < count; i++)
		if (ceilings[i].limits[kind].has_most)
			lower(&value, &has,
			      amount(ceilings[i].limits[kind].most, ceilings[i].limits[kind].most_percent, kind,
				     machine));
	if (has)
		*ret_value = value;
	return has;
}
