/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/joins.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/leader.h"
#include "cism/shared_topology.h"
#include "crypto/certificate.h"
#include "crypto/csr.h"
#include "policy/fields.h"

#define TOKEN_MOST_MS (INT64_C(24) * 3600 * 1000)
#define KEEP_MS (INT64_C(3600) * 1000)
#define CERTIFICATE_S (INT64_C(365) * 86400)
#define SECRET_MAX 128
#define TRIES 8
#define PEM_MAX ((size_t)16 * 1024)

/* --- the record of an instance --- */

static void record_key(const char *instance, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/instances/%s", instance);
}

static bool is_hash(const char *text)
{
	uint8_t bytes[CRYPTO_SHA256_SIZE];

	return text && str_unhex(bytes, sizeof(bytes), text) == 0;
}

/* *ret_record NULL and revision 0 for an instance that was never seen. */
static int read_record(struct cism *cism, const char *instance, json_t **ret_record, uint64_t *ret_revision,
		       struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	char key[STORE_KEY_MAX + 1];
	int r;

	*ret_record = NULL;
	*ret_revision = 0;
	record_key(instance, key);
	r = store_get(cism->store, key, &entry, err);
	if (r < 0)
		return r == ERR_NOT_FOUND ? 0 : r;
	*ret_revision = entry.mod_revision;
	if (is_hash(entry.value)) /* as records were before there were joins */
		*ret_record = json_pack("{s:s}", "certificate", entry.value);
	else
		*ret_record = json_loadb(entry.value, entry.value_len, JSON_REJECT_DUPLICATES, NULL);
	if (!api_string(*ret_record, "certificate")) {
		json_decref(*ret_record);
		*ret_record = NULL;
		return err_set(err, ERR_CORRUPT, "record '%s' is damaged", key);
	}
	return 0;
}

static int write_record(struct cism *cism, const char *instance, const json_t *record, uint64_t revision,
			struct change *change, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	uint64_t committed;

	record_key(instance, key);
	change_compare(change, key, revision);
	change_put(change, key, record);
	return change_commit(change, cism->store, &committed, err);
}

int joins_certificate(struct cism *cism, const char *instance, char to[static 65], struct err *err)
{
	CLEANUP_JSON json_t *record = NULL;
	uint64_t revision;
	int r = read_record(cism, instance, &record, &revision, err);

	if (r == 0 && !record)
		return err_set(err, ERR_NOT_FOUND, "instance '%s' was never seen", instance);
	return r < 0 ? r : str_copy(to, 65, api_string(record, "certificate"));
}

int joins_epoch(struct cism *cism, const char *instance, uint64_t *ret_epoch, struct err *err)
{
	CLEANUP_JSON json_t *record = NULL;
	uint64_t revision;
	int r = read_record(cism, instance, &record, &revision, err);

	if (r == 0)
		*ret_epoch = (uint64_t)api_integer(record, "joined.epoch", 0);
	return r;
}

/* The renewed certificate counts, and the one before no more. */
static int promote(struct cism *cism, const char *instance, json_t *record, uint64_t revision, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};

	change_init(&change);
	if (json_object_set(record, "certificate", json_object_get(record, "renewed")) < 0 ||
	    json_object_del(record, "renewed") < 0)
		return err_sys(err, -ENOMEM, "cannot note a renewed certificate");
	return write_record(cism, instance, record, revision, &change, err);
}

static int note_first(struct cism *cism, const char *instance, const char *hex, uint64_t revision, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *record = json_pack("{s:s}", "certificate", hex);

	change_init(&change);
	return record ? write_record(cism, instance, record, revision, &change, err)
		      : err_sys(err, -ENOMEM, "cannot note an instance's certificate");
}

static int check_once(struct cism *cism, const char *instance, const char *hex, struct err *err)
{
	CLEANUP_JSON json_t *record = NULL;
	const char *renewed;
	uint64_t revision;
	int r = read_record(cism, instance, &record, &revision, err);

	if (r < 0)
		return r;
	if (record && str_eq(api_string(record, "certificate"), hex))
		return 0;
	if (!record || !json_object_get(record, "joined"))
		return note_first(cism, instance, hex, revision, err);
	renewed = api_string(record, "renewed");
	if (renewed && str_eq(renewed, hex))
		return promote(cism, instance, record, revision, err);
	return err_set(
		err, ERR_DENIED,
		"the certificate of instance '%s' is superseded: join %" JSON_INTEGER_FORMAT
		" of that name has another; make a token with 'bulkhead token create %s --replace' to join again",
		instance, api_integer(record, "joined.epoch", 0), instance);
}

int joins_check(struct cism *cism, const char *instance, const uint8_t certificate_sha256[static 32], struct err *err)
{
	char hex[65];
	int r = ERR_CONFLICT;

	str_hex(hex, certificate_sha256, 32);
	for (int i = 0; i < TRIES && r == ERR_CONFLICT; i++)
		r = check_once(cism, instance, hex, err);
	return r;
}

/* --- tokens --- */

static const struct api_kind *tokens(void)
{
	return api_kind_by_resource("trust.bulkhead.dev", "v1", "jointokens");
}

/* A name belongs to the instance that has it, until an operator says that nothing of that one runs any more. */
static int check_free(struct cism *cism, const char *name, bool replaces, uint64_t *ret_revision, json_t **ret_record,
		      struct err *err)
{
	int r = read_record(cism, name, ret_record, ret_revision, err);

	if (r < 0 || !*ret_record || replaces)
		return r;
	(void)err_set(err, ERR_EXISTS, "instance '%s' is there already", name);
	return err_hint(err,
			"another name; or --replace, when its machine was installed anew and runs nothing of before");
}

static bool is_unchanged(const struct admission *admission)
{
	const json_t *spec = json_object_get(admission->object, "spec"), *old = json_object_get(admission->old, "spec");
	const json_t *status = json_object_get(admission->object, "status");
	const json_t *old_status = json_object_get(admission->old, "status");

	return json_equal(spec, old) && (status == old_status || json_equal(status, old_status));
}

int joins_admit_token(struct admission *admission, struct err *err)
{
	const char *name = api_string(admission->object, "metadata.name");
	const char *expires = api_string(admission->object, "spec.expires");
	int64_t now = clock_wall_ms(), until = 0;
	CLEANUP_JSON json_t *record = NULL;
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	int r;

	if (admission->old)
		return is_unchanged(admission)
			       ? 0
			       : err_set(err, ERR_DENIED,
					 "jointokens \"%s\" is forbidden: a join token stays as it was made", name);
	(void)json_object_del(admission->object, "status");
	if (!is_hash(api_string(admission->object, "spec.secretSHA256")))
		return err_set(err, ERR_INVALID, "spec.secretSHA256: must be 64 hexadecimal digits");
	if (!expires || clock_parse(expires, &until) < 0 || until <= now || until > now + TOKEN_MOST_MS)
		return err_set(err, ERR_INVALID, "spec.expires: must be a time within a day from now");
	r = check_free(admission->call->cism, name, json_is_true(api_value(admission->object, "spec.replaces")),
		       &revision, &record, err);
	if (r < 0)
		return r;
	record_key(name, key);
	change_compare(admission->change, key, revision);
	return 0;
}

int joins_sweep(struct cism *cism, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct records_query query = {.kind = tokens()};
	int r = records_list(cism->store, &query, &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		CLEANUP_CHANGE struct change change = {0};
		const char *expires = api_string(list.items[i], "spec.expires");
		uint64_t revision = 0, committed;
		int64_t until = 0;

		if ((expires && clock_parse(expires, &until) == 0 && until + KEEP_MS > clock_wall_ms()) ||
		    str_parse_u64(api_string(list.items[i], "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
			continue;
		change_init(&change);
		leader_compare(cism, &change);
		records_remove(&change, tokens(), list.items[i], revision);
		r = change_commit(&change, cism->store, &committed, err);
		r = r == ERR_CONFLICT ? 0 : r;
	}
	return r;
}

/* --- certificates --- */

static int issue(struct cism *cism, const struct crypto_csr *csr, struct buf *pem, char hex[static 65], struct err *err)
{
	const char *const organizations[] = {CRYPTO_INSTANCES_ORGANIZATION, NULL};
	const struct crypto_certificate_request request = {
		.purpose = CRYPTO_PURPOSE_CLIENT,
		.common_name = csr->common_name,
		.organizations = organizations,
		.lifetime_s = CERTIFICATE_S,
	};
	uint8_t digest[CRYPTO_SHA256_SIZE];
	int r = crypto_certificate_issue(&request, csr->key, cism->instances_ca, cism->instances_key, pem, err);

	if (r == 0)
		r = crypto_certificate_sha256(pem->data, digest, err);
	if (r == 0)
		str_hex(hex, digest, sizeof(digest));
	return r;
}

/* The subject must be the instance; a key is certified once, whoever asks again. */
static int check_request(const char *text, const char *instance, struct crypto_csr *csr,
			 char key[static STORE_KEY_MAX + 1], struct err *err)
{
	char expected[sizeof(csr->common_name)], hex[65];
	int r = crypto_csr_read(text, csr, err);

	if (r < 0)
		return r;
	(void)snprintf(expected, sizeof(expected), CRYPTO_INSTANCES_PREFIX "%s", instance);
	if (!str_eq(csr->common_name, expected) || !str_eq(csr->organization, CRYPTO_INSTANCES_ORGANIZATION))
		return err_set(err, ERR_DENIED,
			       "its certificate request is for '%s' of '%s', not for '%s' of "
			       "'" CRYPTO_INSTANCES_ORGANIZATION "'",
			       csr->common_name, csr->organization, expected);
	str_hex(hex, csr->key_sha256, sizeof(csr->key_sha256));
	(void)snprintf(key, STORE_KEY_MAX + 1, "/joins/keys/%s", hex);
	return 0;
}

static int check_key_is_new(struct cism *cism, const char *key, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	int r = store_get(cism->store, key, &entry, err);

	if (r == ERR_NOT_FOUND)
		return 0;
	return r < 0 ? r
		     : err_set(err, ERR_DENIED,
			       "the key of its certificate request was certified before, for instance '%.*s'",
			       (int)entry.value_len, entry.value);
}

/* --- POST /join --- */

struct join {
	struct cism *cism;
	const char *name, *server, *deployment, *secret, *request;
	struct object token;
	json_t *record; /* of an earlier instance of that name, or NULL */
	uint64_t record_revision, topology_revision;
	struct crypto_csr csr;
	char key[STORE_KEY_MAX + 1]; /* of the mark that the public key was certified */
	struct buf pem;
	char certificate[65];
};

static void join_done(struct join *join)
{
	records_done(&join->token);
	json_decref(join->record);
	crypto_csr_done(&join->csr);
	buf_done(&join->pem);
}

static int read_join(const json_t *body, struct join *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"version", POLICY_FIELD_INTEGER, true, 0},
		{"name", POLICY_FIELD_STRING, true, 63},
		{"server", POLICY_FIELD_STRING, true, 63},
		{"deployment", POLICY_FIELD_STRING, true, 15},
		{"secret", POLICY_FIELD_STRING, true, SECRET_MAX},
		{"request", POLICY_FIELD_STRING, true, CRYPTO_CSR_MAX},
	};
	int r = policy_fields_check(body, "", fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	if (api_integer(body, "version", 0) != 1)
		return err_set(err, ERR_INVALID, "version: this CISM speaks version 1");
	to->name = api_string(body, "name");
	to->server = api_string(body, "server");
	to->deployment = api_string(body, "deployment");
	to->secret = api_string(body, "secret");
	to->request = api_string(body, "request");
	return str_is_dns_label(to->name) ? 0 : err_set(err, ERR_INVALID, "name: '%s' is not a DNS label", to->name);
}

/* Who does not know the secret learns nothing about the token. */
static int open_token(struct join *join, struct err *err)
{
	uint8_t digest[CRYPTO_SHA256_SIZE], expected[CRYPTO_SHA256_SIZE];
	int r = records_get(join->cism->store, tokens(), NULL, join->name, &join->token, err);

	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	crypto_sha256(join->secret, strlen(join->secret), digest);
	if (r < 0 || str_unhex(expected, sizeof(expected), api_string(join->token.json, "spec.secretSHA256")) < 0 ||
	    !crypto_equal(digest, expected, sizeof(digest)))
		return err_set(err, ERR_DENIED, "no join token for this name has this secret");
	return 0;
}

static int check_token(const struct join *join, struct err *err)
{
	const char *used = api_string(join->token.json, "status.usedAt");
	const char *expires = api_string(join->token.json, "spec.expires");
	const char *server = api_string(join->token.json, "spec.server");
	const char *deployment = api_string(join->token.json, "spec.deployment");
	int64_t until = 0;

	if (used)
		return err_set(err, ERR_DENIED, "its join token was used already, at %s", used);
	if (clock_parse(expires, &until) < 0 || until <= clock_wall_ms())
		return err_set(err, ERR_DENIED, "its join token ended at %s", expires);
	if (!str_eq(server, join->server))
		return err_set(err, ERR_DENIED, "its join token is for server '%s', not for '%s'", server,
			       join->server);
	if (!str_eq(deployment, join->deployment))
		return err_set(err, ERR_DENIED, "its join token is for deployment option '%s', not for '%s'",
			       deployment, join->deployment);
	return 0;
}

/* Where it is the platform says, not the token: unknown server is no server. */
static int check_topology(struct join *join, struct err *err)
{
	struct topology_instance place;
	int r = shared_topology_follow(join->cism, err); /* what another replica has just read counts here too */

	if (r < 0)
		return r;
	join->topology_revision = cism_topology_revision(join->cism);
	if (cism_topology_find(join->cism, join->name, &place) < 0) {
		(void)err_set(err, ERR_DENIED, "the topology does not know it");
		return err_hint(err, "add it to topology.json, with its server");
	}
	if (!str_eq(place.server, join->server) || !str_eq(place.deployment, join->deployment))
		return err_set(err, ERR_DENIED,
			       "the topology has it as %s on server '%s', its join token as %s on '%s'",
			       place.deployment, place.server, join->deployment, join->server);
	return 0;
}

static int mark_used(struct join *join)
{
	char now[CLOCK_STAMP_SIZE];

	clock_format(now, clock_wall_ms());
	return json_object_set_new(join->token.json, "status",
				   json_pack("{s:s, s:s}", "usedAt", now, "certificateSHA256", join->certificate));
}

static json_t *new_record(const struct join *join)
{
	char now[CLOCK_STAMP_SIZE];

	clock_format(now, clock_wall_ms());
	return json_pack("{s:s, s:{s:I, s:s, s:s, s:s}}", "certificate", join->certificate, "joined", "epoch",
			 api_integer(join->record, "joined.epoch", 0) + 1, "server", join->server, "deployment",
			 join->deployment, "time", now);
}

/* The token is used up, the name taken and the key remembered, or none of it. */
static int commit(struct join *join, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *record = new_record(join);

	if (!record || mark_used(join) < 0)
		return err_sys(err, -ENOMEM, "cannot note a join");
	change_init(&change);
	records_put(&change, tokens(), join->token.json, join->token.revision);
	change_compare(&change, join->key, 0);
	change_put_bytes(&change, join->key, join->name, strlen(join->name));
	change_compare(&change, SHARED_TOPOLOGY_KEY, join->topology_revision);
	return write_record(join->cism, join->name, record, join->record_revision, &change, err);
}

static int join_once(struct join *join, struct err *err)
{
	int r = open_token(join, err);

	if (r == 0)
		r = check_token(join, err);
	if (r == 0)
		r = check_request(join->request, join->name, &join->csr, join->key, err);
	if (r == 0)
		r = check_key_is_new(join->cism, join->key, err);
	if (r == 0)
		r = check_free(join->cism, join->name, json_is_true(api_value(join->token.json, "spec.replaces")),
			       &join->record_revision, &join->record, err);
	if (r == 0)
		r = check_topology(join, err);
	if (r == 0)
		r = issue(join->cism, &join->csr, &join->pem, join->certificate, err);
	return r == 0 ? commit(join, err) : r;
}

static int check_issuer(const struct cism *cism, struct err *err)
{
	if (cism->instances_key)
		return 0;
	(void)err_set(err, ERR_UNAVAILABLE, "this CISM certifies no instances: it has no key for it");
	return err_hint(err, "pki/cism/instances.key and instances.pem are made by 'bulkhead up'");
}

static void answer_joined(struct call *call, const struct join *join)
{
	const struct cism_config *config = &call->cism->config;
	CLEANUP_JSON json_t *hosts = json_array();
	CLEANUP_JSON json_t *answer = json_pack("{s:s, s:O}", "certificate", join->pem.data, "registries", hosts);

	for (size_t i = 0; i < config->registry_count; i++)
		(void)json_array_append_new(hosts, json_string(config->registries[i].host));
	log_info("instance joined", "instance", join->name, "server", join->server, "certificate", join->certificate,
		 "peer", http_peer_of(call->request)->address);
	call_answer_json(call, 200, answer);
}

void joins_answer(struct call *call)
{
	__attribute__((cleanup(join_done))) struct join join = {.cism = call->cism, .pem = buf_of(PEM_MAX)};
	CLEANUP_JSON json_t *body = NULL;
	struct err err = {0};
	int r = check_issuer(call->cism, &err);

	if (r == 0)
		r = policy_fields_load("join", call->body, call->body_len, &body, &err);
	if (r == 0)
		r = read_join(body, &join, &err);
	for (int i = 0; r == 0; i++) {
		r = join_once(&join, &err);
		if (r != ERR_CONFLICT || i == TRIES)
			break;
		/* Somebody used it, or moved something, meanwhile: everything is asked again. */
		join_done(&join);
		join.token = (struct object){0};
		join.record = NULL;
		join.pem = buf_of(PEM_MAX);
		r = 0;
	}
	if (r == 0) {
		answer_joined(call, &join);
		return;
	}
	if (join.name)
		(void)err_prefix(&err, "instance '%s' may not join", join.name);
	if (err.code == ERR_INVALID) /* a body that is no object of the API */
		err.code = ERR_SYNTAX;
	log_warn("join refused", "error", err.msg, "peer", http_peer_of(call->request)->address);
	call_answer_error(call, &err);
}

/* --- POST nodes/NAME/certificate --- */

static int renew_once(struct cism *cism, const char *instance, const struct crypto_csr *csr, const char *key,
		      struct buf *pem, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *record = NULL;
	char hex[65];
	uint64_t revision;
	int r = read_record(cism, instance, &record, &revision, err);

	if (r == 0 && (!record || !json_object_get(record, "joined")))
		r = err_set(err, ERR_DENIED, "instance '%s' has not joined: its certificate is the operator's to renew",
			    instance);
	if (r == 0)
		r = issue(cism, csr, pem, hex, err);
	if (r < 0)
		return r;
	change_init(&change);
	change_compare(&change, key, 0);
	change_put_bytes(&change, key, instance, strlen(instance));
	if (json_object_set_new(record, "renewed", json_string(hex)) < 0)
		return err_sys(err, -ENOMEM, "cannot note a certificate");
	return write_record(cism, instance, record, revision, &change, err);
}

void joins_renew(struct call *call)
{
	static const struct policy_field fields[] = {{"request", POLICY_FIELD_STRING, true, CRYPTO_CSR_MAX}};
	CLEANUP_JSON json_t *body = NULL, *answer = NULL;
	CLEANUP_BUF struct buf pem = buf_of(PEM_MAX);
	struct crypto_csr csr = {0};
	char key[STORE_KEY_MAX + 1];
	struct err err = {0};
	int r = check_issuer(call->cism, &err);

	if (r == 0)
		r = policy_fields_load("certificate", call->body, call->body_len, &body, &err);
	if (r == 0)
		r = policy_fields_check(body, "", fields, ARRAY_SIZE(fields), &err);
	if (r == 0)
		r = check_request(api_string(body, "request"), call->routing.name, &csr, key, &err);
	if (r == 0)
		r = check_key_is_new(call->cism, key, &err);
	if (r == 0)
		r = renew_once(call->cism, call->routing.name, &csr, key, &pem, &err);
	crypto_csr_done(&csr);
	answer = r == 0 ? json_pack("{s:s}", "certificate", pem.data) : NULL;
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer_json(call, 200, answer);
}
