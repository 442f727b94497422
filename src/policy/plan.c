/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* A holder and where it stood in the caller's list. */
struct row {
	struct policy_holder holder;
	size_t index;
};

static const char *server_of(const struct policy_holder *holder)
{
	return holder->server ? holder->server : "";
}

static int by_server(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strcmp(server_of(&x->holder), server_of(&y->holder));

	return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

static void judge(const struct row *row, const struct policy_holder *beside, size_t count,
		  const struct policy_domains *domains, bool *ret_displaced, struct policy_decision *reasons)
{
	struct policy_place place = {.instance = row->holder.instance, .server = row->holder.server, .epoch = 1};
	struct policy_decision decision;

	policy_separation_decide(&row->holder.pod, &place, beside, count, domains, &decision);
	ret_displaced[row->index] = !decision.allowed;
	if (reasons)
		reasons[row->index] = decision;
}

int policy_plan_displaced(const struct policy_holder *holders, size_t count, const struct policy_domains *domains,
			  bool *ret_displaced, struct policy_decision *reasons, struct err *err)
{
	struct row *rows = calloc(count + 1, sizeof(*rows));
	struct policy_holder *beside = calloc(count + 1, sizeof(*beside));
	size_t end;

	if (!rows || !beside) {
		free(rows);
		free(beside);
		return err_sys(err, -ENOMEM, "cannot plan");
	}
	for (size_t i = 0; i < count; i++)
		rows[i] = (struct row){holders[i], i};
	if (count > 1)
		qsort(rows, count, sizeof(*rows), by_server);
	for (size_t i = 0; i < count; i++)
		beside[i] = rows[i].holder;
	for (size_t begin = 0; begin < count; begin = end) {
		for (end = begin + 1; end < count; end++)
			if (!str_eq(server_of(&beside[end]), server_of(&beside[begin])))
				break;
		for (size_t i = begin; i < end; i++)
			judge(&rows[i], &beside[begin], end - begin, domains, ret_displaced, reasons);
	}
	free(rows);
	free(beside);
	return 0;
}
