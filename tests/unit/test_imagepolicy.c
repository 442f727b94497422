/* SPDX-License-Identifier: Apache-2.0 */
/* CIR-2: what an ImagePolicy says of which image. */
#include "policy/imagepolicy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "sha256:058cdc2b030e5b2ddc4f1d91527e748718f9095a53c16b0109936c6a0215cdc3"
#define OTHER "sha256:aaaadc2b030e5b2ddc4f1d91527e748718f9095a53c16b0109936c6a0215cdc3"

static int parse(const char *spec, struct policy_image **ret, struct err *err)
{
	char text[4096];
	json_t *object;
	int r;

	(void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"cluster\"},\"spec\":%s}", spec);
	object = json_loads(text, 0, NULL);
	assert_non_null(object);
	r = policy_image_parse(object, ret, err);
	json_decref(object);
	return r;
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *spec, *message;
	} cases[] = {
		{"{}", "field 'spec.default' is missing"},
		{"{\"default\":[]}", "field 'spec.default' is not a list of 1 to 16 requirements"},
		{"{\"default\":[{}]}", "field 'spec.default[0].type' is missing"},
		{"{\"default\":[{\"type\":\"signedBy\"}]}",
		 "field 'spec.default[0].type' 'signedBy' is not insecureAcceptAnything, reject or sigstoreSigned"},
		{"{\"default\":[{\"type\":\"reject\",\"why\":\"x\"}]}", "unknown field 'spec.default[0].why'"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\"}]}",
		 "field 'spec.default[0]' needs exactly one of keyData and keyDatas"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyDatas\":[]}]}",
		 "field 'spec.default[0]' needs exactly one of keyData and keyDatas"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\"}]}",
		 "field 'spec.default[0]' names files of keys, which this API cannot read: give them in keyData or "
		 "keyDatas"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"QQ==\",\"rekorPublicKeyData\":\"QQ==\"}]}",
		 "unknown field 'spec.default[0].rekorPublicKeyData'"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"QQ==\",\"signedIdentity\":{\"type\":"
		 "\"matchExact\"}}]}",
		 "field 'spec.default[0].signedIdentity.type' is 'matchExact': images are started by digest, say "
		 "'matchRepository'"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"QQ==\",\"signedIdentity\":{\"type\":\"x\"}}]"
		 "}",
		 "field 'spec.default[0].signedIdentity.type' 'x' is not known"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"QQ==\",\"signedIdentity\":{\"type\":"
		 "\"exactRepository\"}}]}",
		 "field 'spec.default[0].signedIdentity.dockerRepository' is missing"},
		{"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"atomic\":{}}}",
		 "unknown field 'spec.transports.atomic'"},
		{"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"r/a\":[]}}}",
		 "field 'spec.transports.docker[r/a]' is not a list of 1 to 16 requirements"},
		{"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"r:5000/"
		 "a:v1\":[{\"type\":\"reject\"}]}}}",
		 "field 'spec.transports.docker[r:5000/a:v1]' has a tag: images are judged by digest"},
		{"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"r/*\":[{\"type\":\"reject\"}]}}}",
		 "field 'spec.transports.docker[r/*]': '*.' stands for hosts at the beginning alone"},
		{"{\"default\":[{\"type\":\"reject\"}],\"more\":1}", "unknown field 'spec.more'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct policy_image *policy = NULL;
		struct err err = {0};

		assert_int_equal(parse(cases[i].spec, &policy, &err), ERR_INVALID);
		assert_string_equal(err.msg, cases[i].message);
		assert_null(policy);
	}
}

/* The narrowest scope counts, a part of a name is matched whole. */
static void test_scopes(void **state)
{
	static const char spec[] =
		"{\"domains\":[\"ims\",\"core\"],\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{"
		"\"r.example:5000/ims/a@" DIGEST "\":[{\"type\":\"insecureAcceptAnything\"}],"
		"\"r.example:5000/ims/a\":[{\"type\":\"insecureAcceptAnything\"}],"
		"\"r.example:5000/ims\":[{\"type\":\"insecureAcceptAnything\"}],"
		"\"r.example:5000\":[{\"type\":\"insecureAcceptAnything\"}],"
		"\"*.b.example\":[{\"type\":\"insecureAcceptAnything\"}],"
		"\"*.example\":[{\"type\":\"insecureAcceptAnything\"}]}}}";
	static const struct {
		const char *image, *scope;
	} cases[] = {
		{"r.example:5000/ims/a@" DIGEST, "r.example:5000/ims/a@" DIGEST},
		{"r.example:5000/ims/a@" OTHER, "r.example:5000/ims/a"},
		{"r.example:5000/ims/ab@" OTHER, "r.example:5000/ims"},
		{"r.example:5000/ims/a/b@" OTHER, "r.example:5000/ims/a"},
		{"r.example:5000/imsx/a@" OTHER, "r.example:5000"},
		{"r.example:5001/ims/a@" OTHER, ""},
		{"c.b.example/x@" OTHER, "*.b.example"},
		{"b.example/x@" OTHER, "*.example"},
		{"example/x@" OTHER, ""},
		{"other/ims/a@" DIGEST, ""},
	};
	CLEANUP(cleanup_policy_image) struct policy_image *policy = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(spec, &policy, &err), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct policy_image_scope *scope = policy_image_find(policy, "ims", cases[i].image);

		assert_non_null(scope);
		assert_string_equal(scope->name, cases[i].scope);
		assert_int_equal(scope->requirements[0].kind,
				 *cases[i].scope ? POLICY_IMAGE_ACCEPT : POLICY_IMAGE_REJECT);
	}
	assert_null(policy_image_find(policy, "ran", cases[0].image));
}

/* What a signature says against what is asked: table of identities. */
static void test_identities(void **state)
{
	static const struct {
		const char *identity, *image, *claimed, *message;
	} cases[] = {
		{NULL, "r/ims/a@" DIGEST, "r/ims/a", NULL},
		{NULL, "r/ims/a@" DIGEST, "r/ims/a:v1", NULL},
		{NULL, "r:5000/ims/a@" DIGEST, "r:5000/ims/a:v1", NULL},
		{NULL, "r/ims/a@" DIGEST, "r/ims/b", "the signature by key 'K' is for 'r/ims/b', not for 'r/ims/a'"},
		{NULL, "r/ims/a@" DIGEST, "q/ims/a", "the signature by key 'K' is for 'q/ims/a', not for 'r/ims/a'"},
		{NULL, "r/ims/a@" DIGEST, "", "the signature by key 'K' names no image, not 'r/ims/a'"},
		{"{\"type\":\"matchRepository\"}", "r/ims/a@" DIGEST, "r/ims/a:v9", NULL},
		{"{\"type\":\"matchDigest\"}", "r/ims/a@" DIGEST, "", NULL},
		{"{\"type\":\"exactReference\",\"dockerReference\":\"v.example/a:1\"}", "r/ims/a@" DIGEST,
		 "v.example/a:1", NULL},
		{"{\"type\":\"exactReference\",\"dockerReference\":\"v.example/a:1\"}", "r/ims/a@" DIGEST,
		 "v.example/a:2", "the signature by key 'K' is for 'v.example/a:2', not for 'v.example/a:1'"},
		{"{\"type\":\"exactRepository\",\"dockerRepository\":\"v.example/a\"}", "r/ims/a@" DIGEST,
		 "v.example/a:2", NULL},
		{"{\"type\":\"exactRepository\",\"dockerRepository\":\"v.example/a\"}", "r/ims/a@" DIGEST, "r/ims/a",
		 "the signature by key 'K' is for 'r/ims/a', not for 'v.example/a'"},
		{"{\"type\":\"remapIdentity\",\"prefix\":\"r/ims\",\"signedPrefix\":\"vendor.example/p\"}",
		 "r/ims/a@" DIGEST, "vendor.example/p/a:1", NULL},
		{"{\"type\":\"remapIdentity\",\"prefix\":\"r/im\",\"signedPrefix\":\"vendor.example/p\"}",
		 "r/ims/a@" DIGEST, "vendor.example/ps/a",
		 "the signature by key 'K' is for 'vendor.example/ps/a', not for 'r/ims/a'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct policy_image_claim claim = {"K", DIGEST, cases[i].claimed};
		const struct policy_image_evidence evidence = {"key 'K'", 1, &claim, 1};
		struct policy_image_requirement requirement = {0};
		struct err err = {0};
		char text[512], wanted[1024];
		json_t *json;

		(void)snprintf(text, sizeof(text), "{\"type\":\"sigstoreSigned\",\"keyData\":\"QQ==\"%s%s}",
			       cases[i].identity ? ",\"signedIdentity\":" : "",
			       cases[i].identity ? cases[i].identity : "");
		json = json_loads(text, 0, NULL);
		assert_int_equal(policy_image_requirement_parse(json, "x", &requirement, &err), 0);
		json_decref(json);
		assert_int_equal(policy_image_decide(&requirement, "p", cases[i].image, &evidence, &err),
				 cases[i].message ? ERR_DENIED : 0);
		(void)snprintf(wanted, sizeof(wanted), "image '%s' is refused by ImagePolicy 'p': %s", cases[i].image,
			       cases[i].message ? cases[i].message : "");
		if (cases[i].message)
			assert_string_equal(err.msg, wanted);
		policy_image_requirement_done(&requirement);
	}
}

static void test_sentences(void **state)
{
	const struct policy_image_requirement reject = {.kind = POLICY_IMAGE_REJECT},
					      accept = {.kind = POLICY_IMAGE_ACCEPT},
					      wanted = {.kind = POLICY_IMAGE_SIGNED};
	const struct policy_image_claim claim = {"K", OTHER, "r/a"};
	struct policy_image_evidence evidence = {"key 'K'", 0, &claim, 0};
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_image_decide(&accept, "p", "r/a@" DIGEST, NULL, &err), 0);
	assert_int_equal(policy_image_decide(&reject, "p", "r/a@" DIGEST, NULL, &err), ERR_DENIED);
	assert_string_equal(err.msg, "image 'r/a@" DIGEST "' is refused: ImagePolicy 'p' rejects all that lies there");
	assert_int_equal(policy_image_decide(&wanted, "p", "r/a@" DIGEST, &evidence, &err), ERR_DENIED);
	assert_string_equal(err.msg, "image 'r/a@" DIGEST
				     "' is not signed by key 'K', which ImagePolicy 'p' demands: it has no signature");
	evidence.found = 2;
	assert_int_equal(policy_image_decide(&wanted, "p", "r/a@" DIGEST, &evidence, &err), ERR_DENIED);
	assert_string_equal(err.msg,
			    "image 'r/a@" DIGEST "' is not signed by key 'K', which ImagePolicy 'p' demands: none "
			    "of the 2 signatures found is by it");
	evidence.count = 1;
	assert_int_equal(policy_image_decide(&wanted, "p", "r/a@" DIGEST, &evidence, &err), ERR_DENIED);
	assert_string_equal(err.msg, "image 'r/a@" DIGEST
				     "' is refused by ImagePolicy 'p': the signature by key 'K' is of '" OTHER "'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
