/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/envelope.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

CLEANUP_DEFINE(json, json_t *, json_decref)

int crypto_envelope_seal(const struct crypto_key *key, const char *certificate_pem, const void *payload, size_t len,
			 struct buf *to, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(CRYPTO_ENVELOPE_MAX);
	CLEANUP_BUF struct buf signed_text = buf_of(CRYPTO_SIGNATURE_MAX * 2);
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	CLEANUP(cleanup_json) json_t *envelope = NULL;
	CLEANUP_FREE char *encoded = NULL;
	size_t signature_len;
	int r;

	r = crypto_sign(key, payload, len, signature, &signature_len, err);
	if (r < 0)
		return r;
	r = crypto_base64(&text, payload, len);
	if (r == 0)
		r = crypto_base64(&signed_text, signature, signature_len);
	if (r < 0)
		return err_sys(err, r, "cannot seal %zu bytes", len);
	envelope = json_pack("{s:s%,s:s%,s:s}", "payload", text.len ? text.data : "", text.len, "signature",
			     signed_text.data, signed_text.len, "certificate", certificate_pem);
	encoded = envelope ? json_dumps(envelope, JSON_COMPACT) : NULL;
	if (!encoded)
		return err_set(err, -ENOMEM, "no memory for an envelope of %zu bytes", len);
	if (strlen(encoded) > CRYPTO_ENVELOPE_MAX)
		return err_set(err, ERR_TOO_LARGE, "an envelope of %zu bytes is over the maximum of %zu",
			       strlen(encoded), CRYPTO_ENVELOPE_MAX);
	r = buf_puts(to, encoded);
	return r < 0 ? err_sys(err, r, "cannot seal %zu bytes", len) : 0;
}

struct members {
	const char *payload, *signature, *certificate;
	size_t payload_len, signature_len, certificate_len;
};

static int members_of(json_t *envelope, struct members *ret)
{
	if (json_unpack_ex(envelope, NULL, JSON_STRICT, "{s:s%,s:s%,s:s%}", "payload", &ret->payload, &ret->payload_len,
			   "signature", &ret->signature, &ret->signature_len, "certificate", &ret->certificate,
			   &ret->certificate_len) < 0)
		return -EINVAL;
	/* A NUL cannot get in: jansson refuses \u0000 unless asked. */
	return strlen(ret->certificate) == ret->certificate_len ? 0 : -EINVAL;
}

int crypto_envelope_open(const char *ca_pem, enum crypto_purpose purpose, const void *bytes, size_t len,
			 struct buf *payload, struct err *err)
{
	CLEANUP_BUF struct buf content = buf_of(CRYPTO_ENVELOPE_MAX);
	CLEANUP_BUF struct buf signature = buf_of(CRYPTO_SIGNATURE_MAX);
	CLEANUP(cleanup_json) json_t *envelope = NULL;
	struct members members;
	int r;

	if (len > CRYPTO_ENVELOPE_MAX)
		return err_set(err, ERR_TOO_LARGE, "an envelope of %zu bytes is over the maximum of %zu", len,
			       CRYPTO_ENVELOPE_MAX);
	envelope = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
	if (!envelope || members_of(envelope, &members) < 0)
		return err_set(err, ERR_SYNTAX,
			       "the envelope is not an object of 'payload', 'signature' and 'certificate'");
	if (crypto_unbase64(&signature, members.signature, members.signature_len) < 0)
		return err_set(err, ERR_SYNTAX, "the envelope's 'signature' is not base64 of a signature");
	r = crypto_unbase64(&content, members.payload, members.payload_len);
	if (r < 0)
		return err_set(err, ERR_SYNTAX, "the envelope's 'payload' is not base64");
	r = crypto_verify(members.certificate, ca_pem, purpose, content.data, content.len,
			  (const uint8_t *)signature.data, signature.len, err);
	if (r < 0)
		return r;
	r = buf_append(payload, content.data, content.len);
	return r < 0 ? err_sys(err, r, "the envelope's payload of %zu bytes", content.len) : 0;
}
