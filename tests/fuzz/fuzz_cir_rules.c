/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's policy and users: what is accepted answers every question. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cir/cir_users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask_rules(const char *text, size_t size)
{
	static const char *const repositories[] = {"a", "ims/a", "ims/open/a", ""};
	static char domain[] = "ims";
	char *const domains[] = {domain, NULL};
	struct cir_rules *rules;

	if (cir_rules_parse(text, size, &rules, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(repositories); i++) {
		const struct cir_rule *rule = cir_rules_find(rules, repositories[i]);

		assert(cir_rules_domain_of(rules, repositories[i]) < (long)cir_rules_domain_count(rules));
		if (!rule)
			continue;
		for (unsigned right = 0; right < CIR_RIGHT_COUNT; right++) {
			(void)cir_rule_allows(rule, (enum cir_right)right, "user", domains);
			if (cir_rule_allows(rule, (enum cir_right)right, NULL, NULL))
				assert(right == CIR_RIGHT_PULL && cir_rules_have_anonymous(rules));
		}
		(void)cir_rule_is_immutable(rule, "v1");
		(void)cir_rules_allow_metrics(rules, "user", domains);
	}
	cir_rules_free(rules);
}

static void ask_users(const char *text, size_t size)
{
	const struct http_peer peer = {.common_name = "robot", .organizations = {"vendor"}, .organization_count = 1};
	struct cir_users users;

	if (cir_users_parse(text, size, &users, NULL) < 0)
		return;
	for (size_t i = 0; i < users.count; i++) {
		assert(cir_users_find(&users, users.list[i].name) == &users.list[i]);
		assert(users.list[i].hash || users.list[i].common_name);
		if (cir_user_may(&users.list[i], CIR_RIGHT_PUSH, "ims/a"))
			assert(cir_user_may(&users.list[i], CIR_RIGHT_PULL, "ims/a"));
	}
	(void)cir_users_of_certificate(&users, &peer);
	cir_users_done(&users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	ask_rules(text, size);
	ask_users(text, size);
	return 0;
}
