/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ticket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

static char pod_text[] = "{\"metadata\":{\"uid\":\"u-1\",\"namespace\":\"ims\",\"name\":\"hlr-0\"},\"spec\":{}}";

static json_t *new_ticket(void)
{
	json_t *ticket = json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:{s:s},s:s,s:s,s:s,s:s,s:s,s:[{s:s,s:s}]}",
				   "kind", "Ticket", "version", 1, "uid", "u-1", "namespace", "ims", "name", "hlr-0",
				   "instance", "node-1", "server", "server-1", "epoch", 3, "domain", "hlr",
				   "domainSpec", "isolation", "Container", "domainsRevision", "42", "subFunction", "",
				   "issued", "2027-01-15T07:59:00Z", "expires", "2027-01-15T08:09:00Z", "pod", pod_text,
				   "pulls", "image", "r/x@sha256:00", "token", "abc");

	assert_non_null(ticket);
	return ticket;
}

static int parse(json_t *object, struct policy_ticket **ret_ticket, struct err *err)
{
	char *text = json_dumps(object, 0);
	int r;

	assert_non_null(text);
	r = policy_ticket_parse(text, strlen(text), ret_ticket, err);
	free(text);
	json_decref(object);
	return r;
}

static void test_round_trip(void **state)
{
	struct policy_ticket *ticket CLEANUP(cleanup_policy_ticket) = NULL,
				     *again CLEANUP(cleanup_policy_ticket) = NULL;
	struct buf text CLEANUP(buf_done) = buf_of(POLICY_TICKET_MAX),
			second CLEANUP(buf_done) = buf_of(POLICY_TICKET_MAX);
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(new_ticket(), &ticket, &err), 0);
	assert_int_equal(policy_ticket_format(ticket, &text, &err), 0);
	assert_int_equal(policy_ticket_parse(text.data, text.len, &again, &err), 0);
	assert_string_equal(again->pod_text, pod_text);
	assert_string_equal(again->domain->name, "hlr");
	assert_int_equal(again->epoch, 3);
	assert_int_equal(again->domains_revision, 42);
	assert_int_equal(again->issued_ms, NOW - 60000);
	assert_int_equal(again->pull_count, 1);
	assert_string_equal(again->pulls[0].token, "abc");
	assert_int_equal(policy_ticket_format(again, &second, &err), 0);
	assert_string_equal(text.data, second.data);
}

static const struct {
	const char *field, *json, *message; /* json NULL: the field is taken away */
} bad[] = {
	{"uid", NULL, "field 'ticket.uid' is missing"},
	{"extra", "1", "unknown field 'ticket.extra'"},
	{"kind", "\"PullToken\"", "field 'ticket.kind' is 'PullToken', not 'Ticket'"},
	{"version", "2", "field 'ticket.version' is not 1"},
	{"uid", "\"../x\"", "field 'ticket.uid' is not a name"},
	{"name", "\"\"", "field 'ticket.name' is empty"},
	{"instance", "7", "field 'ticket.instance' is not a string"},
	{"epoch", "0", "field 'ticket.epoch' is not positive"},
	{"epoch", "-1", "field 'ticket.epoch' is not a non-negative integer"},
	{"domainsRevision", "\"x\"", "field 'ticket.domainsRevision' is not a number"},
	{"issued", "\"yesterday\"", "field 'ticket.issued' is not a time of RFC 3339"},
	{"expires", "\"2027-01-15T07:59:00Z\"", "field 'ticket.expires' is not after 'issued'"},
	{"pod", "\"{\"", "field 'ticket.pod' is not JSON: "},
	{"pod", "\"[]\"", "field 'ticket.pod' is not a JSON object"},
	{"pod", "\"{}\"", "field 'ticket.pod' is not a pod with metadata and spec"},
	{"uid", "\"u-2\"", "field 'ticket.pod' has uid 'u-1', the ticket is for 'u-2'"},
	{"namespace", "\"b\"", "field 'ticket.pod' has namespace 'ims', the ticket is for 'b'"},
	{"name", "\"b\"", "field 'ticket.pod' has name 'hlr-0', the ticket is for 'b'"},
	{"pulls", "[{\"image\":\"x\"}]", "field 'ticket.pulls[].token' is missing"},
	{"pulls", "[7]", "field 'ticket.pulls[]' is not an object"},
	{"domainSpec", "{\"isolation\":\"None\"}",
	 "TrustDomain 'hlr': field 'spec.isolation' is 'None', one of Container, VM, Dedicated is expected"},
	{"domain", "\"A B\"", "'A B' is not a name for a TrustDomain"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct policy_ticket *ticket = NULL;
		struct err err = {0};
		json_t *object = new_ticket();

		if (bad[i].json)
			assert_int_equal(json_object_set_new(object, bad[i].field,
							     json_loads(bad[i].json, JSON_DECODE_ANY, NULL)),
					 0);
		else
			assert_int_equal(json_object_del(object, bad[i].field), 0);
		assert_true(parse(object, &ticket, &err) < 0);
		assert_null(ticket);
		if (strncmp(err.msg, bad[i].message, strlen(bad[i].message)) != 0)
			fail_msg("'%s' instead of '%s'", err.msg, bad[i].message);
	}
}

static void test_bytes(void **state)
{
	static const char doubled[] = "{\"kind\":\"Ticket\",\"kind\":\"Ticket\"}";
	struct policy_ticket *ticket = NULL;
	struct err err = {0};
	char *large = calloc(1, POLICY_TICKET_MAX + 1);

	(void)state;
	assert_int_equal(policy_ticket_parse("", 0, &ticket, &err), ERR_SYNTAX);
	assert_int_equal(policy_ticket_parse(doubled, sizeof(doubled) - 1, &ticket, &err), ERR_SYNTAX);
	assert_int_equal(policy_ticket_parse(large, POLICY_TICKET_MAX + 1, &ticket, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "ticket has 1433601 bytes, at most 1433600 are allowed");
	assert_null(ticket);
	free(large);
}

static const char *const finished[] = {"u-0", "u-1"};

static const struct {
	struct policy_ticket_facts facts;
	const char *spec;
	enum policy_refusal refusal;
	int code;
	const char *message;
} checks[] = {
	{{"node-1", NULL, NULL, NULL, NOW, 0, NULL, false, NULL, 0}, NULL, POLICY_REFUSAL_NONE, 0, NULL},
	{{"node-1", "u-1", "ims", "hlr-0", NOW, 3, "server-1", false, finished, 1}, NULL, POLICY_REFUSAL_NONE, 0, NULL},
	{{"node-2", NULL, NULL, NULL, NOW, 0, NULL, false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_INSTANCE,
	 ERR_DENIED,
	 "ticket of pod 'ims/hlr-0' refused: it is made for instance 'node-1', this is 'node-2'"},
	{{"node-1", "u-2", "ims", "hlr-0", NOW, 0, NULL, false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_POD,
	 ERR_DENIED,
	 "ticket of pod 'ims/hlr-0' refused: it was offered for pod 'ims/hlr-0' with uid 'u-2'"},
	{{"node-1", "u-1", "ims", "hlr-0", NOW, 0, NULL, false, finished, 2},
	 NULL,
	 POLICY_REFUSAL_FINISHED,
	 ERR_DENIED,
	 "ticket of pod 'ims/hlr-0' refused: it is replayed: uid 'u-1' has finished here"},
	{{"node-1", NULL, NULL, NULL, NOW - 60000 - POLICY_CLOCK_SKEW_MS, 0, NULL, false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_NONE,
	 0,
	 NULL},
	{{"node-1", NULL, NULL, NULL, NOW - 60001 - POLICY_CLOCK_SKEW_MS, 0, NULL, false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_EARLY,
	 ERR_DENIED,
	 "ticket of pod 'ims/hlr-0' refused: it was issued in the future, at 2027-01-15T07:59:00Z"},
	{{"node-1", NULL, NULL, NULL, NOW + 539999, 0, NULL, false, NULL, 0}, NULL, POLICY_REFUSAL_NONE, 0, NULL},
	{{"node-1", NULL, NULL, NULL, NOW + 540000, 0, NULL, false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_EXPIRED,
	 ERR_EXPIRED,
	 "ticket of pod 'ims/hlr-0' refused: it expired at 2027-01-15T08:09:00Z"},
	{{"node-1", NULL, NULL, NULL, NOW + 540000, 4, NULL, true, NULL, 0}, NULL, POLICY_REFUSAL_NONE, 0, NULL},
	{{"node-1", NULL, NULL, NULL, NOW, 4, "server-2", false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_EPOCH,
	 ERR_DENIED,
	 "ticket of pod 'ims/hlr-0' refused: it was decided under epoch 3 of the topology, this instance has seen 4"},
	{{"node-1", NULL, NULL, NULL, NOW, 3, "server-2", false, NULL, 0},
	 NULL,
	 POLICY_REFUSAL_SERVER,
	 ERR_DENIED,
	 "ticket of pod 'ims/hlr-0' refused: it places this instance on server 'server-1', in the same epoch it is on "
	 "'server-2'"},
	{{"node-1", NULL, NULL, NULL, NOW, 2, "server-2", false, NULL, 0}, NULL, POLICY_REFUSAL_NONE, 0, NULL},
	{{"node-1", NULL, NULL, NULL, NOW, 0, NULL, false, NULL, 0},
	 "VM",
	 POLICY_REFUSAL_UNSUPPORTED,
	 -EOPNOTSUPP,
	 "ticket of pod 'ims/hlr-0' refused: isolation 'VM' of TrustDomain 'hlr' is not available on any instance"},
};

static void test_checks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct policy_ticket *ticket CLEANUP(cleanup_policy_ticket) = NULL;
		enum policy_refusal refusal = POLICY_REFUSAL_NONE;
		struct err err = {0};
		json_t *object = new_ticket();

		if (checks[i].spec)
			assert_int_equal(json_object_set_new(object, "domainSpec",
							     json_pack("{s:s}", "isolation", checks[i].spec)),
					 0);
		assert_int_equal(parse(object, &ticket, &err), 0);
		assert_int_equal(policy_ticket_check(ticket, &checks[i].facts, &refusal, &err), checks[i].code);
		assert_int_equal(refusal, checks[i].refusal);
		if (checks[i].message)
			assert_string_equal(err.msg, checks[i].message);
	}
	assert_string_equal(policy_refusal_name(POLICY_REFUSAL_FINISHED), "Replayed");
}

#define CERTIFICATE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_token(void **state)
{
	char registry[] = "reg:5000", repository[] = "ims/x", digest[] = "sha256:00", certificate[] = CERTIFICATE;
	struct policy_token token = {registry, repository, digest, certificate, NOW},
			    unbound = {registry, repository, digest, NULL, NOW};
	struct policy_token again CLEANUP_POLICY_TOKEN = {0}, third CLEANUP_POLICY_TOKEN = {0};
	struct buf text CLEANUP(buf_done) = buf_of(POLICY_TOKEN_MAX), bare CLEANUP(buf_done) = buf_of(POLICY_TOKEN_MAX);
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_token_format(&token, &text, &err), 0);
	assert_int_equal(policy_token_parse(text.data, text.len, &again, &err), 0);
	assert_string_equal(again.digest, digest);
	assert_int_equal(policy_token_format(&unbound, &bare, &err), 0);
	assert_int_equal(policy_token_parse(bare.data, bare.len, &third, &err), 0);
	assert_null(third.instance_certificate);
	assert_int_equal(policy_token_check(&again, "reg:5000", "ims/x", CERTIFICATE, NOW - 1, &err), 0);
	assert_int_equal(policy_token_check(&third, "reg:5000", "ims/x", CERTIFICATE, NOW - 1, &err), 0);
	assert_int_equal(policy_token_check(&third, "reg:5000", "ims/x", NULL, NOW - 1, &err), ERR_DENIED);
	assert_string_equal(err.msg, "pull token needs the certificate of an instance, the peer has shown none");
	assert_int_equal(policy_token_check(&again, "reg:5000", "ims/x", "11" CERTIFICATE, NOW - 1, &err), ERR_DENIED);
	assert_string_equal(err.msg, "pull token is bound to another instance's certificate");
	assert_int_equal(policy_token_check(&again, "reg:5000", "ims/y", CERTIFICATE, NOW - 1, &err), ERR_DENIED);
	assert_string_equal(err.msg, "pull token is for repository 'ims/x', not 'ims/y'");
	assert_int_equal(policy_token_check(&again, "other", "ims/x", CERTIFICATE, NOW - 1, &err), ERR_DENIED);
	assert_string_equal(err.msg, "pull token is for registry 'reg:5000', this is 'other'");
	assert_int_equal(policy_token_check(&again, "reg:5000", "ims/x", CERTIFICATE, NOW, &err), ERR_EXPIRED);
	assert_string_equal(err.msg, "pull token expired at 2027-01-15T08:00:00Z");
}

static void test_token_is_no_ticket(void **state)
{
	static const char bad_certificate[] =
		"{\"kind\":\"PullToken\",\"version\":1,\"registry\":\"r\",\"repository\":\"x\",\"digest\":\"d\","
		"\"instanceCertificate\":\"ABC\",\"expires\":\"2027-01-15T08:00:00Z\"}";
	struct policy_token token = {0};
	struct err err = {0};
	char *text, *large = calloc(1, POLICY_TOKEN_MAX + 1);
	json_t *ticket = new_ticket();

	(void)state;
	text = json_dumps(ticket, 0);
	assert_int_equal(policy_token_parse(text, strlen(text), &token, &err), ERR_INVALID);
	assert_int_equal(policy_token_parse(bad_certificate, strlen(bad_certificate), &token, &err), ERR_INVALID);
	assert_string_equal(err.msg, "field 'token.instanceCertificate' is not a SHA-256 in hexadecimal");
	assert_int_equal(policy_token_parse(large, POLICY_TOKEN_MAX + 1, &token, &err), ERR_TOO_LARGE);
	assert_null(token.registry);
	free(text);
	free(large);
	json_decref(ticket);
}

/* CIR-2: what ImagePolicies demand and the signatures that meet it travel with the ticket. */
static void test_demands(void **state)
{
	struct policy_ticket *ticket CLEANUP(cleanup_policy_ticket) = NULL,
				     *again CLEANUP(cleanup_policy_ticket) = NULL;
	struct buf text CLEANUP(buf_done) = buf_of(POLICY_TICKET_MAX);
	json_t *object = new_ticket(), *pull = json_array_get(json_object_get(object, "pulls"), 0);
	struct err err = {0};

	(void)state;
	json_object_set_new(pull, "demands",
			    json_pack("[{s:s,s:{s:s,s:s}}]", "policy", "cluster", "requirement", "type",
				      "sigstoreSigned", "keyData", "QQ=="));
	json_object_set_new(pull, "signatures",
			    json_pack("[{s:s},{s:s,s:s}]", "bundle", "Qg==", "payload", "UA==", "signature", "Uw=="));
	assert_int_equal(parse(object, &ticket, &err), 0);
	assert_int_equal(policy_ticket_format(ticket, &text, &err), 0);
	assert_int_equal(policy_ticket_parse(text.data, text.len, &again, &err), 0);
	assert_int_equal(again->pulls[0].demand_count, 1);
	assert_string_equal(again->pulls[0].demands[0].policy, "cluster");
	assert_string_equal(again->pulls[0].demands[0].requirement.keys[0], "QQ==");
	assert_int_equal(again->pulls[0].signature_count, 2);
	assert_string_equal(again->pulls[0].signatures[0].bytes, "Qg==");
	assert_null(again->pulls[0].signatures[0].signature);
	assert_string_equal(again->pulls[0].signatures[1].signature, "Uw==");
}

static void test_demands_are_read_strictly(void **state)
{
	static const struct {
		const char *field, *value, *message;
	} cases[] = {
		{"demands", "[{\"policy\":\"p\"}]", "field 'ticket.pulls[].demands[].requirement' is missing"},
		{"demands", "[{\"policy\":\"p\",\"requirement\":{\"type\":\"x\"}}]",
		 "field 'ticket.pulls[].demands[].requirement.type' 'x' is not insecureAcceptAnything, reject or "
		 "sigstoreSigned"},
		{"signatures", "[{}]",
		 "field 'ticket.pulls[].signatures[]' is neither a bundle nor a payload with its signature"},
		{"signatures", "[{\"payload\":\"UA==\"}]",
		 "field 'ticket.pulls[].signatures[]' is neither a bundle nor a payload with its signature"},
		{"signatures", "[{\"bundle\":\"UA==\",\"payload\":\"UA==\",\"signature\":\"UA==\"}]",
		 "field 'ticket.pulls[].signatures[]' is neither a bundle nor a payload with its signature"},
		{"keys", "[]", "unknown field 'ticket.pulls[].keys'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *object = new_ticket(), *pull = json_array_get(json_object_get(object, "pulls"), 0);
		struct policy_ticket *ticket = NULL;
		struct err err = {0};

		json_object_set_new(pull, cases[i].field, json_loads(cases[i].value, 0, NULL));
		assert_int_equal(parse(object, &ticket, &err), ERR_INVALID);
		assert_string_equal(err.msg, cases[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demands),    cmocka_unit_test(test_demands_are_read_strictly),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bytes),      cmocka_unit_test(test_checks),
		cmocka_unit_test(test_token),      cmocka_unit_test(test_token_is_no_ticket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
