/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/layersecret.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/str.h"
#include "crypto/jwe.h"
#include "crypto/key.h"

#define CIPHER "AES_256_CTR_HMAC_SHA256"

CLEANUP_DEFINE(json, json_t *, json_decref)

/* Empties a buffer that held a secret before it is freed. */
static void wipe_buf(struct buf *buf)
{
	if (buf->data)
		OPENSSL_cleanse(buf->data, buf->cap);
	buf_done(buf);
}
#define CLEANUP_SECRET_BUF CLEANUP(wipe_buf)

/* jansson frees texts as they are. */
static void wipe_text(const json_t *value)
{
	if (json_is_string(value))
		OPENSSL_cleanse((char *)(uintptr_t)json_string_value(value), json_string_length(value));
}

static int read_base64(const json_t *object, const char *what, const char *name, uint8_t *to, size_t size,
		       struct err *err)
{
	const json_t *value = json_object_get(object, name);
	CLEANUP_SECRET_BUF struct buf bytes = buf_of(size + 1);
	bool ok = json_is_string(value) &&
		  crypto_unbase64(&bytes, json_string_value(value), json_string_length(value)) == 0 &&
		  bytes.len == size;

	if (ok)
		memcpy(to, bytes.data, size);
	return ok ? 0 : err_set(err, ERR_INVALID, "the %s options' '%s' is not base64 of %zu bytes", what, name, size);
}

int layersecret_public(const struct encryption_text *options, struct layersecret *to, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(LAYERSECRET_OPTIONS_MAX);
	CLEANUP(cleanup_json) json_t *root = NULL;
	const char *cipher;

	if (crypto_unbase64(&text, options->at, options->len) < 0)
		return err_set(err, ERR_INVALID, "annotation '%s' is not base64 of at most %zu bytes",
			       ENCRYPTION_PUBLIC, LAYERSECRET_OPTIONS_MAX);
	root = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		return err_set(err, ERR_INVALID, "annotation '%s' is not a JSON object", ENCRYPTION_PUBLIC);
	cipher = json_string_value(json_object_get(root, "cipher"));
	if (!cipher || !str_eq(cipher, CIPHER))
		return err_set(err, -EOPNOTSUPP, "its cipher is '%.32s', of which only '" CIPHER "' is supported",
			       cipher ? cipher : "");
	return read_base64(root, "public", "hmac", to->hmac, sizeof(to->hmac), err);
}

static int read_private(const json_t *root, struct layersecret *to, struct err *err)
{
	const char *digest = json_string_value(json_object_get(root, "digest"));
	int r = read_base64(root, "private", "symkey", to->key, sizeof(to->key), err);

	if (r == 0)
		r = read_base64(json_object_get(root, "cipheroptions"), "private", "nonce", to->nonce,
				sizeof(to->nonce), err);
	if (r == 0)
		r = digest_parse(digest ? digest : "", &to->digest, err);
	return r;
}

int layersecret_private(const char *text, size_t len, struct layersecret *to, struct err *err)
{
	json_t *root = len <= LAYERSECRET_OPTIONS_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int r = json_is_object(root)
			? read_private(root, to, err)
			: err_set(err, ERR_INVALID, "the private options are not a JSON object of at most %zu bytes",
				  LAYERSECRET_OPTIONS_MAX);

	wipe_text(json_object_get(root, "symkey"));
	json_decref(root);
	if (r < 0)
		OPENSSL_cleanse(to, sizeof(*to));
	return r;
}

static int open_packet(const struct encryption_text *packet, struct unwrap_key *const *keys, size_t key_count,
		       struct layersecret *to, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	char options[LAYERSECRET_OPTIONS_MAX];
	size_t len = 0;
	int r;

	if (crypto_unbase64(&text, packet->at, packet->len) < 0)
		return err_set(err, ERR_INVALID, "annotation '%s' is not base64", ENCRYPTION_KEYS_JWE);
	r = jwe_parse(text.data ? text.data : "", text.len, &jwe, err);
	if (r == 0)
		r = jwe_open(jwe, keys, key_count, options, sizeof(options), &len, err);
	if (r == 0)
		r = layersecret_private(options, len, to, err);
	OPENSSL_cleanse(options, sizeof(options));
	return r;
}

int layersecret_open(const struct encryption *encryption, struct unwrap_key *const *keys, size_t key_count,
		     struct layersecret *ret_secret, struct err *err)
{
	struct layersecret secret = {0};
	int r = ERR_DENIED;

	for (size_t i = 0; i < encryption->packet_count && r == ERR_DENIED; i++)
		r = open_packet(&encryption->packets[i], keys, key_count, &secret, err);
	if (r == 0)
		r = layersecret_public(&encryption->public_options, &secret, err);
	if (r == 0)
		*ret_secret = secret;
	OPENSSL_cleanse(&secret, sizeof(secret));
	return r;
}

int layersecret_format_public(const struct layersecret *secret, struct buf *to)
{
	int r = buf_puts(to, "{\"cipher\":\"" CIPHER "\",\"hmac\":\"");

	if (r == 0)
		r = crypto_base64(to, secret->hmac, sizeof(secret->hmac));
	return r < 0 ? r : buf_puts(to, "\",\"cipheroptions\":{}}");
}

int layersecret_format_private(const struct layersecret *secret, struct buf *to)
{
	char digest[DIGEST_TEXT_SIZE];
	int r = buf_puts(to, "{\"symkey\":\"");

	digest_format(&secret->digest, digest);
	if (r == 0)
		r = crypto_base64(to, secret->key, sizeof(secret->key));
	if (r == 0)
		r = buf_printf(to, "\",\"digest\":\"%s\",\"cipheroptions\":{\"nonce\":\"", digest);
	if (r == 0)
		r = crypto_base64(to, secret->nonce, sizeof(secret->nonce));
	return r < 0 ? r : buf_puts(to, "\"}}");
}

void layersecret_pack(const struct layersecret *secret, uint8_t to[static LAYERSECRET_PACKED])
{
	memcpy(to, secret->key, 32);
	memcpy(to + 32, secret->nonce, 16);
	memcpy(to + 48, secret->hmac, 32);
	to[80] = (uint8_t)secret->digest.algorithm;
	memcpy(to + 81, secret->digest.bytes, DIGEST_BYTES_MAX);
}

int layersecret_unpack(const uint8_t from[static LAYERSECRET_PACKED], struct layersecret *ret_secret)
{
	if (from[80] != DIGEST_SHA256 && from[80] != DIGEST_SHA512)
		return ERR_INVALID;
	memcpy(ret_secret->key, from, 32);
	memcpy(ret_secret->nonce, from + 32, 16);
	memcpy(ret_secret->hmac, from + 48, 32);
	ret_secret->digest.algorithm = (enum digest_algorithm)from[80];
	memcpy(ret_secret->digest.bytes, from + 81, DIGEST_BYTES_MAX);
	return 0;
}
