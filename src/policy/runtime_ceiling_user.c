/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/capability.h>
#include <stdio.h>

#include "policy/ceiling.h"
#include "policy/runtime_ceiling.h"

#define BIT(number) (UINT64_C(1) << (number))

/* Have no effect in a user namespace: a caller who gives one of these means the machine. */
static const uint64_t of_the_machine = BIT(CAP_SYS_MODULE) | BIT(CAP_SYS_RAWIO) | BIT(CAP_SYS_PACCT) |
				       BIT(CAP_SYS_BOOT) | BIT(CAP_SYS_TIME) | BIT(CAP_SYS_TTY_CONFIG) |
				       BIT(CAP_AUDIT_CONTROL) | BIT(CAP_MAC_OVERRIDE) | BIT(CAP_MAC_ADMIN) |
				       BIT(CAP_SYSLOG) | BIT(CAP_WAKE_ALARM) | BIT(CAP_BLOCK_SUSPEND) |
				       BIT(CAP_AUDIT_READ) | BIT(CAP_PERFMON) | BIT(CAP_BPF);

static bool is_wanted(const struct runtime_ceiling *ceilings, size_t count)
{
	bool said = false;

	for (size_t i = 0; i < count; i++) {
		if (ceilings[i].has_user_add && ceilings[i].user_add)
			return true;
		said = said || ceilings[i].has_user_add;
	}
	return !said;
}

static const char *first_capability(uint64_t set)
{
	for (unsigned number = 0; number < 64; number++)
		if (set & BIT(number))
			return policy_capability_name(number);
	return "";
}

/* Why not; empty when nothing speaks against it. */
static void find_reason(const struct runtime_ceiling_user_facts *facts, bool wanted, char *reason, size_t size)
{
	uint64_t useless = facts->capabilities & of_the_machine;

	reason[0] = '\0';
	if (!wanted)
		(void)snprintf(reason, size, "the ceiling says never");
	else if (facts->shared)
		(void)snprintf(reason, size, "its %s namespace is not new", facts->shared);
	else if (useless)
		(void)snprintf(reason, size, "CAP_%s has no effect in one", first_capability(useless));
	else if (facts->greatest_id >= RUNTIME_CEILING_IDS)
		(void)snprintf(reason, size, "id %u is beyond the %d ids of one", facts->greatest_id,
			       RUNTIME_CEILING_IDS);
	else if (facts->obstacle)
		(void)snprintf(reason, size, "%s", facts->obstacle);
}

/* Who is the superuser inside must be no one outside, and nobody else's either. */
static int check_given(const struct runtime_ceiling *ceilings, size_t count,
		       const struct runtime_ceiling_user_facts *facts, struct err *err)
{
	for (size_t i = 0; facts->exposed && i < count; i++)
		if (ceilings[i].user_demand)
			return err_set(err, ERR_DENIED,
				       "config.json: %s, which is over 'userNamespace.demand' of ceiling file '%s'",
				       facts->exposed, ceilings[i].file);
	return 0;
}

int runtime_ceiling_user_decide(const struct runtime_ceiling *ceilings, size_t count,
				const struct runtime_ceiling_user_facts *facts, char *reason, size_t size,
				struct err *err)
{
	bool wanted = is_wanted(ceilings, count);

	reason[0] = '\0';
	if (facts->given)
		return check_given(ceilings, count, facts, err);
	find_reason(facts, wanted, reason, size);
	if (!reason[0])
		return 1;
	for (size_t i = 0; i < count; i++)
		if (ceilings[i].user_demand)
			return err_set(
				err, ERR_DENIED,
				"config.json: linux.namespaces: has no user namespace and none can be added (%s), "
				"which is over 'userNamespace.demand' of ceiling file '%s'",
				reason, ceilings[i].file);
	if (!wanted)
		reason[0] = '\0';
	return 0;
}

int runtime_ceiling_user_ids(const struct runtime_ceiling *ceilings, size_t count,
			     const struct runtime_ceiling **ret_ceiling, struct err *err)
{
	const struct runtime_ceiling *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!ceilings[i].has_user_ids)
			continue;
		if (found)
			return err_set(err, ERR_INVALID,
				       "ceiling files '%s' and '%s' both have 'userNamespace.firstId': only one may",
				       found->file, ceilings[i].file);
		found = &ceilings[i];
	}
	*ret_ceiling = found;
	return 0;
}
