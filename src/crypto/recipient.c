/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/recipient.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/key_internal.h"
#include "crypto/unwrap_internal.h"

CLEANUP_DEFINE(pkey, EVP_PKEY *, EVP_PKEY_free)
CLEANUP_DEFINE(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

struct recipient {
	EVP_PKEY *pkey;
	enum unwrap_kind kind;
	size_t size;
};

/* Takes pkey over, also on failure. */
static int recipient_new(EVP_PKEY *pkey, struct recipient **ret_recipient, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *owned = pkey;
	struct recipient *recipient;
	enum unwrap_kind kind;
	size_t size;
	int r = unwrap_kind_of(pkey, &kind, &size, err);

	if (r < 0)
		return r;
	recipient = malloc(sizeof(*recipient));
	if (!recipient)
		return err_set(err, -ENOMEM, "no memory for a key");
	*recipient = (struct recipient){.pkey = take_ptr(owned), .kind = kind, .size = size};
	*ret_recipient = recipient;
	return 0;
}

/* A public key, otherwise the key of a certificate. */
static EVP_PKEY *read_public(BIO *bio)
{
	EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	X509 *certificate;

	if (pkey || BIO_reset(bio) != 1)
		return pkey;
	certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	pkey = certificate ? X509_get_pubkey(certificate) : NULL;
	X509_free(certificate);
	return pkey;
}

int recipient_parse(const char *pem, size_t len, struct recipient **ret_recipient, struct err *err)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = bio ? read_public(bio) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (!pkey)
		return err_set(err, ERR_SYNTAX,
			       "cannot read the public key: it is neither a key nor a certificate in PEM");
	return recipient_new(pkey, ret_recipient, err);
}

int recipient_of_point(enum unwrap_kind kind, const uint8_t *point, size_t len, struct recipient **ret_recipient,
		       struct err *err)
{
	EVP_PKEY *pkey;
	int r = unwrap_point_parse(kind, point, len, &pkey, err);

	return r < 0 ? r : recipient_new(pkey, ret_recipient, err);
}

void recipient_free(struct recipient *recipient)
{
	if (!recipient)
		return;
	EVP_PKEY_free(recipient->pkey);
	free(recipient);
}

enum unwrap_kind recipient_kind(const struct recipient *recipient)
{
	return recipient->kind;
}

int recipient_oaep(const struct recipient *recipient, bool sha256, const uint8_t *bytes, size_t len,
		   uint8_t block[static UNWRAP_RSA_MAX], size_t *ret_len, struct err *err)
{
	CLEANUP(cleanup_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(recipient->pkey, NULL);
	const char *hash = sha256 ? "SHA256" : "SHA1";
	size_t block_len = UNWRAP_RSA_MAX;

	if (recipient->kind != UNWRAP_RSA || !ctx || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, hash, NULL) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, hash, NULL) != 1 ||
	    EVP_PKEY_encrypt(ctx, block, &block_len, bytes, len) != 1)
		return crypto_openssl_error(err, -EIO, "cannot wrap for an RSA key");
	*ret_len = block_len;
	return 0;
}

int recipient_agree(const struct recipient *recipient, uint8_t point[static UNWRAP_POINT_MAX],
		    uint8_t secret[static UNWRAP_SECRET_MAX], size_t *ret_secret_len, struct err *err)
{
	const char *curve = unwrap_curve_name(recipient->kind);
	CLEANUP(cleanup_pkey) EVP_PKEY *own = curve ? EVP_EC_gen(curve) : NULL;
	size_t len = 0;

	if (!own || EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_PUB_KEY, point, UNWRAP_POINT_MAX, &len) != 1)
		return crypto_openssl_error(err, -EIO, "cannot make a key for one use");
	return unwrap_derive(own, recipient->pkey, secret, ret_secret_len, err);
}
