/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/domain.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "policy/cacheclass.h"
#include "policy/ceiling.h"
#include "policy/interface.h"
#include "policy/limits.h"
#include "policy/subfunction.h"

static struct policy_domain *parse(const char *name, const char *spec)
{
	struct policy_domain *domain = NULL;
	struct err err = {0};
	json_t *json = json_loads(spec, 0, NULL);

	assert_non_null(json);
	if (policy_domain_parse_spec(name, json, &domain, &err) < 0)
		fail_msg("%s", err.msg);
	json_decref(json);
	return domain;
}

static void test_whole(void **state)
{
	static const char spec[] =
		"{\"isolation\":\"Dedicated\",\"separation\":[{\"from\":{\"domains\":[\"b\",\"c.d\"]"
		",\"subFunction\":\"m\"},\"plane\":\"User\",\"networkFunctions\":\"Different\","
		"\"level\":\"Instance\"},{\"from\":{\"all\":true},\"subFunction\":\"user\","
		"\"interface\":\"gx\",\"level\":\"Server\"}],"
		"\"interfaces\":[{\"name\":\"gx\",\"from\":{\"domains\":[\"b\"],\"networks\":[\"10."
		"0.0.0/8\",\"fd00::/8\"]},\"ports\":"
		"[{\"protocol\":\"SCTP\",\"port\":3868}],\"border\":[\"DedicatedServer\"]}],"
		"\"subFunctions\":[{\"name\":\"user\",\"plane\":\"User\",\"networkFunction\":\"upf\","
		"\"images\":[\"*/upf\"],\"serviceAccounts\":[\"ns/upf-*\"]}],"
		"\"cache\":[{\"subFunction\":\"user\",\"class\":\"Never\"}],\"ceiling\":{"
		"\"capabilities\":[\"NET_BIND_SERVICE\",\"NET_RAW\"]}}";
	struct policy_domain *domain = parse("a", spec);

	(void)state;
	assert_int_equal(domain->isolation, POLICY_ISOLATION_DEDICATED);
	assert_int_equal(domain->rule_count, 2);
	assert_false(domain->rules[0].all);
	assert_string_equal(domain->rules[0].domains.items[1], "c.d");
	assert_string_equal(domain->rules[0].from.subfunction, "m");
	assert_null(domain->rules[0].own.subfunction);
	assert_int_equal(domain->rules[0].own.plane, POLICY_PLANE_USER);
	assert_int_equal(domain->rules[0].functions, POLICY_FUNCTIONS_DIFFERENT);
	assert_string_equal(domain->rules[1].own.interface, "gx");
	assert_true(domain->interfaces[0].needs_server);
	assert_false(domain->interfaces[0].needs_vm);
	assert_string_equal(domain->subfunctions[0].accounts.items[0], "ns/upf-*");
	assert_string_equal(domain->subfunctions[0].function, "upf");
	assert_int_equal(domain->subfunctions[0].plane, POLICY_PLANE_USER);
	assert_int_equal(domain->rules[0].level, POLICY_LEVEL_INSTANCE);
	assert_true(domain->rules[1].all);
	assert_int_equal(domain->rules[1].level, POLICY_LEVEL_SERVER);
	assert_int_equal(domain->interfaces[0].network_count, 2);
	assert_int_equal(domain->interfaces[0].ports[0].protocol, POLICY_PROTOCOL_SCTP);
	assert_int_equal(domain->interfaces[0].ports[0].port, 3868);
	assert_int_equal(domain->caches[0].class, POLICY_CACHE_NEVER);
	assert_int_equal(domain->ceiling, (1u << 10) | (1u << 13));
	policy_domain_free(domain);
}

static void test_object(void **state)
{
	struct policy_domain *domain = NULL;
	struct err err = {0};
	json_t *json = json_loads("{\"metadata\":{\"name\":\"a\"}}", 0, NULL);

	(void)state;
	assert_int_equal(policy_domain_parse(json, &domain, &err), 0);
	assert_int_equal(domain->isolation, POLICY_ISOLATION_CONTAINER);
	policy_domain_free(domain);
	json_decref(json);
	json = json_object();
	assert_int_equal(policy_domain_parse(json, &domain, &err), ERR_INVALID);
	assert_string_equal(err.msg, "field 'metadata.name' is missing");
	json_decref(json);
}

static const struct {
	const char *spec, *message;
} bad[] = {
	{"[]", "TrustDomain 'a': field 'spec' is not an object"},
	{"{\"isolatoin\":\"VM\"}", "TrustDomain 'a': unknown field 'spec.isolatoin'"},
	{"{\"isolation\":7}", "TrustDomain 'a': field 'spec.isolation' is not a string"},
	{"{\"isolation\":\"vm\"}",
	 "TrustDomain 'a': field 'spec.isolation' is 'vm', one of Container, VM, Dedicated is expected"},
	{"{\"separation\":[{\"from\":{\"all\":true}}]}",
	 "TrustDomain 'a': field 'spec.separation[0].level' is missing"},
	{"{\"separation\":[{\"from\":{\"all\":true},\"level\":\"None\"}]}",
	 "TrustDomain 'a': field 'spec.separation[0].level' is 'None', one of Instance, Server is expected"},
	{"{\"separation\":[{\"from\":{},\"level\":\"Server\"}]}",
	 "TrustDomain 'a': field 'spec.separation[0].from' needs either 'domains' or 'all: true'"},
	{"{\"separation\":[{\"from\":{\"all\":true,\"domains\":[\"b\"]},\"level\":\"Server\"}]}",
	 "TrustDomain 'a': field 'spec.separation[0].from' needs either 'domains' or 'all: true'"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"b\",\"b\"]},\"level\":\"Server\"}]}",
	 "TrustDomain 'a': field 'spec.separation[0].from.domains[1]' repeats 'b'"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"B\"]},\"level\":\"Server\"}]}",
	 "TrustDomain 'a': field 'spec.separation[0].from.domains[0]' is 'B', not the name of a TrustDomain"},
	{"{\"separation\":[{\"from\":{\"domains\":[7]},\"level\":\"Server\"}]}",
	 "TrustDomain 'a': field 'spec.separation[0].from.domains[0]' is not a name"},
	{"{\"separation\":[{\"from\":{\"all\":true},\"subFunction\":\"u\",\"level\":\"Server\"}]}",
	 "TrustDomain 'a': spec.separation[0] names sub-function 'u', which spec.subFunctions does not have"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"a\"]},\"level\":\"Server\"}]}",
	 "TrustDomain 'a': spec.separation[0] cannot be satisfied: it keeps 'a' apart from itself"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"a\"],\"subFunction\":\"u\"},\"subFunction\":\"u\",\"level\":"
	 "\"Server\"}],"
	 "\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"]}]}",
	 "TrustDomain 'a': spec.separation[0] cannot be satisfied: it keeps 'a/u' apart from itself"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"b\",\"c\"]},\"level\":\"Server\"},{\"from\":{\"domains\":[\"c\"]},"
	 "\"level\":\"Instance\"}]}",
	 "TrustDomain 'a': spec.separation[0] and [1] contradict each other: 'a' and 'c' apart at level Server and at "
	 "level Instance"},
	{"{\"separation\":[{\"from\":{\"all\":true},\"level\":\"Instance\"},{\"from\":{\"all\":true},\"level\":"
	 "\"Server\"}]}",
	 "TrustDomain 'a': spec.separation[0] and [1] contradict each other: 'a' and 'all others' apart at level "
	 "Instance and at level Server"},
	{"{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"]},{\"name\":\"v\",\"images\":[\"y\",\"x\"]}]}",
	 "TrustDomain 'a': spec.subFunctions[0] and [1] contradict each other: 'x' is 'u' and 'v'"},
	{"{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"]},{\"name\":\"u\",\"images\":[\"y\"]}]}",
	 "TrustDomain 'a': spec.subFunctions[0] and [1] are both named 'u'"},
	{"{\"subFunctions\":[{\"name\":\"u\",\"images\":[]}]}",
	 "TrustDomain 'a': field 'spec.subFunctions[0]' names neither images nor serviceAccounts"},
	{"{\"subFunctions\":[{\"name\":\"u\",\"serviceAccounts\":[\"oam\"]}]}",
	 "TrustDomain 'a': field 'spec.subFunctions[0].serviceAccounts[0]' is 'oam', not \"namespace/name\""},
	{"{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"],\"plane\":\"Any\"}]}",
	 "TrustDomain 'a': field 'spec.subFunctions[0].plane' is 'Any', one of User, Control, Management is expected"},
	{"{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"],\"serviceAccounts\":[\"n/s\"]},"
	 "{\"name\":\"v\",\"serviceAccounts\":[\"n/s\"]}]}",
	 "TrustDomain 'a': spec.subFunctions[0] and [1] contradict each other: 'n/s' is 'u' and 'v'"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"b\"]},\"interface\":\"n2\",\"level\":\"Server\"}]}",
	 "TrustDomain 'a': spec.separation[0] names interface 'n2', which spec.interfaces does not have"},
	{"{\"separation\":[{\"from\":{\"all\":true},\"networkFunctions\":\"Same\",\"level\":\"Server\"}]}",
	 "TrustDomain 'a': spec.separation[0] can match nothing: no network function of TrustDomain 'a' is one of "
	 "another domain"},
	{"{\"separation\":[{\"from\":{\"domains\":[\"a\"],\"plane\":\"User\"},\"plane\":\"Management\",\"level\":"
	 "\"Server\"}],\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"],\"plane\":\"User\"},"
	 "{\"name\":\"v\",\"images\":[\"y\"]}]}",
	 "TrustDomain 'a': spec.separation[0] cannot be satisfied: it keeps 'a/v' apart from itself"},
	{"{\"interfaces\":[{\"name\":\"n2\",\"from\":{\"domains\":[\"b\"]},\"ports\":[{\"protocol\":\"SCTP\","
	 "\"port\":1}],\"border\":[\"Server\"]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].border' is 'Server', one of DedicatedServer, VM is expected"},
	{"{\"subFunctions\":[{\"name\":\"U\",\"images\":[\"x\"]}]}",
	 "TrustDomain 'a': field 'spec.subFunctions[0].name' is 'U', not a name of lower-case letters, digits and '-'"},
	{"{\"cache\":[{\"images\":[\"x\"],\"class\":\"Never\"},{\"images\":[\"x\"],\"class\":\"Shared\"}]}",
	 "TrustDomain 'a': spec.cache[0] and [1] contradict each other: 'x' is Never and Shared"},
	{"{\"cache\":[{\"class\":\"Never\"}]}",
	 "TrustDomain 'a': field 'spec.cache[0]' needs either 'subFunction' or 'images'"},
	{"{\"interfaces\":[{\"name\":\"i\",\"from\":{},\"ports\":[{\"protocol\":\"TCP\",\"port\":1}]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].from' names neither domains nor networks"},
	{"{\"interfaces\":[{\"name\":\"i\",\"from\":{\"domains\":[\"b\"]},\"ports\":[]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].ports' is empty"},
	{"{\"interfaces\":[{\"name\":\"i\",\"from\":{\"domains\":[\"b\"]},\"ports\":[{\"protocol\":\"TCP\",\"port\":"
	 "65536}]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].ports[0].port' is outside 1 to 65535"},
	{"{\"interfaces\":[{\"name\":\"i\",\"from\":{\"domains\":[\"b\"]},\"ports\":[{\"protocol\":\"TCP\",\"port\":-1}"
	 "]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].ports[0].port' is not a non-negative integer"},
	{"{\"interfaces\":[{\"name\":\"i\",\"from\":{\"networks\":[\"10.0.0.1/"
	 "8\"]},\"ports\":[{\"protocol\":\"TCP\",\"port\":1}]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].from.networks[0]': network '10.0.0.1/8' has bits behind its "
	 "prefix"},
	{"{\"interfaces\":[{\"name\":\"i\",\"from\":{\"networks\":[\"10.0.0.0/"
	 "33\"]},\"ports\":[{\"protocol\":\"TCP\",\"port\":1}]}]}",
	 "TrustDomain 'a': field 'spec.interfaces[0].from.networks[0]': '10.0.0.0/33' is not a network "
	 "(ADDRESS/PREFIX)"},
	{"{\"serverQuota\":0}", "TrustDomain 'a': field 'spec.serverQuota' is 0, not 1 to 1000000"},
	{"{\"serverQuota\":\"1\"}", "TrustDomain 'a': field 'spec.serverQuota' is not a non-negative integer"},
	{"{\"serverQuota\":2,\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"]},{\"name\":\"v\",\"images\":[\"y\"]},"
	 "{\"name\":\"w\",\"images\":[\"z\"]}],\"separation\":[{\"from\":{\"domains\":[\"a\"],\"subFunction\":\"v\"},"
	 "\"subFunction\":\"u\",\"level\":\"Server\"},{\"from\":{\"domains\":[\"a\"],\"subFunction\":\"w\"},"
	 "\"subFunction\":\"u\",\"level\":\"Server\"},{\"from\":{\"domains\":[\"a\"],\"subFunction\":\"w\"},"
	 "\"subFunction\":\"v\",\"level\":\"Server\"}]}",
	 "TrustDomain 'a': spec.serverQuota cannot be satisfied: 'u' and 'v' are among 3 sub-functions that need a "
	 "server "
	 "each, and the quota is 2"},
	{"{\"ceiling\":{\"capabilities\":[\"CAP_NET_RAW\"]}}",
	 "TrustDomain 'a': field 'spec.ceiling.capabilities[0]': unknown capability 'CAP_NET_RAW'"},
	{"{\"ceiling\":{\"capabilities\":[\"SYS_ADMIN\"]}}",
	 "TrustDomain 'a': field 'spec.ceiling.capabilities[0]': capability 'SYS_ADMIN' may be in no ceiling"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct policy_domain *domain = NULL;
		struct err err = {0};
		json_t *json = json_loads(bad[i].spec, 0, NULL);

		assert_non_null(json);
		assert_int_equal(policy_domain_parse_spec("a", json, &domain, &err), ERR_INVALID);
		assert_string_equal(err.msg, bad[i].message);
		assert_null(domain);
		json_decref(json);
	}
}

static void test_bounds(void **state)
{
	struct policy_domain *domain = NULL;
	struct err err = {0};
	json_t *spec = json_object(), *list = json_array();

	(void)state;
	for (size_t i = 0; i <= POLICY_RULES_MAX; i++)
		assert_int_equal(json_array_append_new(list, json_object()), 0);
	assert_int_equal(json_object_set_new(spec, "separation", list), 0);
	assert_int_equal(policy_domain_parse_spec("a", spec, &domain, &err), ERR_INVALID);
	assert_string_equal(err.msg,
			    "TrustDomain 'a': field 'spec.separation' has 65 elements, at most 64 are allowed");
	json_decref(spec);
}

static void test_vm_is_refused_by_name(void **state)
{
	struct policy_domain *domain = parse("a", "{\"isolation\":\"VM\"}");
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_domain_supported(domain, NULL, &err), -EOPNOTSUPP);
	assert_string_equal(err.msg, "isolation 'VM' of TrustDomain 'a' is not available on any instance");
	policy_domain_free(domain);
}

static void test_set(void **state)
{
	struct policy_domains set CLEANUP_POLICY_DOMAINS = {0};
	struct err err = {0};
	struct policy_domain *bad_one;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%d", (i * 37) % 100);
		assert_int_equal(policy_domains_put(&set,
						    parse(name,
							  "{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"]}]}")),
				 0);
	}
	assert_int_equal(policy_domains_put(&set, parse("d7", "{}")), 0);
	assert_int_equal(set.count, 100);
	assert_int_equal(policy_domains_find(&set, "d7")->subfunction_count, 0);
	assert_string_equal(policy_domains_find(&set, "d99")->name, "d99");
	assert_null(policy_domains_find(&set, "d100"));
	policy_domains_remove(&set, "d100");
	bad_one = parse("x", "{\"separation\":[{\"from\":{\"domains\":[\"d8\",\"d7\",\"new\"],\"subFunction\":\"u\"},"
			     "\"level\":\"Server\"}]}");
	assert_int_equal(policy_domains_fit(&set, bad_one, &err), ERR_INVALID);
	assert_string_equal(
		err.msg, "separation[0] of TrustDomain 'x' keeps it apart from sub-function 'u' of TrustDomain 'd7', "
			 "which has none of that name");
	policy_domains_remove(&set, "d7");
	assert_int_equal(set.count, 99);
	assert_int_equal(policy_domains_fit(&set, bad_one, &err), 0);
	policy_domain_free(bad_one);
}

static const struct {
	const char *pattern, *image;
	bool matches;
} images[] = {
	{"reg:5000/ims/kamailio", "reg:5000/ims/kamailio", true},
	{"reg:5000/ims/kamailio", "reg:5000/ims/kamailio:1.0", true},
	{"reg:5000/ims/kamailio", "reg:5000/ims/kamailio:1.0@sha256:aa", true},
	{"*/ims/*", "reg:5000/ims/kamailio@sha256:aa", true},
	{"*/ims/*", "reg:5000/other/kamailio:ims/x", false},
	{"reg:5000/ims/kamailio", "reg:5000/ims/kamailio2", false},
	{"*@sha256:aa", "reg/x@sha256:aa", true},
	{"*@sha256:aa", "reg/x@sha256:ab", false},
	{"*@sha256:aa", "reg/x:aa", false},
	{"busybox", "busybox:latest", true},
	{"*", "", true},
};

static void test_image_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		assert_int_equal(policy_subfunction_image_matches(images[i].pattern, images[i].image),
				 images[i].matches);
}

static const struct {
	const char *images[3];
	const char *label, *name, *message, *account;
} pods[] = {
	{{"r/upf:1"}, NULL, "user", NULL},
	{{"r/upf:1", "r/upf@sha256:0"}, "user", "user", NULL},
	{{"r/upf:1", "r/oam"}, NULL, NULL, NULL},
	{{"r/both"}, NULL, NULL, NULL},
	{{"r/else"}, NULL, NULL, NULL},
	{{"r/upf"},
	 "management",
	 NULL,
	 "label nfv.bulkhead.dev/sub-function 'management' does not agree with TrustDomain 'a', by whose map the pod "
	 "is 'user'"},
	{{"r/else"},
	 "user",
	 NULL,
	 "label nfv.bulkhead.dev/sub-function 'user' does not agree with TrustDomain 'a', by whose map the pod has no "
	 "sub-function"},
	{{"r/else"}, NULL, "keeper", NULL, "keep-1"},
	{{"r/upf"}, NULL, NULL, NULL, "keep-1"},
	{{"r/tool"}, NULL, "tool", NULL, NULL},
	{{"r/tool"}, NULL, "tool", NULL, "default"},
	{{"r/tool"}, NULL, NULL, NULL, "another"},
};

static void test_subfunctions(void **state)
{
	struct policy_domain *mapped = parse("a",
					     "{\"subFunctions\":[{\"name\":\"user\",\"images\":[\"r/upf\",\"r/b*\"]},"
					     "{\"name\":\"management\",\"images\":[\"r/oam\",\"*oth\"]},"
					     "{\"name\":\"keeper\",\"serviceAccounts\":[\"ns/keep-*\"]},"
					     "{\"name\":\"tool\",\"images\":[\"r/tool\"],\"serviceAccounts\":["
					     "\"ns/default\"]}]}");
	struct policy_domain *plain = parse("b", "{}");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pods); i++) {
		struct policy_marks marks = {.images = pods[i].images,
					     .image_count = pods[i].images[1] ? 2 : 1,
					     .namespace = "ns",
					     .account = pods[i].account,
					     .label = pods[i].label};
		const char *name = "untouched";
		struct err err = {0};
		int r = policy_subfunction_of(mapped, &marks, &name, &err);

		assert_int_equal(r, pods[i].message ? ERR_DENIED : 0);
		if (pods[i].message)
			assert_string_equal(err.msg, pods[i].message);
		else if (pods[i].name)
			assert_string_equal(name, pods[i].name);
		else
			assert_null(name);
	}
	{
		struct policy_marks marks = {.images = pods[0].images, .image_count = 1, .label = "anything"};
		const char *name = "untouched";

		assert_int_equal(policy_subfunction_of(plain, &marks, &name, NULL), 0);
		assert_null(name);
	}
	policy_domain_free(mapped);
	policy_domain_free(plain);
}

static void test_ceiling(void **state)
{
	static const char *const add[] = {"NET_RAW", "CHOWN"}, *const over[] = {"SYS_ADMIN"}, *const all[] = {"ALL"},
				 *const odd[] = {"X"};
	struct policy_domain *domain = parse("a", "{\"ceiling\":{\"capabilities\":[\"NET_RAW\",\"CHOWN\"]}}");
	struct err err = {0};
	uint64_t set = 7;

	(void)state;
	assert_int_equal(policy_ceiling_compute(domain, "c", NULL, 0, NULL, 0, &set, &err), 0);
	assert_int_equal(set, 0);
	assert_int_equal(policy_ceiling_compute(domain, "c", add, 2, all, 1, &set, &err), 0);
	assert_int_equal(set, (1u << 13) | 1u);
	assert_int_equal(policy_ceiling_compute(domain, "c", add, 2, add, 1, &set, &err), 0);
	assert_int_equal(set, 1u);
	assert_int_equal(policy_ceiling_compute(domain, "c", over, 1, NULL, 0, &set, &err), ERR_DENIED);
	assert_string_equal(err.msg,
			    "container 'c' adds capability 'SYS_ADMIN', which is over the ceiling of TrustDomain 'a'");
	assert_int_equal(policy_ceiling_compute(domain, "c", all, 1, NULL, 0, &set, &err), ERR_DENIED);
	assert_int_equal(policy_ceiling_compute(domain, "c", odd, 1, NULL, 0, &set, &err), ERR_INVALID);
	assert_string_equal(err.msg, "container 'c' adds unknown capability 'X'");
	assert_int_equal(policy_ceiling_compute(domain, "c", NULL, 0, odd, 1, &set, &err), ERR_INVALID);
	assert_int_equal(set, 1u);
	assert_int_equal(policy_capability_number("CHECKPOINT_RESTORE"), 40);
	assert_string_equal(policy_capability_name(21), "SYS_ADMIN");
	assert_null(policy_capability_name(41));
	policy_domain_free(domain);
}

static void test_cache(void **state)
{
	struct policy_domain *domain =
		parse("a", "{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"r/u\"]},{\"name\":\"other\",\"images\":["
			   "\"x/*\"]}],\"cache\":[{\"images\":[\"r/"
			   "*\"],\"class\":\"Encrypted\"},{\"subFunction\":\"u\",\"class\":\"Never\"}]}");

	(void)state;
	assert_int_equal(policy_cacheclass_of(domain, "other", "x/y"), POLICY_CACHE_SHARED);
	assert_int_equal(policy_cacheclass_of(domain, "other", "r/y:1"), POLICY_CACHE_ENCRYPTED);
	assert_int_equal(policy_cacheclass_of(domain, "u", "x/y"), POLICY_CACHE_NEVER);
	assert_int_equal(policy_cacheclass_of(domain, NULL, "x/y"), POLICY_CACHE_NEVER);
	assert_int_equal(policy_cacheclass_of(domain, "former", "x/y"), POLICY_CACHE_NEVER);
	/* What arrived encrypted is not plain afterwards, and a rule that asks for more counts. */
	assert_int_equal(policy_cacheclass_arrived(POLICY_CACHE_SHARED, false), POLICY_CACHE_SHARED);
	assert_int_equal(policy_cacheclass_arrived(POLICY_CACHE_SHARED, true), POLICY_CACHE_ENCRYPTED);
	assert_int_equal(policy_cacheclass_arrived(POLICY_CACHE_MEMORY, true), POLICY_CACHE_MEMORY);
	policy_domain_free(domain);
}

static void test_interfaces(void **state)
{
	struct policy_domain *domain = parse("a",
					     "{\"subFunctions\":[{\"name\":\"u\",\"images\":[\"x\"]}],\"interfaces\":["
					     "{\"name\":\"sip\",\"from\":{\"domains\":[\"b\"],\"networks\":[\"10.1.0.0/"
					     "17\"]},\"ports\":[{\"protocol\":\"UDP\",\"port\":5060}]},"
					     "{\"name\":\"gx\",\"from\":{\"domains\":[\"c\"]},\"subFunction\":\"u\","
					     "\"ports\":[{\"protocol\":\"TCP\",\"port\":3868}]}]}");
	static const uint8_t inside[4] = {10, 1, 127, 9}, outside[4] = {10, 1, 128, 9}, six[16] = {10, 1};

	(void)state;
	assert_true(policy_interface_permits(domain, NULL, "a", POLICY_PROTOCOL_TCP, 1));
	assert_true(policy_interface_permits(domain, NULL, "b", POLICY_PROTOCOL_UDP, 5060));
	assert_false(policy_interface_permits(domain, NULL, "b", POLICY_PROTOCOL_TCP, 5060));
	assert_false(policy_interface_permits(domain, NULL, "b", POLICY_PROTOCOL_UDP, 5061));
	assert_false(policy_interface_permits(domain, NULL, "c", POLICY_PROTOCOL_UDP, 5060));
	assert_true(policy_interface_permits(domain, "u", "c", POLICY_PROTOCOL_TCP, 3868));
	assert_false(policy_interface_permits(domain, "v", "c", POLICY_PROTOCOL_TCP, 3868));
	assert_false(policy_interface_permits(domain, NULL, "c", POLICY_PROTOCOL_TCP, 3868));
	assert_true(policy_interface_permits_address(domain, NULL, 2, inside, POLICY_PROTOCOL_UDP, 5060));
	assert_false(policy_interface_permits_address(domain, NULL, 2, outside, POLICY_PROTOCOL_UDP, 5060));
	assert_false(policy_interface_permits_address(domain, NULL, 10, six, POLICY_PROTOCOL_UDP, 5060));
	policy_domain_free(domain);
}

static void test_pids(void **state)
{
	struct err err = {0};
	uint32_t pids = 1;

	(void)state;
	assert_int_equal(policy_limits_pids(NULL, &pids, &err), 0);
	assert_int_equal(pids, 256);
	assert_int_equal(policy_limits_pids("4096", &pids, &err), 0);
	assert_int_equal(pids, 4096);
	assert_int_equal(policy_limits_pids("4097", &pids, &err), ERR_INVALID);
	assert_string_equal(err.msg, "annotation nfv.bulkhead.dev/pids '4097' is not a number from 1 to 4096");
	assert_int_equal(policy_limits_pids("0", &pids, &err), ERR_INVALID);
	assert_int_equal(policy_limits_pids("-1", &pids, &err), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_vm_is_refused_by_name),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_image_patterns),
		cmocka_unit_test(test_subfunctions),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_pids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
