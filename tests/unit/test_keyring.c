/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "crypto/jwe.h"
#include "crypto/key.h"

#define LAYERS POLICY_KEYGRANT_LAYERS_MAX
#define UID "0c0c0c0c-0000-4000-8000-000000000001"
#define IMAGE "registry:5000/ims/hlr@sha256:11"

static char digests[LAYERS][80];

static struct policy_keygrant grant_of(const char *uid, size_t layers, const char *keys)
{
	struct policy_keygrant grant = {.uid = strdup(uid),
					.instance = strdup("node-1"),
					.domain = strdup("ims"),
					.image = strdup(IMAGE),
					.manifest = strdup("sha256:22"),
					.layer_count = layers,
					.keys = strdup(keys)};

	for (size_t i = 0; i < layers; i++)
		grant.layers[i] = strdup(digests[i]);
	return grant;
}

static struct policy_keygrant_facts facts_of(const char *uid, size_t layers, char **list)
{
	for (size_t i = 0; i < layers; i++)
		list[i] = digests[i];
	return (struct policy_keygrant_facts){.uid = uid,
					      .instance = "node-1",
					      .domain = "ims",
					      .image = IMAGE,
					      .manifest = "sha256:22",
					      .layers = list,
					      .layer_count = layers};
}

/* What the CISM would answer: a cache key of 7s, then a layer's secret each, numbered. */
static void sealed(const struct unwrap_key *key, size_t layers, struct buf *to)
{
	static uint8_t plain[KEYRING_CACHE_KEY + LAYERS * LAYERSECRET_PACKED];
	CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
	uint8_t point[UNWRAP_POINT_MAX];
	struct jwe_recipient for_whom;
	struct err err = {0};

	memset(plain, 7, KEYRING_CACHE_KEY);
	for (size_t i = 0; i < layers; i++) {
		const struct layersecret secret = {.key = {(uint8_t)i}, .nonce = {1}};

		layersecret_pack(&secret, plain + KEYRING_CACHE_KEY + i * LAYERSECRET_PACKED);
	}
	assert_int_equal(unwrap_key_point(key, point, &err), 0);
	assert_int_equal(recipient_of_point(UNWRAP_P256, point, 65, &recipient, &err), 0);
	for_whom = (struct jwe_recipient){recipient, JWE_ECDH_A256KW};
	assert_int_equal(jwe_seal(&for_whom, 1, plain, KEYRING_CACHE_KEY + layers * LAYERSECRET_PACKED, to, &err), 0);
}

static void put(struct keyring *keyring, const char *uid, size_t layers)
{
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL;
	CLEANUP_BUF struct buf jwe = buf_of(JWE_BYTES_MAX);
	struct policy_keygrant grant;
	struct err err = {0};

	assert_int_equal(unwrap_key_generate(&key, &err), 0);
	sealed(key, layers, &jwe);
	grant = grant_of(uid, layers, jwe.data);
	if (keyring_put(keyring, &grant, key, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	struct err err = {0};

	for (size_t i = 0; i < LAYERS; i++)
		(void)snprintf(digests[i], sizeof(digests[i]), "sha256:%064zu", i);
	return keyring_new((struct keyring **)state, &err);
}

static int teardown(void **state)
{
	keyring_free(*state);
	return 0;
}

/* CACHE-4: without keys nothing starts; with them it does; without the pod's last trace it does not again. */
static void test_comes_and_goes(void **state)
{
	struct keyring *keyring = *state;
	char *list[LAYERS];
	struct policy_keygrant_facts facts = facts_of(UID, 2, list);
	struct layersecret secret;
	struct err err = {0};
	uint8_t key[KEYRING_CACHE_KEY];

	assert_int_equal(keyring_check(keyring, &facts, &err), ERR_DENIED);
	assert_string_equal(err.msg, "image '" IMAGE "': no keys of TrustDomain 'ims' were handed over for it");
	put(keyring, UID, 2);
	put(keyring, UID, 2);
	put(keyring, "another", 2);
	assert_int_equal(keyring_count(keyring), 2);
	assert_int_equal(keyring_check(keyring, &facts, &err), 0);
	assert_int_equal(keyring_cache_key(keyring, &facts, key, &err), 0);
	assert_int_equal(key[31], 7);
	assert_int_equal(keyring_layer(keyring, &facts, digests[1], &secret, &err), 0);
	assert_int_equal(secret.key[0], 1);
	assert_int_equal(keyring_layer(keyring, &facts, digests[2], &secret, &err), ERR_DENIED);
	keyring_drop(keyring, UID);
	assert_int_equal(keyring_count(keyring), 1);
	assert_int_equal(keyring_check(keyring, &facts, &err), ERR_DENIED);
	assert_int_equal(keyring_cache_key(keyring, &facts, key, &err), ERR_DENIED);
}

static void expect(struct keyring *keyring, const struct policy_keygrant_facts *facts, const char *message)
{
	struct err err = {0};

	assert_int_equal(keyring_check(keyring, facts, &err), ERR_DENIED);
	assert_string_equal(err.msg, message);
}

/* Each thing that a grant is bound to: another pod, domain, instance, image, platform, layer. */
static void test_bound(void **state)
{
	struct keyring *keyring = *state;
	char *list[LAYERS];
	struct policy_keygrant_facts good = facts_of(UID, 2, list), facts = good;
	static const char none[] = "image '" IMAGE "': no keys of TrustDomain 'ims' were handed over for it";

	put(keyring, UID, 2);
	facts.uid = "another";
	expect(keyring, &facts, none);
	facts = good;
	facts.domain = "oam";
	expect(keyring, &facts,
	       "image '" IMAGE "': no keys of TrustDomain 'oam' were handed over for it and this pod here");
	facts = good;
	facts.instance = "node-2";
	expect(keyring, &facts,
	       "image '" IMAGE "': no keys of TrustDomain 'ims' were handed over for it and this pod here");
	facts = good;
	facts.manifest = "sha256:33";
	expect(keyring, &facts,
	       "image '" IMAGE "': no keys of TrustDomain 'ims' were handed over for it and this platform");
	facts = good;
	facts.layer_count = 1;
	expect(keyring, &facts, "image '" IMAGE "': no keys of TrustDomain 'ims' were handed over for it as it is");
	list[1] = digests[2];
	expect(keyring, &good,
	       "image '" IMAGE "': layer sha256:0000000000000000000000000000000000000000000000000000000000000002 is "
	       "encrypted and no key of TrustDomain 'ims' was handed over for it");
}

static void test_wrong_answers(void **state)
{
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL, *other = NULL;
	CLEANUP_BUF struct buf jwe = buf_of(JWE_BYTES_MAX);
	struct policy_keygrant grant;
	struct err err = {0};

	assert_int_equal(unwrap_key_generate(&key, &err), 0);
	assert_int_equal(unwrap_key_generate(&other, &err), 0);
	sealed(key, 2, &jwe);
	grant = grant_of(UID, 2, jwe.data);
	assert_int_equal(keyring_put(*state, &grant, other, &err), ERR_DENIED);
	assert_string_equal(err.msg, "keys of TrustDomain 'ims': JWE: it is wrapped for other keys than the 1 at hand");
	grant = grant_of(UID, 3, jwe.data);
	assert_int_equal(keyring_put(*state, &grant, key, &err), ERR_INVALID);
	assert_string_equal(err.msg, "keys of TrustDomain 'ims': it holds 322 bytes for 3 layers");
	assert_int_equal(keyring_count(*state), 0);
}

static int64_t thread_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The decision about a start, with as many encrypted layers as an image may have and 200 pods: at most 200 microseconds. */
static void test_quick(void **state)
{
	struct keyring *keyring = *state;
	char *list[LAYERS], uid[64] = "";
	struct policy_keygrant_facts facts = facts_of(uid, LAYERS, list);
	struct err err = {0};
	int64_t began;

	for (int i = 0; i < 200; i++) {
		(void)snprintf(uid, sizeof(uid), "pod-%d", i);
		put(keyring, uid, i ? 1 : LAYERS);
	}
	(void)snprintf(uid, sizeof(uid), "pod-0");
	began = thread_ns();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(keyring_check(keyring, &facts, &err), 0);
	print_message("%.1f microseconds a decision\n", (double)(thread_ns() - began) / 1e6);
	assert_true(thread_ns() - began < INT64_C(200) * 1000 * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_comes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quick, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
