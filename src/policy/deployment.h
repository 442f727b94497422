/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where CIS instances, the CISM and the CIR may stand (CISM-6): each combination with what it shares, what it keeps apart
 * and the rules that need care there. docs/deployment-matrix.md is this table as text.
 */
#ifndef POLICY_DEPLOYMENT_H
#define POLICY_DEPLOYMENT_H

#include "base/buf.h"

enum policy_deployment_axis {
	POLICY_DEPLOYMENT_CIS,
	POLICY_DEPLOYMENT_CISM,
	POLICY_DEPLOYMENT_CIR,
	POLICY_DEPLOYMENT_AXES
};
#define POLICY_DEPLOYMENT_CHOICES 3 /* of each axis */

/* One choice of one axis. */
struct policy_deployment_choice {
	char letter;      /* its part of a combination's index */
	const char *name; /* BareMetal, Nested, Hybrid; OwnServers, AmongWorkloads, Remote */
	const char *interfaces;
	const char *shared;
	const char *isolated;
	const char *care; /* numbers of rules, "R1 R4" */
};

struct policy_deployment_rule {
	const char *number;
	const char *text;
};

const struct policy_deployment_choice *policy_deployment_choice(enum policy_deployment_axis axis, size_t index);

/* The rules of the page, ended by a row without a number. */
extern const struct policy_deployment_rule policy_deployment_rules[];

/* The index of a combination, "B-O-R". */
void policy_deployment_index(const size_t choices[static POLICY_DEPLOYMENT_AXES], char to[static 8]);

/* Appends the whole page. -ENOMEM, or the bound of the buffer. */
int policy_deployment_format(struct buf *to) MUST_CHECK;

#endif
