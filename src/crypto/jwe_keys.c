/* SPDX-License-Identifier: Apache-2.0 */
/* The key management algorithms of JWE: names, derivation, AES key wrap. */
#include "crypto/jwe_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key_internal.h"

static const struct jwe_algorithm_row rows[] = {
	[JWE_RSA_OAEP] = {"RSA-OAEP", false, false, 0},
	[JWE_RSA_OAEP_256] = {"RSA-OAEP-256", false, true, 0},
	[JWE_ECDH_A128KW] = {"ECDH-ES+A128KW", true, false, 16},
	[JWE_ECDH_A192KW] = {"ECDH-ES+A192KW", true, false, 24},
	[JWE_ECDH_A256KW] = {"ECDH-ES+A256KW", true, false, 32},
};

const struct jwe_algorithm_row *jwe_algorithm_row(enum jwe_algorithm algorithm)
{
	return &rows[algorithm];
}

int jwe_algorithm_find(const char *name, enum jwe_algorithm *ret_algorithm)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].name, name)) {
			*ret_algorithm = (enum jwe_algorithm)i;
			return 0;
		}
	return -EINVAL;
}

enum jwe_algorithm jwe_algorithm_of(const struct recipient *key)
{
	return recipient_kind(key) == UNWRAP_RSA ? JWE_RSA_OAEP : JWE_ECDH_A256KW;
}

static bool feed_number(EVP_MD_CTX *ctx, size_t number)
{
	const uint8_t bytes[] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
				 (uint8_t)number};

	return EVP_DigestUpdate(ctx, bytes, sizeof(bytes)) == 1;
}

static bool feed(EVP_MD_CTX *ctx, const void *bytes, size_t len)
{
	return feed_number(ctx, len) && EVP_DigestUpdate(ctx, bytes, len) == 1;
}

int jwe_derive(const struct jwe_algorithm_row *row, const uint8_t *secret, size_t secret_len,
	       const struct jwe_party *apu, const struct jwe_party *apv, uint8_t key[static 32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, crypto_md_sha256(), NULL) == 1 && feed_number(ctx, 1) &&
		  EVP_DigestUpdate(ctx, secret, secret_len) == 1 && feed(ctx, row->name, strlen(row->name)) &&
		  feed(ctx, apu->bytes, apu->len) && feed(ctx, apv->bytes, apv->len) &&
		  feed_number(ctx, row->wrap_bytes * 8) && EVP_DigestFinal_ex(ctx, key, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

static const EVP_CIPHER *wrap_cipher(size_t key_len)
{
	return key_len == 16 ? EVP_aes_128_wrap() : key_len == 24 ? EVP_aes_192_wrap() : EVP_aes_256_wrap();
}

static int run_wrap(const uint8_t *key, size_t key_len, const uint8_t *from, size_t from_len, uint8_t *to,
		    size_t to_len, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t out[JWE_CEK_SIZE + 16];
	int len = 0, rest = 0;
	bool ok;

	if (ctx)
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	ok = ctx && EVP_CipherInit_ex2(ctx, wrap_cipher(key_len), key, NULL, encrypt, NULL) == 1 &&
	     EVP_CipherUpdate(ctx, out, &len, from, (int)from_len) == 1 &&
	     EVP_CipherFinal_ex(ctx, out + len, &rest) == 1 && (size_t)(len + rest) == to_len;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		memcpy(to, out, to_len);
	OPENSSL_cleanse(out, sizeof(out));
	ERR_clear_error();
	return ok ? 0 : encrypt ? -EIO : -EINVAL;
}

int jwe_wrap(const uint8_t *key, size_t key_len, const uint8_t cek[static JWE_CEK_SIZE],
	     uint8_t to[static JWE_CEK_SIZE + 8])
{
	return run_wrap(key, key_len, cek, JWE_CEK_SIZE, to, JWE_CEK_SIZE + 8, 1);
}

int jwe_unwrap(const uint8_t *key, size_t key_len, const uint8_t from[static JWE_CEK_SIZE + 8],
	       uint8_t cek[static JWE_CEK_SIZE])
{
	return run_wrap(key, key_len, from, JWE_CEK_SIZE + 8, cek, JWE_CEK_SIZE, 0);
}
