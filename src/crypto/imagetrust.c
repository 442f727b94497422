/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/imagetrust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/cosign.h"
#include "oci/sigbundle.h"

#define KEYS_TEXT_SIZE (POLICY_IMAGE_KEYS_MAX * (CRYPTO_PUBLIC_NAME_SIZE + 4) + 32)

/* The keys of a requirement, parsed. */
struct keys {
	struct crypto_public *items[POLICY_IMAGE_KEYS_MAX];
	size_t count;
};

static void keys_done(struct keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		crypto_public_free(keys->items[i]);
}
#define CLEANUP_KEYS __attribute__((cleanup(keys_done)))

static int read_keys(const struct policy_image_requirement *requirement, struct keys *keys, struct err *err)
{
	for (size_t i = 0; i < requirement->key_count && i < POLICY_IMAGE_KEYS_MAX; i++) {
		CLEANUP_BUF struct buf pem = buf_of(POLICY_IMAGE_KEY_MAX);
		const char *text = requirement->keys[i];
		int r;

		if (crypto_unbase64(&pem, text, strlen(text)) < 0 || !pem.len)
			return err_set(err, ERR_INVALID, "key %zu is not base64", i + 1);
		r = crypto_public_parse(pem.data, pem.len, &keys->items[i], err);
		if (r < 0) {
			(void)err_prefix(err, "key %zu", i + 1);
			return ERR_INVALID;
		}
		keys->count++;
	}
	return 0;
}

static int check_scope(const struct policy_image_scope *scope, struct err *err)
{
	for (size_t i = 0; i < scope->count; i++) {
		CLEANUP_KEYS struct keys keys = {0};
		struct err inner = {0};

		if (read_keys(&scope->requirements[i], &keys, &inner) < 0)
			return err_set(err, ERR_INVALID, "requirement %zu of '%.200s': %s", i + 1,
				       *scope->name ? scope->name : "default", inner.msg);
	}
	return 0;
}

int imagetrust_check_keys(const struct policy_image *policy, struct err *err)
{
	int r = check_scope(&policy->fallback, err);

	for (size_t i = 0; r == 0 && i < policy->scope_count; i++)
		r = check_scope(&policy->scopes[i], err);
	return r;
}

/* "key 'a'" or "one of the keys 'a', 'b'". */
static void name_keys(const struct keys *keys, char to[static KEYS_TEXT_SIZE])
{
	int len = snprintf(to, KEYS_TEXT_SIZE, "%s", keys->count == 1 ? "key" : "one of the keys");

	for (size_t i = 0; i < keys->count && len < KEYS_TEXT_SIZE; i++)
		len += snprintf(to + len, KEYS_TEXT_SIZE - (size_t)len, "%s '%s'", i ? "," : "",
				crypto_public_name(keys->items[i]));
}

/* Room for what one signature says, as text. */
struct said {
	struct claim claim;
	char digest[DIGEST_TEXT_SIZE];
};

static int verify(const struct policy_image_signature *from, const struct keys *keys, struct said *said,
		  struct policy_image_claim *ret)
{
	CLEANUP_BUF struct buf bytes = buf_of(SIGBUNDLE_BYTES_MAX);
	struct cosign_signature signature = {.signature = from->signature};
	size_t key;
	int r = crypto_unbase64(&bytes, from->bytes, strlen(from->bytes));

	if (r < 0 || !bytes.len)
		return ERR_SYNTAX;
	signature.bytes = bytes.data;
	signature.len = bytes.len;
	r = cosign_verify(&signature, keys->items, keys->count, &key, &said->claim, NULL);
	if (r < 0)
		return r;
	digest_format(&said->claim.digest, said->digest);
	*ret = (struct policy_image_claim){.key = crypto_public_name(keys->items[key]),
					   .digest = said->digest,
					   .identity = said->claim.identity};
	return 0;
}

/* The signatures one by one: the first that fits decides, else the first that holds at all is what the sentence is about. */
static int check_signed(const struct policy_image_demand *demand, const char *image, const struct keys *keys,
			const struct policy_image_signature *signatures, size_t count, size_t *ret_used,
			struct err *err)
{
	struct policy_image_claim claim, first = {0};
	char names[KEYS_TEXT_SIZE];
	struct said said, kept;
	struct policy_image_evidence evidence = {.keys = names, .found = count, .claims = &first};

	name_keys(keys, names);
	for (size_t i = 0; i < count && i < POLICY_IMAGE_SIGNATURES_MAX; i++) {
		if (verify(&signatures[i], keys, &said, &claim) < 0)
			continue;
		*ret_used = i;
		if (evidence.count && !policy_image_claim_fits(&demand->requirement, image, &claim))
			continue;
		kept = said;
		first = (struct policy_image_claim){claim.key, kept.digest, kept.claim.identity};
		evidence.count = 1;
		if (policy_image_claim_fits(&demand->requirement, image, &first))
			break;
	}
	return policy_image_decide(&demand->requirement, demand->policy, image, &evidence, err);
}

int imagetrust_check(const struct policy_image_demand *demand, const char *image,
		     const struct policy_image_signature *signatures, size_t count, size_t *ret_used, struct err *err)
{
	CLEANUP_KEYS struct keys keys = {0};
	int r;

	*ret_used = count;
	if (demand->requirement.kind != POLICY_IMAGE_SIGNED)
		return policy_image_decide(&demand->requirement, demand->policy, image, NULL, err);
	r = read_keys(&demand->requirement, &keys, err);
	if (r < 0)
		return err_prefix(err, "image '%s': ImagePolicy '%s'", image, demand->policy);
	return check_signed(demand, image, &keys, signatures, count, ret_used, err);
}
