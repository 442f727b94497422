/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/placefacts.h"

#include <errno.h>
#include <stdio.h>

#include "api/api.h"
#include "base/str.h"
#include "cism/amounts.h"
#include "policy/domain.h"

#define REQUIRED_TERMS "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED_TERMS "preferredDuringSchedulingIgnoredDuringExecution"
#define IMAGES_MAX 200

static const char *text_or(const char *text, const char *otherwise)
{
	return text ? text : otherwise;
}

/* --- labels and selectors --- */

static struct schedule_pairs read_pairs(struct schedule_facts *to, json_t *object)
{
	struct schedule_pair *items = schedule_facts_take(to, json_object_size(object), sizeof(*items));
	const char *key;
	json_t *value;
	size_t count = 0;

	json_object_foreach(object, key, value) {
		if (!items || !json_is_string(value))
			continue;
		items[count].key = schedule_facts_text(to, key);
		items[count++].value = schedule_facts_text(to, json_string_value(value));
	}
	return (struct schedule_pairs){items, count};
}

static struct schedule_texts read_texts(struct schedule_facts *to, const json_t *array)
{
	const char **items = schedule_facts_take(to, json_array_size(array), sizeof(*items));
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(array, i, item)
		if (items && json_is_string(item))
			items[count++] = schedule_facts_text(to, json_string_value(item));
	return (struct schedule_texts){items, count};
}

static int read_operator(const char *word, enum schedule_operator *ret)
{
	static const char *const words[] = {
		[SCHEDULE_IN] = "In",         [SCHEDULE_NOT_IN] = "NotIn",
		[SCHEDULE_EXISTS] = "Exists", [SCHEDULE_DOES_NOT_EXIST] = "DoesNotExist",
		[SCHEDULE_GT] = "Gt",         [SCHEDULE_LT] = "Lt",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (word && str_eq(words[i], word)) {
			*ret = (enum schedule_operator)i;
			return 0;
		}
	return -EINVAL;
}

/* fields: of matchFields, which know the instance's name alone. */
static int read_requirements(struct schedule_facts *to, const json_t *array, bool fields,
			     struct schedule_requirement *items, size_t *count)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item) {
		struct schedule_requirement *one = &items[(*count)++];
		const char *key = api_string(item, "key");

		if (!key || read_operator(api_string(item, "operator"), &one->operator) < 0 ||
		    (fields && !str_eq(key, "metadata.name")))
			return -EINVAL;
		one->key = fields ? NULL : schedule_facts_text(to, key);
		one->values = read_texts(to, json_object_get(item, "values"));
	}
	return 0;
}

/* also: further pairs that must match (matchLabelKeys). */
static int read_selector(struct schedule_facts *to, const json_t *selector, const struct schedule_requirements *also,
			 struct schedule_selector *ret)
{
	json_t *labels = json_object_get(selector, "matchLabels");
	const json_t *expressions = json_object_get(selector, "matchExpressions");
	size_t most = json_object_size(labels) + json_array_size(expressions) + also->count, count = 0;
	struct schedule_requirement *items = schedule_facts_take(to, most, sizeof(*items));
	const char *key;
	json_t *value;

	*ret = (struct schedule_selector){.given = json_is_object(selector)};
	if (!ret->given || !items)
		return 0;
	json_object_foreach(labels, key, value) {
		const char **text = schedule_facts_take(to, 1, sizeof(*text));

		if (!text || !json_is_string(value))
			return -EINVAL;
		*text = schedule_facts_text(to, json_string_value(value));
		items[count++] = (struct schedule_requirement){.key = schedule_facts_text(to, key),
							       .operator= SCHEDULE_IN,
							       .values = {text, 1}};
	}
	if (read_requirements(to, expressions, false, items, &count) < 0)
		return -EINVAL;
	for (size_t i = 0; i < also->count; i++)
		items[count++] = also->items[i];
	ret->all = (struct schedule_requirements){items, count};
	return 0;
}

/* Keys whose values of the pod's own labels the selector wants too (In), or does not want (NotIn). */
static void read_own_keys(struct schedule_facts *to, const json_t *keys, enum schedule_operator operator,
			  struct schedule_requirement * items, size_t *count)
{
	const json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) {
		const char *value = json_is_string(key) ? schedule_facts_label(&to->pod.labels, json_string_value(key))
							: NULL;
		const char **text = schedule_facts_take(to, 1, sizeof(*text));

		if (!value || !text)
			continue;
		*text = value;
		items[(*count)++] =
			(struct schedule_requirement){.key = schedule_facts_text(to, json_string_value(key)),
						      .operator= operator,
						      .values = {text, 1} };
	}
}

static struct schedule_requirements own_keys(struct schedule_facts *to, const json_t *term)
{
	const json_t *match = json_object_get(term, "matchLabelKeys");
	const json_t *mismatch = json_object_get(term, "mismatchLabelKeys");
	struct schedule_requirement *items = schedule_facts_take(to, json_array_size(match) + json_array_size(mismatch),
								 sizeof(*items));
	size_t count = 0;

	if (items) {
		read_own_keys(to, match, SCHEDULE_IN, items, &count);
		read_own_keys(to, mismatch, SCHEDULE_NOT_IN, items, &count);
	}
	return (struct schedule_requirements){items, count};
}

/* --- instances that are wanted --- */

static int read_term(struct schedule_facts *to, const json_t *json, int weight, struct schedule_term *ret)
{
	const json_t *expressions = json_object_get(json, "matchExpressions");
	const json_t *fields = json_object_get(json, "matchFields");
	struct schedule_requirement *items =
		schedule_facts_take(to, json_array_size(expressions) + json_array_size(fields), sizeof(*items));
	size_t count = 0;

	*ret = (struct schedule_term){.weight = weight};
	if (!items)
		return 0;
	if (read_requirements(to, expressions, false, items, &count) < 0 ||
	    read_requirements(to, fields, true, items, &count) < 0)
		return -EINVAL;
	ret->all = (struct schedule_requirements){items, count};
	return 0;
}

/* preferred: the terms stand under "preference", beside their weight. */
static int read_terms(struct schedule_facts *to, const json_t *array, bool preferred, struct schedule_terms *ret)
{
	struct schedule_term *items = schedule_facts_take(to, json_array_size(array), sizeof(*items));
	const json_t *item;
	size_t i;

	if (!items)
		return 0;
	json_array_foreach(array, i, item)
		if (read_term(to, preferred ? json_object_get(item, "preference") : item,
			      (int)api_integer(item, "weight", 0), &items[i]) < 0)
			return -EINVAL;
	*ret = (struct schedule_terms){items, json_array_size(array)};
	return 0;
}

static int read_effect(const char *word, enum schedule_effect *ret)
{
	static const char *const words[] = {
		[SCHEDULE_NO_SCHEDULE] = "NoSchedule",
		[SCHEDULE_PREFER_NO_SCHEDULE] = "PreferNoSchedule",
		[SCHEDULE_NO_EXECUTE] = "NoExecute",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (word && str_eq(words[i], word)) {
			*ret = (enum schedule_effect)i;
			return 0;
		}
	return -EINVAL;
}

/* One that cannot be read tolerates nothing. */
static void read_tolerations(struct schedule_facts *to, const json_t *array)
{
	struct schedule_toleration *items = schedule_facts_take(to, json_array_size(array), sizeof(*items));
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(array, i, item) {
		const char *key = api_string(item, "key"), *effect = api_string(item, "effect");
		const char *operator= text_or(api_string(item, "operator"), "Equal");
		bool exists = str_eq(operator, "Exists"), any = !effect || !effect[0];
		struct schedule_toleration one = {.exists = exists, .any_effect = any};

		if (!items || (!exists && !str_eq(operator, "Equal")) || (!any && read_effect(effect, &one.effect) < 0))
			continue;
		one.key = key && key[0] ? schedule_facts_text(to, key) : NULL;
		one.value = schedule_facts_text(to, text_or(api_string(item, "value"), ""));
		items[count++] = one;
	}
	to->pod.tolerations = (struct schedule_tolerations){items, count};
}

/* --- pods that are wanted near or far --- */

static int read_affinity(struct schedule_facts *to, const json_t *term, int weight, struct schedule_affinity *ret)
{
	static const struct schedule_requirements none;
	const struct schedule_requirements own = own_keys(to, term);
	const char *topology = api_string(term, "topologyKey");
	const json_t *of = json_object_get(term, "namespaceSelector");

	*ret = (struct schedule_affinity){.weight = weight, .topology = schedule_facts_text(to, topology)};
	if (!topology || !topology[0] ||
	    read_selector(to, json_object_get(term, "labelSelector"), &own, &ret->pods) < 0 ||
	    read_selector(to, of, &none, &ret->of_namespaces) < 0)
		return -EINVAL;
	ret->namespaces = read_texts(to, json_object_get(term, "namespaces"));
	if (ret->namespaces.count == 0 && !ret->of_namespaces.given) {
		const char **own_namespace = schedule_facts_take(to, 1, sizeof(*own_namespace));

		if (own_namespace) {
			*own_namespace = to->pod.namespace;
			ret->namespaces = (struct schedule_texts){own_namespace, 1};
		}
	}
	return 0;
}

static int read_affinities(struct schedule_facts *to, const json_t *json, struct schedule_affinities *ret)
{
	const json_t *required = json_object_get(json, REQUIRED_TERMS),
		     *preferred = json_object_get(json, PREFERRED_TERMS);
	size_t count = json_array_size(required) + json_array_size(preferred), i;
	struct schedule_affinity *items = schedule_facts_take(to, count, sizeof(*items));
	const json_t *item;

	if (!items)
		return 0;
	json_array_foreach(required, i, item)
		if (read_affinity(to, item, 0, &items[i]) < 0)
			return -EINVAL;
	json_array_foreach(preferred, i, item) {
		int weight = (int)api_integer(item, "weight", 0);

		if (weight < 1 || weight > 100 ||
		    read_affinity(to, json_object_get(item, "podAffinityTerm"), weight,
				  &items[json_array_size(required) + i]) < 0)
			return -EINVAL;
	}
	*ret = (struct schedule_affinities){items, count};
	return 0;
}

static bool says(const json_t *json, const char *field, const char *word)
{
	return str_eq(text_or(api_string(json, field), ""), word);
}

static int read_spreads(struct schedule_facts *to, const json_t *array)
{
	struct schedule_spread *items = schedule_facts_take(to, json_array_size(array), sizeof(*items));
	const json_t *item;
	size_t i;

	if (!items)
		return 0;
	json_array_foreach(array, i, item) {
		const struct schedule_requirements own = own_keys(to, item);
		const char *topology = api_string(item, "topologyKey");
		json_int_t most = api_integer(item, "maxSkew", 0), least = api_integer(item, "minDomains", 1);

		items[i] = (struct schedule_spread){
			.topology = schedule_facts_text(to, topology),
			.required = says(item, "whenUnsatisfiable", "DoNotSchedule"),
			.most = (int)most,
			.least_domains = (int)least,
			.ignore_affinity = says(item, "nodeAffinityPolicy", "Ignore"),
			.honour_taints = says(item, "nodeTaintsPolicy", "Honor"),
		};
		if (!topology || !topology[0] || most < 1 || most > INT32_MAX || least < 1 || least > INT32_MAX ||
		    read_selector(to, json_object_get(item, "labelSelector"), &own, &items[i].pods) < 0)
			return -EINVAL;
	}
	to->pod.spreads = (struct schedule_spreads){items, json_array_size(array)};
	return 0;
}

/* --- the whole --- */

static int finish(struct schedule_facts *facts, int r, struct schedule_facts **ret_facts, struct err *err)
{
	if (r == 0 && !facts->failed) {
		*ret_facts = facts;
		return 0;
	}
	r = r < 0 ? r : err_sys(err, -ENOMEM, "cannot read an object");
	schedule_facts_drop(facts);
	return r;
}

static void read_images(struct schedule_facts *to, const json_t *pod)
{
	const json_t *containers = api_value(pod, "spec.containers"), *container;
	const char **items = schedule_facts_take(to, json_array_size(containers), sizeof(*items));
	size_t i, count = 0;

	json_array_foreach(containers, i, container)
		if (items && api_string(container, "image"))
			items[count++] = schedule_facts_text(to, api_string(container, "image"));
	to->pod.images = (struct schedule_texts){items, count};
}

/* The lists whose fields the API has checked; what it should have refused is refused here by its place. */
static int read_lists(struct schedule_facts *to, const json_t *pod, struct err *err)
{
	const json_t *nodes = api_value(pod, "spec.affinity.nodeAffinity");
	const json_t *required = json_object_get(nodes, REQUIRED_TERMS);

	to->pod.has_node_affinity = json_is_object(required);
	if (read_terms(to, json_object_get(required, "nodeSelectorTerms"), false, &to->pod.node_affinity) < 0 ||
	    read_terms(to, json_object_get(nodes, PREFERRED_TERMS), true, &to->pod.node_preferences) < 0)
		return err_set(err, ERR_INVALID, "spec.affinity.nodeAffinity: a term cannot be read");
	if (read_affinities(to, api_value(pod, "spec.affinity.podAffinity"), &to->pod.near) < 0)
		return err_set(err, ERR_INVALID, "spec.affinity.podAffinity: a term cannot be read");
	if (read_affinities(to, api_value(pod, "spec.affinity.podAntiAffinity"), &to->pod.apart) < 0)
		return err_set(err, ERR_INVALID, "spec.affinity.podAntiAffinity: a term cannot be read");
	if (read_spreads(to, api_value(pod, "spec.topologySpreadConstraints")) < 0)
		return err_set(err, ERR_INVALID, "spec.topologySpreadConstraints: a constraint cannot be read");
	return 0;
}

int placefacts_pod(const json_t *pod, const char *domain, const char *subfunction, struct schedule_facts **ret_facts,
		   struct err *err)
{
	struct schedule_facts *facts = schedule_facts_new();
	int r;

	if (!facts)
		return err_sys(err, -ENOMEM, "cannot read a pod");
	facts->pod.namespace = schedule_facts_text(facts, text_or(api_string(pod, "metadata.namespace"), ""));
	facts->pod.domain = schedule_facts_text(facts, text_or(domain, ""));
	facts->pod.subfunction = schedule_facts_text(facts, text_or(subfunction, ""));
	facts->pod.labels = read_pairs(facts, api_value(pod, "metadata.labels"));
	facts->pod.node_selector = read_pairs(facts, api_value(pod, "spec.nodeSelector"));
	read_tolerations(facts, api_value(pod, "spec.tolerations"));
	read_images(facts, pod);
	r = read_lists(facts, pod, err);
	if (r == 0)
		r = amounts_pod(facts, pod, err);
	return finish(facts, r, ret_facts, err);
}

static bool is_ready(const json_t *node)
{
	const json_t *condition;
	size_t i;

	json_array_foreach(api_value(node, "status.conditions"), i, condition)
		if (says(condition, "type", "Ready"))
			return says(condition, "status", "True");
	return false;
}

static void read_taints(struct schedule_facts *to, const json_t *array)
{
	struct schedule_taint *items = schedule_facts_take(to, json_array_size(array), sizeof(*items));
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(array, i, item) {
		if (!items || !api_string(item, "key") ||
		    read_effect(api_string(item, "effect"), &items[count].effect) < 0)
			continue;
		items[count].key = schedule_facts_text(to, api_string(item, "key"));
		items[count++].value = schedule_facts_text(to, text_or(api_string(item, "value"), ""));
	}
	to->instance.taints = (struct schedule_taints){items, count};
}

static void read_stored(struct schedule_facts *to, const json_t *images)
{
	const char **items = schedule_facts_take(to, IMAGES_MAX, sizeof(*items));
	const json_t *image, *name;
	size_t i, j, count = 0;

	json_array_foreach(images, i, image)
		json_array_foreach(json_object_get(image, "names"), j, name)
			if (items && count < IMAGES_MAX && json_is_string(name))
				items[count++] = schedule_facts_text(to, json_string_value(name));
	to->instance.images = (struct schedule_texts){items, count};
}

int placefacts_node(const json_t *node, const struct topology_instance *mapping, bool quarantined,
		    struct schedule_facts **ret_facts, struct err *err)
{
	struct schedule_facts *facts = schedule_facts_new();

	if (!facts)
		return err_sys(err, -ENOMEM, "cannot read a node");
	facts->instance.name = schedule_facts_text(facts, text_or(api_string(node, "metadata.name"), ""));
	facts->instance.server = mapping ? schedule_facts_text(facts, mapping->server) : NULL;
	facts->instance.epoch = mapping ? mapping->epoch : 0;
	facts->instance.ready = is_ready(node) && !(mapping && mapping->off);
	facts->instance.unschedulable = json_is_true(api_value(node, "spec.unschedulable"));
	facts->instance.quarantined = quarantined;
	facts->instance.labels = read_pairs(facts, api_value(node, "metadata.labels"));
	read_taints(facts, api_value(node, "spec.taints"));
	amounts_node(facts, node);
	read_stored(facts, api_value(node, "status.images"));
	return finish(facts, 0, ret_facts, err);
}

int placefacts_namespace(const json_t *namespace, struct schedule_facts **ret_facts, struct err *err)
{
	struct schedule_facts *facts = schedule_facts_new();

	if (!facts)
		return err_sys(err, -ENOMEM, "cannot read a namespace");
	facts->labels = read_pairs(facts, api_value(namespace, "metadata.labels"));
	return finish(facts, 0, ret_facts, err);
}
