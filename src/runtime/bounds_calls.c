/* SPDX-License-Identifier: Apache-2.0 */
/* The files' system calls and socket families as one profile, which the filter of every process stays within. */
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/socket.h>

#include "base/str.h"
#include "runtime/bounds.h"
#include "sandbox/syscalls.h"

static const struct {
	uint32_t bit;
	uint64_t number;
} families[] = {
	{RUNTIME_CEILING_UNIX, AF_UNIX},       {RUNTIME_CEILING_INET, AF_INET},     {RUNTIME_CEILING_INET6, AF_INET6},
	{RUNTIME_CEILING_NETLINK, AF_NETLINK}, {RUNTIME_CEILING_PACKET, AF_PACKET},
};

#define DENIED 2 /* rules beside those of the families */

struct bounds_calls {
	struct spec_seccomp profile;
	struct spec_seccomp_rule rules[ARRAY_SIZE(families) + DENIED + 1];
	struct spec_seccomp_arg args[ARRAY_SIZE(families)];
	const char **denied;
	const char **allowed;
	const char *sockets[3];
};

void bounds_calls_done(struct bounds_calls *calls)
{
	if (!calls)
		return;
	free(calls->denied);
	free(calls->allowed);
	free(calls);
}

static size_t count_denied(const struct bounds *bounds)
{
	size_t count = 0;

	for (size_t i = 0; i < bounds->count; i++)
		count += json_array_size(bounds->ceilings[i].syscalls_deny);
	return count;
}

static bool has_word(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_string_value(json_array_get(list, i)), word))
			return true;
	return false;
}

/* Whether every file that has a list of calls has this one, and none denies it. */
static bool is_allowed(const struct bounds *bounds, const char *name)
{
	for (size_t i = 0; i < bounds->count; i++) {
		const struct runtime_ceiling *ceiling = &bounds->ceilings[i];

		if (has_word(ceiling->syscalls_deny, name) ||
		    (ceiling->syscalls_allow && !has_word(ceiling->syscalls_allow, name)))
			return false;
	}
	return true;
}

static struct spec_seccomp_rule *add_rule(struct bounds_calls *calls, const char **names, size_t count, uint32_t action,
					  int error)
{
	struct spec_seccomp_rule *rule = &calls->rules[calls->profile.rules.count++];

	*rule = (struct spec_seccomp_rule){.names = {.items = names, .count = count}, .action = action};
	if (action == SECCOMP_RET_ERRNO)
		rule->errno_ret = (struct spec_number){.present = true, .value = error};
	return rule;
}

static int add_denied(struct bounds_calls *calls, const struct bounds *bounds)
{
	size_t count = 0;

	calls->denied = calloc(count_denied(bounds) + 1, sizeof(*calls->denied));
	if (!calls->denied)
		return -ENOMEM;
	for (size_t i = 0; i < bounds->count; i++)
		for (size_t j = 0; j < json_array_size(bounds->ceilings[i].syscalls_deny); j++)
			calls->denied[count++] =
				json_string_value(json_array_get(bounds->ceilings[i].syscalls_deny, j));
	if (count)
		(void)add_rule(calls, calls->denied, count, SECCOMP_RET_ERRNO, EPERM);
	return 0;
}

/* What all lists have in common; without any list everything that is not denied. */
static int add_allowed(struct bounds_calls *calls, const struct bounds *bounds)
{
	const json_t *list = NULL;
	size_t count = 0;

	for (size_t i = 0; i < bounds->count && !list; i++)
		list = bounds->ceilings[i].syscalls_allow;
	calls->profile.default_action = list ? SECCOMP_RET_ERRNO : SECCOMP_RET_ALLOW;
	calls->profile.default_errno_ret = (struct spec_number){.present = list != NULL, .value = EPERM};
	calls->allowed = calloc(json_array_size(list) + 1, sizeof(*calls->allowed));
	if (!calls->allowed)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (is_allowed(bounds, name))
			calls->allowed[count++] = name;
	}
	if (count)
		(void)add_rule(calls, calls->allowed, count, SECCOMP_RET_ALLOW, 0);
	return 0;
}

/* A rule with a condition decides before those without: each family is let through, then none. */
static void add_families(struct bounds_calls *calls, const struct bounds *bounds)
{
	static const char *const names[] = {"socket", "socketpair"};
	uint32_t most = UINT32_MAX;
	size_t count = 0;

	for (size_t i = 0; i < bounds->count; i++)
		if (bounds->ceilings[i].has_families)
			most &= bounds->ceilings[i].families;
	if (most == UINT32_MAX)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is_allowed(bounds, names[i]))
			calls->sockets[count++] = names[i];
	if (!count)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if (!(most & families[i].bit))
			continue;
		/* The kernel looks at the lower half of the word alone. */
		calls->args[i] = (struct spec_seccomp_arg){.value = UINT32_MAX,
							   .value_two = families[i].number,
							   .op = SPEC_OP_MASKED_EQ};
		add_rule(calls, calls->sockets, count, SECCOMP_RET_ALLOW, 0)->args =
			(struct spec_seccomp_args){.items = &calls->args[i], .count = 1};
	}
	(void)add_rule(calls, calls->sockets, count, SECCOMP_RET_ERRNO, EAFNOSUPPORT);
}

static bool says_anything(const struct bounds *bounds)
{
	for (size_t i = 0; i < bounds->count; i++)
		if (bounds->ceilings[i].syscalls_deny || bounds->ceilings[i].syscalls_allow ||
		    bounds->ceilings[i].has_families)
			return true;
	return false;
}

/* A name that no machine knows denies nothing: a slip that nobody would notice. */
static int check_names(const struct bounds *bounds, struct err *err)
{
	for (size_t i = 0; i < bounds->count; i++) {
		const json_t *list = bounds->ceilings[i].syscalls_deny;

		for (size_t j = 0; j < json_array_size(list); j++)
			if (syscalls_find(json_string_value(json_array_get(list, j))) < 0)
				return err_set(
					err, ERR_INVALID,
					"ceiling file '%s': field 'ceiling.syscalls.deny[%zu]' is no system call",
					bounds->ceilings[i].file, j);
	}
	return 0;
}

int bounds_calls_new(const struct bounds *bounds, struct bounds_calls **ret_calls, struct err *err)
{
	struct bounds_calls *calls;
	int r;

	*ret_calls = NULL;
	if (!says_anything(bounds))
		return 0;
	r = check_names(bounds, err);
	if (r < 0)
		return r;
	calls = calloc(1, sizeof(*calls));
	if (!calls)
		return err_set(err, -ENOMEM, "no memory");
	calls->profile.present = true;
	calls->profile.rules.items = calls->rules;
	r = add_denied(calls, bounds);
	if (r == 0)
		r = add_allowed(calls, bounds);
	if (r < 0) {
		bounds_calls_done(calls);
		return err_set(err, r, "no memory");
	}
	add_families(calls, bounds);
	*ret_calls = calls;
	return 0;
}

const struct spec_seccomp *bounds_calls(const struct bounds *bounds)
{
	return bounds && bounds->calls ? &bounds->calls->profile : NULL;
}
