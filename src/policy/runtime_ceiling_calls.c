/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "policy/runtime_ceiling_check.h"

static bool call_allowed(const struct runtime_ceiling *ceiling, const char *name)
{
	return !runtime_ceiling_has_word(ceiling->syscalls_deny, name) &&
	       (!ceiling->syscalls_allow || runtime_ceiling_has_word(ceiling->syscalls_allow, name));
}

static int check_calls_of(const struct runtime_ceiling_check *check, size_t index)
{
	const struct runtime_ceiling_rule_call *call = &check->facts->calls[index];

	for (size_t i = 0; call->permits && i < call->names.count; i++) {
		const char *name = call->names.items[i];
		int r;

		if (call_allowed(check->ceiling, name))
			continue;
		r = runtime_ceiling_report(check,
					   runtime_ceiling_has_word(check->ceiling->syscalls_deny, name)
						   ? "syscalls.deny"
						   : "syscalls.allow",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_CALL,
									    .index = index,
									    .word = name},
					   "linux.seccomp.syscalls[%zu]: asks for system call '%.64s'", index, name);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool denied_by_profile(const struct runtime_ceiling_facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->call_count; i++)
		for (size_t j = 0;
		     !facts->calls[i].permits && !facts->calls[i].conditional && j < facts->calls[i].names.count; j++)
			if (str_eq(facts->calls[i].names.items[j], name))
				return true;
	return false;
}

/* A profile that permits what it does not name permits the denied calls too, unless it names them. */
static int check_calls_by_default(const struct runtime_ceiling_check *check)
{
	const json_t *deny = check->ceiling->syscalls_deny;

	if (!check->facts->profile_permits)
		return 0;
	if (check->ceiling->syscalls_allow)
		return runtime_ceiling_report(
			check, "syscalls.allow",
			(struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_CALLS_BY_DEFAULT,
							 .list = check->ceiling->syscalls_allow},
			"linux.seccomp.defaultAction: asks for every system call");
	for (size_t i = 0; i < json_array_size(deny); i++) {
		const char *name = json_string_value(json_array_get(deny, i));
		int r = denied_by_profile(check->facts, name)
				? 0
				: runtime_ceiling_report(
					  check, "syscalls.deny",
					  (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_CALL,
									   .index = SIZE_MAX,
									   .word = name},
					  "linux.seccomp.defaultAction: asks for system call '%.64s'", name);

		if (r < 0)
			return r;
	}
	return 0;
}

int runtime_ceiling_check_calls(const struct runtime_ceiling_check *check)
{
	int r;

	/* Without a profile the runtime's own holds, within the ceiling. */
	if (!check->facts->has_profile || (!check->ceiling->syscalls_deny && !check->ceiling->syscalls_allow))
		return 0;
	r = check_calls_by_default(check);
	for (size_t i = 0; r == 0 && i < check->facts->call_count; i++)
		r = check_calls_of(check, i);
	return r;
}
