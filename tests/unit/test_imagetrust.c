/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CIR-2: whether signatures meet what is demanded, and that none does after any change. MUTATIONS in the environment says how many
 * changes are tried of each of four kinds; 500 when it does not.
 */
#include "crypto/imagetrust.h"

#include <stdlib.h>

#include "base/str.h"
#include "support_sign.h"

#define HEX_TAIL "dc2b030e5b2ddc4f1d91527e748718f9095a53c16b0109936c6a0215cdc3"
#define HEX "058c" HEX_TAIL
#define IMAGE "r.example/ims/a@sha256:" HEX
#define SIGN "https://sigstore.dev/cosign/sign/v1"

struct scene {
	EVP_PKEY *pkey;
	struct buf payload, signature, bundle; /* as they lie in a registry */
	struct policy_image_demand demand;
};

static struct policy_image_requirement requirement_of(const struct buf *pems, size_t count)
{
	struct policy_image_requirement requirement = {0};
	json_t *keys = json_array(), *json = json_pack("{s:s,s:o}", "type", "sigstoreSigned", "keyDatas", keys);

	for (size_t i = 0; i < count; i++) {
		CLEANUP_BUF struct buf text = buf_of(8192);

		assert_int_equal(crypto_base64(&text, pems[i].data, pems[i].len), 0);
		assert_int_equal(json_array_append_new(keys, json_string(text.data)), 0);
	}
	assert_int_equal(policy_image_requirement_parse(json, "x", &requirement, NULL), 0);
	json_decref(json);
	return requirement;
}

static void sign_image(struct scene *scene, const char *identity, const char *hex)
{
	CLEANUP_BUF struct buf statement = buf_of(4096);
	char digest[DIGEST_TEXT_SIZE];

	buf_clear(&scene->payload);
	buf_clear(&scene->signature);
	buf_clear(&scene->bundle);
	(void)snprintf(digest, sizeof(digest), "sha256:%s", hex);
	sign_payload(identity, digest, &scene->payload);
	sign_base64(scene->pkey, EVP_sha256(), scene->payload.data, scene->payload.len, &scene->signature);
	sign_statement(identity, SIGN, hex, &statement);
	sign_envelope(scene->pkey, EVP_sha256(), "application/vnd.in-toto+json", &statement, &scene->bundle);
}

static void begin(struct scene *scene)
{
	CLEANUP_BUF struct buf pem = buf_of(8192);

	*scene = (struct scene){.pkey = EVP_EC_gen("P-256"),
				.payload = buf_of(8192),
				.signature = buf_of(8192),
				.bundle = buf_of(1 << 16),
				.demand.policy = strdup("cluster")};
	sign_pem(scene->pkey, &pem);
	scene->demand.requirement = requirement_of(&pem, 1);
	sign_image(scene, "r.example/ims/a", HEX);
}

static void end(struct scene *scene)
{
	EVP_PKEY_free(scene->pkey);
	buf_done(&scene->payload);
	buf_done(&scene->signature);
	buf_done(&scene->bundle);
	free(scene->demand.policy);
	policy_image_requirement_done(&scene->demand.requirement);
}

static int check(const struct scene *scene, const char *image, const struct buf *bytes, const char *beside,
		 struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(1 << 17);
	struct policy_image_signature signature = {.signature = (char *)(uintptr_t)beside};
	size_t used = 7;
	int r;

	assert_int_equal(crypto_base64(&text, bytes->data ? bytes->data : "", bytes->len), 0);
	signature.bytes = text.data;
	r = imagetrust_check(&scene->demand, image, &signature, 1, &used, err);
	if (r == 0)
		assert_int_equal(used, 0);
	return r;
}

static void test_signed(void **state)
{
	struct scene scene;
	struct err err = {0};

	(void)state;
	begin(&scene);
	assert_int_equal(check(&scene, IMAGE, &scene.payload, scene.signature.data, &err), 0);
	assert_int_equal(check(&scene, IMAGE, &scene.bundle, NULL, &err), 0);
	end(&scene);
}

/* Another key, another repository, another digest, none. */
static void test_refused(void **state)
{
	struct scene scene, foreign;
	char name[CRYPTO_PUBLIC_NAME_SIZE];
	CLEANUP(cleanup_crypto_public) struct crypto_public *key = NULL;
	CLEANUP_BUF struct buf pem = buf_of(8192);
	char wanted[1024];
	struct err err = {0};
	size_t used;

	(void)state;
	begin(&scene);
	begin(&foreign);
	sign_pem(scene.pkey, &pem);
	assert_int_equal(crypto_public_parse(pem.data, pem.len, &key, &err), 0);
	(void)snprintf(name, sizeof(name), "%s", crypto_public_name(key));
	(void)snprintf(wanted, sizeof(wanted),
		       "image '" IMAGE "' is not signed by key '%s', which ImagePolicy 'cluster' demands: ", name);
	assert_int_equal(imagetrust_check(&scene.demand, IMAGE, NULL, 0, &used, &err), ERR_DENIED);
	assert_true(strncmp(err.msg, wanted, strlen(wanted)) == 0 && strstr(err.msg, "it has no signature"));
	assert_int_equal(check(&scene, IMAGE, &foreign.payload, foreign.signature.data, &err), ERR_DENIED);
	assert_true(strncmp(err.msg, wanted, strlen(wanted)) == 0 &&
		    strstr(err.msg, "none of the 1 signatures found is by it"));
	sign_image(&scene, "r.example/ims/b", HEX);
	assert_int_equal(check(&scene, IMAGE, &scene.bundle, NULL, &err), ERR_DENIED);
	(void)snprintf(wanted, sizeof(wanted),
		       "image '" IMAGE "' is refused by ImagePolicy 'cluster': the signature by key '%s' is for "
		       "'r.example/ims/b', not for 'r.example/ims/a'",
		       name);
	assert_string_equal(err.msg, wanted);
	sign_image(&scene, "r.example/ims/a", "aaaa" HEX_TAIL);
	assert_int_equal(check(&scene, IMAGE, &scene.payload, scene.signature.data, &err), ERR_DENIED);
	(void)snprintf(wanted, sizeof(wanted),
		       "image '" IMAGE "' is refused by ImagePolicy 'cluster': the signature by key '%s' is of "
		       "'sha256:aaaa" HEX_TAIL "'",
		       name);
	assert_string_equal(err.msg, wanted);
	end(&foreign);
	end(&scene);
}

/* Of many signatures the one that fits is found; one key of many is enough. */
static void test_many(void **state)
{
	struct scene scene, foreign;
	struct buf texts[3] = {buf_of(1 << 16), buf_of(1 << 16), buf_of(1 << 16)};
	struct policy_image_signature signatures[3] = {0};
	struct buf pems[2] = {buf_of(8192), buf_of(8192)};
	struct err err = {0};
	size_t used = 9;

	(void)state;
	begin(&scene);
	begin(&foreign);
	sign_pem(foreign.pkey, &pems[0]);
	sign_pem(scene.pkey, &pems[1]);
	policy_image_requirement_done(&scene.demand.requirement);
	scene.demand.requirement = requirement_of(pems, 2);
	sign_image(&foreign, "r.example/other", HEX);
	assert_int_equal(crypto_base64(&texts[0], "{}", 2), 0);
	assert_int_equal(crypto_base64(&texts[1], foreign.bundle.data, foreign.bundle.len), 0);
	assert_int_equal(crypto_base64(&texts[2], scene.payload.data, scene.payload.len), 0);
	for (size_t i = 0; i < 3; i++)
		signatures[i].bytes = texts[i].data;
	signatures[2].signature = scene.signature.data;
	assert_int_equal(imagetrust_check(&scene.demand, IMAGE, signatures, 3, &used, &err), 0);
	assert_int_equal(used, 2);
	assert_int_equal(imagetrust_check(&scene.demand, IMAGE, signatures, 2, &used, &err), ERR_DENIED);
	assert_non_null(strstr(err.msg, "is for 'r.example/other', not for 'r.example/ims/a'"));
	for (size_t i = 0; i < 3; i++)
		buf_done(&texts[i]);
	buf_done(&pems[0]);
	buf_done(&pems[1]);
	end(&foreign);
	end(&scene);
}

/* --- changes --- */

static unsigned long mutations(void)
{
	const char *text = getenv("MUTATIONS");

	return text ? strtoul(text, NULL, 10) : 500;
}

static uint32_t seed = 20260101;

static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* One to four changes: a bit, a byte, one less, one more, two exchanged. Whether the bytes differ now. */
static bool mutate(struct buf *bytes)
{
	struct buf before = buf_of(1 << 17);
	bool differs;

	assert_int_equal(buf_append(&before, bytes->data, bytes->len), 0);
	for (uint32_t i = 0, count = 1 + draw(4); i < count && bytes->len > 1; i++) {
		size_t at = draw((uint32_t)bytes->len), other = draw((uint32_t)bytes->len);
		char kept = bytes->data[at];

		switch (draw(5)) {
		case 0:
			bytes->data[at] = (char)(bytes->data[at] ^ (1 << draw(8)));
			break;
		case 1:
			bytes->data[at] = (char)draw(256);
			break;
		case 2:
			memmove(bytes->data + at, bytes->data + at + 1, bytes->len - at - 1);
			bytes->data[--bytes->len] = '\0';
			break;
		case 3:
			assert_int_equal(buf_putc(bytes, bytes->data[at]), 0);
			break;
		case 4:
			bytes->data[at] = bytes->data[other];
			bytes->data[other] = kept;
			break;
		}
	}
	differs = before.len != bytes->len || memcmp(before.data, bytes->data, before.len) != 0;
	buf_done(&before);
	return differs;
}

static void copy_of(const struct buf *from, struct buf *to)
{
	buf_clear(to);
	assert_int_equal(buf_append(to, from->data, from->len), 0);
}

/* No changed payload and no changed signature is accepted. */
static void test_changed_payloads_and_signatures(void **state)
{
	CLEANUP_BUF struct buf bytes = buf_of(1 << 17);
	struct scene scene;

	(void)state;
	begin(&scene);
	for (unsigned long i = 0; i < mutations(); i++) {
		copy_of(&scene.payload, &bytes);
		if (mutate(&bytes))
			assert_true(check(&scene, IMAGE, &bytes, scene.signature.data, NULL) < 0);
		copy_of(&scene.signature, &bytes);
		if (mutate(&bytes))
			assert_true(check(&scene, IMAGE, &scene.payload, bytes.data, NULL) < 0);
	}
	end(&scene);
}

/* What is signed and what it is signed with, as the bundle says them. */
static void signed_parts(const struct buf *bundle, char to[static 8192])
{
	struct sigbundle parsed = {0};

	assert_int_equal(sigbundle_parse(bundle->data, bundle->len, &parsed, NULL), 0);
	(void)snprintf(to, 8192, "%s %s %s", parsed.payload, parsed.payload_type, parsed.signature);
	sigbundle_done(&parsed);
}

/* A changed bundle is accepted when what changed is not signed (the hint of a key), and only then. */
static void test_changed_bundles(void **state)
{
	CLEANUP_BUF struct buf bytes = buf_of(1 << 17);
	unsigned long accepted = 0;
	char before[8192], after[8192];
	struct scene scene;

	(void)state;
	begin(&scene);
	signed_parts(&scene.bundle, before);
	for (unsigned long i = 0; i < mutations(); i++) {
		copy_of(&scene.bundle, &bytes);
		if (!mutate(&bytes) || check(&scene, IMAGE, &bytes, NULL, NULL) < 0)
			continue;
		signed_parts(&bytes, after);
		assert_string_equal(before, after);
		accepted++;
	}
	assert_true(accepted < mutations() / 5);
	end(&scene);
}

/* Nor any other image than the one that was signed. */
static void test_changed_images(void **state)
{
	CLEANUP_BUF struct buf image = buf_of(4096);
	struct scene scene;

	(void)state;
	begin(&scene);
	for (unsigned long i = 0; i < mutations(); i++) {
		buf_clear(&image);
		assert_int_equal(buf_puts(&image, IMAGE), 0);
		if (!mutate(&image) || str_eq(image.data, IMAGE) || strlen(image.data) != image.len)
			continue;
		assert_true(check(&scene, image.data, &scene.payload, scene.signature.data, NULL) < 0);
	}
	end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_changed_payloads_and_signatures),
		cmocka_unit_test(test_changed_bundles),
		cmocka_unit_test(test_changed_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
