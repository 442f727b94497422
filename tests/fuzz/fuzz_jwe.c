/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an encrypted layer brings along: JWE, opened with fixed keys that the corpus has texts for, public and private
 * options, and the annotations around them. What opens is exactly as long as it says, and what does not leaves nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "crypto/jwe.h"
#include "crypto/layersecret.h"
#include "support_jwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS 4

static struct unwrap_key *keys[KEYS];

static void make_keys(void)
{
	static const char *const pems[KEYS] = {jwe_rsa_pem, jwe_p256_pem, jwe_p384_pem, jwe_p521_pem};
	struct err err;

	for (size_t i = 0; i < KEYS; i++)
		if (unwrap_key_parse(pems[i], strlen(pems[i]), &keys[i], &err) < 0)
			abort();
}

static void read_jwe(const char *bytes, size_t size)
{
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	CLEANUP_FREE char *plain = NULL;
	struct err err = {0};
	size_t len = 0;
	int r = jwe_parse(bytes, size, &jwe, &err);

	assert(r == 0 || err.msg[0]);
	if (r < 0)
		return;
	plain = calloc(1, jwe_plain_max(jwe) + 1);
	r = plain ? jwe_open(jwe, keys, KEYS, plain, jwe_plain_max(jwe), &len, &err) : -1;
	assert(r < 0 || len == jwe_plain_max(jwe));
	for (size_t i = 0; r < 0 && plain && i < jwe_plain_max(jwe); i++)
		assert(!plain[i]);
}

static void read_annotations(const char *bytes, size_t size)
{
	json_t *object = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
	struct encryption encryption;
	struct layersecret secret;
	struct err err = {0};

	if (json_is_object(object) && encryption_read(object, &encryption, &err) == 0) {
		assert(encryption.packet_count >= 1 && encryption.packet_count <= ENCRYPTION_PACKETS_MAX);
		if (layersecret_open(&encryption, keys, KEYS, &secret, &err) < 0)
			assert(err.msg[0]);
	}
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct encryption_text options = {(const char *)data, size};
	struct layersecret secret = {0};
	struct err err = {0};

	if (!keys[0])
		make_keys();
	read_jwe((const char *)data, size);
	read_annotations((const char *)data, size);
	if (layersecret_public(&options, &secret, &err) < 0 &&
	    layersecret_private((const char *)data, size, &secret, &err) < 0)
		assert(err.msg[0]);
	return 0;
}
