/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/unwrap.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key_internal.h"
#include "crypto/unwrap_internal.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096

CLEANUP_DEFINE(pkey, EVP_PKEY *, EVP_PKEY_free)
CLEANUP_DEFINE(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

struct memory_key {
	struct unwrap_key key;
	EVP_PKEY *pkey;
};

static const struct {
	const char *name;    /* of JWK */
	const char *openssl; /* EVP_PKEY_get_group_name */
	size_t size;
} curves[] = {
	[UNWRAP_RSA] = {NULL, "", 0},
	[UNWRAP_P256] = {"P-256", "prime256v1", 32},
	[UNWRAP_P384] = {"P-384", "secp384r1", 48},
	[UNWRAP_P521] = {"P-521", "secp521r1", 66},
};

const char *unwrap_curve_name(enum unwrap_kind kind)
{
	return curves[kind].name;
}

size_t unwrap_curve_size(enum unwrap_kind kind)
{
	return curves[kind].size;
}

enum unwrap_kind unwrap_key_kind(const struct unwrap_key *key)
{
	return key->kind;
}

size_t unwrap_key_size(const struct unwrap_key *key)
{
	return key->size;
}

int unwrap_kind_of(const EVP_PKEY *pkey, enum unwrap_kind *ret_kind, size_t *ret_size, struct err *err)
{
	char group[64] = "";
	int bits = EVP_PKEY_get_bits(pkey);

	if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA) {
		if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
			return err_set(err, ERR_INVALID, "an RSA key has %d bits, not %d to %d", bits, RSA_BITS_MIN,
				       RSA_BITS_MAX);
		*ret_kind = UNWRAP_RSA;
		*ret_size = ((size_t)bits + 7) / 8;
		return 0;
	}
	if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name((EVP_PKEY *)pkey, group, sizeof(group), NULL) == 1) {
		for (enum unwrap_kind kind = UNWRAP_P256; kind <= UNWRAP_P521; kind++)
			if (str_eq(group, curves[kind].openssl)) {
				*ret_kind = kind;
				*ret_size = curves[kind].size;
				return 0;
			}
	}
	ERR_clear_error();
	return err_set(err, ERR_INVALID, "a key is neither RSA nor on P-256, P-384 or P-521");
}

/* --- keys of memory --- */

static EVP_PKEY *pkey_of(const struct unwrap_key *key)
{
	return ((const struct memory_key *)key)->pkey;
}

static void free_memory(struct unwrap_key *key)
{
	EVP_PKEY_free(pkey_of(key));
	free(key);
}

static int oaep_in_memory(const struct unwrap_key *key, bool sha256, const uint8_t *block, size_t len, uint8_t *to,
			  size_t size, size_t *ret_len, struct err *err)
{
	CLEANUP(cleanup_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey_of(key), NULL);
	const char *hash = sha256 ? "SHA256" : "SHA1";
	uint8_t plain[UNWRAP_RSA_MAX];
	size_t plain_len = sizeof(plain);
	bool ok = ctx && EVP_PKEY_decrypt_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
		  EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, hash, NULL) == 1 &&
		  EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, hash, NULL) == 1 &&
		  EVP_PKEY_decrypt(ctx, plain, &plain_len, block, len) == 1 && plain_len <= size;

	if (ok) {
		memcpy(to, plain, plain_len);
		*ret_len = plain_len;
	}
	OPENSSL_cleanse(plain, sizeof(plain));
	ERR_clear_error();
	return ok ? 0 : err_set(err, ERR_DENIED, "it was wrapped for another RSA key");
}

int unwrap_point_parse(enum unwrap_kind kind, const uint8_t *point, size_t len, EVP_PKEY **ret_pkey, struct err *err)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)curves[kind].openssl,
						 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point, len),
		OSSL_PARAM_construct_end(),
	};
	CLEANUP(cleanup_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;

	if (len != 1 + 2 * curves[kind].size || point[0] != 4 || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_INVALID, "a public key is no point on %s", curves[kind].name);
	}
	*ret_pkey = pkey;
	return 0;
}

int unwrap_derive(EVP_PKEY *own, EVP_PKEY *peer, uint8_t secret[static UNWRAP_SECRET_MAX], size_t *ret_len,
		  struct err *err)
{
	CLEANUP(cleanup_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	size_t len = UNWRAP_SECRET_MAX;

	if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
	    EVP_PKEY_derive(ctx, secret, &len) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_INVALID, "two keys do not agree on a secret");
	}
	*ret_len = len;
	return 0;
}

static int agree_in_memory(const struct unwrap_key *key, const uint8_t *point, size_t len, uint8_t *secret,
			   size_t *ret_len, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *peer = NULL;
	int r = unwrap_point_parse(key->kind, point, len, &peer, err);

	return r < 0 ? r : unwrap_derive(pkey_of(key), peer, secret, ret_len, err);
}

static const struct unwrap_operations in_memory = {oaep_in_memory, agree_in_memory, free_memory};

/* Takes pkey over, also on failure. */
static int key_new(EVP_PKEY *pkey, struct unwrap_key **ret_key, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *owned = pkey;
	enum unwrap_kind kind;
	size_t size;
	struct memory_key *key;
	int r = unwrap_kind_of(pkey, &kind, &size, err);

	if (r < 0)
		return r;
	key = malloc(sizeof(*key));
	if (!key)
		return err_set(err, -ENOMEM, "no memory for a key");
	*key = (struct memory_key){.key = {&in_memory, kind, size}, .pkey = take_ptr(owned)};
	*ret_key = &key->key;
	return 0;
}

/* An encrypted key has no passphrase here; without this OpenSSL would ask the terminal. */
static int no_passphrase(char *to, int size, int writing, void *user)
{
	(void)to, (void)size, (void)writing, (void)user;
	return -1;
}

int unwrap_key_parse(const char *pem, size_t len, struct unwrap_key **ret_key, struct err *err)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (!pkey)
		return err_set(err, ERR_SYNTAX, "cannot read the private key: it is no PEM without a passphrase");
	return key_new(pkey, ret_key, err);
}

int unwrap_key_generate(struct unwrap_key **ret_key, struct err *err)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");

	if (!pkey)
		return crypto_openssl_error(err, -EIO, "cannot generate a key");
	return key_new(pkey, ret_key, err);
}

void unwrap_key_free(struct unwrap_key *key)
{
	if (key)
		key->operations->free(key);
}

int unwrap_key_point(const struct unwrap_key *key, uint8_t point[static UNWRAP_POINT_MAX], struct err *err)
{
	size_t len = 0;

	if (key->operations != &in_memory || key->kind == UNWRAP_RSA ||
	    EVP_PKEY_get_octet_string_param(pkey_of(key), OSSL_PKEY_PARAM_PUB_KEY, point, UNWRAP_POINT_MAX, &len) !=
		    1 ||
	    len != 1 + 2 * key->size)
		return crypto_openssl_error(err, -EIO, "cannot read a public key");
	return 0;
}

/* --- of either kind --- */

int unwrap_oaep(const struct unwrap_key *key, bool sha256, const uint8_t *block, size_t len, uint8_t *to, size_t size,
		size_t *ret_len, struct err *err)
{
	if (key->kind != UNWRAP_RSA || len != key->size)
		return err_set(err, ERR_DENIED, "it was wrapped for another RSA key");
	return key->operations->oaep(key, sha256, block, len, to, size, ret_len, err);
}

int unwrap_agree(const struct unwrap_key *key, const uint8_t *point, size_t len,
		 uint8_t secret[static UNWRAP_SECRET_MAX], size_t *ret_len, struct err *err)
{
	if (key->kind == UNWRAP_RSA)
		return err_set(err, ERR_INVALID, "an RSA key agrees on no secret");
	return key->operations->agree(key, point, len, secret, ret_len, err);
}
