/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/public.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key_internal.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct crypto_public {
	EVP_PKEY *pkey;
	const EVP_MD *second; /* beside SHA-256; NULL: none */
	bool hashes;          /* false: Ed25519, which takes the bytes as they are */
	char name[CRYPTO_PUBLIC_NAME_SIZE];
};

/* Which hashes the key is used with; ERR_INVALID for a kind of key that is not taken. */
static int classify(struct crypto_public *key, struct err *err)
{
	int kind = EVP_PKEY_get_base_id(key->pkey), bits = EVP_PKEY_get_bits(key->pkey);
	char group[64] = "";

	key->hashes = kind != EVP_PKEY_ED25519;
	if (kind == EVP_PKEY_ED25519 || (kind == EVP_PKEY_RSA && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX))
		return 0;
	if (kind == EVP_PKEY_RSA)
		return err_set(err, ERR_INVALID, "the public key is RSA with %d bits, not %d to %d", bits, RSA_BITS_MIN,
			       RSA_BITS_MAX);
	if (kind == EVP_PKEY_EC)
		(void)EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), NULL);
	if (str_eq(group, "prime256v1"))
		return 0;
	key->second = str_eq(group, "secp384r1") ? EVP_sha384() : str_eq(group, "secp521r1") ? EVP_sha512() : NULL;
	return key->second ? 0
			   : err_set(err, ERR_INVALID,
				     "the public key is none of ECDSA on P-256, P-384 or P-521, RSA and Ed25519");
}

static int name_key(struct crypto_public *key)
{
	uint8_t digest[CRYPTO_SHA256_SIZE];
	unsigned char *der = NULL;
	char hex[17];
	int len = i2d_PUBKEY(key->pkey, &der);

	if (len <= 0)
		return -ENOMEM;
	crypto_sha256(der, (size_t)len, digest);
	OPENSSL_free(der);
	str_hex(hex, digest, (sizeof(hex) - 1) / 2);
	(void)snprintf(key->name, sizeof(key->name), "sha256:%s", hex);
	return 0;
}

/* Nothing but blanks may follow: who reads a file with two keys would believe that both count. */
static bool is_at_end(BIO *bio)
{
	char byte;

	while (BIO_read(bio, &byte, 1) == 1)
		if (!strchr(" \t\r\n", byte) || !byte)
			return false;
	return true;
}

static EVP_PKEY *read_pem(const char *pem, size_t len)
{
	BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, crypto_no_passphrase, NULL) : NULL;

	if (pkey && !is_at_end(bio)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	BIO_free(bio);
	ERR_clear_error();
	return pkey;
}

int crypto_public_parse(const char *pem, size_t len, struct crypto_public **ret_key, struct err *err)
{
	CLEANUP(cleanup_crypto_public) struct crypto_public *key = calloc(1, sizeof(*key));
	int r;

	if (!key)
		return err_set(err, -ENOMEM, "no memory for a key");
	key->pkey = read_pem(pem, len);
	if (!key->pkey)
		return err_set(err, ERR_SYNTAX, "cannot read the public key");
	r = classify(key, err);
	if (r == 0 && name_key(key) < 0)
		r = err_set(err, -ENOMEM, "no memory for a key");
	if (r < 0)
		return r;
	*ret_key = take_ptr(key);
	return 0;
}

void crypto_public_free(struct crypto_public *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

const char *crypto_public_name(const struct crypto_public *key)
{
	return key->name;
}

static bool verifies(const struct crypto_public *key, const EVP_MD *md, const void *bytes, size_t len,
		     const uint8_t *signature, size_t signature_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
		  EVP_DigestVerify(ctx, signature, signature_len, bytes, len) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static int refused(const struct crypto_public *key, struct err *err)
{
	return err_set(err, ERR_UNKNOWN_PEER, "the signature is not by key '%s' over these bytes", key->name);
}

int crypto_public_verify(const struct crypto_public *key, const void *bytes, size_t len, const uint8_t *signature,
			 size_t signature_len, struct err *err)
{
	const EVP_MD *md = key->hashes ? crypto_md_sha256() : NULL;

	if (verifies(key, md, bytes, len, signature, signature_len) ||
	    (key->second && verifies(key, key->second, bytes, len, signature, signature_len)))
		return 0;
	return refused(key, err);
}

int crypto_public_verify_digest(const struct crypto_public *key, const uint8_t digest[static CRYPTO_SHA256_SIZE],
				const uint8_t *signature, size_t signature_len, struct err *err)
{
	EVP_PKEY_CTX *ctx = key->hashes ? EVP_PKEY_CTX_new(key->pkey, NULL) : NULL;
	bool ok = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_signature_md(ctx, crypto_md_sha256()) == 1 &&
		  EVP_PKEY_verify(ctx, signature, signature_len, digest, CRYPTO_SHA256_SIZE) == 1;

	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0 : refused(key, err);
}
