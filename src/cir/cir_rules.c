/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cir/cir_json.h"

#define ROWS_MAX 1000
#define PLACE_SIZE 320

struct cir_rules {
	struct cir_domain *domains;
	size_t domain_count;
	struct cir_rule *rows;
	size_t row_count;
	char **metrics;
};

static const char *const right_names[CIR_RIGHT_COUNT] = {"pull", "push", "delete", "sign"};

const char *cir_right_name(enum cir_right right)
{
	return right_names[right];
}

/* --- reading --- */

static int read_limit(const json_t *row, const char *name, const char *where, uint64_t *ret_limit, struct err *err)
{
	const json_t *value = json_object_get(row, name);

	if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
		return err_set(err, ERR_INVALID, "%s: '%s' is not a number", where, name);
	*ret_limit = value ? (uint64_t)json_integer_value(value) : UINT64_MAX;
	return 0;
}

static int read_domain(const json_t *row, struct cir_domain *domain, struct err *err)
{
	static const char *const known[] = {"name", "bytes", "objects", NULL};
	const char *name = json_string_value(json_object_get(row, "name"));
	char where[PLACE_SIZE];
	int r;

	if (!name || !str_is_dns_subdomain(name))
		return err_set(err, ERR_INVALID, "domains: 'name' is not the name of a trust domain");
	(void)snprintf(where, sizeof(where), "domain '%s'", name);
	r = cir_json_known(row, known, "domains: ", err);
	if (r == 0)
		r = read_limit(row, "bytes", where, &domain->bytes, err);
	if (r == 0)
		r = read_limit(row, "objects", where, &domain->objects, err);
	if (r < 0)
		return r;
	domain->name = strdup(name);
	return domain->name ? 0 : err_set(err, -ENOMEM, "no memory for the policy");
}

static const struct cir_domain *find_domain(const struct cir_rules *rules, const char *name, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(rules->domains[i].name, name))
			return &rules->domains[i];
	return NULL;
}

static int read_domains(struct cir_rules *rules, const json_t *list, struct err *err)
{
	size_t count = json_array_size(list);

	if (list && (!json_is_array(list) || count > ROWS_MAX))
		return err_set(err, ERR_INVALID, "'domains' is not a list of at most %d", ROWS_MAX);
	rules->domains = calloc(count + 1, sizeof(*rules->domains));
	if (!rules->domains)
		return err_set(err, -ENOMEM, "no memory for the policy");
	for (size_t i = 0; i < count; i++) {
		int r = read_domain(json_array_get(list, i), &rules->domains[i], err);

		if (r < 0)
			return r;
		rules->domain_count = i + 1;
		if (find_domain(rules, rules->domains[i].name, i))
			return err_set(err, ERR_INVALID, "domain '%s' is there twice", rules->domains[i].name);
	}
	return 0;
}

static int check_who(const struct cir_rules *rules, const char *who, enum cir_right right, const char *where,
		     struct err *err)
{
	if (str_eq(who, "users") || (str_starts(who, "user:") && who[strlen("user:")]))
		return 0;
	if (str_eq(who, "anonymous"))
		return right == CIR_RIGHT_PULL ? 0 : err_set(err, ERR_INVALID, "%s: 'anonymous' may only pull", where);
	if (!str_starts(who, "domain:"))
		return err_set(err, ERR_INVALID, "%s: '%.100s' is not 'user:', 'domain:', 'users' or 'anonymous'",
			       where, who);
	if (!find_domain(rules, who + strlen("domain:"), rules->domain_count))
		return err_set(err, ERR_INVALID, "%s: '%.100s' is not among 'domains'", where, who);
	return 0;
}

static int read_rights(const struct cir_rules *rules, const json_t *row, struct cir_rule *rule, const char *where,
		       struct err *err)
{
	int r = 0;

	for (unsigned right = 0; r == 0 && right < CIR_RIGHT_COUNT; right++) {
		r = cir_json_strings(json_object_get(row, right_names[right]), where, right_names[right],
				     &rule->allow[right], err);
		for (char **at = rule->allow[right]; r == 0 && *at; at++)
			r = check_who(rules, *at, (enum cir_right)right, where, err);
	}
	return r;
}

/* A key that cannot be read would refuse everything, with no word why. */
static int read_keys(const json_t *list, struct cir_rule *rule, const char *where, struct err *err)
{
	char **texts = NULL;
	int r = cir_json_strings(list, where, "signed", &texts, err);

	if (r < 0)
		return r;
	rule->keys = calloc(json_array_size(list) + 1, sizeof(struct crypto_public *));
	if (!rule->keys)
		r = err_set(err, -ENOMEM, "no memory for the policy");
	for (char **at = texts; r == 0 && *at; at++) {
		r = crypto_public_parse(*at, strlen(*at), &rule->keys[rule->key_count], err);
		if (r < 0)
			(void)err_prefix(err, "%s: 'signed'", where);
		else
			rule->key_count++;
	}
	cir_json_strings_free(texts);
	return r;
}

static int read_demands(const json_t *row, struct cir_rule *rule, const char *where, struct err *err)
{
	const json_t *encrypted = json_object_get(row, "encrypted");
	int r = read_keys(json_object_get(row, "signed"), rule, where, err);

	if (r == 0)
		r = cir_json_strings(json_object_get(row, "immutableTags"), where, "immutableTags", &rule->immutable,
				     err);
	if (r == 0 && encrypted && !json_is_boolean(encrypted))
		r = err_set(err, ERR_INVALID, "%s: 'encrypted' is not true or false", where);
	rule->encrypted = json_is_true(encrypted);
	return r;
}

static int read_row(const struct cir_rules *rules, const json_t *row, struct cir_rule *rule, struct err *err)
{
	static const char *const known[] = {"match", "domain", "pull",      "push",          "delete",
					    "sign",  "signed", "encrypted", "immutableTags", NULL};
	const char *match = json_string_value(json_object_get(row, "match"));
	const json_t *domain = json_object_get(row, "domain");
	char where[PLACE_SIZE];
	int r;

	if (!match || !*match || strlen(match) > 255)
		return err_set(err, ERR_INVALID, "repositories: 'match' is not a pattern");
	(void)snprintf(where, sizeof(where), "repositories '%s'", match);
	r = cir_json_known(row, known, "repositories: ", err);
	if (r == 0)
		r = read_rights(rules, row, rule, where, err);
	if (r == 0)
		r = read_demands(row, rule, where, err);
	if (r < 0)
		return r;
	if (domain && (!json_is_string(domain) || !find_domain(rules, json_string_value(domain), rules->domain_count)))
		return err_set(err, ERR_INVALID, "%s: 'domain' is not among 'domains'", where);
	rule->match = strdup(match);
	rule->domain = domain ? strdup(json_string_value(domain)) : NULL;
	return rule->match && (!domain || rule->domain) ? 0 : err_set(err, -ENOMEM, "no memory for the policy");
}

static int read_rows(struct cir_rules *rules, const json_t *list, struct err *err)
{
	size_t count = json_array_size(list);
	int r = 0;

	if (list && (!json_is_array(list) || count > ROWS_MAX))
		return err_set(err, ERR_INVALID, "'repositories' is not a list of at most %d", ROWS_MAX);
	rules->rows = calloc(count + 1, sizeof(*rules->rows));
	if (!rules->rows)
		return err_set(err, -ENOMEM, "no memory for the policy");
	for (size_t i = 0; r == 0 && i < count; i++) {
		rules->row_count = i + 1;
		r = read_row(rules, json_array_get(list, i), &rules->rows[i], err);
	}
	return r;
}

static int read_metrics(struct cir_rules *rules, const json_t *list, struct err *err)
{
	int r = cir_json_strings(list, "policy", "metrics", &rules->metrics, err);

	for (char **at = rules->metrics; r == 0 && *at; at++)
		r = check_who(rules, *at, CIR_RIGHT_PULL, "metrics", err);
	return r;
}

int cir_rules_parse(const char *text, size_t len, struct cir_rules **ret_rules, struct err *err)
{
	static const char *const known[] = {"domains", "repositories", "metrics", NULL};
	struct cir_rules *rules;
	json_t *root;
	int r = cir_json_load(text, len, &root, err);

	if (r < 0)
		return r;
	rules = calloc(1, sizeof(*rules));
	r = rules ? cir_json_known(root, known, "", err) : err_set(err, -ENOMEM, "no memory for the policy");
	if (r == 0)
		r = read_domains(rules, json_object_get(root, "domains"), err);
	if (r == 0)
		r = read_rows(rules, json_object_get(root, "repositories"), err);
	if (r == 0)
		r = read_metrics(rules, json_object_get(root, "metrics"), err);
	json_decref(root);
	if (r < 0)
		cir_rules_free(rules);
	else
		*ret_rules = rules;
	return r;
}

void cir_rules_free(struct cir_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->domain_count; i++)
		free(rules->domains[i].name);
	for (size_t i = 0; i < rules->row_count; i++) {
		struct cir_rule *row = &rules->rows[i];

		free(row->match);
		free(row->domain);
		for (size_t right = 0; right < CIR_RIGHT_COUNT; right++)
			cir_json_strings_free(row->allow[right]);
		for (size_t k = 0; k < row->key_count; k++)
			crypto_public_free(row->keys[k]);
		free(row->keys);
		cir_json_strings_free(row->immutable);
	}
	cir_json_strings_free(rules->metrics);
	free(rules->domains);
	free(rules->rows);
	free(rules);
}

/* --- asking --- */

const struct cir_rule *cir_rules_find(const struct cir_rules *rules, const char *repository)
{
	for (size_t i = 0; rules && i < rules->row_count; i++)
		if (str_glob(rules->rows[i].match, repository))
			return &rules->rows[i];
	return NULL;
}

size_t cir_rules_domain_count(const struct cir_rules *rules)
{
	return rules ? rules->domain_count : 0;
}

const struct cir_domain *cir_rules_domain(const struct cir_rules *rules, size_t index)
{
	return &rules->domains[index];
}

long cir_rules_domain_of(const struct cir_rules *rules, const char *repository)
{
	const struct cir_rule *row = cir_rules_find(rules, repository);

	return row && row->domain ? find_domain(rules, row->domain, rules->domain_count) - rules->domains : -1;
}

static bool lists(char *const *list, const char *wanted)
{
	for (; *list; list++)
		if (str_eq(*list, wanted))
			return true;
	return false;
}

bool cir_rules_have_anonymous(const struct cir_rules *rules)
{
	for (size_t i = 0; rules && i < rules->row_count; i++)
		if (lists(rules->rows[i].allow[CIR_RIGHT_PULL], "anonymous"))
			return true;
	return rules && lists(rules->metrics, "anonymous");
}

static bool is_meant(const char *who, const char *user, char *const *domains)
{
	if (str_eq(who, "anonymous"))
		return true;
	if (!user)
		return false;
	if (str_eq(who, "users"))
		return true;
	if (str_starts(who, "user:"))
		return str_glob(who + strlen("user:"), user);
	return lists(domains, who + strlen("domain:"));
}

static bool means_any(char *const *list, const char *user, char *const *domains)
{
	for (; *list; list++)
		if (is_meant(*list, user, domains))
			return true;
	return false;
}

bool cir_rule_allows(const struct cir_rule *rule, enum cir_right right, const char *user, char *const *domains)
{
	bool may = means_any(rule->allow[right], user, domains);

	/* Who may change something may see it. */
	for (size_t other = 0; right == CIR_RIGHT_PULL && !may && other < CIR_RIGHT_COUNT; other++)
		may = means_any(rule->allow[other], user, domains);
	return may;
}

bool cir_rules_allow_metrics(const struct cir_rules *rules, const char *user, char *const *domains)
{
	return rules && means_any(rules->metrics, user, domains);
}

bool cir_rule_is_immutable(const struct cir_rule *rule, const char *tag)
{
	for (char *const *at = rule->immutable; *at; at++)
		if (str_glob(*at, tag))
			return true;
	return false;
}
