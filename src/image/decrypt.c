/* SPDX-License-Identifier: Apache-2.0 */
#include "image/decrypt.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/key.h"

#define PIECE 65536

/* The cipher and the HMAC of one layer, in either direction. */
struct layer_cipher {
	EVP_CIPHER_CTX *ctr;
	EVP_MAC_CTX *hmac;
	struct digest_stream *plain;
};

struct decrypt {
	struct layer_cipher cipher;
	source_fn source;
	void *user;
	uint8_t hmac[32];            /* expected */
	struct digest digest, found; /* of the plain layer: expected, and after the end */
	bool ended;                  /* the source has no more */
	bool broken;                 /* the source failed */
};

struct encrypt {
	struct layer_cipher cipher;
	struct layersecret secret;
};

static void cipher_done(struct layer_cipher *cipher)
{
	EVP_CIPHER_CTX_free(cipher->ctr);
	EVP_MAC_CTX_free(cipher->hmac);
	digest_stream_free(cipher->plain);
}

static EVP_MAC_CTX *hmac_new(const uint8_t key[static 32])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	if (ctx && EVP_MAC_init(ctx, key, 32, params) != 1) {
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

static int cipher_init(struct layer_cipher *cipher, const struct layersecret *secret)
{
	int r = digest_stream_new(secret->digest.algorithm, &cipher->plain);

	if (r < 0)
		return r;
	cipher->ctr = EVP_CIPHER_CTX_new();
	cipher->hmac = hmac_new(secret->key);
	if (!cipher->ctr || !cipher->hmac ||
	    EVP_EncryptInit_ex2(cipher->ctr, EVP_aes_256_ctr(), secret->key, secret->nonce, NULL) != 1) {
		ERR_clear_error();
		return -EIO;
	}
	return 0;
}

/* CTR is its own inverse. */
static int cipher_run(struct layer_cipher *cipher, char *bytes, size_t len)
{
	int out = 0;

	if (EVP_EncryptUpdate(cipher->ctr, (uint8_t *)bytes, &out, (const uint8_t *)bytes, (int)len) == 1 &&
	    (size_t)out == len)
		return 0;
	ERR_clear_error();
	return -EIO;
}

static int cipher_hmac(struct layer_cipher *cipher, const char *bytes, size_t len)
{
	return EVP_MAC_update(cipher->hmac, (const uint8_t *)bytes, len) == 1 ? 0 : -EIO;
}

static int cipher_verdict(struct layer_cipher *cipher, uint8_t hmac[static 32])
{
	size_t len = 0;

	return EVP_MAC_final(cipher->hmac, hmac, &len, 32) == 1 && len == 32 ? 0 : -EIO;
}

/* --- decryption --- */

int decrypt_new(const struct layersecret *secret, source_fn source, void *user, struct decrypt **ret_decrypt)
{
	CLEANUP(cleanup_decrypt) struct decrypt *decrypt = calloc(1, sizeof(*decrypt));
	int r;

	if (!decrypt)
		return -ENOMEM;
	decrypt->source = source;
	decrypt->user = user;
	decrypt->digest = secret->digest;
	memcpy(decrypt->hmac, secret->hmac, sizeof(decrypt->hmac));
	r = cipher_init(&decrypt->cipher, secret);
	if (r == 0)
		*ret_decrypt = take_ptr(decrypt);
	return r;
}

void decrypt_free(struct decrypt *decrypt)
{
	if (!decrypt)
		return;
	cipher_done(&decrypt->cipher);
	free(decrypt);
}

int decrypt_read(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct decrypt *decrypt = user;
	int r = decrypt->source(decrypt->user, to, size < INT_MAX ? size : INT_MAX, ret_len, err);

	decrypt->broken = r < 0;
	if (r < 0)
		return r;
	decrypt->ended = *ret_len == 0;
	r = cipher_hmac(&decrypt->cipher, to, *ret_len);
	if (r == 0)
		r = cipher_run(&decrypt->cipher, to, *ret_len);
	if (r == 0)
		r = digest_stream_update(decrypt->cipher.plain, to, *ret_len);
	return r < 0 ? err_sys(err, r, "cannot decrypt") : 0;
}

int decrypt_finish(struct decrypt *decrypt, struct err *err)
{
	CLEANUP_FREE char *rest = decrypt->ended ? NULL : malloc(PIECE);
	uint8_t hmac[32];
	size_t len;
	int r = 0;

	if (!decrypt->ended && !rest)
		return err_sys(err, -ENOMEM, "cannot decrypt");
	while (r == 0 && !decrypt->ended && !decrypt->broken)
		r = decrypt_read(decrypt, rest, PIECE, &len, err);
	if (r < 0 || decrypt->broken)
		return r < 0 ? r : -EIO;
	if (cipher_verdict(&decrypt->cipher, hmac) < 0)
		return err_sys(err, -EIO, "cannot decrypt");
	if (!crypto_equal(hmac, decrypt->hmac, sizeof(hmac)))
		return err_set(err, ERR_CORRUPT, "its HMAC is not the one of its public options");
	r = digest_stream_finish(decrypt->cipher.plain, &decrypt->found);
	return r < 0 ? err_sys(err, r, "cannot decrypt") : 0;
}

int decrypt_check(struct decrypt *decrypt, const struct digest *content, struct err *err)
{
	char expected[DIGEST_TEXT_SIZE], found[DIGEST_TEXT_SIZE];

	if (digest_equal(&decrypt->digest, &decrypt->found) || (content && digest_equal(&decrypt->digest, content)))
		return 0;
	digest_format(&decrypt->digest, expected);
	digest_format(&decrypt->found, found);
	return err_set(err, ERR_CORRUPT, "decrypted: digest is %s, not %s", found, expected);
}

void decrypt_digest(const struct decrypt *decrypt, struct digest *ret_digest)
{
	*ret_digest = decrypt->found;
}

/* --- encryption --- */

int encrypt_new(struct encrypt **ret_encrypt)
{
	CLEANUP(cleanup_encrypt) struct encrypt *encrypt = calloc(1, sizeof(*encrypt));
	int r;

	if (!encrypt)
		return -ENOMEM;
	crypto_random(encrypt->secret.key, sizeof(encrypt->secret.key));
	crypto_random(encrypt->secret.nonce, sizeof(encrypt->secret.nonce));
	encrypt->secret.digest.algorithm = DIGEST_SHA256;
	r = cipher_init(&encrypt->cipher, &encrypt->secret);
	if (r == 0)
		*ret_encrypt = take_ptr(encrypt);
	return r;
}

void encrypt_free(struct encrypt *encrypt)
{
	if (!encrypt)
		return;
	cipher_done(&encrypt->cipher);
	explicit_bzero(encrypt, sizeof(*encrypt));
	free(encrypt);
}

int encrypt_update(struct encrypt *encrypt, char *bytes, size_t len)
{
	int r = len > INT_MAX ? -EFBIG : digest_stream_update(encrypt->cipher.plain, bytes, len);

	if (r == 0)
		r = cipher_run(&encrypt->cipher, bytes, len);
	return r < 0 ? r : cipher_hmac(&encrypt->cipher, bytes, len);
}

int encrypt_finish(struct encrypt *encrypt, struct layersecret *ret_secret)
{
	int r = digest_stream_finish(encrypt->cipher.plain, &encrypt->secret.digest);

	if (r == 0)
		r = cipher_verdict(&encrypt->cipher, encrypt->secret.hmac);
	if (r == 0)
		*ret_secret = encrypt->secret;
	return r;
}
