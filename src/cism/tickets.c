/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/tickets.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/envelope.h"

/* host/repository@digest in its parts; the image was made by the binder, so that it has all of them. */
static int split_image(const char *image, struct policy_token *to, struct err *err)
{
	const char *slash = strchr(image, '/');
	const char *at = strrchr(image, '@');

	if (!slash || !at || at < slash)
		return err_set(err, ERR_INVALID, "image '%s' has no registry or no digest", image);
	to->registry = strndup(image, (size_t)(slash - image));
	to->repository = strndup(slash + 1, (size_t)(at - slash - 1));
	to->digest = strdup(at + 1);
	if (!to->registry || !to->repository || !to->digest)
		return err_sys(err, -ENOMEM, "cannot make a pull token for '%s'", image);
	return 0;
}

static char *base64url(const char *bytes, size_t len)
{
	struct buf text = buf_of(4 * POLICY_TOKEN_MAX);
	char *out;

	if (crypto_base64(&text, bytes, len) < 0) {
		buf_done(&text);
		return NULL;
	}
	while (text.len > 0 && text.data[text.len - 1] == '=')
		text.data[--text.len] = '\0';
	out = buf_steal(&text);
	for (char *at = out; at && *at; at++)
		*at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
	return out;
}

static int make_token(struct cism *cism, const char *image, const char *certificate, int64_t expires_ms,
		      char **ret_text, struct err *err)
{
	CLEANUP_POLICY_TOKEN struct policy_token token = {.expires_ms = expires_ms};
	CLEANUP_BUF struct buf payload = buf_of(POLICY_TOKEN_MAX);
	CLEANUP_BUF struct buf envelope = buf_of(POLICY_TOKEN_MAX);
	int r;

	token.instance_certificate = strdup(certificate);
	if (!token.instance_certificate)
		return err_sys(err, -ENOMEM, "cannot make a pull token for '%s'", image);
	r = split_image(image, &token, err);
	if (r == 0)
		r = policy_token_format(&token, &payload, err);
	if (r == 0)
		r = crypto_envelope_seal(cism->binding_key, cism->binding_certificate, payload.data, payload.len,
					 &envelope, err);
	if (r < 0)
		return r;
	*ret_text = base64url(envelope.data, envelope.len);
	return *ret_text ? 0 : err_sys(err, -ENOMEM, "cannot make a pull token for '%s'", image);
}

int tickets_seal(struct cism *cism, struct policy_ticket *ticket, const char *certificate, struct buf *to,
		 struct err *err)
{
	CLEANUP_BUF struct buf payload = buf_of(POLICY_TICKET_MAX);
	int r = 0;

	ticket->issued_ms = clock_wall_ms() / 1000 * 1000;
	ticket->expires_ms = ticket->issued_ms + (int64_t)cism->config.ticket_seconds * 1000;
	for (size_t i = 0; r == 0 && i < ticket->pull_count; i++) {
		char *token = NULL;

		r = make_token(cism, ticket->pulls[i].image, certificate, ticket->expires_ms, &token, err);
		if (r == 0) {
			free(ticket->pulls[i].token);
			ticket->pulls[i].token = token;
		}
	}
	if (r == 0)
		r = policy_ticket_format(ticket, &payload, err);
	if (r == 0)
		r = crypto_envelope_seal(cism->binding_key, cism->binding_certificate, payload.data, payload.len, to,
					 err);
	return r;
}

int tickets_refresh(struct cism *cism, const char *stored, size_t len, const char *certificate, struct buf *to,
		    struct err *err)
{
	CLEANUP_BUF struct buf payload = buf_of(POLICY_TICKET_MAX);
	CLEANUP(cleanup_policy_ticket) struct policy_ticket *ticket = NULL;
	struct topology_instance mapping;
	int64_t now = clock_wall_ms();
	int r;

	r = crypto_envelope_open(cism->ca, CRYPTO_PURPOSE_BINDING, stored, len, &payload, err);
	if (r == 0)
		r = policy_ticket_parse(payload.data, payload.len, &ticket, err);
	if (r < 0)
		return r;
	if (now >= ticket->issued_ms && now < ticket->issued_ms + (ticket->expires_ms - ticket->issued_ms) / 2)
		return buf_append(to, stored, len);
	if (cism_topology_find(cism, ticket->instance, &mapping) < 0 || mapping.epoch != ticket->epoch)
		return err_set(err, ERR_CONFLICT, "instance '%s' is no longer where pod '%s/%s' was bound to it",
			       ticket->instance, ticket->namespace, ticket->name);
	return tickets_seal(cism, ticket, certificate, to, err);
}
