/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/jwe.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"
#include "crypto/jwe_internal.h"
#include "crypto/key.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

/* One recipient that can be tried. */
struct wrapped {
	enum jwe_algorithm algorithm;
	enum unwrap_kind curve; /* of ECDH */
	uint8_t point[UNWRAP_POINT_MAX];
	struct jwe_party apu, apv;
	uint8_t key[UNWRAP_RSA_MAX]; /* the content key, wrapped */
	size_t key_len;
};

struct jwe {
	struct wrapped recipients[JWE_RECIPIENTS_MAX];
	size_t count;
	struct buf protected; /* base64url text: what is authenticated */
	uint8_t iv[JWE_IV_SIZE], tag[JWE_TAG_SIZE];
	struct buf ciphertext;
};

/* Decodes a member of at most max bytes; absent: none, unless least is not 0. */
static int read_bytes(const json_t *object, const char *name, size_t least, size_t max, uint8_t *to, size_t *ret_len,
		      struct err *err)
{
	const json_t *value = json_object_get(object, name);
	CLEANUP_BUF struct buf bytes = buf_of(max);

	*ret_len = 0;
	if (!value && !least)
		return 0;
	if (!json_is_string(value))
		return err_set(err, ERR_INVALID, "member '%s' is not a string", name);
	if (crypto_unbase64url(&bytes, json_string_value(value), json_string_length(value)) < 0 || bytes.len < least)
		return err_set(err, ERR_INVALID, "member '%s' is not base64url of %zu to %zu bytes", name, least, max);
	if (bytes.len)
		memcpy(to, bytes.data, bytes.len);
	*ret_len = bytes.len;
	return 0;
}

/* A parameter of either header; in both it is refused (RFC 7516, section 4). */
static int parameter(const json_t *protected, const json_t *header, const char *name, const json_t **ret_value,
		     struct err *err)
{
	const json_t *one = json_object_get(protected, name), *other = json_object_get(header, name);

	if (one && other)
		return err_set(err, ERR_INVALID, "header parameter '%s' is there twice", name);
	*ret_value = one ? one : other;
	return 0;
}

static int read_epk(const json_t *epk, struct wrapped *to, struct err *err)
{
	const char *type = json_string_value(json_object_get(epk, "kty"));
	const char *curve = json_string_value(json_object_get(epk, "crv"));
	size_t len;
	int r;

	if (!type || !str_eq(type, "EC") || !curve)
		return err_set(err, ERR_INVALID, "header parameter 'epk' is no EC key");
	to->curve = UNWRAP_RSA;
	for (enum unwrap_kind kind = UNWRAP_P256; kind <= UNWRAP_P521; kind++)
		if (str_eq(curve, unwrap_curve_name(kind)))
			to->curve = kind;
	if (to->curve == UNWRAP_RSA)
		return err_set(err, ERR_INVALID, "header parameter 'epk' has curve '%.32s'", curve);
	to->point[0] = 4;
	len = unwrap_curve_size(to->curve);
	r = read_bytes(epk, "x", len, len, to->point + 1, &len, err);
	if (r == 0)
		r = read_bytes(epk, "y", len, len, to->point + 1 + len, &len, err);
	return r;
}

/* apu and apv may be in either header, like all parameters. */
static int read_party(const json_t *protected, const json_t *header, const char *name, struct jwe_party *to,
		      struct err *err)
{
	const json_t *value = NULL;
	int r = parameter(protected, header, name, &value, err);

	if (r < 0 || !value)
		return r;
	return read_bytes(json_object_get(protected, name) ? protected : header, name, 0, JWE_PARTY_MAX, to->bytes,
			  &to->len, err);
}

static int read_ecdh(const json_t *protected, const json_t *header, struct wrapped *to, struct err *err)
{
	const json_t *epk = NULL;
	int r = parameter(protected, header, "epk", &epk, err);

	if (r == 0)
		r = read_epk(epk, to, err);
	if (r == 0)
		r = read_party(protected, header, "apu", &to->apu, err);
	if (r == 0)
		r = read_party(protected, header, "apv", &to->apv, err);
	return r;
}

/* What one recipient's headers say together. *ret_known is false for an algorithm this does not know. */
static int read_recipient(const json_t *protected, const json_t *object, struct wrapped *to, bool *ret_known,
			  struct err *err)
{
	const json_t *header = json_object_get(object, "header"), *alg = NULL, *enc = NULL;
	const struct jwe_algorithm_row *row;
	size_t least;
	int r;

	if (header && !json_is_object(header))
		return err_set(err, ERR_INVALID, "member 'header' is not an object");
	if (json_object_get(header, "crit") || json_object_get(header, "zip"))
		return err_set(err, -EOPNOTSUPP, "header parameters 'crit' and 'zip' are not supported");
	r = parameter(protected, header, "alg", &alg, err);
	if (r == 0)
		r = parameter(protected, header, "enc", &enc, err);
	if (r < 0)
		return r;
	if (!json_is_string(enc) || !str_eq(json_string_value(enc), "A256GCM"))
		return err_set(err, -EOPNOTSUPP, "header parameter 'enc' is not 'A256GCM'");
	if (!json_is_string(alg))
		return err_set(err, ERR_INVALID, "header parameter 'alg' is not a string");
	*ret_known = jwe_algorithm_find(json_string_value(alg), &to->algorithm) == 0;
	if (!*ret_known) {
		(void)err_set(err, -EOPNOTSUPP, "header parameter 'alg' is '%.32s', which is not supported",
			      json_string_value(alg));
		return 0;
	}
	row = jwe_algorithm_row(to->algorithm);
	r = row->ecdh ? read_ecdh(protected, header, to, err) : 0;
	least = row->ecdh ? JWE_CEK_SIZE + 8 : 256;
	if (r == 0)
		r = read_bytes(object, "encrypted_key", least, row->ecdh ? least : sizeof(to->key), to->key,
			       &to->key_len, err);
	return r;
}

static int read_recipients(const json_t *root, const json_t *protected, struct jwe *jwe, struct err *err)
{
	const json_t *list = json_object_get(root, "recipients");
	size_t count = list ? json_array_size(list) : 1;

	if (list && (!json_is_array(list) || !count || count > JWE_RECIPIENTS_MAX))
		return err_set(err, ERR_INVALID, "member 'recipients' is not a list of 1 to %d", JWE_RECIPIENTS_MAX);
	/* go-jose writes the first recipient's "encrypted_key" at the top too; a "header" there would be ambiguous. */
	if (list && json_object_get(root, "header"))
		return err_set(err, ERR_INVALID, "members 'recipients' and 'header' exclude each other");
	for (size_t i = 0; i < count; i++) {
		const json_t *object = list ? json_array_get(list, i) : root;
		bool known = false;
		int r = json_is_object(object)
				? read_recipient(protected, object, &jwe->recipients[jwe->count], &known, err)
				: err_set(err, ERR_INVALID, "member 'recipients[%zu]' is not an object", i);

		if (r < 0)
			return r;
		if (known)
			jwe->count++;
	}
	/* The sentence is about the last one. */
	return jwe->count ? 0 : -EOPNOTSUPP;
}

static int read_protected(const json_t *root, struct jwe *jwe, json_t **ret_protected, struct err *err)
{
	const json_t *value = json_object_get(root, "protected");
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
	json_t *protected;

	if (!json_is_string(value) ||
	    crypto_unbase64url(&text, json_string_value(value), json_string_length(value)) < 0)
		return err_set(err, ERR_INVALID, "member 'protected' is not base64url");
	protected = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(protected)) {
		json_decref(protected);
		return err_set(err, ERR_INVALID, "member 'protected' is not base64url of a JSON object");
	}
	*ret_protected = protected;
	if (json_object_get(protected, "crit") || json_object_get(protected, "zip"))
		return err_set(err, -EOPNOTSUPP, "header parameters 'crit' and 'zip' are not supported");
	return buf_append(&jwe->protected, json_string_value(value), json_string_length(value)) < 0
		       ? err_set(err, -ENOMEM, "out of memory")
		       : 0;
}

static int read_content(const json_t *root, struct jwe *jwe, struct err *err)
{
	const json_t *value = json_object_get(root, "ciphertext");
	size_t len;
	int r = read_bytes(root, "iv", JWE_IV_SIZE, JWE_IV_SIZE, jwe->iv, &len, err);

	if (r == 0)
		r = read_bytes(root, "tag", JWE_TAG_SIZE, JWE_TAG_SIZE, jwe->tag, &len, err);
	if (r < 0)
		return r;
	if (!json_is_string(value) ||
	    crypto_unbase64url(&jwe->ciphertext, json_string_value(value), json_string_length(value)) < 0)
		return err_set(err, ERR_INVALID, "member 'ciphertext' is not base64url of at most %zu bytes",
			       JWE_PLAIN_MAX);
	return 0;
}

static int read_jwe(const json_t *root, struct jwe *jwe, struct err *err)
{
	CLEANUP(cleanup_json) json_t *protected = NULL;
	int r;

	if (json_object_get(root, "aad") || json_object_get(root, "unprotected"))
		return err_set(err, -EOPNOTSUPP, "members 'aad' and 'unprotected' are not supported");
	r = read_protected(root, jwe, &protected, err);
	if (r == 0)
		r = read_recipients(root, protected, jwe, err);
	if (r == 0)
		r = read_content(root, jwe, err);
	return r;
}

int jwe_parse(const char *bytes, size_t len, struct jwe **ret_jwe, struct err *err)
{
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	CLEANUP(cleanup_json) json_t *root = NULL;
	int r;

	if (len > JWE_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "a JWE of %zu bytes is over the maximum of %zu", len, JWE_BYTES_MAX);
	root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		return err_set(err, ERR_SYNTAX, "a JWE is not one JSON object");
	jwe = calloc(1, sizeof(*jwe));
	if (!jwe)
		return err_set(err, -ENOMEM, "out of memory");
	jwe->protected = buf_of(JWE_BYTES_MAX);
	jwe->ciphertext = buf_of(JWE_PLAIN_MAX);
	r = read_jwe(root, jwe, err);
	if (r < 0)
		return err_prefix(err, "JWE");
	*ret_jwe = take_ptr(jwe);
	return 0;
}

void jwe_free(struct jwe *jwe)
{
	if (!jwe)
		return;
	buf_done(&jwe->protected);
	buf_done(&jwe->ciphertext);
	free(jwe);
}

size_t jwe_plain_max(const struct jwe *jwe)
{
	return jwe->ciphertext.len;
}

/* --- opening --- */

/* The content key, if this key is the one it was wrapped for. */
static int unwrap_cek(const struct wrapped *wrapped, const struct unwrap_key *key, uint8_t cek[static JWE_CEK_SIZE])
{
	const struct jwe_algorithm_row *row = jwe_algorithm_row(wrapped->algorithm);
	uint8_t secret[UNWRAP_SECRET_MAX], wrapping[32];
	size_t len = 0;
	int r;

	if (!row->ecdh) {
		r = unwrap_oaep(key, row->sha256, wrapped->key, wrapped->key_len, cek, JWE_CEK_SIZE, &len, NULL);
		return r < 0 || len == JWE_CEK_SIZE ? r : ERR_DENIED;
	}
	if (unwrap_key_kind(key) != wrapped->curve)
		return ERR_DENIED;
	r = unwrap_agree(key, wrapped->point, 1 + 2 * unwrap_curve_size(wrapped->curve), secret, &len, NULL);
	if (r == 0)
		r = jwe_derive(row, secret, len, &wrapped->apu, &wrapped->apv, wrapping);
	if (r == 0)
		r = jwe_unwrap(wrapping, row->wrap_bytes, wrapped->key, cek);
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(wrapping, sizeof(wrapping));
	return r;
}

static int decrypt(const struct jwe *jwe, const uint8_t cek[static JWE_CEK_SIZE], uint8_t *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0, rest = 0;
	bool ok = ctx && EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), cek, jwe->iv, NULL) == 1 &&
		  EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)jwe->protected.data, (int)jwe->protected.len) ==
			  1 &&
		  EVP_DecryptUpdate(ctx, to, &len, (const uint8_t *)jwe->ciphertext.data, (int)jwe->ciphertext.len) ==
			  1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, JWE_TAG_SIZE, (void *)(uintptr_t)jwe->tag) == 1 &&
		  EVP_DecryptFinal_ex(ctx, to + len, &rest) == 1;

	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	if (ok)
		return 0;
	OPENSSL_cleanse(to, jwe->ciphertext.len);
	return ERR_CORRUPT;
}

/* Tries one key; what is wrong with it interests nobody unless it is the one. */
static int open_with(const struct jwe *jwe, const struct unwrap_key *key, uint8_t *to)
{
	uint8_t cek[JWE_CEK_SIZE];
	int r = ERR_DENIED;

	for (size_t i = 0; i < jwe->count; i++)
		if (unwrap_cek(&jwe->recipients[i], key, cek) == 0) {
			r = decrypt(jwe, cek, to);
			break;
		}
	OPENSSL_cleanse(cek, sizeof(cek));
	return r;
}

int jwe_open(const struct jwe *jwe, struct unwrap_key *const *keys, size_t key_count, void *to, size_t size,
	     size_t *ret_len, struct err *err)
{
	bool changed = false;

	if (size < jwe->ciphertext.len)
		return err_set(err, ERR_TOO_LARGE, "JWE: its content has %zu bytes, more than %zu", jwe->ciphertext.len,
			       size);
	for (size_t i = 0; i < key_count; i++) {
		int r = open_with(jwe, keys[i], to);

		if (r == 0) {
			*ret_len = jwe->ciphertext.len;
			return 0;
		}
		changed = changed || r == ERR_CORRUPT;
	}
	if (changed)
		return err_set(err, ERR_DENIED, "JWE: its content was changed");
	return err_set(err, ERR_DENIED, "JWE: it is wrapped for other keys than the %zu at hand", key_count);
}
