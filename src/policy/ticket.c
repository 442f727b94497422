/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ticket.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

/* Copies a required, non-empty text. */
static int copy_text(const json_t *object, const char *what, const char *field, char **ret, struct err *err)
{
	const char *text = text_of(object, field);

	if (!*text)
		return err_set(err, ERR_INVALID, "field '%s.%s' is empty", what, field);
	*ret = strdup(text);
	return *ret ? 0 : out_of_memory(err);
}

static int read_time(const json_t *object, const char *what, const char *field, int64_t *ret, struct err *err)
{
	if (clock_parse(text_of(object, field), ret) < 0)
		return err_set(err, ERR_INVALID, "field '%s.%s' is not a time of RFC 3339", what, field);
	return 0;
}

/* kind and version: what the signer meant the bytes to be. A token is never taken for a ticket, nor an older form for this one. */
static int check_kind(const json_t *object, const char *what, const char *kind, struct err *err)
{
	if (!str_eq(text_of(object, "kind"), kind))
		return err_set(err, ERR_INVALID, "field '%s.kind' is '%.32s', not '%s'", what, text_of(object, "kind"),
			       kind);
	if (json_integer_value(json_object_get(object, "version")) != 1)
		return err_set(err, ERR_INVALID, "field '%s.version' is not 1", what);
	return 0;
}

static int parse_pulls(const json_t *array, struct policy_ticket *ticket, struct err *err)
{
	size_t count = json_array_size(array);
	int r = 0;

	if (!count)
		return 0;
	ticket->pulls = calloc(count, sizeof(*ticket->pulls));
	if (!ticket->pulls)
		return out_of_memory(err);
	ticket->pull_count = count;
	for (size_t i = 0; i < count && r == 0; i++)
		r = policy_pull_parse(json_array_get(array, i), &ticket->pulls[i], err);
	return r;
}

static int same_as_pod(const json_t *metadata, const char *field, const char *ticket, struct err *err)
{
	const char *value = text_of(metadata, field);

	if (!value || !str_eq(value, ticket))
		return err_set(err, ERR_INVALID, "field 'ticket.pod' has %s '%.253s', the ticket is for '%s'", field,
			       value ? value : "", ticket);
	return 0;
}

static int parse_pod(struct policy_ticket *ticket, struct err *err)
{
	const json_t *metadata;
	int r = policy_fields_load("field 'ticket.pod'", ticket->pod_text, strlen(ticket->pod_text), &ticket->pod, err);

	if (r < 0)
		return r;
	metadata = json_object_get(ticket->pod, "metadata");
	if (!json_is_object(metadata) || !json_is_object(json_object_get(ticket->pod, "spec")))
		return err_set(err, ERR_INVALID, "field 'ticket.pod' is not a pod with metadata and spec");
	r = same_as_pod(metadata, "uid", ticket->uid, err);
	if (r == 0)
		r = same_as_pod(metadata, "namespace", ticket->namespace, err);
	if (r == 0)
		r = same_as_pod(metadata, "name", ticket->name, err);
	return r;
}

static int parse_texts(const json_t *object, struct policy_ticket *ticket, struct err *err)
{
	const struct {
		const char *field;
		char **to;
	} texts[] = {
		{"uid", &ticket->uid},           {"namespace", &ticket->namespace}, {"name", &ticket->name},
		{"instance", &ticket->instance}, {"server", &ticket->server},       {"domain", &ticket->domain_name},
		{"pod", &ticket->pod_text},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts) && r == 0; i++)
		r = copy_text(object, "ticket", texts[i].field, texts[i].to, err);
	if (r < 0)
		return r;
	ticket->subfunction = strdup(text_of(object, "subFunction"));
	return ticket->subfunction ? 0 : out_of_memory(err);
}

static int parse_numbers(const json_t *object, struct policy_ticket *ticket, struct err *err)
{
	json_int_t epoch = json_integer_value(json_object_get(object, "epoch"));
	int r;

	if (epoch < 1)
		return err_set(err, ERR_INVALID, "field 'ticket.epoch' is not positive");
	ticket->epoch = (uint64_t)epoch;
	if (str_parse_u64(text_of(object, "domainsRevision"), UINT64_MAX, &ticket->domains_revision) < 0)
		return err_set(err, ERR_INVALID, "field 'ticket.domainsRevision' is not a number");
	r = read_time(object, "ticket", "issued", &ticket->issued_ms, err);
	if (r == 0)
		r = read_time(object, "ticket", "expires", &ticket->expires_ms, err);
	if (r == 0 && ticket->expires_ms <= ticket->issued_ms)
		r = err_set(err, ERR_INVALID, "field 'ticket.expires' is not after 'issued'");
	return r;
}

static int parse_names(const struct policy_ticket *ticket, struct err *err)
{
	const struct {
		const char *field, *value;
	} names[] = {
		{"uid", ticket->uid},
		{"namespace", ticket->namespace},
		{"name", ticket->name},
		{"instance", ticket->instance},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!str_is_dns_subdomain(names[i].value))
			return err_set(err, ERR_INVALID, "field 'ticket.%s' is not a name", names[i].field);
	return 0;
}

static int parse_ticket(const json_t *object, struct policy_ticket *ticket, struct err *err)
{
	static const struct policy_field fields[] = {
		{"kind", POLICY_FIELD_STRING, true, 0},
		{"version", POLICY_FIELD_INTEGER, true, 0},
		{"uid", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"namespace", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"name", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"instance", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"server", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"epoch", POLICY_FIELD_INTEGER, true, 0},
		{"domain", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"domainSpec", POLICY_FIELD_OBJECT, true, 0},
		{"domainsRevision", POLICY_FIELD_STRING, true, 0},
		{"subFunction", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"issued", POLICY_FIELD_STRING, true, 64},
		{"expires", POLICY_FIELD_STRING, true, 64},
		{"pod", POLICY_FIELD_STRING, true, 0},
		{"pulls", POLICY_FIELD_ARRAY, true, POLICY_PULLS_MAX},
	};
	int r = policy_fields_check(object, "ticket", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = check_kind(object, "ticket", "Ticket", err);
	if (r == 0)
		r = parse_texts(object, ticket, err);
	if (r == 0)
		r = parse_names(ticket, err);
	if (r == 0)
		r = parse_numbers(object, ticket, err);
	if (r == 0)
		r = parse_pulls(json_object_get(object, "pulls"), ticket, err);
	if (r == 0)
		r = parse_pod(ticket, err);
	if (r < 0)
		return r;
	ticket->domain_spec = json_incref(json_object_get(object, "domainSpec"));
	return policy_domain_parse_spec(ticket->domain_name, ticket->domain_spec, &ticket->domain, err);
}

int policy_ticket_parse(const char *bytes, size_t len, struct policy_ticket **ret_ticket, struct err *err)
{
	struct policy_ticket *ticket CLEANUP(cleanup_policy_ticket) = NULL;
	json_t *object;
	int r;

	if (len > POLICY_TICKET_MAX)
		return err_set(err, ERR_TOO_LARGE, "ticket has %zu bytes, at most %zu are allowed", len,
			       POLICY_TICKET_MAX);
	r = policy_fields_load("ticket", bytes, len, &object, err);
	if (r < 0)
		return r;
	ticket = calloc(1, sizeof(*ticket));
	r = ticket ? parse_ticket(object, ticket, err) : out_of_memory(err);
	json_decref(object);
	if (r < 0)
		return r;
	*ret_ticket = take_ptr(ticket);
	return 0;
}

void policy_ticket_free(struct policy_ticket *ticket)
{
	if (!ticket)
		return;
	for (size_t i = 0; i < ticket->pull_count; i++)
		policy_pull_done(&ticket->pulls[i]);
	free(ticket->pulls);
	free(ticket->uid);
	free(ticket->namespace);
	free(ticket->name);
	free(ticket->instance);
	free(ticket->server);
	free(ticket->domain_name);
	policy_domain_free(ticket->domain);
	json_decref(ticket->domain_spec);
	free(ticket->subfunction);
	free(ticket->pod_text);
	json_decref(ticket->pod);
	free(ticket);
}

/* Appends the text of an object (stolen) to buf. */
static int dump(json_t *object, size_t most, struct buf *to, struct err *err)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	int r;

	json_decref(object);
	if (!text)
		return out_of_memory(err);
	if (strlen(text) > most)
		r = err_set(err, ERR_TOO_LARGE, "payload has %zu bytes, at most %zu are allowed", strlen(text), most);
	else
		r = buf_puts(to, text) < 0 ? out_of_memory(err) : 0;
	free(text);
	return r;
}

static json_t *format_pulls(const struct policy_ticket *ticket)
{
	json_t *pulls = json_array();

	for (size_t i = 0; i < ticket->pull_count && pulls; i++) {
		json_t *pull = policy_pull_format(&ticket->pulls[i]);

		if (!pull || json_array_append_new(pulls, pull) < 0) {
			json_decref(pulls);
			return NULL;
		}
	}
	return pulls;
}

int policy_ticket_format(const struct policy_ticket *ticket, struct buf *to, struct err *err)
{
	char issued[CLOCK_STAMP_SIZE], expires[CLOCK_STAMP_SIZE], revision[24];
	struct buf digits = buf_of(sizeof(revision));
	json_t *object;

	if (buf_printf(&digits, "%llu", (unsigned long long)ticket->domains_revision) < 0)
		return out_of_memory(err);
	clock_format(issued, ticket->issued_ms);
	clock_format(expires, ticket->expires_ms);
	object = json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:O,s:s,s:s,s:s,s:s,s:s,s:o}", "kind", "Ticket",
			   "version", 1, "uid", ticket->uid, "namespace", ticket->namespace, "name", ticket->name,
			   "instance", ticket->instance, "server", ticket->server, "epoch", (json_int_t)ticket->epoch,
			   "domain", ticket->domain_name, "domainSpec", ticket->domain_spec, "domainsRevision",
			   digits.data, "subFunction", ticket->subfunction ? ticket->subfunction : "", "issued", issued,
			   "expires", expires, "pod", ticket->pod_text, "pulls", format_pulls(ticket));
	buf_done(&digits);
	return dump(object, POLICY_TICKET_MAX, to, err);
}

static int parse_token(const json_t *object, struct policy_token *token, struct err *err)
{
	static const struct policy_field fields[] = {
		{"kind", POLICY_FIELD_STRING, true, 0},       {"version", POLICY_FIELD_INTEGER, true, 0},
		{"registry", POLICY_FIELD_STRING, true, 300}, {"repository", POLICY_FIELD_STRING, true, 255},
		{"digest", POLICY_FIELD_STRING, true, 160},   {"instanceCertificate", POLICY_FIELD_STRING, false, 64},
		{"expires", POLICY_FIELD_STRING, true, 64},
	};
	uint8_t digest[32];
	int r = policy_fields_check(object, "token", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = check_kind(object, "token", "PullToken", err);
	if (r == 0)
		r = copy_text(object, "token", "registry", &token->registry, err);
	if (r == 0)
		r = copy_text(object, "token", "repository", &token->repository, err);
	if (r == 0)
		r = copy_text(object, "token", "digest", &token->digest, err);
	if (r == 0 && json_object_get(object, "instanceCertificate"))
		r = copy_text(object, "token", "instanceCertificate", &token->instance_certificate, err);
	if (r < 0)
		return r;
	if (token->instance_certificate && str_unhex(digest, sizeof(digest), token->instance_certificate) < 0)
		return err_set(err, ERR_INVALID, "field 'token.instanceCertificate' is not a SHA-256 in hexadecimal");
	return read_time(object, "token", "expires", &token->expires_ms, err);
}

int policy_token_parse(const char *bytes, size_t len, struct policy_token *ret_token, struct err *err)
{
	struct policy_token token = {0};
	json_t *object;
	int r;

	if (len > POLICY_TOKEN_MAX)
		return err_set(err, ERR_TOO_LARGE, "token has %zu bytes, at most %zu are allowed", len,
			       POLICY_TOKEN_MAX);
	r = policy_fields_load("token", bytes, len, &object, err);
	if (r < 0)
		return r;
	r = parse_token(object, &token, err);
	json_decref(object);
	if (r < 0) {
		policy_token_done(&token);
		return r;
	}
	*ret_token = token;
	return 0;
}

void policy_token_done(struct policy_token *token)
{
	free(token->registry);
	free(token->repository);
	free(token->digest);
	free(token->instance_certificate);
	*token = (struct policy_token){0};
}

int policy_token_format(const struct policy_token *token, struct buf *to, struct err *err)
{
	char expires[CLOCK_STAMP_SIZE];

	clock_format(expires, token->expires_ms);
	return dump(json_pack("{s:s,s:i,s:s,s:s,s:s,s:s*,s:s}", "kind", "PullToken", "version", 1, "registry",
			      token->registry, "repository", token->repository, "digest", token->digest,
			      "instanceCertificate", token->instance_certificate, "expires", expires),
		    POLICY_TOKEN_MAX, to, err);
}
