/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "crypto/jwe.h"
#include "crypto/jwe_internal.h"
#include "crypto/key.h"
#include "crypto/key_internal.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

static json_t *base64url(const void *bytes, size_t len)
{
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);

	return crypto_base64url(&text, bytes, len) < 0 ? NULL : json_stringn(text.data ? text.data : "", text.len);
}

static json_t *epk_of(enum unwrap_kind kind, const uint8_t *point)
{
	size_t size = unwrap_curve_size(kind);

	return json_pack("{s:s, s:s, s:o, s:o}", "kty", "EC", "crv", unwrap_curve_name(kind), "x",
			 base64url(point + 1, size), "y", base64url(point + 1 + size, size));
}

/* Wraps the content key for one recipient: its header and the wrapped key. */
static int wrap_for(const struct jwe_recipient *recipient, const uint8_t cek[static JWE_CEK_SIZE], json_t **ret_header,
		    json_t **ret_key, struct err *err)
{
	const struct jwe_algorithm_row *row = jwe_algorithm_row(recipient->algorithm);
	uint8_t wrapped[UNWRAP_RSA_MAX], point[UNWRAP_POINT_MAX], secret[UNWRAP_SECRET_MAX], key[32];
	const struct jwe_party nobody = {.len = 0};
	size_t len = JWE_CEK_SIZE + 8, secret_len = 0;
	int r;

	if (row->ecdh == (recipient_kind(recipient->key) == UNWRAP_RSA))
		return err_set(err, ERR_INVALID, "algorithm '%s' is not for a key of this kind", row->name);
	if (!row->ecdh) {
		r = recipient_oaep(recipient->key, row->sha256, cek, JWE_CEK_SIZE, wrapped, &len, err);
	} else {
		r = recipient_agree(recipient->key, point, secret, &secret_len, err);
		if (r == 0 && (jwe_derive(row, secret, secret_len, &nobody, &nobody, key) < 0 ||
			       jwe_wrap(key, row->wrap_bytes, cek, wrapped) < 0))
			r = err_set(err, -EIO, "cannot wrap a content key");
		OPENSSL_cleanse(secret, sizeof(secret));
		OPENSSL_cleanse(key, sizeof(key));
	}
	if (r < 0)
		return r;
	*ret_header = row->ecdh ? json_pack("{s:s, s:o}", "alg", row->name, "epk",
					    epk_of(recipient_kind(recipient->key), point))
				: json_pack("{s:s}", "alg", row->name);
	*ret_key = base64url(wrapped, len);
	return *ret_header && *ret_key ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int encrypt(const uint8_t cek[static JWE_CEK_SIZE], const char *protected, const void *plain, size_t len,
		   json_t *root, struct err *err)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	CLEANUP_FREE uint8_t *cipher = malloc(len + 16);
	uint8_t iv[JWE_IV_SIZE], tag[JWE_TAG_SIZE];
	int n = 0, rest = 0;
	bool ok;

	crypto_random(iv, sizeof(iv));
	ok = ctx && cipher && EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), cek, iv, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)protected, (int)strlen(protected)) == 1 &&
	     EVP_EncryptUpdate(ctx, cipher, &n, plain, (int)len) == 1 &&
	     EVP_EncryptFinal_ex(ctx, cipher + n, &rest) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, JWE_TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return crypto_openssl_error(err, -EIO, "cannot encrypt");
	return json_object_set_new(root, "iv", base64url(iv, sizeof(iv))) < 0 ||
			       json_object_set_new(root, "ciphertext", base64url(cipher, len)) < 0 ||
			       json_object_set_new(root, "tag", base64url(tag, sizeof(tag))) < 0
		       ? err_set(err, -ENOMEM, "out of memory")
		       : 0;
}

/* One recipient's parameters are protected; those of several cannot be, for the protected text is common to all. */
static int put_recipients(const struct jwe_recipient *recipients, size_t count, const uint8_t cek[static JWE_CEK_SIZE],
			  json_t *root, struct err *err)
{
	CLEANUP(cleanup_json) json_t *protected = NULL, *list = json_array();
	CLEANUP_FREE char *text = NULL;

	for (size_t i = 0; i < count; i++) {
		json_t *header = NULL, *key = NULL;
		int r = wrap_for(&recipients[i], cek, &header, &key, err);

		if (r == 0 && count == 1) {
			protected = json_incref(header);
			r = json_object_set(root, "encrypted_key", key);
		} else if (r == 0) {
			r = json_array_append_new(list,
						  json_pack("{s:O, s:O}", "header", header, "encrypted_key", key));
		}
		json_decref(header);
		json_decref(key);
		if (r < 0)
			return r == -1 ? err_set(err, -ENOMEM, "out of memory") : r;
	}
	if (!protected)
	protected = json_object();
	if (json_object_set_new(protected, "enc", json_string("A256GCM")) < 0 ||
	    !(text = json_dumps(protected, JSON_COMPACT)) ||
	    json_object_set_new(root, "protected", base64url(text, strlen(text))) < 0 ||
	    (count > 1 && json_object_set(root, "recipients", list) < 0))
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

int jwe_seal(const struct jwe_recipient *recipients, size_t count, const void *plain, size_t len, struct buf *to,
	     struct err *err)
{
	CLEANUP(cleanup_json) json_t *root = json_object();
	CLEANUP_FREE char *text = NULL;
	uint8_t cek[JWE_CEK_SIZE];
	int r;

	if (!count || count > JWE_RECIPIENTS_MAX)
		return err_set(err, ERR_INVALID, "a JWE is for 1 to %d recipients, not %zu", JWE_RECIPIENTS_MAX, count);
	if (len > JWE_PLAIN_MAX)
		return err_set(err, ERR_TOO_LARGE, "a JWE holds at most %zu bytes, not %zu", JWE_PLAIN_MAX, len);
	crypto_random(cek, sizeof(cek));
	r = put_recipients(recipients, count, cek, root, err);
	if (r == 0)
		r = encrypt(cek, json_string_value(json_object_get(root, "protected")), plain, len, root, err);
	OPENSSL_cleanse(cek, sizeof(cek));
	if (r < 0)
		return r;
	text = json_dumps(root, JSON_COMPACT);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	r = buf_puts(to, text);
	return r < 0 ? err_sys(err, r, "cannot seal %zu bytes", len) : 0;
}
