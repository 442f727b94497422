/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/sigbundle.h"

#include <string.h>

#include "base/str.h"
#include "oci/document.h"

/* A missing object is an empty one here: what it should hold is missed by name then. */
static int read_envelope(const json_t *envelope, struct sigbundle *bundle, struct err *err)
{
	const json_t *signatures = json_object_get(envelope, "signatures");
	int r = document_string(envelope, "dsseEnvelope.", "payload", true, &bundle->payload, err);

	if (r == 0)
		r = document_string(envelope, "dsseEnvelope.", "payloadType", true, &bundle->payload_type, err);
	if (r == 0 && json_array_size(signatures) != 1)
		r = err_set(err, ERR_INVALID, "dsseEnvelope.signatures has not exactly one entry");
	if (r == 0)
		r = document_string(json_array_get(signatures, 0), "dsseEnvelope.signatures[0].", "sig", true,
				    &bundle->signature, err);
	return r;
}

static int read_message(const json_t *message, struct sigbundle *bundle, struct err *err)
{
	const json_t *digest = json_object_get(message, "messageDigest");
	const char *algorithm;
	int r = document_string(digest, "messageSignature.messageDigest.", "algorithm", true, &algorithm, err);

	if (r == 0 && !str_eq(algorithm, "SHA2_256"))
		r = err_set(err, ERR_INVALID, "messageSignature.messageDigest.algorithm '%.32s' is not SHA2_256",
			    algorithm);
	if (r == 0)
		r = document_string(digest, "messageSignature.messageDigest.", "digest", true, &bundle->digest, err);
	if (r == 0)
		r = document_string(message, "messageSignature.", "signature", true, &bundle->signature, err);
	return r;
}

int sigbundle_parse(const char *bytes, size_t len, struct sigbundle *ret_bundle, struct err *err)
{
	struct sigbundle bundle = {0};
	const json_t *envelope, *message;
	const char *type = NULL;
	int r = document_parse(bytes, len, SIGBUNDLE_BYTES_MAX, &bundle.document, err);

	if (r < 0)
		return r;
	envelope = json_object_get(bundle.document, "dsseEnvelope");
	message = json_object_get(bundle.document, "messageSignature");
	r = document_string(bundle.document, "", "mediaType", true, &type, err);
	if (r == 0 && !str_eq(type, SIGBUNDLE_TYPE))
		r = err_set(err, ERR_INVALID, "mediaType '%.64s' is not " SIGBUNDLE_TYPE, type);
	if (r == 0 && !envelope == !message)
		r = err_set(err, ERR_INVALID, "the bundle has not exactly one of dsseEnvelope and messageSignature");
	if (r == 0)
		r = envelope ? read_envelope(envelope, &bundle, err) : read_message(message, &bundle, err);
	if (r < 0) {
		sigbundle_done(&bundle);
		return r;
	}
	*ret_bundle = bundle;
	return 0;
}

void sigbundle_done(struct sigbundle *bundle)
{
	json_decref(bundle->document);
	*bundle = (struct sigbundle){0};
}

int sigbundle_encode(const char *payload_type, const void *payload, size_t len, struct buf *to)
{
	int r = buf_printf(to, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, len);

	return r < 0 ? r : buf_append(to, payload, len);
}
