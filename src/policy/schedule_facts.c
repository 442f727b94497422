/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schedule_facts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "policy/schedule_weights.h"

/* --- memory --- */

struct schedule_chunk {
	struct schedule_chunk *next;
	size_t used, room;
	_Alignas(16) char bytes[];
};

struct schedule_facts *schedule_facts_new(void)
{
	struct schedule_facts *facts = calloc(1, sizeof(*facts));

	if (facts)
		facts->references = 1;
	return facts;
}

struct schedule_facts *schedule_facts_keep(struct schedule_facts *facts)
{
	facts->references++;
	return facts;
}

void schedule_facts_drop(struct schedule_facts *facts)
{
	if (!facts || --facts->references > 0)
		return;
	while (facts->chunks) {
		struct schedule_chunk *next = facts->chunks->next;

		free(facts->chunks);
		facts->chunks = next;
	}
	free(facts);
}

static void *take(struct schedule_facts *facts, size_t size)
{
	struct schedule_chunk *chunk = facts->chunks;
	size_t room = size > 1000 ? size : 1000;

	size = (size + 15) & ~(size_t)15;
	if (!chunk || chunk->room - chunk->used < size) {
		chunk = calloc(1, sizeof(*chunk) + room + 16);
		if (!chunk) {
			facts->failed = true;
			return NULL;
		}
		chunk->next = facts->chunks;
		chunk->room = room + 16;
		facts->chunks = chunk;
	}
	chunk->used += size;
	return chunk->bytes + chunk->used - size;
}

void *schedule_facts_take(struct schedule_facts *facts, size_t count, size_t size)
{
	size_t bytes;

	if (count == 0)
		return NULL;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SCHEDULE_KEY_MAX * 16) {
		facts->failed = true;
		return NULL;
	}
	return take(facts, bytes);
}

const char *schedule_facts_text(struct schedule_facts *facts, const char *text)
{
	size_t size = text ? strlen(text) + 1 : 0;
	char *copy = text ? take(facts, size) : NULL;

	if (copy)
		memcpy(copy, text, size);
	return copy;
}

/* --- keys: a length or a number before each part, so that no two facts read the same --- */

/* Most often there is room: a key is made for every pod that is heard of. */
static inline int append(struct buf *to, const void *bytes, size_t len)
{
	if (to->cap - to->len <= len)
		return buf_append(to, bytes, len);
	memcpy(to->data + to->len, bytes, len);
	to->len += len;
	return 0;
}

static int put_number(struct buf *to, uint64_t number)
{
	return append(to, &number, sizeof(number));
}

static int put_text(struct buf *to, const char *text)
{
	uint32_t len = text ? (uint32_t)strlen(text) : UINT32_MAX;
	int r = append(to, &len, sizeof(len));

	return r < 0 || !text ? r : append(to, text, len);
}

static int put_texts(struct buf *to, const struct schedule_texts *texts)
{
	int r = put_number(to, texts->count);

	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = put_text(to, texts->items[i]);
	return r;
}

static int put_pairs(struct buf *to, const struct schedule_pairs *pairs)
{
	int r = put_number(to, pairs->count);

	for (size_t i = 0; r == 0 && i < pairs->count; i++) {
		r = put_text(to, pairs->items[i].key);
		if (r == 0)
			r = put_text(to, pairs->items[i].value);
	}
	return r;
}

static int put_requirements(struct buf *to, const struct schedule_requirements *all)
{
	int r = put_number(to, all->count);

	for (size_t i = 0; r == 0 && i < all->count; i++) {
		r = put_text(to, all->items[i].key);
		if (r == 0)
			r = put_number(to, all->items[i].operator);
		if (r == 0)
			r = put_texts(to, &all->items[i].values);
	}
	return r;
}

static int put_selector(struct buf *to, const struct schedule_selector *selector)
{
	int r = put_number(to, selector->given);

	return r < 0 ? r : put_requirements(to, &selector->all);
}

static int put_terms(struct buf *to, const struct schedule_terms *terms)
{
	int r = put_number(to, terms->count);

	for (size_t i = 0; r == 0 && i < terms->count; i++) {
		r = put_number(to, (uint64_t)terms->items[i].weight);
		if (r == 0)
			r = put_requirements(to, &terms->items[i].all);
	}
	return r;
}

static int put_affinity(struct buf *to, const struct schedule_affinity *affinity)
{
	int r = put_selector(to, &affinity->pods);

	if (r == 0)
		r = put_texts(to, &affinity->namespaces);
	if (r == 0)
		r = put_selector(to, &affinity->of_namespaces);
	return r < 0 ? r : put_text(to, affinity->topology);
}

static int put_affinities(struct buf *to, const struct schedule_affinities *affinities)
{
	int r = put_number(to, affinities->count);

	for (size_t i = 0; r == 0 && i < affinities->count; i++) {
		r = put_number(to, (uint64_t)affinities->items[i].weight);
		if (r == 0)
			r = put_affinity(to, &affinities->items[i]);
	}
	return r;
}

static int put_tolerations(struct buf *to, const struct schedule_tolerations *tolerations)
{
	int r = put_number(to, tolerations->count);

	for (size_t i = 0; r == 0 && i < tolerations->count; i++) {
		const struct schedule_toleration *one = &tolerations->items[i];

		r = put_text(to, one->key);
		if (r == 0)
			r = put_text(to, one->value);
		if (r == 0)
			r = put_number(to, (uint64_t)one->effect << 2 | (uint64_t)one->any_effect << 1 | one->exists);
	}
	return r;
}

static int put_spreads(struct buf *to, const struct schedule_spreads *spreads)
{
	int r = put_number(to, spreads->count);

	for (size_t i = 0; r == 0 && i < spreads->count; i++) {
		const struct schedule_spread *one = &spreads->items[i];

		r = put_selector(to, &one->pods);
		if (r == 0)
			r = put_text(to, one->topology);
		if (r == 0)
			r = put_number(to, (uint64_t)one->most << 32 | (uint32_t)one->least_domains);
		if (r == 0)
			r = put_number(to, (uint64_t)one->required << 2 | (uint64_t)one->ignore_affinity << 1 |
						   one->honour_taints);
	}
	return r;
}

int schedule_facts_key_filter(struct buf *to, const struct schedule_pod *pod)
{
	int r = put_pairs(to, &pod->node_selector);

	if (r == 0)
		r = put_number(to, pod->has_node_affinity);
	if (r == 0)
		r = put_terms(to, &pod->node_affinity);
	if (r == 0)
		r = put_terms(to, &pod->node_preferences);
	return r < 0 ? r : put_tolerations(to, &pod->tolerations);
}

int schedule_facts_key_group(struct buf *to, const struct schedule_pod *pod)
{
	int r = put_text(to, pod->domain);

	if (r == 0)
		r = put_text(to, pod->namespace);
	return r < 0 ? r : put_pairs(to, &pod->labels);
}

int schedule_facts_key_pod(struct buf *to, const struct schedule_pod *pod)
{
	int r = schedule_facts_key_group(to, pod);

	if (r == 0)
		r = put_text(to, pod->subfunction);
	if (r == 0)
		r = put_number(to, pod->requests.count);
	for (size_t i = 0; r == 0 && i < pod->requests.count; i++) {
		r = put_text(to, pod->requests.items[i].resource);
		if (r == 0)
			r = put_number(to, (uint64_t)pod->requests.items[i].amount);
	}
	if (r == 0)
		r = schedule_facts_key_filter(to, pod);
	if (r == 0)
		r = put_affinities(to, &pod->near);
	if (r == 0)
		r = put_affinities(to, &pod->apart);
	if (r == 0)
		r = put_spreads(to, &pod->spreads);
	return r < 0 ? r : put_texts(to, &pod->images);
}

int schedule_facts_key_affinity(struct buf *to, const char *domain, const struct schedule_affinity *affinity)
{
	int r = put_text(to, domain);

	return r < 0 ? r : put_affinity(to, affinity);
}

struct schedule_affinity schedule_facts_of_spread(const struct schedule_spread *spread, const char *const *namespace)
{
	return (struct schedule_affinity){
		.pods = spread->pods,
		.namespaces = {namespace, 1},
		.topology = spread->topology,
	};
}

/* --- matching --- */

const char *schedule_facts_label(const struct schedule_pairs *labels, const char *key)
{
	for (size_t i = 0; i < labels->count; i++)
		if (str_eq(labels->items[i].key, key))
			return labels->items[i].value;
	return NULL;
}

static bool has_text(const struct schedule_texts *texts, const char *text)
{
	for (size_t i = 0; i < texts->count; i++)
		if (str_eq(texts->items[i], text))
			return true;
	return false;
}

/* Gt and Lt compare whole numbers; what is none does not match. */
static bool compares(const struct schedule_requirement *one, const char *value)
{
	int64_t has, wanted;

	if (!value || one->values.count != 1 || str_parse_i64(value, INT64_MIN, INT64_MAX, &has) < 0 ||
	    str_parse_i64(one->values.items[0], INT64_MIN, INT64_MAX, &wanted) < 0)
		return false;
	return one->operator== SCHEDULE_GT ? has > wanted : has<wanted;
}

static bool holds(const struct schedule_requirement *one, const char *value)
{
	switch (one->operator) {
	case SCHEDULE_IN:
		return value && has_text(&one->values, value);
	case SCHEDULE_NOT_IN:
		return !value || !has_text(&one->values, value);
	case SCHEDULE_EXISTS:
		return value;
	case SCHEDULE_DOES_NOT_EXIST:
		return !value;
	case SCHEDULE_GT:
	case SCHEDULE_LT:
		return compares(one, value);
	}
	return false;
}

bool schedule_facts_match(const struct schedule_requirements *all, const struct schedule_pairs *labels,
			  const char *name)
{
	for (size_t i = 0; i < all->count; i++) {
		const char *key = all->items[i].key;

		if (!holds(&all->items[i], key ? schedule_facts_label(labels, key) : name))
			return false;
	}
	return true;
}

bool schedule_facts_select(const struct schedule_selector *selector, const struct schedule_pairs *labels)
{
	return selector->given && schedule_facts_match(&selector->all, labels, NULL);
}

const struct schedule_pair *schedule_facts_missing(const struct schedule_pod *pod,
						   const struct schedule_instance *instance)
{
	for (size_t i = 0; i < pod->node_selector.count; i++) {
		const struct schedule_pair *wanted = &pod->node_selector.items[i];
		const char *has = schedule_facts_label(&instance->labels, wanted->key);

		if (!has || !str_eq(has, wanted->value))
			return wanted;
	}
	return NULL;
}

static bool term_matches(const struct schedule_term *term, const struct schedule_instance *instance)
{
	return term->all.count > 0 && schedule_facts_match(&term->all, &instance->labels, instance->name);
}

bool schedule_facts_attracted(const struct schedule_pod *pod, const struct schedule_instance *instance)
{
	for (size_t i = 0; i < pod->node_affinity.count; i++)
		if (term_matches(&pod->node_affinity.items[i], instance))
			return true;
	return !pod->has_node_affinity;
}

static bool tolerates(const struct schedule_pod *pod, const struct schedule_taint *taint)
{
	for (size_t i = 0; i < pod->tolerations.count; i++) {
		const struct schedule_toleration *one = &pod->tolerations.items[i];

		if (!one->any_effect && one->effect != taint->effect)
			continue;
		if (!one->key ? !one->exists : !str_eq(one->key, taint->key))
			continue;
		if (one->exists || str_eq(one->value, taint->value))
			return true;
	}
	return false;
}

const struct schedule_taint *schedule_facts_untolerated(const struct schedule_pod *pod,
							const struct schedule_instance *instance)
{
	for (size_t i = 0; i < instance->taints.count; i++) {
		const struct schedule_taint *taint = &instance->taints.items[i];

		if (taint->effect != SCHEDULE_PREFER_NO_SCHEDULE && !tolerates(pod, taint))
			return taint;
	}
	return NULL;
}

int schedule_facts_liking(const struct schedule_pod *pod, const struct schedule_instance *instance)
{
	int liking = 0;

	for (size_t i = 0; i < pod->node_preferences.count; i++)
		/* A preference without requirements is for every instance alike. */
		if (term_matches(&pod->node_preferences.items[i], instance))
			liking += SCHEDULE_WEIGHT_PREFERENCE * pod->node_preferences.items[i].weight;
	for (size_t i = 0; i < instance->taints.count; i++)
		if (instance->taints.items[i].effect == SCHEDULE_PREFER_NO_SCHEDULE &&
		    !tolerates(pod, &instance->taints.items[i]))
			liking += SCHEDULE_WEIGHT_TAINT;
	return liking;
}
