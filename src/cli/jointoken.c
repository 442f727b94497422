/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/jointoken.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key.h"
#include "policy/fields.h"

#define PREFIX "bulkhead-join-1."

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

int jointoken_format(const struct jointoken *token, struct buf *to, struct err *err)
{
	json_t *addresses = json_array();
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", token->name, "server", token->server,
				   "deployment", token->deployment, "secret", token->secret, "ca", token->ca, "cism",
				   addresses);
	char *text CLEANUP_FREE = NULL;
	int r = object ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < token->cism_count; i++)
		r = json_array_append_new(addresses, json_string(token->cism[i]));
	text = r == 0 ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text || buf_puts(to, PREFIX) < 0 || crypto_base64url(to, text, strlen(text)) < 0)
		return out_of_memory(err);
	return 0;
}

static bool is_address(const char *text)
{
	size_t len = strlen(text);

	for (const char *at = text; *at; at++)
		if (!isgraph((unsigned char)*at))
			return false;
	return str_starts(text, "https://") && len > 10 && len <= 256 && text[len - 1] != '/';
}

static int take_texts(const json_t *object, struct jointoken *to, struct err *err)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = {
		{"name", &to->name},     {"server", &to->server}, {"deployment", &to->deployment},
		{"secret", &to->secret}, {"ca", &to->ca},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*texts[i].to = strdup(json_string_value(json_object_get(object, texts[i].name)));
		if (!*texts[i].to)
			return out_of_memory(err);
	}
	if (!str_is_dns_label(to->name))
		return err_set(err, ERR_INVALID, "name: '%s' is not a DNS label", to->name);
	return 0;
}

static int take_addresses(const json_t *list, struct jointoken *to, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item);

		if (!text || !is_address(text))
			return err_set(err, ERR_INVALID, "cism[%zu]: is no address such as https://192.0.2.1:6443", i);
		to->cism[to->cism_count] = strdup(text);
		if (!to->cism[to->cism_count++])
			return out_of_memory(err);
	}
	return to->cism_count ? 0 : err_set(err, ERR_INVALID, "cism: must not be empty");
}

static int read_object(const char *text, size_t len, json_t **ret_object, struct err *err)
{
	static const struct policy_field fields[] = {
		{"name", POLICY_FIELD_STRING, true, 63},       {"server", POLICY_FIELD_STRING, true, 63},
		{"deployment", POLICY_FIELD_STRING, true, 15}, {"secret", POLICY_FIELD_STRING, true, 128},
		{"ca", POLICY_FIELD_STRING, true, 8192},       {"cism", POLICY_FIELD_ARRAY, true, JOINTOKEN_CISM_MAX},
	};
	struct buf decoded CLEANUP(buf_done) = buf_of(JOINTOKEN_MAX);
	int r = crypto_unbase64url(&decoded, text, len);

	if (r < 0)
		return r == -ENOMEM ? out_of_memory(err) : err_set(err, ERR_SYNTAX, "it is cut off or altered");
	r = policy_fields_load("token", decoded.data ? decoded.data : "", decoded.len, ret_object, err);
	return r == 0 ? policy_fields_check(*ret_object, "", fields, ARRAY_SIZE(fields), err) : r;
}

int jointoken_parse(const char *text, struct jointoken *ret_token, struct err *err)
{
	struct jointoken token = {0};
	json_t *object = NULL;
	size_t len;
	int r;

	text += strspn(text, " \t\r\n");
	len = strcspn(text, " \t\r\n");
	if (text[len + strspn(text + len, " \t\r\n")] || !str_starts(text, PREFIX) || len > JOINTOKEN_MAX)
		return err_set(err, ERR_SYNTAX, "this is no join token: one is a word that begins with '" PREFIX "'");
	r = read_object(text + strlen(PREFIX), len - strlen(PREFIX), &object, err);
	if (r == 0)
		r = take_texts(object, &token, err);
	if (r == 0)
		r = take_addresses(json_object_get(object, "cism"), &token, err);
	json_decref(object);
	if (r < 0) {
		jointoken_done(&token);
		return err_prefix(err, "cannot read the join token");
	}
	*ret_token = token;
	return 0;
}

void jointoken_done(struct jointoken *token)
{
	free(token->name);
	free(token->server);
	free(token->deployment);
	if (token->secret)
		explicit_bzero(token->secret, strlen(token->secret));
	free(token->secret);
	free(token->ca);
	for (size_t i = 0; i < token->cism_count; i++)
		free(token->cism[i]);
	*token = (struct jointoken){0};
}
