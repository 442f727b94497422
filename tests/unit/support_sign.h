/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of every kind that images are signed with, and signatures by them: fails the test when something cannot be made. */
#ifndef TESTS_SUPPORT_SIGN_H
#define TESTS_SUPPORT_SIGN_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/cosign.h"
#include "oci/sigbundle.h"

static inline void sign_pem(EVP_PKEY *pkey, struct buf *to)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;
	long len;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	len = BIO_get_mem_data(bio, &bytes);
	assert_int_equal(buf_append(to, bytes, (size_t)len), 0);
	BIO_free(bio);
}

/* md NULL for Ed25519. Base64 of the signature. */
static inline void sign_base64(EVP_PKEY *pkey, const EVP_MD *md, const void *bytes, size_t len, struct buf *to)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[CRYPTO_PUBLIC_SIGNATURE_MAX];
	size_t size = sizeof(signature);

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &size, bytes, len), 1);
	EVP_MD_CTX_free(ctx);
	assert_int_equal(crypto_base64(to, signature, size), 0);
}

#define SIGN_PAYLOAD                                                                                               \
	"{\"critical\":{\"identity\":{\"docker-reference\":\"%s\"},\"image\":{\"docker-manifest-digest\":\"%s\"}," \
	"\"type\":\"cosign container image signature\"},\"optional\":null}"

/* The payload of cosign 2 about an image. */
static inline void sign_payload(const char *identity, const char *digest, struct buf *to)
{
	assert_int_equal(buf_printf(to, SIGN_PAYLOAD, identity, digest), 0);
}

/* The statement of cosign 3 about a SHA-256, as it is signed with a -a docker-reference=… */
static inline void sign_statement(const char *identity, const char *predicate, const char *hex, struct buf *to)
{
	assert_int_equal(
		buf_printf(to,
			   "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"digest\":{\"sha256\":"
			   "\"%s\"},\"annotations\":{\"docker-reference\":\"%s\"}}],\"predicateType\":\"%s\","
			   "\"predicate\":{}}",
			   hex, identity, predicate),
		0);
}

/* A bundle with a DSSE envelope around a payload. */
static inline void sign_envelope(EVP_PKEY *pkey, const EVP_MD *md, const char *type, const struct buf *payload,
				 struct buf *to)
{
	CLEANUP_BUF struct buf message = buf_of(1 << 20);
	CLEANUP_BUF struct buf text = buf_of(1 << 20);
	CLEANUP_BUF struct buf signature = buf_of(4096);

	assert_int_equal(sigbundle_encode(type, payload->data, payload->len, &message), 0);
	sign_base64(pkey, md, message.data, message.len, &signature);
	assert_int_equal(crypto_base64(&text, payload->data, payload->len), 0);
	assert_int_equal(
		buf_printf(to,
			   "{\"mediaType\":\"" SIGBUNDLE_TYPE "\",\"verificationMaterial\":{\"publicKey\":{\"hint\":"
			   "\"\"}},\"dsseEnvelope\":{\"payload\":\"%s\",\"payloadType\":\"%s\",\"signatures\":[{"
			   "\"sig\":\"%s\"}]}}",
			   text.data, type, signature.data),
		0);
}

#endif
