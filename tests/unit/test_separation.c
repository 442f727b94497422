/* SPDX-License-Identifier: Apache-2.0 */
/* PLC-1 to PLC-4: exact sentences, then random cases against an independent formulation. */
#include "policy/separation.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void put(struct policy_domains *domains, const char *name, const char *spec)
{
	struct policy_domain *domain = NULL;
	struct err err = {0};
	json_t *json = json_loads(spec, 0, NULL);

	assert_non_null(json);
	if (policy_domain_parse_spec(name, json, &domain, &err) < 0)
		fail_msg("%s", err.msg);
	json_decref(json);
	assert_int_equal(policy_domains_put(domains, domain), 0);
}

static int set_up(void **state)
{
	static struct policy_domains domains;

	put(&domains, "hlr",
	    "{\"separation\":[{\"from\":{\"domains\":[\"oam\"]},\"level\":\"Instance\"},"
	    "{\"from\":{\"domains\":[\"border\"]},\"level\":\"Server\"}]}");
	put(&domains, "border", "{}");
	put(&domains, "oam", "{}");
	put(&domains, "li", "{\"isolation\":\"Dedicated\"}");
	put(&domains, "vm", "{\"isolation\":\"VM\"}");
	put(&domains, "nf",
	    "{\"subFunctions\":[{\"name\":\"user\",\"images\":[\"u\"]},{\"name\":\"mgmt\",\"images\":[\"m\"]}],"
	    "\"separation\":[{\"from\":{\"domains\":[\"nf\"],\"subFunction\":\"mgmt\"},\"subFunction\":\"user\","
	    "\"level\":\"Server\"}]}");
	put(&domains, "ran",
	    "{\"subFunctions\":[{\"name\":\"cu-up\",\"images\":[\"a\"],\"plane\":\"User\",\"networkFunction\":\"cu\"},"
	    "{\"name\":\"cu-om\",\"images\":[\"b\"],\"plane\":\"Management\",\"networkFunction\":\"cu\"},"
	    "{\"name\":\"du-om\",\"images\":[\"c\"],\"plane\":\"Management\",\"networkFunction\":\"du\"},"
	    "{\"name\":\"du-x\",\"images\":[\"d\"],\"plane\":\"User\",\"networkFunction\":\"du\"}],\"separation\":["
	    "{\"from\":{\"domains\":[\"ran\"],\"plane\":\"User\"},\"plane\":\"Management\",\"networkFunctions\":"
	    "\"Same\",\"level\":\"Server\"},"
	    "{\"from\":{\"domains\":[\"ran\"]},\"networkFunctions\":\"Different\",\"level\":\"Instance\"},"
	    "{\"from\":{\"domains\":[\"edge\"],\"interface\":\"n2\"},\"level\":\"Instance\"}]}");
	put(&domains, "probe",
	    "{\"separation\":[{\"from\":{\"domains\":[\"nf\"],\"plane\":\"User\"},\"level\":\"Server\"},"
	    "{\"from\":{\"domains\":[\"ran\"],\"plane\":\"User\"},\"level\":\"Server\"}]}");
	put(&domains, "edge",
	    "{\"subFunctions\":[{\"name\":\"gw\",\"images\":[\"a\"]},{\"name\":\"db\",\"images\":[\"b\"]},"
	    "{\"name\":\"fw\",\"images\":[\"c\"]}],\"interfaces\":["
	    "{\"name\":\"n2\",\"subFunction\":\"gw\",\"from\":{\"domains\":[\"ran\"]},\"ports\":[{\"protocol\":"
	    "\"SCTP\","
	    "\"port\":38412}]},"
	    "{\"name\":\"n6\",\"subFunction\":\"fw\",\"from\":{\"domains\":[\"oam\"]},\"ports\":[{\"protocol\":\"TCP\","
	    "\"port\":1}],\"border\":[\"DedicatedServer\"]}]}");
	*state = &domains;
	return 0;
}

static int tear_down(void **state)
{
	policy_domains_done(*state);
	return 0;
}

struct row {
	const char *domain, *subfunction;
	const char *server; /* of the place */
	uint64_t epoch;
	bool quarantined;
	const char *holder_domain, *holder_subfunction, *holder_instance,
		*holder_server; /* domain NULL: nobody there */
	enum policy_reason reason;
	const char *sentence;
};

static const struct row rows[] = {
	{"hlr", NULL, "s1", 1, false, NULL, NULL, NULL, NULL, POLICY_REASON_ALLOWED,
	 "pod 'ns/p' of trust domain 'hlr' may run on instance 'n1': no rule keeps it apart from what runs on server "
	 "'s1'"},
	{"hlr", NULL, "s1", 1, false, "border", NULL, "n2", "s1", POLICY_REASON_SEPARATION,
	 "pod 'ns/p' of trust domain 'hlr' may not share server 's1' with pod 'other/q' of trust domain 'border': "
	 "separation[1] of "
	 "TrustDomain 'hlr' keeps them apart at level Server; change TrustDomain 'hlr' or where they run"},
	{"border", NULL, "s1", 1, false, "hlr", NULL, "n2", "s1", POLICY_REASON_SEPARATION,
	 "pod 'ns/p' of trust domain 'border' may not share server 's1' with pod 'other/q' of trust domain 'hlr': "
	 "separation[1] of "
	 "TrustDomain 'hlr' keeps them apart at level Server; change TrustDomain 'hlr' or where they run"},
	{"border", NULL, "s1", 1, false, "hlr", NULL, "n2", "s2", POLICY_REASON_ALLOWED, NULL},
	{"border", NULL, "s1", 1, false, "hlr", NULL, "n2", "", POLICY_REASON_SEPARATION, NULL},
	{"border", NULL, "s1", 1, false, "hlr", NULL, "n1", "s0", POLICY_REASON_SEPARATION, NULL},
	{"oam", NULL, "s1", 1, false, "hlr", NULL, "n2", "s1", POLICY_REASON_ALLOWED, NULL},
	{"oam", NULL, "s1", 1, false, "hlr", NULL, "n1", "s1", POLICY_REASON_SEPARATION,
	 "pod 'ns/p' of trust domain 'oam' may not share instance 'n1' with pod 'other/q' of trust domain 'hlr': "
	 "separation[0] of "
	 "TrustDomain 'hlr' keeps them apart at level Instance; change TrustDomain 'hlr' or where they run"},
	{"oam", NULL, "s1", 1, false, "border", NULL, "n1", "s1", POLICY_REASON_ALLOWED, NULL},
	{"oam", NULL, "s1", 1, false, "li", NULL, "n2", "s1", POLICY_REASON_DEDICATED,
	 "pod 'ns/p' of trust domain 'oam' may not share server 's1' with pod 'other/q' of trust domain 'li': "
	 "isolation Dedicated of "
	 "TrustDomain 'li' keeps them apart at level Server; change TrustDomain 'li' or where they run"},
	{"li", NULL, "s1", 1, false, "oam", NULL, "n2", "s1", POLICY_REASON_DEDICATED, NULL},
	{"li", NULL, "s1", 1, false, "li", NULL, "n1", "s1", POLICY_REASON_ALLOWED, NULL},
	{"oam", NULL, "s1", 1, false, "gone", NULL, "n2", "s1", POLICY_REASON_UNKNOWN_DOMAIN,
	 "pod 'ns/p' of trust domain 'oam' may not share server 's1' with pod 'other/q' of trust domain 'gone': "
	 "TrustDomain 'gone' is "
	 "not defined, so it shares with none; create it"},
	{"nf", "user", "s1", 1, false, "nf", "mgmt", "n2", "s1", POLICY_REASON_SEPARATION, NULL},
	{"nf", "mgmt", "s1", 1, false, "nf", "user", "n2", "s1", POLICY_REASON_SEPARATION, NULL},
	{"nf", "user", "s1", 1, false, "nf", "user", "n1", "s1", POLICY_REASON_ALLOWED, NULL},
	{"nf", "user", "s1", 1, false, "nf", NULL, "n1", "s1", POLICY_REASON_SEPARATION, NULL},
	{"nf", "", "s1", 1, false, "nf", "user", "n1", "s1", POLICY_REASON_SEPARATION, NULL},
	/* A name that the map does not have (any more) is no mapping. */
	{"nf", "old", "s1", 1, false, "nf", "user", "n1", "s1", POLICY_REASON_SEPARATION, NULL},
	/* Planes within one network function; a sub-function that does not say its plane is meant by every rule. */
	{"ran", "cu-om", "s1", 1, false, "ran", "cu-up", "n2", "s1", POLICY_REASON_SEPARATION,
	 "pod 'ns/p' of trust domain 'ran' may not share server 's1' with pod 'other/q' of trust domain 'ran': "
	 "separation[0] of TrustDomain 'ran' keeps them apart at level Server; change TrustDomain 'ran' or where they "
	 "run"},
	{"ran", "du-om", "s1", 1, false, "ran", "cu-up", "n2", "s1", POLICY_REASON_ALLOWED, NULL},
	{"ran", "du-om", "s1", 1, false, "ran", "cu-up", "n1", "s1", POLICY_REASON_SEPARATION, NULL},
	{"ran", "du-om", "s1", 1, false, "ran", "du-x", "n2", "s1", POLICY_REASON_SEPARATION, NULL},
	{"probe", NULL, "s1", 1, false, "nf", "mgmt", "n2", "s1", POLICY_REASON_SEPARATION, NULL},
	{"probe", NULL, "s1", 1, false, "ran", "du-om", "n2", "s1", POLICY_REASON_ALLOWED, NULL},
	{"ran", "cu-om", "s1", 1, false, "ran", "cu-om", "n1", "s1", POLICY_REASON_ALLOWED, NULL},
	{"ran", NULL, "s1", 1, false, "ran", "cu-om", "n2", "s1", POLICY_REASON_SEPARATION, NULL},
	/* Pods that offer an interface, and what a border needs. */
	{"ran", "cu-up", "s1", 1, false, "edge", "gw", "n1", "s1", POLICY_REASON_SEPARATION, NULL},
	{"ran", "cu-up", "s1", 1, false, "edge", "db", "n1", "s1", POLICY_REASON_ALLOWED, NULL},
	{"ran", "cu-up", "s1", 1, false, "edge", NULL, "n1", "s1", POLICY_REASON_BORDER, NULL},
	{"edge", "fw", "s1", 1, false, "edge", "fw", "n1", "s1", POLICY_REASON_ALLOWED, NULL},
	{"edge", "fw", "s1", 1, false, "edge", "db", "n2", "s1", POLICY_REASON_BORDER,
	 "pod 'ns/p' of trust domain 'edge' may not share server 's1' with pod 'other/q' of trust domain 'edge': "
	 "interfaces[1] of TrustDomain 'edge' keeps them apart at level Server; change TrustDomain 'edge' or where "
	 "they "
	 "run"},
	{"oam", NULL, "s1", 1, false, "edge", "fw", "n2", "s1", POLICY_REASON_BORDER, NULL},
	{"edge", NULL, "s1", 1, false, "edge", NULL, "n2", "s1", POLICY_REASON_BORDER, NULL},
	{"hlr", NULL, "", 1, false, NULL, NULL, NULL, NULL, POLICY_REASON_UNKNOWN_SERVER,
	 "pod 'ns/p' may not run on instance 'n1': the instance is on no known server; the topology has "
	 "to name its server"},
	{"hlr", NULL, NULL, 1, false, NULL, NULL, NULL, NULL, POLICY_REASON_UNKNOWN_SERVER, NULL},
	{"hlr", NULL, "s1", 0, false, NULL, NULL, NULL, NULL, POLICY_REASON_UNKNOWN_SERVER, NULL},
	{"hlr", NULL, "s1", 1, true, NULL, NULL, NULL, NULL, POLICY_REASON_QUARANTINED,
	 "pod 'ns/p' may not run on instance 'n1': the instance is quarantined; it has to be installed "
	 "anew and its Quarantine deleted"},
	{NULL, NULL, "s1", 1, false, NULL, NULL, NULL, NULL, POLICY_REASON_NO_DOMAIN,
	 "pod 'ns/p' may not run: namespace 'ns' belongs to no trust domain; label it trust.bulkhead.dev/domain"},
	{"none", NULL, "s1", 1, false, NULL, NULL, NULL, NULL, POLICY_REASON_UNKNOWN_DOMAIN,
	 "pod 'ns/p' may not run: TrustDomain 'none' of its namespace is not defined; create it"},
	{"vm", NULL, "s1", 1, false, NULL, NULL, NULL, NULL, POLICY_REASON_ISOLATION_UNAVAILABLE,
	 "pod 'ns/p' may not run: isolation 'VM' of TrustDomain 'vm' is not available on any instance; set "
	 "spec.isolation to Container or Dedicated"},
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct policy_pod pod = {"u1", "ns", "p", row->domain, row->subfunction};
		struct policy_place place = {"n1", row->server, row->epoch, row->quarantined};
		struct policy_holder holder = {{"u2", "other", "q", row->holder_domain, row->holder_subfunction},
					       row->holder_instance,
					       row->holder_server};
		struct policy_decision decision;

		policy_separation_decide(&pod, &place, &holder, row->holder_domain ? 1 : 0, *state, &decision);
		if (decision.reason != row->reason)
			fail_msg("row %zu: %s", i, decision.sentence);
		assert_int_equal(decision.allowed, row->reason == POLICY_REASON_ALLOWED);
		if (row->sentence)
			assert_string_equal(decision.sentence, row->sentence);
		if (row->holder_domain && !decision.allowed)
			assert_null(strstr(decision.tenant_sentence, row->holder_domain) &&
						    strcmp(row->holder_domain, row->domain)
					    ? decision.tenant_sentence
					    : NULL);
	}
}

static void test_own_uid_is_no_neighbour(void **state)
{
	struct policy_pod pod = {"u1", "ns", "p", "nf", NULL};
	struct policy_place place = {"n1", "s1", 1, false};
	struct policy_holder holders[] = {{{"u1", "ns", "p", "nf", NULL}, "n1", "s1"}};
	struct policy_decision decision;

	policy_separation_decide(&pod, &place, holders, 1, *state, &decision);
	assert_true(decision.allowed);
}

static void test_strictest_is_named(void **state)
{
	struct policy_pod pod = {"u1", "ns", "p", "hlr", NULL};
	struct policy_place place = {"n1", "s1", 1, false};
	struct policy_holder holders[] = {
		{{"u2", "x", "a", "oam", NULL}, "n1", "s1"},
		{{"u3", "x", "b", "border", NULL}, "n2", "s1"},
		{{"u4", "x", "c", "border", NULL}, "n2", "s1"},
	};
	struct policy_decision decision;

	policy_separation_decide(&pod, &place, holders, 3, *state, &decision);
	assert_string_equal(decision.other_pod, "x/b");
	assert_string_equal(decision.other_domain, "border");
	assert_string_equal(decision.object, "TrustDomain/hlr");
	assert_string_equal(decision.rule, "separation[1] of TrustDomain 'hlr'");
	assert_string_equal(policy_reason_name(decision.reason), "Separation");
	assert_string_equal(decision.tenant_sentence,
			    "pod 'ns/p' may not run on instance 'n1': trust domain 'hlr' is kept apart at level "
			    "Server from what runs there; the platform's operator can say more");
}

static void test_matrix(void **state)
{
	bool always;

	assert_int_equal(policy_separation_between("hlr", "border", *state, &always), POLICY_LEVEL_SERVER);
	assert_true(always);
	assert_int_equal(policy_separation_between("oam", "hlr", *state, &always), POLICY_LEVEL_INSTANCE);
	assert_int_equal(policy_separation_between("oam", "border", *state, &always), POLICY_LEVEL_NONE);
	assert_int_equal(policy_separation_between("nf", "nf", *state, &always), POLICY_LEVEL_SERVER);
	assert_false(always);
	assert_int_equal(policy_separation_between("nf", "gone", *state, &always), POLICY_LEVEL_SERVER);
}

/*
 * The oracle. It never looks at the parsed domains: it keeps its own picture of the rules as a table over (domain,
 * sub-function) pairs, filled cell by cell when a rule is drawn, in both directions; unmapped pods take the worst of all cells.
 */
#define DOMAINS 5
#define KINDS 3 /* sub-functions 0 and 1; 2 is unmapped */
#define SERVERS 3
#define INSTANCES 6

static uint64_t seed = 88172645463325252u;

static unsigned draw(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % below);
}

struct world {
	unsigned apart[DOMAINS][2][DOMAINS][2]; /* 0 none, 1 instance, 2 server; mapped pods only */
	bool plain[DOMAINS];                    /* has no map: all its pods are unmapped */
	struct policy_domains domains;
};

static void forbid(struct world *world, unsigned a, unsigned ka, unsigned b, unsigned kb, unsigned level)
{
	if (world->apart[a][ka][b][kb] < level)
		world->apart[a][ka][b][kb] = level;
	if (world->apart[b][kb][a][ka] < level)
		world->apart[b][kb][a][ka] = level;
}

/* One random rule of domain d: its JSON, and its cells. */
static void draw_rule(struct world *world, unsigned d, struct buf *json)
{
	static const char *const levels[] = {"", "Instance", "Server"};
	unsigned own = world->plain[d] ? 2 : draw(3), from = draw(3), level = 1 + draw(2);
	unsigned to = draw(DOMAINS + 1), first = to, last = to;

	if (to == d && (world->plain[d] || own == 2 || from == 2 || own == from)) {
		own = 0;
		from = 1;
		if (world->plain[d])
			to = first = last = (d + 1) % DOMAINS;
	}
	if (to < DOMAINS && to != d && world->plain[to])
		from = 2;
	if (world->plain[d])
		own = 2;
	if (to == DOMAINS) {
		first = 0;
		last = DOMAINS - 1;
		from = 2;
	}
	for (unsigned e = first; e <= last; e++)
		for (unsigned a = 0; a < 2; a++)
			for (unsigned b = 0; b < 2; b++)
				if ((own == 2 || own == a) && (from == 2 || from == b) && (to != DOMAINS || e != d))
					forbid(world, d, a, e, b, level);
	assert_int_equal(buf_printf(json, "{\"level\":\"%s\",\"from\":{", levels[level]), 0);
	if (to == DOMAINS)
		assert_int_equal(buf_puts(json, "\"all\":true"), 0);
	else
		assert_int_equal(buf_printf(json, "\"domains\":[\"d%u\"]", to), 0);
	if (from < 2)
		assert_int_equal(buf_printf(json, ",\"subFunction\":\"k%u\"", from), 0);
	assert_int_equal(buf_puts(json, "}"), 0);
	if (own < 2)
		assert_int_equal(buf_printf(json, ",\"subFunction\":\"k%u\"", own), 0);
	assert_int_equal(buf_puts(json, "}"), 0);
}

/* Draws a domain; a draw whose rules contradict each other is refused by the parser and drawn again without rules. */
static void draw_domain(struct world *world, unsigned d)
{
	struct world before = *world;
	struct buf spec CLEANUP(buf_done) = buf_of(65536);
	unsigned rules = draw(3);
	struct policy_domain *domain = NULL;
	char name[8];
	json_t *json;

	(void)snprintf(name, sizeof(name), "d%u", d);
	assert_int_equal(buf_puts(&spec, "{\"separation\":["), 0);
	for (unsigned i = 0; i < rules; i++) {
		if (i)
			assert_int_equal(buf_puts(&spec, ","), 0);
		draw_rule(world, d, &spec);
	}
	assert_int_equal(buf_puts(&spec, "]"), 0);
	if (!world->plain[d])
		assert_int_equal(buf_puts(&spec, ",\"subFunctions\":[{\"name\":\"k0\",\"images\":[\"a\"]},{\"name\":"
						 "\"k1\",\"images\":[\"b\"]}]"),
				 0);
	if (draw(8) == 0) {
		assert_int_equal(buf_puts(&spec, ",\"isolation\":\"Dedicated\""), 0);
		for (unsigned e = 0; e < DOMAINS; e++)
			for (unsigned cell = 0; cell < 4 && e != d; cell++)
				forbid(world, d, cell / 2, e, cell % 2, 2);
	}
	assert_int_equal(buf_puts(&spec, "}"), 0);
	json = json_loads(spec.data, 0, NULL);
	assert_non_null(json);
	if (policy_domain_parse_spec(name, json, &domain, NULL) < 0) {
		memcpy(world->apart, before.apart, sizeof(before.apart));
		put(&world->domains, name,
		    world->plain[d] ? "{}"
				    : "{\"subFunctions\":[{\"name\":\"k0\",\"images\":[\"a\"]},"
				      "{\"name\":\"k1\",\"images\":[\"b\"]}]}");
	} else {
		assert_int_equal(policy_domains_put(&world->domains, domain), 0);
	}
	json_decref(json);
}

static unsigned worst_cell(const struct world *world, unsigned a, unsigned ka, unsigned b, unsigned kb)
{
	unsigned worst = 0;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < 2; j++)
			if ((ka == 2 || ka == i) && (kb == 2 || kb == j) && world->apart[a][i][b][j] > worst)
				worst = world->apart[a][i][b][j];
	return worst;
}

static const char *const domain_words[] = {"d0", "d1", "d2", "d3", "d4"};
static const char *const kind_words[] = {"k0", "k1", NULL};
static const char *const server_words[] = {"s0", "s1", "s2"};
static const char *const instance_words[] = {"n0", "n1", "n2", "n3", "n4", "n5"};

struct drawn {
	unsigned domain, kind, instance;
};

static struct drawn draw_pod(const struct world *world)
{
	unsigned domain = draw(DOMAINS);

	return (struct drawn){domain, world->plain[domain] ? 2 : draw(KINDS), draw(INSTANCES)};
}

static void try_world(const struct world *world, const unsigned server_of[INSTANCES], unsigned long *refused)
{
	struct policy_holder holders[4];
	struct drawn drawn[4], me = draw_pod(world);
	struct policy_pod pod = {"u", "ns", "p", domain_words[me.domain], kind_words[me.kind]};
	struct policy_place place = {instance_words[me.instance], server_words[server_of[me.instance]], 1, false};
	unsigned count = draw(5);
	struct policy_decision decision;
	bool allowed = true;

	for (unsigned i = 0; i < count; i++) {
		struct policy_pod back;
		unsigned level;

		drawn[i] = draw_pod(world);
		back = (struct policy_pod){"h", "ns", "h", domain_words[drawn[i].domain], kind_words[drawn[i].kind]};
		holders[i] = (struct policy_holder){back, instance_words[drawn[i].instance],
						    server_words[server_of[drawn[i].instance]]};
		level = worst_cell(world, me.domain, me.kind, drawn[i].domain, drawn[i].kind);
		if ((level == 2 && server_of[drawn[i].instance] == server_of[me.instance]) ||
		    (level == 1 && drawn[i].instance == me.instance))
			allowed = false;
		assert_int_equal(policy_separation_level(&pod, &back, &world->domains), level);
		assert_int_equal(policy_separation_level(&back, &pod, &world->domains), level);
	}
	policy_separation_decide(&pod, &place, holders, count, &world->domains, &decision);
	if (decision.allowed != allowed)
		fail_msg("oracle says %s: %s", allowed ? "allowed" : "refused", decision.sentence);
	*refused += !allowed;
}

static void test_oracle(void **state)
{
	unsigned long refused = 0, tried = 0;

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		struct world world = {0};
		unsigned server_of[INSTANCES];

		for (unsigned i = 0; i < INSTANCES; i++)
			server_of[i] = draw(SERVERS);
		for (unsigned d = 0; d < DOMAINS; d++)
			world.plain[d] = draw(4) == 0;
		for (unsigned d = 0; d < DOMAINS; d++)
			draw_domain(&world, d);
		for (unsigned i = 0; i < 100; i++, tried++)
			try_world(&world, server_of, &refused);
		policy_domains_done(&world.domains);
	}
	/* Both answers must be common, or the comparison shows nothing. */
	assert_in_range(refused, tried / 10, tried * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_own_uid_is_no_neighbour),
		cmocka_unit_test(test_strictest_is_named),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_oracle),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
