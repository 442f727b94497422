/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_quota.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/str.h"

#define BUCKETS 4096

struct entry {
	struct entry *next;
	long domain; /* an index of usage, or -1 */
	struct cir_usage usage;
	char repository[];
};

struct cir_quota {
	pthread_mutex_t lock;
	struct cir_access *access; /* whose rules hold; NULL: none yet */
	struct cir_usage *usage;   /* one for each domain of the rules */
	struct entry *buckets[BUCKETS];
};

int cir_quota_new(struct cir_quota **ret_quota, struct err *err)
{
	struct cir_quota *quota = calloc(1, sizeof(*quota));

	if (!quota)
		return err_set(err, -ENOMEM, "no memory for quotas");
	(void)pthread_mutex_init(&quota->lock, NULL);
	*ret_quota = quota;
	return 0;
}

void cir_quota_free(struct cir_quota *quota)
{
	struct entry *next;

	if (!quota)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *at = quota->buckets[i]; at; at = next) {
			next = at->next;
			free(at);
		}
	cir_access_unref(quota->access);
	free(quota->usage);
	(void)pthread_mutex_destroy(&quota->lock);
	free(quota);
}

static const struct cir_rules *rules_of(const struct cir_quota *quota)
{
	return quota->access ? cir_access_rules(quota->access) : NULL;
}

static size_t bucket_of(const char *repository)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *repository; repository++)
		hash = (hash ^ (unsigned char)*repository) * UINT64_C(0x100000001b3);
	return (size_t)(hash >> 20) % BUCKETS;
}

/* NULL without memory, or when it is not there and is not to be made. */
static struct entry *entry_of(struct cir_quota *quota, const char *repository, bool make)
{
	struct entry **at = &quota->buckets[bucket_of(repository)], *entry;
	size_t size = strlen(repository) + 1;

	while (*at && !str_eq((*at)->repository, repository))
		at = &(*at)->next;
	if (*at || !make)
		return *at;
	entry = calloc(1, sizeof(*entry) + size);
	if (!entry)
		return NULL;
	memcpy(entry->repository, repository, size);
	entry->domain = cir_rules_domain_of(rules_of(quota), repository);
	*at = entry;
	return entry;
}

int cir_quota_set_access(struct cir_quota *quota, struct cir_access *access, struct err *err)
{
	const struct cir_rules *rules = cir_access_rules(access);
	struct cir_usage *usage = calloc(cir_rules_domain_count(rules) + 1, sizeof(*usage)), *old_usage;
	struct cir_access *old;

	if (!usage)
		return err_set(err, -ENOMEM, "no memory for quotas");
	(void)pthread_mutex_lock(&quota->lock);
	old = quota->access;
	old_usage = quota->usage;
	quota->access = cir_access_ref(access);
	quota->usage = usage;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *at = quota->buckets[i]; at; at = at->next) {
			at->domain = cir_rules_domain_of(rules, at->repository);
			if (at->domain < 0)
				continue;
			usage[at->domain].bytes += at->usage.bytes;
			usage[at->domain].objects += at->usage.objects;
		}
	(void)pthread_mutex_unlock(&quota->lock);
	cir_access_unref(old);
	free(old_usage);
	return 0;
}

static void add(struct cir_quota *quota, struct entry *entry, uint64_t bytes, uint64_t objects)
{
	entry->usage.bytes += bytes;
	entry->usage.objects += objects;
	if (entry->domain < 0)
		return;
	quota->usage[entry->domain].bytes += bytes;
	quota->usage[entry->domain].objects += objects;
}

static int check_limits(const struct cir_quota *quota, const struct entry *entry, uint64_t bytes, uint64_t objects,
			struct err *err)
{
	const struct cir_domain *domain;
	const struct cir_usage *usage;

	if (entry->domain < 0)
		return 0;
	domain = cir_rules_domain(rules_of(quota), (size_t)entry->domain);
	usage = &quota->usage[entry->domain];
	if (bytes && (usage->bytes > domain->bytes || bytes > domain->bytes - usage->bytes))
		return err_set(err, -EDQUOT, "trust domain '%s' may store %llu bytes, %llu are stored", domain->name,
			       (unsigned long long)domain->bytes, (unsigned long long)usage->bytes);
	if (objects && (usage->objects > domain->objects || objects > domain->objects - usage->objects))
		return err_set(err, -EDQUOT, "trust domain '%s' may store %llu objects, %llu are stored", domain->name,
			       (unsigned long long)domain->objects, (unsigned long long)usage->objects);
	return 0;
}

int cir_quota_take(struct cir_quota *quota, const char *repository, uint64_t bytes, uint64_t objects, struct err *err)
{
	struct entry *entry;
	int r;

	(void)pthread_mutex_lock(&quota->lock);
	entry = entry_of(quota, repository, true);
	r = entry ? check_limits(quota, entry, bytes, objects, err) : err_set(err, -ENOMEM, "no memory for quotas");
	if (r == 0)
		add(quota, entry, bytes, objects);
	(void)pthread_mutex_unlock(&quota->lock);
	return r;
}

int cir_quota_found(struct cir_quota *quota, const char *repository, uint64_t bytes, uint64_t objects)
{
	struct entry *entry;

	(void)pthread_mutex_lock(&quota->lock);
	entry = entry_of(quota, repository, true);
	if (entry)
		add(quota, entry, bytes, objects);
	(void)pthread_mutex_unlock(&quota->lock);
	return entry ? 0 : -ENOMEM;
}

/* Never below nothing: a file whose size was not what was charged does no further harm. */
static void subtract(struct cir_usage *usage, uint64_t bytes, uint64_t objects)
{
	usage->bytes -= bytes < usage->bytes ? bytes : usage->bytes;
	usage->objects -= objects < usage->objects ? objects : usage->objects;
}

void cir_quota_give(struct cir_quota *quota, const char *repository, uint64_t bytes, uint64_t objects)
{
	struct entry *entry;

	(void)pthread_mutex_lock(&quota->lock);
	entry = entry_of(quota, repository, false);
	if (entry)
		subtract(&entry->usage, bytes, objects);
	if (entry && entry->domain >= 0)
		subtract(&quota->usage[entry->domain], bytes, objects);
	(void)pthread_mutex_unlock(&quota->lock);
}

void cir_quota_each(struct cir_quota *quota,
		    void (*each)(const struct cir_domain *domain, const struct cir_usage *usage, void *user),
		    void *user)
{
	const struct cir_rules *rules;

	(void)pthread_mutex_lock(&quota->lock);
	rules = rules_of(quota);
	for (size_t i = 0; i < cir_rules_domain_count(rules); i++)
		each(cir_rules_domain(rules, i), &quota->usage[i], user);
	(void)pthread_mutex_unlock(&quota->lock);
}
