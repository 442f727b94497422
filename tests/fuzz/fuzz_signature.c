/* SPDX-License-Identifier: Apache-2.0 */
/* All that trust in images is read from: payloads, statements, bundles, and the policy itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/cosign.h"
#include "crypto/imagetrust.h"
#include "oci/sigbundle.h"
#include "policy/imagepolicy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypto_public *the_key(void)
{
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzq9JrlrERU7VyOfD3/KaAH8i3qwD\n"
				  "uQ2OzOlqImjItMzzyWaW/pTkcjdLWACmx5pCkZQygLl04xweJ8FgnPAjgw==\n"
				  "-----END PUBLIC KEY-----\n";
	static struct crypto_public *key;

	if (!key && crypto_public_parse(pem, sizeof(pem) - 1, &key, NULL) < 0)
		abort();
	return key;
}

static void read_claims(const char *bytes, size_t size)
{
	struct claim claim;

	if (claim_parse_simplesigning(bytes, size, &claim, NULL) == 0 && strlen(claim.identity) >= CLAIM_IDENTITY_SIZE)
		abort();
	if (claim_parse_statement(bytes, size, &claim, NULL) == 0 && strlen(claim.identity) >= CLAIM_IDENTITY_SIZE)
		abort();
}

static void read_bundle(const char *bytes, size_t size)
{
	const struct cosign_signature signature = {bytes, size, NULL};
	struct crypto_public *key = the_key();
	struct sigbundle bundle;
	struct claim claim;
	struct err err = {0};
	size_t which;

	if (sigbundle_parse(bytes, size, &bundle, NULL) == 0) {
		if (!bundle.signature || !bundle.payload == !bundle.digest)
			abort();
		sigbundle_done(&bundle);
	}
	/* One of the corpus is real: its bytes hold, and nothing else may. */
	if (cosign_verify(&signature, &key, 1, &which, &claim, &err) == 0 && claim.digest.bytes[0] != 0x05)
		abort();
}

static void read_policy(const char *bytes, size_t size)
{
	json_t *object = json_loadb(bytes, size, 0, NULL);
	struct policy_image *policy;
	struct err err = {0};

	if (object && policy_image_parse(object, &policy, &err) == 0) {
		const struct policy_image_scope *scope = policy_image_find(policy, "ims",
									   "r.example:5000/ims/a@sha256:00");

		if (scope && !scope->count)
			abort();
		if (imagetrust_check_keys(policy, &err) < 0 && !err.msg[0])
			abort();
		policy_image_free(policy);
	}
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	read_claims(bytes, size);
	read_bundle(bytes, size);
	read_policy(bytes, size);
	return 0;
}
