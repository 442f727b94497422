/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/keyring.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/str.h"
#include "crypto/jwe.h"
#include "crypto/secret.h"

struct entry {
	struct policy_keygrant grant; /* its text of the JWE is dropped */
	uint8_t *plain;               /* secret memory: cache key, then the layers, packed */
	size_t len;
	struct entry *next;
};

struct keyring {
	pthread_mutex_t lock;
	struct entry *entries;
};

int keyring_new(struct keyring **ret_keyring, struct err *err)
{
	struct keyring *keyring = calloc(1, sizeof(*keyring));

	if (!keyring)
		return err_sys(err, -ENOMEM, "cannot keep keys");
	(void)pthread_mutex_init(&keyring->lock, NULL);
	*ret_keyring = keyring;
	return 0;
}

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	secret_free(entry->plain, entry->len);
	policy_keygrant_done(&entry->grant);
	free(entry);
}
CLEANUP_DEFINE(entry, struct entry *, entry_free)

void keyring_free(struct keyring *keyring)
{
	if (!keyring)
		return;
	while (keyring->entries) {
		struct entry *entry = keyring->entries;

		keyring->entries = entry->next;
		entry_free(entry);
	}
	(void)pthread_mutex_destroy(&keyring->lock);
	free(keyring);
}

static struct entry **find(struct keyring *keyring, const char *uid, const char *image)
{
	struct entry **at = &keyring->entries;

	while (*at && (!str_eq((*at)->grant.uid, uid) || (image && !str_eq((*at)->grant.image, image))))
		at = &(*at)->next;
	return at;
}

static void remove_at(struct entry **at)
{
	struct entry *entry = *at;

	*at = entry->next;
	entry_free(entry);
}

/* The plain text goes from the cipher straight into memory for secrets. */
static int open_grant(struct entry *entry, struct unwrap_key *key, struct err *err)
{
	size_t expected = KEYRING_CACHE_KEY + entry->grant.layer_count * LAYERSECRET_PACKED;
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	size_t len = 0;
	void *plain;
	int r = jwe_parse(entry->grant.keys, strlen(entry->grant.keys), &jwe, err);

	if (r == 0 && jwe_plain_max(jwe) != expected)
		r = err_set(err, ERR_INVALID, "it holds %zu bytes for %zu layers", jwe_plain_max(jwe),
			    entry->grant.layer_count);
	if (r == 0)
		r = secret_new(expected, &plain, err);
	if (r < 0)
		return r;
	entry->plain = plain;
	entry->len = expected;
	return jwe_open(jwe, &key, 1, plain, expected, &len, err);
}

int keyring_put(struct keyring *keyring, struct policy_keygrant *grant, struct unwrap_key *key, struct err *err)
{
	CLEANUP(cleanup_entry) struct entry *entry = calloc(1, sizeof(*entry));
	struct entry **before;
	int r;

	if (!entry) {
		policy_keygrant_done(grant);
		return err_sys(err, -ENOMEM, "cannot keep keys");
	}
	entry->grant = *grant;
	*grant = (struct policy_keygrant){0};
	r = open_grant(entry, key, err);
	if (r < 0)
		return err_prefix(err, "keys of TrustDomain '%s'", entry->grant.domain);
	free(entry->grant.keys);
	entry->grant.keys = NULL;
	(void)pthread_mutex_lock(&keyring->lock);
	before = find(keyring, entry->grant.uid, entry->grant.image);
	if (*before)
		remove_at(before);
	entry->next = keyring->entries;
	keyring->entries = take_ptr(entry);
	(void)pthread_mutex_unlock(&keyring->lock);
	return 0;
}

/* Finds the entry for an image of a pod and asks the policy. The keyring is locked. */
static int find_checked(struct keyring *keyring, const struct policy_keygrant_facts *facts, struct entry **ret_entry,
			struct err *err)
{
	struct entry *entry = *find(keyring, facts->uid, facts->image);

	*ret_entry = entry;
	return policy_keygrant_check(entry ? &entry->grant : NULL, facts, err);
}

int keyring_check(struct keyring *keyring, const struct policy_keygrant_facts *facts, struct err *err)
{
	struct entry *entry;
	int r;

	(void)pthread_mutex_lock(&keyring->lock);
	r = find_checked(keyring, facts, &entry, err);
	(void)pthread_mutex_unlock(&keyring->lock);
	return r;
}

int keyring_cache_key(struct keyring *keyring, const struct policy_keygrant_facts *facts,
		      uint8_t key[static KEYRING_CACHE_KEY], struct err *err)
{
	struct entry *entry;
	int r;

	(void)pthread_mutex_lock(&keyring->lock);
	r = find_checked(keyring, facts, &entry, err);
	if (r == 0)
		memcpy(key, entry->plain, KEYRING_CACHE_KEY);
	(void)pthread_mutex_unlock(&keyring->lock);
	return r;
}

int keyring_layer(struct keyring *keyring, const struct policy_keygrant_facts *facts, const char *layer,
		  struct layersecret *ret_secret, struct err *err)
{
	struct entry *entry;
	size_t i = 0;
	int r;

	(void)pthread_mutex_lock(&keyring->lock);
	r = find_checked(keyring, facts, &entry, err);
	while (r == 0 && i < entry->grant.layer_count && !str_eq(entry->grant.layers[i], layer))
		i++;
	if (r == 0 && i == entry->grant.layer_count)
		r = err_set(err, ERR_DENIED, "no key of TrustDomain '%s' was handed over for it", facts->domain);
	if (r == 0 && layersecret_unpack(entry->plain + KEYRING_CACHE_KEY + i * LAYERSECRET_PACKED, ret_secret) < 0)
		r = err_set(err, ERR_INVALID, "its key is malformed");
	(void)pthread_mutex_unlock(&keyring->lock);
	return r;
}

void keyring_drop(struct keyring *keyring, const char *uid)
{
	struct entry **at;

	(void)pthread_mutex_lock(&keyring->lock);
	while (*(at = find(keyring, uid, NULL)))
		remove_at(at);
	(void)pthread_mutex_unlock(&keyring->lock);
}

size_t keyring_count(struct keyring *keyring)
{
	size_t count = 0;

	(void)pthread_mutex_lock(&keyring->lock);
	for (const struct entry *entry = keyring->entries; entry; entry = entry->next)
		count++;
	(void)pthread_mutex_unlock(&keyring->lock);
	return count;
}
