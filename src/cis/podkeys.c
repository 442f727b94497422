/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podkeys.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "cis/keyring.h"
#include "crypto/envelope.h"
#include "crypto/key.h"
#include "crypto/secret.h"
#include "policy/cacheclass.h"

/* --- what the image is --- */

static int read_layers(struct podkeys *keys, const struct manifest *manifest, struct err *err)
{
	size_t count = 0;

	for (size_t i = 0; i < manifest->entry_count; i++) {
		if (!media_of(manifest->entries[i].media_type).encrypted)
			continue;
		if (count == POLICY_KEYGRANT_LAYERS_MAX)
			return err_set(err, ERR_TOO_LARGE, "it has more than %d encrypted layers",
				       POLICY_KEYGRANT_LAYERS_MAX);
		digest_format(&manifest->entries[i].digest, keys->texts[count]);
		keys->layers[count] = keys->texts[count];
		count++;
	}
	keys->facts.layers = keys->layers;
	keys->facts.layer_count = count;
	return 0;
}

static int read_facts(struct podkeys *keys, const struct image_documents *documents, struct err *err)
{
	struct digest digest;
	int r = read_layers(keys, documents->manifest, err);

	if (r < 0)
		return r;
	r = digest_of(DIGEST_SHA256, documents->manifest_bytes->data, documents->manifest_bytes->len, &digest);
	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	digest_format(&digest, keys->manifest);
	return 0;
}

/* --- asking the CISM --- */

static int base64_of(const struct buf *bytes, bool url, char **ret_text, struct err *err)
{
	struct buf text = buf_of(2 * (size_t)MANIFEST_BYTES_MAX);
	int r = url ? crypto_base64url(&text, bytes->data, bytes->len) : crypto_base64(&text, bytes->data, bytes->len);

	*ret_text = r < 0 ? NULL : buf_steal(&text);
	buf_done(&text);
	return *ret_text ? 0 : err_sys(err, -ENOMEM, "cannot ask for keys");
}

static int format_request(const struct podkeys *keys, const struct image_documents *documents,
			  const struct unwrap_key *key, struct buf *to, struct err *err)
{
	CLEANUP_POLICY_KEYREQUEST struct policy_keyrequest request = {0};
	uint8_t point[UNWRAP_POINT_MAX];
	const struct buf shown = {.data = (char *)point, .len = 65};
	int r = unwrap_key_point(key, point, err);

	if (r == 0)
		r = base64_of(&shown, true, &request.recipient, err);
	if (r == 0)
		r = base64_of(documents->manifest_bytes, false, &request.manifest, err);
	if (r == 0 && documents->index)
		r = base64_of(documents->index, false, &request.index, err);
	request.image = strdup(keys->image);
	if (r == 0 && !request.image)
		r = err_sys(err, -ENOMEM, "cannot ask for keys");
	return r < 0 ? r : policy_keyrequest_format(&request, to, err);
}

static int call_cism(const struct podkeys *keys, const char *body, struct buf *envelope, struct err *err)
{
	const struct pod *pod = keys->pod;
	CLEANUP(cleanup_http_client) struct http_client *client = NULL;
	CLEANUP_FREE char *path = str_format("/api/v1/namespaces/%s/pods/%s/keys", pod->namespace, pod->name);
	int r;

	if (!pod->cis->outbox)
		return err_set(err, ERR_DENIED, "its keys need a CISM");
	r = path ? http_client_new(keys->client, &client, err) : err_sys(err, -ENOMEM, "cannot ask for keys");
	return r < 0 ? r : outbox_call(client, &pod->cis->config, "POST", path, OUTBOX_JSON, body, envelope, err);
}

/* One answer for one key that is forgotten with it. */
static int fetch(struct podkeys *keys, const struct image_documents *documents, struct err *err)
{
	CLEANUP_BUF struct buf body = buf_of(POLICY_KEYREQUEST_MAX), envelope = buf_of(CRYPTO_ENVELOPE_MAX),
			       payload = buf_of(POLICY_KEYGRANT_MAX);
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL;
	CLEANUP_POLICY_KEYGRANT struct policy_keygrant grant = {0};
	int r = unwrap_key_generate(&key, err);

	if (r == 0)
		r = format_request(keys, documents, key, &body, err);
	if (r == 0)
		r = call_cism(keys, body.data, &envelope, err);
	if (r < 0)
		return r;
	r = crypto_envelope_open(keys->pod->cis->config.ca, CRYPTO_PURPOSE_BINDING, envelope.data ? envelope.data : "",
				 envelope.len, &payload, err);
	if (r == 0)
		r = policy_keygrant_parse(payload.data ? payload.data : "", payload.len, &grant, err);
	if (r == 0 && clock_wall_ms() > grant.expires_ms + POLICY_CLOCK_SKEW_MS)
		r = err_set(err, ERR_EXPIRED, "the keys that were handed over for it have expired");
	if (r == 0)
		r = policy_keygrant_check(&grant, &keys->facts, err);
	return r < 0 ? r : keyring_put(keys->pod->cis->keyring, &grant, key, err);
}

/* --- what the store asks --- */

/* An image_grant_fn. What the pod was given before is as good as what it would be given now: it lasts as long as the pod. */
static int grant(void *user, const struct image_documents *documents, struct err *err)
{
	struct podkeys *keys = user;
	void *memory;
	int r = read_facts(keys, documents, err);

	if (r < 0)
		return r;
	if (!policy_keygrant_needed(keys->protection.class, keys->facts.layer_count))
		return 0;
	if (keyring_check(keys->pod->cis->keyring, &keys->facts, err) < 0)
		r = fetch(keys, documents, err);
	if (r == 0 && !keys->cache_key) {
		r = secret_new(KEYRING_CACHE_KEY, &memory, err);
		keys->cache_key = r == 0 ? memory : NULL;
	}
	if (r == 0)
		r = keyring_cache_key(keys->pod->cis->keyring, &keys->facts, keys->cache_key, err);
	keys->protection.key = r == 0 ? keys->cache_key : NULL;
	return r;
}

/* An image_unwrap_fn. */
static int unwrap(void *user, const struct descriptor *layer, struct layersecret *ret_secret, struct err *err)
{
	struct podkeys *keys = user;
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&layer->digest, digest);
	return keyring_layer(keys->pod->cis->keyring, &keys->facts, digest, ret_secret, err);
}

int podkeys_init(struct podkeys *keys, const struct pod *pod, const struct http_client_config *client,
		 struct image_request *request, struct err *err)
{
	const struct policy_ticket *ticket = pod->admitted.ticket;

	memset(keys, 0, sizeof(*keys));
	if (!pod->cis->keyring)
		return err_set(err, -EINVAL, "there is nothing to keep keys in");
	keys->pod = pod;
	keys->client = client;
	keys->image = request->image;
	keys->protection = (struct image_protection){
		.class = policy_cacheclass_of(ticket->domain, *ticket->subfunction ? ticket->subfunction : NULL,
					      request->image),
		.domain = ticket->domain_name,
	};
	keys->facts = (struct policy_keygrant_facts){.uid = pod->uid,
						     .instance = ticket->instance,
						     .domain = ticket->domain_name,
						     .image = request->image,
						     .manifest = keys->manifest};
	request->protection = &keys->protection;
	request->grant = grant;
	request->grant_user = keys;
	request->unwrap = unwrap;
	request->unwrap_user = keys;
	return 0;
}

void podkeys_done(struct podkeys *keys)
{
	secret_free(keys->cache_key, KEYRING_CACHE_KEY);
	keys->cache_key = NULL;
}
