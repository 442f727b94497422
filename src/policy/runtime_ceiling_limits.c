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

static const char *const fields[] = {"cpu.quota", "memory.limit", "memory.swap", "pids.limit"};
static const char *const raw_fields[] = {"cpu.max", "memory.max", "memory.swap.max", "pids.max"};

/* What one field asks for against the most of a limit, which may be another field's: memory counts as swap too. */
static int check_field(const struct runtime_ceiling_check *check, const char *key,
		       enum runtime_ceiling_limit_kind field, uint64_t most)
{
	const struct runtime_ceiling_asked_limit *asked = &check->facts->limits[field];
	const struct runtime_ceiling_finding finding = {.rule = RUNTIME_CEILING_RULE_LIMIT,
							.part = field,
							.number = most};

	if (!asked->present)
		return 0;
	if (asked->unlimited)
		return runtime_ceiling_report(check, key, finding,
					      "linux.resources.%s: asks for no limit where %" PRIu64 " is the most",
					      fields[field], most);
	if (asked->value > most)
		return runtime_ceiling_report(check, key, finding,
					      "linux.resources.%s: asks for %" PRIu64 " where %" PRIu64 " is the most",
					      fields[field], asked->value, most);
	return 0;
}

/* What is written as it is cannot be compared: where there is a maximum, the typed field is the only way. */
static int check_raw(const struct runtime_ceiling_check *check, const char *key, enum runtime_ceiling_limit_kind field)
{
	return runtime_ceiling_report(check, key,
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_RAW_LIMIT,
								       .part = field,
								       .word = raw_fields[field]},
				      "linux.resources.unified: sets '%s'", raw_fields[field]);
}

static int check_missing(const struct runtime_ceiling_check *check, const char *key,
			 enum runtime_ceiling_limit_kind field, uint64_t most)
{
	return runtime_ceiling_report(check, key,
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_LIMIT,
								       .part = field,
								       .number = most},
				      "linux.resources.%s: is not set where %" PRIu64 " is the most", fields[field],
				      most);
}

static int check_limit(const struct runtime_ceiling_check *check, enum runtime_ceiling_limit_kind kind)
{
	const struct runtime_ceiling_limit *limit = &check->ceiling->limits[kind];
	const struct runtime_ceiling_asked_limit *asked = check->facts->limits;
	uint64_t most = amount(limit->most, limit->most_percent, kind, check->machine);
	/* Memory without a word of swap is memory and swap together. */
	bool both = kind == RUNTIME_CEILING_SWAP;
	bool raw_memory = both && asked[RUNTIME_CEILING_MEMORY].raw;
	char key[32];
	int r = 0;

	(void)snprintf(key, sizeof(key), "limits.%s", runtime_ceiling_limit_name(kind));
	if (asked[kind].raw || raw_memory)
		return check_raw(check, key, asked[kind].raw ? kind : RUNTIME_CEILING_MEMORY);
	if (both)
		r = check_field(check, key, RUNTIME_CEILING_MEMORY, most);
	if (r == 0)
		r = check_field(check, key, kind, most);
	if (r == 0 && check->facts->all_limits && !asked[kind].present &&
	    !(both && asked[RUNTIME_CEILING_MEMORY].present))
		r = check_missing(check, key, kind, most);
	return r;
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

static void lower_to_most(const struct runtime_ceiling *ceilings, size_t count, enum runtime_ceiling_limit_kind kind,
			  const struct runtime_ceiling_machine *machine, uint64_t *to, bool *has)
{
	for (size_t i = 0; i < count; i++)
		if (ceilings[i].limits[kind].has_most)
			lower(to, has,
			      amount(ceilings[i].limits[kind].most, ceilings[i].limits[kind].most_percent, kind,
				     machine));
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
	lower_to_most(ceilings, count, kind, machine, &value, &has);
	if (kind == RUNTIME_CEILING_MEMORY)
		lower_to_most(ceilings, count, RUNTIME_CEILING_SWAP, machine, &value, &has);
	if (has)
		*ret_value = value;
	return has;
}
