/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/domain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "policy/ceiling.h"
#include "policy/interface.h"

#define PATH_SIZE 96

static const char *const level_names[] = {"None", "Instance", "Server"};
static const char *const isolation_names[] = {"Container", "VM", "Dedicated"};
static const char *const cache_names[] = {"Shared", "Encrypted", "Memory", "Never"};
static const char *const protocol_names[] = {"TCP", "UDP", "SCTP"};
static const char *const plane_names[] = {"Any", "User", "Control", "Management"};
static const char *const function_names[] = {"Any", "Same", "Different"};
static const char *const violation_names[] = {"Report", "Evict"};
static const char *const border_names[] = {"DedicatedServer", "VM"};

const char *policy_level_name(enum policy_level level)
{
	return level_names[level];
}

const char *policy_isolation_name(enum policy_isolation isolation)
{
	return isolation_names[isolation];
}

const char *policy_cache_name(enum policy_cache class)
{
	return cache_names[class];
}

const char *policy_protocol_name(enum policy_protocol protocol)
{
	return protocol_names[protocol];
}

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* Formats the path of a field for messages; paths come from the tables here and are short, a longer one is cut. */
static void format_path(char to[static PATH_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);
static void format_path(char to[static PATH_SIZE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(to, PATH_SIZE, format, args);
	va_end(args);
}

const char *policy_plane_name(enum policy_plane plane)
{
	return plane_names[plane];
}

/* Finds a word of the specification from index first on. */
static int read_word(const char *word, const char *path, const char *field, const char *const *words, size_t first,
		     size_t count, struct err *err)
{
	struct buf known = buf_of(128);
	int r = 0;

	for (size_t i = first; i < count; i++)
		if (str_eq(words[i], word))
			return (int)i;
	for (size_t i = first; i < count && r == 0; i++)
		r = buf_printf(&known, "%s%s", i == first ? "" : ", ", words[i]);
	(void)err_set(err, ERR_INVALID, "field '%s.%s' is '%.32s', one of %s is expected", path, field, word,
		      r < 0 ? "others" : known.data);
	buf_done(&known);
	return ERR_INVALID;
}

/* Copies an optional name; an absent one stays NULL. */
static int read_label(const json_t *object, const char *field, const char *path, char **ret, struct err *err)
{
	const char *value = json_string_value(json_object_get(object, field));

	if (!value)
		return 0;
	if (!str_is_dns_label(value))
		return err_set(err, ERR_INVALID,
			       "field '%s.%s' is '%.64s', not a name of lower-case letters, digits and '-'", path,
			       field, value);
	*ret = strdup(value);
	return *ret ? 0 : out_of_memory(err);
}

/* Finds an optional word of the specification from index 1 on; 0 when it is absent. */
static int read_optional_word(const json_t *object, const char *path, const char *field, const char *const *words,
			      size_t count, struct err *err)
{
	const char *word = json_string_value(json_object_get(object, field));

	return word ? read_word(word, path, field, words, 1, count, err) : 0;
}

static int read_selector(const json_t *object, const char *path, struct policy_selector *selector, struct err *err)
{
	int r = read_optional_word(object, path, "plane", plane_names, ARRAY_SIZE(plane_names), err);

	if (r < 0)
		return r;
	selector->plane = (enum policy_plane)r;
	r = read_label(object, "subFunction", path, &selector->subfunction, err);
	if (r == 0)
		r = read_label(object, "interface", path, &selector->interface, err);
	return r;
}

static int read_domains(const json_t *array, const char *path, struct policy_names *ret, struct err *err)
{
	int r = policy_names_read(array, path, ret, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->count; i++)
		if (!str_is_dns_subdomain(ret->items[i]))
			return err_set(err, ERR_INVALID, "field '%s[%zu]' is '%.64s', not the name of a TrustDomain",
				       path, i, ret->items[i]);
	return 0;
}

static int parse_rule_from(const json_t *from, const char *path, struct policy_rule *rule, struct err *err)
{
	static const struct policy_field fields[] = {
		{"domains", POLICY_FIELD_ARRAY, false, POLICY_NAMES_MAX},     {"all", POLICY_FIELD_TRUE, false, 0},
		{"subFunction", POLICY_FIELD_STRING, false, POLICY_NAME_MAX}, {"plane", POLICY_FIELD_STRING, false, 0},
		{"interface", POLICY_FIELD_STRING, false, POLICY_NAME_MAX},
	};
	char below[PATH_SIZE];
	int r = policy_fields_check(from, path, fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	format_path(below, "%s.domains", path);
	rule->all = json_is_true(json_object_get(from, "all"));
	r = read_domains(json_object_get(from, "domains"), below, &rule->domains, err);
	if (r < 0)
		return r;
	if (rule->all == (rule->domains.count > 0))
		return err_set(err, ERR_INVALID, "field '%s' needs either 'domains' or 'all: true'", path);
	return read_selector(from, path, &rule->from, err);
}

static int parse_rule(const json_t *object, const char *path, void *element, struct err *err)
{
	static const struct policy_field fields[] = {
		{"from", POLICY_FIELD_OBJECT, true, 0},
		{"subFunction", POLICY_FIELD_STRING, false, POLICY_NAME_MAX},
		{"plane", POLICY_FIELD_STRING, false, 0},
		{"interface", POLICY_FIELD_STRING, false, POLICY_NAME_MAX},
		{"networkFunctions", POLICY_FIELD_STRING, false, 0},
		{"level", POLICY_FIELD_STRING, true, 0},
	};
	struct policy_rule *rule = element;
	char below[PATH_SIZE];
	int r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	r = read_word(json_string_value(json_object_get(object, "level")), path, "level", level_names,
		      POLICY_LEVEL_INSTANCE, ARRAY_SIZE(level_names), err);
	if (r < 0)
		return r;
	rule->level = (enum policy_level)r;
	r = read_optional_word(object, path, "networkFunctions", function_names, ARRAY_SIZE(function_names), err);
	if (r < 0)
		return r;
	rule->functions = (enum policy_functions)r;
	r = read_selector(object, path, &rule->own, err);
	if (r < 0)
		return r;
	format_path(below, "%s.from", path);
	return parse_rule_from(json_object_get(object, "from"), below, rule, err);
}

static int parse_port(const json_t *object, const char *path, void *element, struct err *err)
{
	static const struct policy_field fields[] = {
		{"protocol", POLICY_FIELD_STRING, true, 0},
		{"port", POLICY_FIELD_INTEGER, true, 0},
	};
	struct policy_port *port = element;
	json_int_t number;
	int r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	r = read_word(json_string_value(json_object_get(object, "protocol")), path, "protocol", protocol_names, 0,
		      ARRAY_SIZE(protocol_names), err);
	if (r < 0)
		return r;
	port->protocol = (enum policy_protocol)r;
	number = json_integer_value(json_object_get(object, "port"));
	if (number < 1 || number > 65535)
		return err_set(err, ERR_INVALID, "field '%s.port' is outside 1 to 65535", path);
	port->port = (uint16_t)number;
	return 0;
}

/* Parses each element of an array (absent: empty) into a new array of zeroed elements, counted as far as they were touched. */
static int parse_list(const json_t *array, const char *path, size_t size,
		      int (*each)(const json_t *object, const char *path, void *element, struct err *err),
		      void *ret_list, size_t *ret_count, struct err *err)
{
	size_t count = json_array_size(array);
	char below[PATH_SIZE];
	char *list;
	int r = 0;

	if (!count)
		return 0;
	list = calloc(count, size);
	if (!list)
		return out_of_memory(err);
	memcpy(ret_list, &list, sizeof(list));
	*ret_count = count;
	for (size_t i = 0; i < count && r == 0; i++) {
		format_path(below, "%s[%zu]", path, i);
		r = each(json_array_get(array, i), below, list + i * size, err);
	}
	return r;
}

static int parse_networks(const json_t *array, const char *path, struct policy_interface *interface, struct err *err)
{
	struct policy_names texts = {0};
	int r = policy_names_read(array, path, &texts, err);

	if (r < 0 || !texts.count)
		return r;
	interface->networks = calloc(texts.count, sizeof(*interface->networks));
	if (!interface->networks)
		r = out_of_memory(err);
	for (size_t i = 0; i < texts.count && r == 0; i++) {
		r = policy_network_parse(texts.items[i], &interface->networks[i], err);
		if (r < 0)
			(void)err_prefix(err, "field '%s[%zu]'", path, i);
		else
			interface->network_count++;
	}
	policy_names_done(&texts);
	return r;
}

static int parse_interface_from(const json_t *from, const char *path, struct policy_interface *interface,
				struct err *err)
{
	static const struct policy_field fields[] = {
		{"domains", POLICY_FIELD_ARRAY, false, POLICY_NAMES_MAX},
		{"networks", POLICY_FIELD_ARRAY, false, POLICY_RULES_MAX},
	};
	char below[PATH_SIZE];
	int r = policy_fields_check(from, path, fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	format_path(below, "%s.domains", path);
	r = read_domains(json_object_get(from, "domains"), below, &interface->domains, err);
	if (r < 0)
		return r;
	format_path(below, "%s.networks", path);
	r = parse_networks(json_object_get(from, "networks"), below, interface, err);
	if (r < 0)
		return r;
	if (!interface->domains.count && !interface->network_count)
		return err_set(err, ERR_INVALID, "field '%s' names neither domains nor networks", path);
	return 0;
}

/* What a container between trust domains needs (PLC-4). */
static int parse_border(const json_t *object, const char *path, struct policy_interface *interface, struct err *err)
{
	bool *const needs[] = {&interface->needs_server, &interface->needs_vm};
	struct policy_names words = {0};
	char below[PATH_SIZE];
	int r;

	format_path(below, "%s.border", path);
	r = policy_names_read(json_object_get(object, "border"), below, &words, err);
	for (size_t i = 0; r >= 0 && i < words.count; i++) {
		r = read_word(words.items[i], path, "border", border_names, 0, ARRAY_SIZE(border_names), err);
		if (r >= 0)
			*needs[r] = true;
	}
	policy_names_done(&words);
	return r < 0 ? r : 0;
}

static int parse_interface(const json_t *object, const char *path, void *element, struct err *err)
{
	static const struct policy_field fields[] = {
		{"name", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"from", POLICY_FIELD_OBJECT, true, 0},
		{"subFunction", POLICY_FIELD_STRING, false, POLICY_NAME_MAX},
		{"ports", POLICY_FIELD_ARRAY, true, POLICY_RULES_MAX},
		{"border", POLICY_FIELD_ARRAY, false, ARRAY_SIZE(border_names)},
	};
	struct policy_interface *interface = element;
	char below[PATH_SIZE];
	int r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = read_label(object, "name", path, &interface->name, err);
	if (r == 0)
		r = read_label(object, "subFunction", path, &interface->subfunction, err);
	if (r < 0)
		return r;
	format_path(below, "%s.from", path);
	r = parse_interface_from(json_object_get(object, "from"), below, interface, err);
	if (r < 0)
		return r;
	format_path(below, "%s.ports", path);
	r = parse_list(json_object_get(object, "ports"), below, sizeof(struct policy_port), parse_port,
		       &interface->ports, &interface->port_count, err);
	if (r == 0 && !interface->port_count)
		r = err_set(err, ERR_INVALID, "field '%s' is empty", below);
	return r < 0 ? r : parse_border(object, path, interface, err);
}

/* By what the platform knows the pods of a sub-function. */
static int parse_mapped(const json_t *object, const char *path, struct policy_subfunction *subfunction, struct err *err)
{
	char below[PATH_SIZE];
	int r;

	format_path(below, "%s.images", path);
	r = policy_names_read(json_object_get(object, "images"), below, &subfunction->images, err);
	if (r < 0)
		return r;
	format_path(below, "%s.serviceAccounts", path);
	r = policy_names_read(json_object_get(object, "serviceAccounts"), below, &subfunction->accounts, err);
	for (size_t i = 0; r == 0 && i < subfunction->accounts.count; i++)
		if (!strchr(subfunction->accounts.items[i], '/'))
			r = err_set(err, ERR_INVALID, "field '%s[%zu]' is '%.64s', not \"namespace/name\"", below, i,
				    subfunction->accounts.items[i]);
	if (r == 0 && !subfunction->images.count && !subfunction->accounts.count)
		r = err_set(err, ERR_INVALID, "field '%s' names neither images nor serviceAccounts", path);
	return r;
}

static int parse_subfunction(const json_t *object, const char *path, void *element, struct err *err)
{
	static const struct policy_field fields[] = {
		{"name", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"images", POLICY_FIELD_ARRAY, false, POLICY_NAMES_MAX},
		{"serviceAccounts", POLICY_FIELD_ARRAY, false, POLICY_NAMES_MAX},
		{"plane", POLICY_FIELD_STRING, false, 0},
		{"networkFunction", POLICY_FIELD_STRING, false, POLICY_NAME_MAX},
	};
	struct policy_subfunction *subfunction = element;
	int r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = read_label(object, "name", path, &subfunction->name, err);
	if (r == 0)
		r = read_label(object, "networkFunction", path, &subfunction->function, err);
	if (r == 0)
		r = read_optional_word(object, path, "plane", plane_names, ARRAY_SIZE(plane_names), err);
	if (r < 0)
		return r;
	subfunction->plane = (enum policy_plane)r;
	return parse_mapped(object, path, subfunction, err);
}

static int parse_cache(const json_t *object, const char *path, void *element, struct err *err)
{
	static const struct policy_field fields[] = {
		{"subFunction", POLICY_FIELD_STRING, false, POLICY_NAME_MAX},
		{"images", POLICY_FIELD_ARRAY, false, POLICY_NAMES_MAX},
		{"class", POLICY_FIELD_STRING, true, 0},
	};
	struct policy_cache_rule *cache = element;
	char below[PATH_SIZE];
	int r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	r = read_word(json_string_value(json_object_get(object, "class")), path, "class", cache_names, 0,
		      ARRAY_SIZE(cache_names), err);
	if (r < 0)
		return r;
	cache->class = (enum policy_cache)r;
	format_path(below, "%s.images", path);
	r = read_label(object, "subFunction", path, &cache->subfunction, err);
	if (r == 0)
		r = policy_names_read(json_object_get(object, "images"), below, &cache->images, err);
	if (r == 0 && !cache->subfunction == !cache->images.count)
		r = err_set(err, ERR_INVALID, "field '%s' needs either 'subFunction' or 'images'", path);
	return r;
}

static int parse_ceiling(const json_t *object, struct policy_domain *domain, struct err *err)
{
	static const struct policy_field fields[] = {{"capabilities", POLICY_FIELD_ARRAY, false, 64}};
	struct policy_names names = {0};
	int r;

	if (!object)
		return 0;
	r = policy_fields_check(object, "spec.ceiling", fields, ARRAY_SIZE(fields), err);
	if (r == 0)
		r = policy_names_read(json_object_get(object, "capabilities"), "spec.ceiling.capabilities", &names,
				      err);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		r = policy_ceiling_add(&domain->ceiling, names.items[i], err);
		if (r < 0)
			(void)err_prefix(err, "field 'spec.ceiling.capabilities[%zu]'", i);
	}
	policy_names_done(&names);
	return r;
}

static int parse_isolation(const json_t *spec, struct policy_domain *domain, struct err *err)
{
	const char *word = json_string_value(json_object_get(spec, "isolation"));
	int r = word ? read_word(word, "spec", "isolation", isolation_names, 0, ARRAY_SIZE(isolation_names), err) : 0;

	if (r < 0)
		return r;
	domain->isolation = (enum policy_isolation)r;
	return 0;
}

static int parse_on_violation(const json_t *spec, struct policy_domain *domain, struct err *err)
{
	const char *word = json_string_value(json_object_get(spec, "onViolation"));
	int r = word ? read_word(word, "spec", "onViolation", violation_names, 0, ARRAY_SIZE(violation_names), err) : 0;

	domain->evicts = r > 0;
	return r < 0 ? r : 0;
}

static int parse_server_quota(const json_t *spec, struct policy_domain *domain, struct err *err)
{
	const json_t *value = json_object_get(spec, "serverQuota");
	json_int_t quota = json_integer_value(value);

	if (value && (quota < 1 || quota > POLICY_SERVERS_MAX))
		return err_set(err, ERR_INVALID, "field 'spec.serverQuota' is %" JSON_INTEGER_FORMAT ", not 1 to %d",
			       quota, POLICY_SERVERS_MAX);
	domain->server_quota = (uint32_t)quota;
	return 0;
}

static int parse_spec(const json_t *spec, struct policy_domain *domain, struct err *err)
{
	static const struct policy_field fields[] = {
		{"isolation", POLICY_FIELD_STRING, false, 0},
		{"separation", POLICY_FIELD_ARRAY, false, POLICY_RULES_MAX},
		{"interfaces", POLICY_FIELD_ARRAY, false, POLICY_RULES_MAX},
		{"subFunctions", POLICY_FIELD_ARRAY, false, POLICY_RULES_MAX},
		{"cache", POLICY_FIELD_ARRAY, false, POLICY_RULES_MAX},
		{"ceiling", POLICY_FIELD_OBJECT, false, 0},
		{"serverQuota", POLICY_FIELD_INTEGER, false, 0},
		{"onViolation", POLICY_FIELD_STRING, false, 0},
	};
	int r = policy_fields_check(spec, "spec", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = parse_isolation(spec, domain, err);
	if (r == 0)
		r = parse_server_quota(spec, domain, err);
	if (r == 0)
		r = parse_on_violation(spec, domain, err);
	if (r == 0)
		r = parse_list(json_object_get(spec, "separation"), "spec.separation", sizeof(struct policy_rule),
			       parse_rule, &domain->rules, &domain->rule_count, err);
	if (r == 0)
		r = parse_list(json_object_get(spec, "interfaces"), "spec.interfaces", sizeof(struct policy_interface),
			       parse_interface, &domain->interfaces, &domain->interface_count, err);
	if (r == 0)
		r = parse_list(json_object_get(spec, "subFunctions"), "spec.subFunctions",
			       sizeof(struct policy_subfunction), parse_subfunction, &domain->subfunctions,
			       &domain->subfunction_count, err);
	if (r == 0)
		r = parse_list(json_object_get(spec, "cache"), "spec.cache", sizeof(struct policy_cache_rule),
			       parse_cache, &domain->caches, &domain->cache_count, err);
	if (r == 0)
		r = parse_ceiling(json_object_get(spec, "ceiling"), domain, err);
	return r;
}

int policy_domain_parse_spec(const char *name, const json_t *spec, struct policy_domain **ret_domain, struct err *err)
{
	struct policy_domain *domain CLEANUP(cleanup_policy_domain) = NULL;
	int r;

	if (!str_is_dns_subdomain(name))
		return err_set(err, ERR_INVALID, "'%.64s' is not a name for a TrustDomain", name);
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return out_of_memory(err);
	domain->name = strdup(name);
	if (!domain->name)
		return out_of_memory(err);
	r = parse_spec(spec, domain, err);
	if (r == 0)
		r = policy_domain_consistent(domain, err);
	if (r < 0)
		return err_prefix(err, "TrustDomain '%s'", name);
	*ret_domain = take_ptr(domain);
	return 0;
}

int policy_domain_parse(const json_t *object, struct policy_domain **ret_domain, struct err *err)
{
	const char *name = json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
	const json_t *spec = json_object_get(object, "spec");
	json_t *empty;
	int r;

	if (!name)
		return err_set(err, ERR_INVALID, "field 'metadata.name' is missing");
	if (spec)
		return policy_domain_parse_spec(name, spec, ret_domain, err);
	empty = json_object();
	if (!empty)
		return out_of_memory(err);
	r = policy_domain_parse_spec(name, empty, ret_domain, err);
	json_decref(empty);
	return r;
}

static void selector_done(struct policy_selector *selector)
{
	free(selector->subfunction);
	free(selector->interface);
}

static void interface_done(struct policy_interface *interface)
{
	free(interface->name);
	policy_names_done(&interface->domains);
	free(interface->networks);
	free(interface->subfunction);
	free(interface->ports);
}

void policy_domain_free(struct policy_domain *domain)
{
	if (!domain)
		return;
	for (size_t i = 0; i < domain->rule_count; i++) {
		policy_names_done(&domain->rules[i].domains);
		selector_done(&domain->rules[i].from);
		selector_done(&domain->rules[i].own);
	}
	for (size_t i = 0; i < domain->interface_count; i++)
		interface_done(&domain->interfaces[i]);
	for (size_t i = 0; i < domain->subfunction_count; i++) {
		free(domain->subfunctions[i].name);
		policy_names_done(&domain->subfunctions[i].images);
		policy_names_done(&domain->subfunctions[i].accounts);
		free(domain->subfunctions[i].function);
	}
	for (size_t i = 0; i < domain->cache_count; i++) {
		free(domain->caches[i].subfunction);
		policy_names_done(&domain->caches[i].images);
	}
	free(domain->rules);
	free(domain->interfaces);
	free(domain->subfunctions);
	free(domain->caches);
	free(domain->name);
	free(domain);
}
