/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of single values. The sentences are those Kubernetes' clients know. */
#include "api/schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "base/str.h"

#define ANNOTATIONS_MAX ((size_t)256 * 1024)

#define LABEL_TEXT                                                                                                  \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and " \
	"end "                                                                                                      \
	"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "              \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define LABEL_1035_TEXT                                                                                         \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic " \
	"character, "                                                                                           \
	"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "  \
	"'[a-z]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_TEXT                                                                                             \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must " \
	"start "                                                                                                   \
	"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define NAME_PART_TEXT                                                                                        \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "  \
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE_TEXT                                                                                          \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must " \
	"start "                                                                                                  \
	"and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "    \
	"validation "                                                                                             \
	"is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define ENV_NAME_TEXT "a valid environment variable name must consist only of printable ASCII characters other than '='"

/* At least one of [A-Za-z0-9], with '-', '_', '.' inside. */
static bool is_name_part(const char *text, size_t len)
{
	if (len == 0 || !isalnum((unsigned char)text[0]) || !isalnum((unsigned char)text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	return true;
}

static const char *check_label(const char *text)
{
	if (strlen(text) > 63)
		return "must be no more than 63 characters";
	return str_is_dns_label(text) ? NULL : LABEL_TEXT;
}

static const char *check_label_1035(const char *text)
{
	if (strlen(text) > 63)
		return "must be no more than 63 characters";
	return str_is_dns_label(text) && islower((unsigned char)text[0]) ? NULL : LABEL_1035_TEXT;
}

static const char *check_subdomain(const char *text)
{
	if (strlen(text) > 253)
		return "must be no more than 253 characters";
	return str_is_dns_subdomain(text) ? NULL : SUBDOMAIN_TEXT;
}

static const char *check_label_key(const char *text)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	char prefix[254];

	if (slash) {
		size_t len = (size_t)(slash - text);

		if (strchr(name, '/'))
			return "a qualified name must consist of a name part and an optional DNS subdomain prefix "
			       "separated by one '/'";
		if (len == 0)
			return "prefix part must be non-empty";
		if (len >= sizeof(prefix))
			return "prefix part must be no more than 253 characters";
		memcpy(prefix, text, len);
		prefix[len] = '\0';
		if (!str_is_dns_subdomain(prefix))
			return "prefix part " SUBDOMAIN_TEXT;
	}
	if (!*name)
		return "name part must be non-empty";
	if (strlen(name) > 63)
		return "name part must be no more than 63 characters";
	return is_name_part(name, strlen(name)) ? NULL : NAME_PART_TEXT;
}

static const char *check_label_value(const char *text)
{
	if (strlen(text) > 63)
		return "must be no more than 63 characters";
	return !*text || is_name_part(text, strlen(text)) ? NULL : LABEL_VALUE_TEXT;
}

static const char *check_env_name(const char *text)
{
	for (const char *at = text; *at; at++)
		if (!isprint((unsigned char)*at) || *at == '=')
			return ENV_NAME_TEXT;
	return NULL;
}

static const char *check_port_name(const char *text)
{
	bool letter = false;

	if (strlen(text) > 15)
		return "must be no more than 15 characters";
	for (const char *at = text; *at; at++) {
		if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '-')
			return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
		letter |= islower((unsigned char)*at) != 0;
	}
	if (strstr(text, "--"))
		return "must not contain consecutive hyphens";
	if (!letter)
		return "must contain at least one letter (a-z)";
	if (text[0] == '-' || text[strlen(text) - 1] == '-')
		return "must not begin or end with a hyphen";
	return NULL;
}

static const char *check_ip(const char *text)
{
	struct in6_addr address;

	if (inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1)
		return NULL;
	return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

static const char *check_cidr(const char *text)
{
	static const char message[] = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
	const char *slash = strchr(text, '/');
	unsigned char address[16];
	uint64_t bits;
	char host[64];
	size_t len;
	bool four;

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return message;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	four = inet_pton(AF_INET, host, address) == 1;
	if ((!four && inet_pton(AF_INET6, host, address) != 1) || str_parse_u64(slash + 1, four ? 32 : 128, &bits) < 0)
		return message;
	len = four ? 4 : 16;
	for (size_t bit = bits; bit < len * 8; bit++)
		if (address[bit / 8] & (0x80 >> bit % 8))
			return "must not have bits set beyond its prefix length";
	return NULL;
}

static const char *check_image(const char *text)
{
	size_t len = strlen(text);

	if (len && (isspace((unsigned char)text[0]) || isspace((unsigned char)text[len - 1])))
		return "must not have leading or trailing whitespace";
	return NULL;
}

static const char *check_no_backstep(const char *text)
{
	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "/");

		if (len == 2 && at[0] == '.' && at[1] == '.')
			return "must not contain '..'";
		at += len + (at[len] == '/');
	}
	return NULL;
}

static const char *check_relative_path(const char *text)
{
	return text[0] == '/' ? "must be a relative path" : check_no_backstep(text);
}

static const char *check_sysctl(const char *text)
{
	size_t len = strlen(text);
	bool good = len > 0 && len <= 253 && isalnum((unsigned char)text[0]);

	for (size_t i = 0; i < len; i++)
		good = good &&
		       (islower((unsigned char)text[i]) || isdigit((unsigned char)text[i]) || strchr("-_./", text[i]));
	if (!good)
		return "must have at most 253 characters and match regex "
		       "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
	return NULL;
}

static const char *check_capability(const char *text)
{
	if (!*text || str_starts(text, "CAP_"))
		return "must be the name of a capability without the prefix 'CAP_'";
	for (const char *at = text; *at; at++)
		if (!isupper((unsigned char)*at) && *at != '_')
			return "must be the name of a capability in upper case";
	return NULL;
}

const char *api_check_string(enum api_check check, const char *text)
{
	switch (check) {
	case API_CHECK_LABEL:
		return check_label(text);
	case API_CHECK_LABEL_1035:
		return check_label_1035(text);
	case API_CHECK_SUBDOMAIN:
		return check_subdomain(text);
	case API_CHECK_LABEL_KEY:
		return check_label_key(text);
	case API_CHECK_LABELS:
		return check_label_value(text);
	case API_CHECK_ENV_NAME:
		return check_env_name(text);
	case API_CHECK_PORT:
	case API_CHECK_PORT_NAME:
		return check_port_name(text);
	case API_CHECK_IP:
		return check_ip(text);
	case API_CHECK_CIDR:
		return check_cidr(text);
	case API_CHECK_IMAGE:
		return check_image(text);
	case API_CHECK_NO_BACKSTEP:
		return check_no_backstep(text);
	case API_CHECK_RELATIVE_PATH:
		return check_relative_path(text);
	case API_CHECK_SYSCTL:
		return check_sysctl(text);
	case API_CHECK_CAPABILITY:
		return check_capability(text);
	case API_CHECK_NONE:
	case API_CHECK_ANNOTATIONS:
	case API_CHECK_FILE_MODE:
	case API_CHECK_NOT_NEGATIVE:
	case API_CHECK_POSITIVE:
	case API_CHECK_WEIGHT:
	case API_CHECK_ID:
	case API_CHECK_UNIQUE:
		break;
	}
	return NULL;
}

struct range {
	enum api_check check;
	json_int_t least, most;
	const char *text;
};

static const struct range ranges[] = {
	{API_CHECK_PORT, 1, 65535, "must be between 1 and 65535, inclusive"},
	{API_CHECK_FILE_MODE, 0, 0777, "must be a number between 0 and 0777 (octal), both inclusive"},
	{API_CHECK_NOT_NEGATIVE, 0, INT64_MAX, "must be greater than or equal to 0"},
	{API_CHECK_POSITIVE, 1, INT64_MAX, "must be greater than 0"},
	{API_CHECK_WEIGHT, 1, 100, "must be in the range 1-100"},
	{API_CHECK_ID, 0, INT32_MAX, "must be between 0 and 2147483647, inclusive"},
};

static void check_number(const struct api_field *field, struct api_faults *faults, const struct api_place *at,
			 json_int_t value)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (ranges[i].check == field->check && (value < ranges[i].least || value > ranges[i].most))
			api_fault(faults, at, NULL, "Invalid value: %lld: %s", (long long)value, ranges[i].text);
}

static void check_words(const struct api_field *field, struct api_faults *faults, const struct api_place *at,
			const char *text)
{
	char list[512];
	size_t len = 0;

	list[0] = '\0';
	for (const char *const *word = field->words; *word; word++) {
		if (str_eq(*word, text))
			return;
		if (len < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s\"%s\"", len ? ", " : "", *word);
	}
	api_fault(faults, at, NULL, "Unsupported value: \"%.100s\": supported values: %s", text, list);
}

static void check_quantity(const struct api_field *field, struct api_faults *faults, const struct api_place *at,
			   const char *text)
{
	int64_t milli;

	if (api_quantity(text, &milli, NULL) < 0)
		api_fault(faults, at, NULL, "Invalid value: \"%.100s\": must be a quantity", text);
	else if (field->check == API_CHECK_NOT_NEGATIVE && milli < 0)
		api_fault(faults, at, NULL, "Invalid value: \"%.100s\": must be greater than or equal to 0", text);
}

static void check_labels(struct api_faults *faults, const struct api_place *at, const json_t *map)
{
	const char *key, *wrong;
	json_t *value;

	json_object_foreach((json_t *)map, key, value) {
		wrong = check_label_key(key);
		if (wrong)
			api_fault(faults, at, NULL, "Invalid value: \"%.320s\": %s", key, wrong);
		wrong = check_label_value(json_string_value(value));
		if (wrong)
			api_fault(faults, at, NULL, "Invalid value: \"%.100s\": %s", json_string_value(value), wrong);
	}
}

static void check_annotations(struct api_faults *faults, const struct api_place *at, const json_t *map)
{
	const char *key, *wrong;
	size_t total = 0;
	json_t *value;

	json_object_foreach((json_t *)map, key, value) {
		wrong = check_label_key(key);
		total += strlen(key) + json_string_length(value);
		if (wrong)
			api_fault(faults, at, NULL, "Invalid value: \"%.320s\": %s", key, wrong);
	}
	if (total > ANNOTATIONS_MAX)
		api_fault(faults, at, NULL, "Too long: may not be more than %zu bytes", ANNOTATIONS_MAX);
}

static void check_text(const struct api_field *field, struct api_faults *faults, const struct api_place *at,
		       const char *text)
{
	const char *wrong;

	if (field->type == API_QUANTITY) {
		check_quantity(field, faults, at, text);
		return;
	}
	if (field->words) {
		check_words(field, faults, at, text);
		return;
	}
	if (field->most && !(field->flags & API_LIST) && strlen(text) > field->most)
		api_fault(faults, at, NULL, "Too long: may not be more than %zu bytes", field->most);
	wrong = api_check_string(field->check, text);
	if (wrong)
		api_fault(faults, at, NULL, "Invalid value: \"%.320s\": %s", text, wrong);
}

void api_check_value(const struct api_field *field, struct api_faults *faults, const struct api_place *at,
		     const json_t *value)
{
	if (field->check == API_CHECK_LABELS && json_is_object(value))
		check_labels(faults, at, value);
	else if (field->check == API_CHECK_ANNOTATIONS && json_is_object(value))
		check_annotations(faults, at, value);
	else if (json_is_string(value))
		check_text(field, faults, at, json_string_value(value));
	else if (json_is_integer(value))
		check_number(field, faults, at, json_integer_value(value));
}
