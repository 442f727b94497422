/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "crypto/key_internal.h"

static EVP_MD *sha256;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256)
		abort();
}

const EVP_MD *crypto_md_sha256(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, fetch_sha256);
	return sha256;
}

int crypto_openssl_error(struct err *err, int code, const char *text)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(err, code, "%s: %s", text, reason ? reason : "no reason given");
}

bool crypto_pkey_is_p256(const EVP_PKEY *pkey)
{
	char group[64];

	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name((EVP_PKEY *)pkey, group, sizeof(group), NULL) == 1 &&
	       strcmp(group, "prime256v1") == 0;
}

static int key_new(EVP_PKEY *pkey, struct crypto_key **ret_key, struct err *err)
{
	struct crypto_key *key = malloc(sizeof(*key));

	if (!key) {
		EVP_PKEY_free(pkey);
		return err_set(err, -ENOMEM, "no memory for a key");
	}
	key->pkey = pkey;
	*ret_key = key;
	return 0;
}

int crypto_key_generate(struct crypto_key **ret_key, struct err *err)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");

	if (!pkey)
		return crypto_openssl_error(err, -EIO, "cannot generate a key");
	return key_new(pkey, ret_key, err);
}

int crypto_no_passphrase(char *to, int size, int writing, void *user)
{
	(void)to, (void)size, (void)writing, (void)user;
	return -1;
}

int crypto_key_parse(const char *pem, struct crypto_key **ret_key, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *pkey;

	if (!bio)
		return err_set(err, -ENOMEM, "no memory for a key");
	pkey = PEM_read_bio_PrivateKey(bio, NULL, crypto_no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (!pkey)
		return err_set(err, ERR_SYNTAX, "cannot read the private key");
	if (!crypto_pkey_is_p256(pkey)) {
		EVP_PKEY_free(pkey);
		return err_set(err, ERR_INVALID, "the private key is not an ECDSA key on P-256");
	}
	return key_new(pkey, ret_key, err);
}

int crypto_key_format(const struct crypto_key *key, struct buf *pem, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *bytes;
	long len;
	int r;

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
		BIO_free(bio);
		return crypto_openssl_error(err, -EIO, "cannot format the private key");
	}
	len = BIO_get_mem_data(bio, &bytes);
	r = buf_append(pem, bytes, (size_t)len);
	BIO_free(bio);
	return r < 0 ? err_sys(err, r, "cannot format the private key") : 0;
}

void crypto_key_free(struct crypto_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

int crypto_sign(const struct crypto_key *key, const void *bytes, size_t len,
		uint8_t signature[static CRYPTO_SIGNATURE_MAX], size_t *ret_len, struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t size = CRYPTO_SIGNATURE_MAX;
	bool ok;

	ok = ctx && EVP_DigestSignInit(ctx, NULL, crypto_md_sha256(), NULL, key->pkey) == 1 &&
	     EVP_DigestSign(ctx, signature, &size, bytes, len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return crypto_openssl_error(err, -EIO, "cannot sign");
	*ret_len = size;
	return 0;
}

void crypto_sha256(const void *bytes, size_t len, uint8_t digest[static CRYPTO_SHA256_SIZE])
{
	if (EVP_Digest(bytes, len, digest, NULL, crypto_md_sha256(), NULL) != 1)
		abort();
}

void crypto_random(void *bytes, size_t len)
{
	char *at = bytes;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

int crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
