/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/resourcequota.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define AHEAD 4 /* a new grant takes at most this part of what is free, so that others find some too */

/* --- amounts --- */

static struct policy_amount *find(const struct policy_amounts *amounts, const char *name)
{
	for (size_t i = 0; i < amounts->count; i++)
		if (str_eq(amounts->rows[i].name, name))
			return (struct policy_amount *)(uintptr_t)&amounts->rows[i];
	return NULL;
}

int64_t policy_amounts_get(const struct policy_amounts *amounts, const char *name)
{
	const struct policy_amount *row = find(amounts, name);

	return row ? row->milli : 0;
}

/* Yields the row of a name, a new one of 0 when there was none. */
static int row_of(struct policy_amounts *amounts, const char *name, struct policy_amount **ret_row, struct err *err)
{
	struct policy_amount *row = find(amounts, name);

	if (!row) {
		if (amounts->count == POLICY_AMOUNTS_MAX)
			return err_set(err, ERR_TOO_LARGE,
				       "the namespace's pods ask for more than %d kinds of resources",
				       POLICY_AMOUNTS_MAX);
		row = &amounts->rows[amounts->count];
		if (str_copy(row->name, sizeof(row->name), name) < 0)
			return err_set(err, ERR_TOO_LARGE, "the name of resource '%.40s…' is longer than %d characters",
				       name, POLICY_AMOUNT_NAME - 1);
		row->milli = 0;
		amounts->count++;
	}
	*ret_row = row;
	return 0;
}

int policy_amounts_add(struct policy_amounts *amounts, const char *name, int64_t milli, struct err *err)
{
	struct policy_amount *row;
	int r;

	if (milli == 0)
		return 0;
	r = row_of(amounts, name, &row, err);
	if (r < 0)
		return r;
	if (__builtin_add_overflow(row->milli, milli, &row->milli))
		return err_set(err, ERR_TOO_LARGE, "the sum of %s is too large", name);
	if (row->milli == 0)
		*row = amounts->rows[--amounts->count];
	return 0;
}

int policy_amounts_add_all(struct policy_amounts *to, const struct policy_amounts *from, int times, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++)
		r = policy_amounts_add(to, from->rows[i].name, times * from->rows[i].milli, err);
	return r;
}

int policy_amounts_raise(struct policy_amounts *to, const struct policy_amounts *other, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < other->count; i++) {
		int64_t more = other->rows[i].milli - policy_amounts_get(to, other->rows[i].name);

		if (more > 0)
			r = policy_amounts_add(to, other->rows[i].name, more, err);
	}
	return r;
}

static bool is_bytes(const char *name)
{
	return strstr(name, "memory") || strstr(name, "storage") || strstr(name, "hugepages-");
}

void policy_amount_format(const char *name, int64_t milli, char to[static 32])
{
	static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti"};
	int64_t whole = milli / 1000;
	size_t unit = 0;

	if (milli % 1000 != 0) {
		(void)snprintf(to, 32, "%" PRId64 "m", milli);
		return;
	}
	for (; is_bytes(name) && unit + 1 < ARRAY_SIZE(units) && whole != 0 && whole % 1024 == 0; unit++)
		whole /= 1024;
	(void)snprintf(to, 32, "%" PRId64 "%s", whole, units[unit]);
}

/* --- names --- */

void policy_resourcequota_name(const char *hard, char to[static POLICY_AMOUNT_NAME])
{
	bool plain = str_eq(hard, "cpu") || str_eq(hard, "memory") || str_eq(hard, "ephemeral-storage") ||
		     str_starts(hard, "hugepages-");

	if (str_eq(hard, "count/pods"))
		hard = "pods";
	(void)snprintf(to, POLICY_AMOUNT_NAME, "%s%s", plain ? "requests." : "", hard);
}

bool policy_resourcequota_counts(const char *hard)
{
	char name[POLICY_AMOUNT_NAME];

	policy_resourcequota_name(hard, name);
	return str_eq(name, "pods") || str_starts(name, "requests.") || str_starts(name, "limits.");
}

int policy_resourcequota_limit(struct policy_resourcequota *quota, const char *hard, int64_t milli, struct err *err)
{
	char name[POLICY_AMOUNT_NAME];
	struct policy_amount *row;
	size_t before = quota->hard.count;
	int r;

	if (!policy_resourcequota_counts(hard))
		return 0;
	policy_resourcequota_name(hard, name);
	r = row_of(&quota->hard, name, &row, err);
	/* A limit of 0 is one too. */
	if (r == 0 && (quota->hard.count > before || milli < row->milli))
		row->milli = milli;
	return r;
}

/* --- blocks --- */

/* What one block counts for towards the limit. */
static int64_t weight(const struct policy_resourcequota_block *block, const char *name)
{
	return policy_amounts_get(block->current ? &block->granted : &block->used, name);
}

static int set(struct policy_amounts *amounts, const char *name, int64_t milli, struct err *err)
{
	return policy_amounts_add(amounts, name, milli - policy_amounts_get(amounts, name), err);
}

/* Takes what the other blocks do not use. */
static int collect(struct policy_resourcequota_block *blocks, size_t count, size_t own, const char *name,
		   struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		int64_t used = policy_amounts_get(&blocks[i].used, name);

		if (i == own || !blocks[i].current || policy_amounts_get(&blocks[i].granted, name) == used)
			continue;
		r = set(&blocks[i].granted, name, used, err);
		blocks[i].changed = true;
	}
	return r;
}

/* Sums of 128 bits: no number of blocks overflows. */
__extension__ typedef __int128 wide;

/* Has the grant of one resource cover its use. ERR_DENIED, without words, when the limit does not allow it. */
static int cover(int64_t limit, struct policy_resourcequota_block *blocks, size_t count, size_t own, const char *name,
		 enum policy_resourcequota_way *way, struct err *err)
{
	struct policy_resourcequota_block *block = &blocks[own];
	int64_t used = policy_amounts_get(&block->used, name);
	wide elsewhere = 0, in_use = 0, left;
	int r = 0;

	if (*way == POLICY_RESOURCEQUOTA_COVERED && used <= policy_amounts_get(&block->granted, name))
		return 0;
	for (size_t i = 0; i < count; i++) {
		elsewhere += i == own ? 0 : weight(&blocks[i], name);
		in_use += policy_amounts_get(&blocks[i].used, name);
	}
	if (in_use > limit)
		return ERR_DENIED;
	left = limit - elsewhere - used;
	if (left < 0) {
		*way = POLICY_RESOURCEQUOTA_COLLECTED;
		left = 0;
		r = collect(blocks, count, own, name, err);
	} else if (*way == POLICY_RESOURCEQUOTA_COVERED) {
		*way = POLICY_RESOURCEQUOTA_GRANTED;
	}
	return r < 0 ? r : set(&block->granted, name, used + (int64_t)(left / AHEAD), err);
}

/* Which of a quota's limits the charge passes, for people; blocks have the charge already. */
static int exceeded(const struct policy_resourcequota *quota, const struct policy_resourcequota_block *blocks,
		    size_t count, const struct policy_amounts *want, struct err *err)
{
	char words[3][200] = {"", "", ""};

	for (size_t i = 0; i < quota->hard.count; i++) {
		const struct policy_amount *hard = &quota->hard.rows[i];
		int64_t asked = policy_amounts_get(want, hard->name);
		wide used = 0;

		for (size_t j = 0; j < count; j++)
			used += policy_amounts_get(&blocks[j].used, hard->name);
		if (asked <= 0 || used <= hard->milli)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
			char text[32];
			size_t at = strlen(words[k]);

			policy_amount_format(hard->name,
					     k == 0   ? asked
					     : k == 1 ? (int64_t)(used - asked)
						      : hard->milli,
					     text);
			(void)snprintf(words[k] + at, sizeof(words[k]) - at, "%s%s=%s", at ? "," : "", hard->name,
				       text);
		}
	}
	return err_set(err, ERR_DENIED, "exceeded quota: %s, requested: %s, used: %s, limited: %s", quota->name,
		       words[0], words[1], words[2]);
}

/* Adds what is given back (returns) or what is asked for. */
static int apply(struct policy_amounts *used, const struct policy_amounts *want, bool returns, bool *ret_any,
		 struct err *err)
{
	int r = 0;

	*ret_any = false;
	for (size_t i = 0; r == 0 && i < want->count; i++) {
		if ((want->rows[i].milli < 0) != returns)
			continue;
		*ret_any = true;
		r = policy_amounts_add(used, want->rows[i].name, want->rows[i].milli, err);
	}
	return r;
}

/*
 * Changes what the own block uses. The grant of a block from before the quotas changed is worth what it uses, and that
 * less what is given back; it is renewed only by who asks for something, so that nothing given back is had again for free.
 */
static int use(struct policy_resourcequota_block *block, const struct policy_amounts *want,
	       enum policy_resourcequota_way *way, struct err *err)
{
	bool any;
	int r = apply(&block->used, want, true, &any, err);
	struct policy_amounts before = block->used;

	if (r == 0)
		r = apply(&block->used, want, false, &any, err);
	if (r < 0 || !any || block->current)
		return r;
	block->granted = before;
	block->current = true;
	*way = POLICY_RESOURCEQUOTA_GRANTED;
	return 0;
}

/* The quota that leaves least of a resource, or NULL. */
static const struct policy_resourcequota *strictest(const struct policy_resourcequota *quotas, size_t count,
						    const char *name)
{
	const struct policy_resourcequota *found = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct policy_amount *hard = find(&quotas[i].hard, name);

		if (hard && (!found || hard->milli < find(&found->hard, name)->milli))
			found = &quotas[i];
	}
	return found;
}

int policy_resourcequota_charge(const struct policy_resourcequota *quotas, size_t quota_count,
				struct policy_resourcequota_block *blocks, size_t block_count, size_t own,
				const struct policy_amounts *want, enum policy_resourcequota_way *ret_way,
				struct err *err)
{
	enum policy_resourcequota_way way = POLICY_RESOURCEQUOTA_COVERED;
	int r = use(&blocks[own], want, &way, err);

	blocks[own].changed = true;
	for (size_t i = 0; r == 0 && i < want->count; i++) {
		const char *name = want->rows[i].name;
		const struct policy_resourcequota *quota = strictest(quotas, quota_count, name);

		if (!quota || want->rows[i].milli <= 0)
			continue;
		r = cover(find(&quota->hard, name)->milli, blocks, block_count, own, name, &way, err);
		if (r == ERR_DENIED)
			return exceeded(quota, blocks, block_count, want, err);
	}
	if (r == 0)
		*ret_way = way;
	return r;
}
