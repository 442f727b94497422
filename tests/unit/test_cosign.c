/* SPDX-License-Identifier: Apache-2.0 */
/* CIR-2: the one verifier of image signatures. */
#include "crypto/cosign.h"

#include "support_sign.h"

#define DIGEST "sha256:058cdc2b030e5b2ddc4f1d91527e748718f9095a53c16b0109936c6a0215cdc3"
#define SIGN "https://sigstore.dev/cosign/sign/v1"
#define IN_TOTO "application/vnd.in-toto+json"

/* Made by cosign 2.6.5 and 3.1.3 with one key pair, of an image in a bulkhead-cir. */
static const char real_key[] = "-----BEGIN PUBLIC KEY-----\n"
			       "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzq9JrlrERU7VyOfD3/KaAH8i3qwD\n"
			       "uQ2OzOlqImjItMzzyWaW/pTkcjdLWACmx5pCkZQygLl04xweJ8FgnPAjgw==\n"
			       "-----END PUBLIC KEY-----\n";
static const char real_payload[] = "{\"critical\":{\"identity\":{\"docker-reference\":\"127.0.0.1:45533/ims/"
				   "bb\"},\"image\":{\"docker-manifest-digest\":"
				   "\"" DIGEST "\"},\"type\":\"cosign container image signature\"},\"optional\":null}";
static const char real_signature[] =
	"MEUCIDuBnyQ+tVn/6JMIRzRgu3YAIyKq9Dn2LrAvK/TRrQRaAiEA0pdL6OMR+w8dlvqB67xehjbJ8819rR0R+"
	"m+C/VEonSA=";
static const char real_bundle[] =
	"{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\", "
	"\"verificationMaterial\":{\"publicKey\":{\"hint\":"
	"\"drnknj1PXmZNNasWHf8l8wzk4L2HcMzYzvx7TgTwSLA=\"}}, \"dsseEnvelope\":{\"payload\":"
	"\"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCAic3ViamVjdCI6W3siZGlnZXN0Ijp7InNoYTI1NiI6IjA1OGNk"
	"YzJi"
	"MDMwZTViMmRkYzRmMWQ5MTUyN2U3NDg3MThmOTA5NWE1M2MxNmIwMTA5OTM2YzZhMDIxNWNkYzMifSwgImFubm90YXRpb25zIjp7fX1dLCAicH"
	"JlZGlj"
	"YXRlVHlwZSI6Imh0dHBzOi8vc2lnc3RvcmUuZGV2L2Nvc2lnbi9zaWduL3YxIiwgInByZWRpY2F0ZSI6e319\", \"payloadType\":"
	"\"application/vnd.in-toto+json\", \"signatures\":[{\"sig\":"
	"\"MEYCIQCMGKSfdsIja07seehvvyKKebVQXKgC/F1FoVEIDliFiQIhALxOcrbA1DYFschaGneJsJJnUZ8Tc+MepABiR6960FmE\"}]}}";

static int verify(const char *pem, const char *bytes, size_t len, const char *beside, struct claim *claim,
		  struct err *err)
{
	CLEANUP(cleanup_crypto_public) struct crypto_public *key = NULL;
	const struct cosign_signature signature = {bytes, len, beside};
	size_t which = 99;
	int r;

	assert_int_equal(crypto_public_parse(pem, strlen(pem), &key, NULL), 0);
	r = cosign_verify(&signature, &key, 1, &which, claim, err);
	if (r == 0)
		assert_int_equal(which, 0);
	return r;
}

static void test_of_cosign_itself(void **state)
{
	char text[DIGEST_TEXT_SIZE];
	struct err err = {0};
	struct claim claim;

	(void)state;
	assert_int_equal(verify(real_key, real_payload, strlen(real_payload), real_signature, &claim, &err), 0);
	digest_format(&claim.digest, text);
	assert_string_equal(text, DIGEST);
	assert_string_equal(claim.identity, "127.0.0.1:45533/ims/bb");
	assert_int_equal(verify(real_key, real_bundle, strlen(real_bundle), NULL, &claim, &err), 0);
	digest_format(&claim.digest, text);
	assert_string_equal(text, DIGEST);
	assert_string_equal(claim.identity, "");
}

static const struct {
	const char *kind, *group;
	unsigned bits;
	const char *md;
} kinds[] = {
	{"EC", "P-256", 0, "SHA256"}, {"EC", "P-384", 0, "SHA256"},  {"EC", "P-384", 0, "SHA384"},
	{"EC", "P-521", 0, "SHA512"}, {"RSA", NULL, 2048, "SHA256"}, {"RSA", NULL, 4096, "SHA256"},
	{"ED25519", NULL, 0, NULL},
};

static EVP_PKEY *make_key(const char *kind, const char *group, unsigned bits)
{
	EVP_PKEY *pkey = group ? EVP_EC_gen(group) : bits ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(NULL, NULL, kind);

	assert_non_null(pkey);
	return pkey;
}

/* Every kind of key, both forms; and another key of the same kind, which it is not by. */
static void test_kinds_of_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		EVP_PKEY *pkey = make_key(kinds[i].kind, kinds[i].group, kinds[i].bits);
		EVP_PKEY *foreign = make_key(kinds[i].kind, kinds[i].group, kinds[i].bits);
		const EVP_MD *md = kinds[i].md ? EVP_get_digestbyname(kinds[i].md) : NULL;
		CLEANUP_BUF struct buf pem = buf_of(8192), other = buf_of(8192), payload = buf_of(4096),
				       signature = buf_of(4096), statement = buf_of(4096), bundle = buf_of(1 << 16);
		struct err err = {0};
		struct claim claim;

		sign_pem(pkey, &pem);
		sign_pem(foreign, &other);
		sign_payload("r.example/a", DIGEST, &payload);
		sign_base64(pkey, md, payload.data, payload.len, &signature);
		assert_int_equal(verify(pem.data, payload.data, payload.len, signature.data, &claim, &err), 0);
		assert_string_equal(claim.identity, "r.example/a");
		assert_int_equal(verify(other.data, payload.data, payload.len, signature.data, &claim, &err),
				 ERR_UNKNOWN_PEER);
		assert_string_equal(err.msg, "the signature is by none of the keys");
		sign_statement("r.example/b", SIGN, DIGEST + 7, &statement);
		sign_envelope(pkey, md, IN_TOTO, &statement, &bundle);
		assert_int_equal(verify(pem.data, bundle.data, bundle.len, NULL, &claim, &err), 0);
		assert_string_equal(claim.identity, "r.example/b");
		assert_int_equal(verify(other.data, bundle.data, bundle.len, NULL, &claim, &err), ERR_UNKNOWN_PEER);
		EVP_PKEY_free(pkey);
		EVP_PKEY_free(foreign);
	}
}

/* A bundle that signs the manifest itself. */
static void test_message_signature(void **state)
{
	static const char manifest[] = "{\"schemaVersion\":2}";
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	CLEANUP_BUF struct buf pem = buf_of(8192), signature = buf_of(4096), digest = buf_of(64), bundle = buf_of(4096);
	uint8_t hash[CRYPTO_SHA256_SIZE];
	struct err err = {0};
	struct claim claim;

	(void)state;
	sign_pem(pkey, &pem);
	sign_base64(pkey, EVP_sha256(), manifest, strlen(manifest), &signature);
	crypto_sha256(manifest, strlen(manifest), hash);
	assert_int_equal(crypto_base64(&digest, hash, sizeof(hash)), 0);
	assert_int_equal(buf_printf(&bundle,
				    "{\"mediaType\":\"" SIGBUNDLE_TYPE "\",\"messageSignature\":{\"messageDigest\":{"
				    "\"algorithm\":\"SHA2_256\",\"digest\":\"%s\"},\"signature\":\"%s\"}}",
				    digest.data, signature.data),
			 0);
	assert_int_equal(verify(pem.data, bundle.data, bundle.len, NULL, &claim, &err), 0);
	assert_memory_equal(claim.digest.bytes, hash, sizeof(hash));
	assert_string_equal(claim.identity, "");
	assert_int_equal(verify(real_key, bundle.data, bundle.len, NULL, &claim, &err), ERR_UNKNOWN_PEER);
	EVP_PKEY_free(pkey);
}

/* What is signed by the right key and says something else than "this image is signed". */
static void test_other_texts_are_none(void **state)
{
	static const struct {
		const char *type, *text, *message;
		int code;
	} cases[] = {
		{IN_TOTO,
		 "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"https://spdx.dev/Document\"}",
		 "predicateType 'https://spdx.dev/Document' is an attestation and no signature", ERR_INVALID},
		{IN_TOTO, "{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"" SIGN "\"}",
		 "_type 'https://in-toto.io/Statement/v0.1' is not a statement of in-toto", ERR_INVALID},
		{IN_TOTO,
		 "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"" SIGN "\",\"subject\":[]}",
		 "the statement has not exactly one subject", ERR_INVALID},
		{IN_TOTO,
		 "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"" SIGN
		 "\",\"subject\":[{\"digest\":{}}]}",
		 "subject[0].digest has not exactly one digest", ERR_INVALID},
		{IN_TOTO,
		 "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"" SIGN
		 "\",\"subject\":[{\"digest\":{\"md5\":\"00\"}}]}",
		 "digest 'md5:00' begins neither with 'sha256:' nor with 'sha512:'", ERR_INVALID},
		{"text/plain", "{}", "payloadType 'text/plain' is not application/vnd.in-toto+json", ERR_INVALID},
		{NULL, "{\"critical\":{\"type\":\"cosign container image signature\",\"image\":{}}}",
		 "critical.image.docker-manifest-digest is missing", ERR_INVALID},
		{NULL,
		 "{\"critical\":{\"type\":\"other\",\"image\":{\"docker-manifest-digest\":\"" DIGEST
		 "\"}},\"optional\":{}}",
		 "critical.type 'other' is not the signature of an image", ERR_INVALID},
		{NULL, "{\"critical\":{\"until\":\"2026\"}}", "critical has an unknown member 'until'", ERR_INVALID},
		{NULL, "{}", "critical is not an object", ERR_INVALID},
		{NULL, "hello", "not JSON: line 1 column 5: '[' or '{' expected near 'hello'", ERR_SYNTAX},
	};
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	CLEANUP_BUF struct buf pem = buf_of(8192);

	(void)state;
	sign_pem(pkey, &pem);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_BUF struct buf text = buf_of(4096), signature = buf_of(4096), bundle = buf_of(1 << 16);
		struct err err = {0};
		struct claim claim;

		assert_int_equal(buf_puts(&text, cases[i].text), 0);
		if (cases[i].type)
			sign_envelope(pkey, EVP_sha256(), cases[i].type, &text, &bundle);
		else
			sign_base64(pkey, EVP_sha256(), text.data, text.len, &signature);
		assert_int_equal(cases[i].type ? verify(pem.data, bundle.data, bundle.len, NULL, &claim, &err)
					       : verify(pem.data, text.data, text.len, signature.data, &claim, &err),
				 cases[i].code);
		assert_string_equal(err.msg, cases[i].message);
	}
	EVP_PKEY_free(pkey);
}

static void test_malformed_bundles(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"{\"mediaType\":\"x\"}", "mediaType 'x' is not " SIGBUNDLE_TYPE},
		{"{\"mediaType\":\"" SIGBUNDLE_TYPE "\"}",
		 "the bundle has not exactly one of dsseEnvelope and messageSignature"},
		{"{\"mediaType\":\"" SIGBUNDLE_TYPE "\",\"dsseEnvelope\":{}}", "dsseEnvelope.payload is missing"},
		{"{\"mediaType\":\"" SIGBUNDLE_TYPE
		 "\",\"dsseEnvelope\":{\"payload\":\"e30=\",\"payloadType\":\"t\",\"signatures\":[]}}",
		 "dsseEnvelope.signatures has not exactly one entry"},
		{"{\"mediaType\":\"" SIGBUNDLE_TYPE
		 "\",\"dsseEnvelope\":{\"payload\":\"e30=\",\"payloadType\":\"t\",\"signatures\":[{\"sig\":\"!\"}]}}",
		 "the signature is not base64 of at most 1024 bytes"},
		{"{\"mediaType\":\"" SIGBUNDLE_TYPE
		 "\",\"messageSignature\":{\"messageDigest\":{\"algorithm\":\"SHA1\"}}}",
		 "messageSignature.messageDigest.algorithm 'SHA1' is not SHA2_256"},
		{"{\"mediaType\":\"" SIGBUNDLE_TYPE "\",\"messageSignature\":{\"messageDigest\":{\"algorithm\":\"SHA2_"
		 "256\",\"digest\":\"AAAA\"},\"signature\":"
		 "\"AAAA\"}}",
		 "the messageDigest is not a SHA-256"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = {0};
		struct claim claim;

		assert_true(verify(real_key, cases[i].text, strlen(cases[i].text), NULL, &claim, &err) < 0);
		assert_string_equal(err.msg, cases[i].message);
	}
}

static void refuse_key(EVP_PKEY *pkey, const char *message)
{
	CLEANUP_BUF struct buf pem = buf_of(8192);
	struct crypto_public *key = NULL;
	struct err err = {0};

	sign_pem(pkey, &pem);
	EVP_PKEY_free(pkey);
	assert_int_equal(crypto_public_parse(pem.data, pem.len, &key, &err), ERR_INVALID);
	assert_string_equal(err.msg, message);
}

static void test_keys_that_are_not_taken(void **state)
{
	struct crypto_public *key = NULL;
	struct err err = {0};
	char two[2 * sizeof(real_key)];

	(void)state;
	refuse_key(EVP_RSA_gen(1024), "the public key is RSA with 1024 bits, not 2048 to 8192");
	refuse_key(EVP_EC_gen("secp256k1"),
		   "the public key is none of ECDSA on P-256, P-384 or P-521, RSA and Ed25519");
	refuse_key(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
		   "the public key is none of ECDSA on P-256, P-384 or P-521, RSA and Ed25519");
	assert_int_equal(crypto_public_parse("", 0, &key, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, "cannot read the public key");
	/* Who gives two keys would believe that both count. */
	(void)snprintf(two, sizeof(two), "%s%s", real_key, real_key);
	assert_int_equal(crypto_public_parse(two, strlen(two), &key, &err), ERR_SYNTAX);
	assert_int_equal(crypto_public_parse(real_key, strlen(real_key), &key, &err), 0);
	assert_string_equal(crypto_public_name(key), "sha256:76b9e49e3d4f5e66");
	crypto_public_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_cosign_itself),  cmocka_unit_test(test_kinds_of_keys),
		cmocka_unit_test(test_message_signature), cmocka_unit_test(test_other_texts_are_none),
		cmocka_unit_test(test_malformed_bundles), cmocka_unit_test(test_keys_that_are_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
