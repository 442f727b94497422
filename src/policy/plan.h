/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of rules would do to what runs, before it is made. */
#ifndef POLICY_PLAN_H
#define POLICY_PLAN_H

#include "policy/separation.h"

/*
 * For each holder whether it could not be placed where it is, next to the others, under these rules (ret_displaced[i]) and,
 * where reasons is not NULL, the whole decision. Grouped by server: the time grows with the holders and with how many share
 * one. -ENOMEM.
 */
int policy_plan_displaced(const struct policy_holder *holders, size_t count, const struct policy_domains *domains,
			  bool *ret_displaced, struct policy_decision *reasons, struct err *err) MUST_CHECK;

#endif
