/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of runtime_ceiling*.c: one check on its way, and where its findings go. */
#ifndef POLICY_RUNTIME_CEILING_CHECK_H
#define POLICY_RUNTIME_CEILING_CHECK_H

#include "policy/runtime_ceiling.h"

struct runtime_ceiling_check {
	const struct runtime_ceiling *ceiling;
	const struct runtime_ceiling_facts *facts;
	const struct runtime_ceiling_machine *machine;
	struct runtime_ceiling_findings *findings;
	struct err *err;
};

/*
 * The file refuses: the sentence becomes the error. It narrows: the finding is kept. The format makes
 * "FIELD: WHAT IS ASKED"; key is the file's. Error or 0.
 */
int runtime_ceiling_report(const struct runtime_ceiling_check *check, const char *key,
			   struct runtime_ceiling_finding finding, const char *format, ...) PRINTF_LIKE(4, 5);

/* The rules of limits. */
int runtime_ceiling_check_limits(const struct runtime_ceiling_check *check) MUST_CHECK;

/* The rules of system calls. */
int runtime_ceiling_check_calls(const struct runtime_ceiling_check *check) MUST_CHECK;

/* Whether an array of strings has the word. */
bool runtime_ceiling_has_word(const json_t *list, const char *word);

#endif
