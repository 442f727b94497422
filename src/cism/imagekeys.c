/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/imagekeys.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/instances.h"
#include "cism/keyholder.h"
#include "crypto/envelope.h"
#include "crypto/key.h"
#include "oci/reference.h"
#include "policy/cacheclass.h"
#include "policy/keygrant.h"
#include "policy/ticket.h"

/* What one answer is made of. */
struct grant {
	struct policy_keyrequest request;
	struct policy_ticket *ticket;
	struct buf index_bytes, manifest_bytes;
	struct manifest index, manifest;
	struct keyholder_question *question;
};

static void grant_done(struct grant *grant)
{
	policy_keyrequest_done(&grant->request);
	policy_ticket_free(grant->ticket);
	manifest_done(&grant->index);
	manifest_done(&grant->manifest);
	buf_done(&grant->index_bytes);
	buf_done(&grant->manifest_bytes);
	free(grant->question);
}

/* --- what is shown --- */

static int decode(const char *text, const char *field, struct buf *to, struct err *err)
{
	if (crypto_unbase64(to, text, strlen(text)) < 0 || !to->len)
		return err_set(err, ERR_INVALID, "field 'keyRequest.%s' is not base64 of at most %u bytes", field,
			       MANIFEST_BYTES_MAX);
	return 0;
}

/* The manifest must be one that the index lists: its digest then is part of what was admitted. */
static int check_listed(const struct grant *grant, const char **ret_type, struct err *err)
{
	for (size_t i = 0; i < grant->index.entry_count; i++) {
		const struct descriptor *entry = &grant->index.entries[i];

		if (entry->size == grant->manifest_bytes.len &&
		    digest_verify(&entry->digest, grant->manifest_bytes.data, grant->manifest_bytes.len, NULL) == 0) {
			*ret_type = entry->media_type;
			return 0;
		}
	}
	return err_set(err, ERR_DENIED, "its index does not list the manifest that is shown");
}

/* The documents are those of the digest in the ticket, byte for byte. Nothing else of what the instance says is believed. */
static int read_documents(struct grant *grant, struct err *err)
{
	const struct policy_keyrequest *request = &grant->request;
	const struct buf *outer = request->index ? &grant->index_bytes : &grant->manifest_bytes;
	struct reference reference;
	const char *type = NULL;
	int r = reference_parse(request->image, &reference, err);

	if (r == 0 && request->index)
		r = decode(request->index, "index", &grant->index_bytes, err);
	if (r == 0)
		r = decode(request->manifest, "manifest", &grant->manifest_bytes, err);
	if (r == 0)
		r = digest_verify(&reference.digest, outer->data, outer->len, err);
	if (r == 0 && request->index)
		r = manifest_parse(grant->index_bytes.data, grant->index_bytes.len, NULL, &grant->index, err);
	if (r == 0 && request->index)
		r = check_listed(grant, &type, err);
	if (r == 0)
		r = manifest_parse(grant->manifest_bytes.data, grant->manifest_bytes.len, type, &grant->manifest, err);
	if (r == 0 && grant->manifest.kind != MANIFEST_IMAGE)
		r = err_set(err, ERR_INVALID, "field 'keyRequest.manifest' is not the manifest of an image");
	return r;
}

static int read_layers(struct grant *grant, struct err *err)
{
	struct keyholder_question *question = grant->question;

	for (size_t i = 0; i < grant->manifest.entry_count; i++) {
		const struct descriptor *layer = &grant->manifest.entries[i];
		int r;

		if (!media_of(layer->media_type).encrypted)
			continue;
		if (question->count == KEYHOLDER_LAYERS_MAX)
			return err_set(err, ERR_TOO_LARGE, "it has more than %d encrypted layers",
				       KEYHOLDER_LAYERS_MAX);
		digest_format(&layer->digest, question->digests[question->count]);
		r = encryption_read(layer->annotations, &question->layers[question->count], err);
		if (r < 0)
			return err_prefix(err, "layer %s", question->digests[question->count]);
		question->count++;
	}
	return 0;
}

/* --- what it may have --- */

static int read_ticket(struct call *call, struct grant *grant, struct err *err)
{
	CLEANUP_BUF struct buf envelope = buf_of(STORE_VALUE_MAX), payload = buf_of(POLICY_TICKET_MAX);
	int r = instances_read_ticket(call, &envelope, err);

	if (r == 0)
		r = crypto_envelope_open(call->cism->ca, CRYPTO_PURPOSE_BINDING, envelope.data, envelope.len, &payload,
					 err);
	return r < 0 ? r : policy_ticket_parse(payload.data, payload.len, &grant->ticket, err);
}

static int check_pulls(const struct grant *grant, struct err *err)
{
	for (size_t i = 0; i < grant->ticket->pull_count; i++)
		if (str_eq(grant->ticket->pulls[i].image, grant->request.image))
			return 0;
	return err_set(err, ERR_DENIED, "pod '%s/%s' has no such image", grant->ticket->namespace, grant->ticket->name);
}

/* Keys go out only where the class or a layer asks for them. */
static int check_needed(const struct grant *grant, struct err *err)
{
	const struct policy_ticket *ticket = grant->ticket;
	enum policy_cache class = policy_cacheclass_of(ticket->domain,
						       *ticket->subfunction ? ticket->subfunction : NULL,
						       grant->request.image);

	if (policy_keygrant_needed(class, grant->question->count))
		return 0;
	return err_set(err, ERR_INVALID, "it needs no keys: class %s and no layer is encrypted",
		       policy_cache_name(class));
}

/* --- the answer --- */

static int seal(struct cism *cism, struct grant *grant, const char *jwe, struct buf *to, struct err *err)
{
	CLEANUP_BUF struct buf payload = buf_of(POLICY_KEYGRANT_MAX);
	const struct policy_ticket *ticket = grant->ticket;
	struct policy_keygrant answer = {.uid = ticket->uid,
					 .instance = ticket->instance,
					 .domain = ticket->domain_name,
					 .image = grant->request.image,
					 .layer_count = grant->question->count,
					 .expires_ms = ticket->expires_ms,
					 .keys = (char *)(uintptr_t)jwe};
	char manifest[DIGEST_TEXT_SIZE];
	struct digest digest;
	int r = digest_of(DIGEST_SHA256, grant->manifest_bytes.data, grant->manifest_bytes.len, &digest);

	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	digest_format(&digest, manifest);
	answer.manifest = manifest;
	for (size_t i = 0; i < answer.layer_count; i++)
		answer.layers[i] = grant->question->digests[i];
	r = policy_keygrant_format(&answer, &payload, err);
	return r < 0 ? r
		     : crypto_envelope_seal(cism->binding_key, cism->binding_certificate, payload.data, payload.len, to,
					    err);
}

static int make(struct call *call, struct grant *grant, struct buf *to, struct err *err)
{
	CLEANUP_BUF struct buf jwe = buf_of(POLICY_KEYGRANT_MAX);
	int r = read_documents(grant, err);

	if (r == 0)
		r = check_pulls(grant, err);
	if (r == 0)
		r = read_layers(grant, err);
	if (r == 0)
		r = check_needed(grant, err);
	if (r < 0)
		return r;
	grant->question->domain = grant->ticket->domain_name;
	grant->question->recipient = grant->request.recipient;
	r = keyholder_ask(call->cism->keyholder, grant->question, &jwe, err);
	return r < 0 ? r : seal(call->cism, grant, jwe.data, to, err);
}

void imagekeys_answer(struct call *call)
{
	CLEANUP(grant_done)
	struct grant grant = {.index_bytes = buf_of(MANIFEST_BYTES_MAX), .manifest_bytes = buf_of(MANIFEST_BYTES_MAX)};
	CLEANUP_BUF struct buf envelope = buf_of(CRYPTO_ENVELOPE_MAX);
	struct err err = {0};
	int r;

	grant.question = calloc(1, sizeof(*grant.question));
	r = grant.question ? policy_keyrequest_parse(call->body, call->body_len, &grant.request, &err)
			   : err_sys(&err, -ENOMEM, "cannot hand out keys");
	if (r == 0)
		r = read_ticket(call, &grant, &err);
	if (r == 0) {
		r = make(call, &grant, &envelope, &err);
		if (r < 0)
			r = err_prefix(&err, "image '%.400s'", grant.request.image);
		log_info(r < 0 ? "image keys refused" : "image keys handed over", "image", grant.request.image,
			 "domain", grant.ticket->domain_name, "uid", grant.ticket->uid, "instance",
			 grant.ticket->instance);
	}
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer(call, 200, CRYPTO_ENVELOPE_TYPE, envelope.data, envelope.len);
}
