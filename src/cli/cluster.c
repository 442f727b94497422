/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cluster.h"

#include <errno.h>

#include "api/api.h"
#include "base/str.h"
#include "policy/subfunction.h"

#define IMAGES_MAX 64

const json_t *cluster_items(const json_t *list)
{
	return json_object_get(list, "items");
}

int cluster_parse_domains(const struct cluster *cluster, struct policy_domains *domains, struct err *err)
{
	const json_t *object;
	size_t i;

	json_array_foreach(cluster_items(cluster->trust_domains), i, object) {
		struct policy_domain *domain;

		if (policy_domain_parse(object, &domain, err) < 0)
			continue;
		if (policy_domains_put(domains, domain) < 0)
			return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static void add_holder(struct cluster *cluster, const json_t *row, const char *server)
{
	cluster->holders[cluster->holder_count++] = (struct policy_holder){
		.pod = {.uid = text_or_empty(api_string(row, "uid")),
			.namespace = text_or_empty(api_string(row, "namespace")),
			.name = text_or_empty(api_string(row, "name")),
			.domain = text_or_empty(api_string(row, "domain")),
			.subfunction = text_or_empty(api_string(row, "subFunction"))},
		.instance = text_or_empty(api_string(row, "instance")),
		.server = server,
	};
}

/* Where it was bound, where its instance is now, and where that was in between. */
static void add_places(struct cluster *cluster, const json_t *row)
{
	const char *bound = text_or_empty(api_string(row, "server")),
		   *now = text_or_empty(api_string(row, "serverNow"));
	const json_t *left;
	size_t i;

	add_holder(cluster, row, bound);
	if (!str_eq(now, bound))
		add_holder(cluster, row, now);
	json_array_foreach(json_object_get(row, "serversLeft"), i, left)
		if (json_is_string(left) && !str_eq(json_string_value(left), now))
			add_holder(cluster, row, json_string_value(left));
}

/* The ledger says who is charged, also of pods whose objects were deleted by force. */
static int read_holders(struct cluster *cluster, struct err *err)
{
	const json_t *rows = json_object_get(cluster->ledger, "holders"), *row;
	size_t i, count = 0;

	json_array_foreach(rows, i, row)
		count += 2 + json_array_size(json_object_get(row, "serversLeft"));
	cluster->holders = calloc(count + 1, sizeof(*cluster->holders));
	if (!cluster->holders)
		return err_set(err, -ENOMEM, "out of memory");
	json_array_foreach(rows, i, row)
		add_places(cluster, row);
	return 0;
}

int cluster_open(const char *root, struct apiclient **ret_client, struct cluster *ret_cluster, struct err *err)
{
	struct settings settings;
	struct paths paths;
	int r = paths_init(&paths, root, err);

	if (r == 0)
		r = settings_load(&paths, &settings, err);
	if (r == 0)
		r = apiclient_new(&paths, &settings, ret_client, err);
	return r == 0 ? cluster_load(*ret_client, ret_cluster, err) : r;
}

int cluster_load(struct apiclient *client, struct cluster *ret_cluster, struct err *err)
{
	struct cluster cluster = {0};
	const struct {
		const char *path;
		json_t **list;
	} lists[] = {
		{"/api/v1/nodes", &cluster.nodes},
		{"/api/v1/namespaces", &cluster.namespaces},
		{"/apis/trust.bulkhead.dev/v1/trustdomains", &cluster.trust_domains},
		{"/api/v1/pods", &cluster.pods},
		{"/apis/trust.bulkhead.dev/v1/ledger", &cluster.ledger},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lists) && r == 0; i++)
		r = apiclient_get(client, lists[i].path, lists[i].list, err);
	if (r == 0)
		r = cluster_parse_domains(&cluster, &cluster.domains, err);
	if (r == 0)
		r = read_holders(&cluster, err);
	if (r < 0)
		cluster_done(&cluster);
	else
		*ret_cluster = cluster;
	return r;
}

void cluster_done(struct cluster *cluster)
{
	json_decref(cluster->nodes);
	json_decref(cluster->namespaces);
	json_decref(cluster->trust_domains);
	json_decref(cluster->pods);
	json_decref(cluster->ledger);
	free(cluster->holders);
	policy_domains_done(&cluster->domains);
	*cluster = (struct cluster){0};
}

const json_t *cluster_pod(const struct cluster *cluster, const char *namespace, const char *name)
{
	const json_t *pod;
	size_t i;

	json_array_foreach(cluster_items(cluster->pods), i, pod) {
		if (str_eq(text_or_empty(api_string(pod, "metadata.name")), name) &&
		    str_eq(text_or_empty(api_string(pod, "metadata.namespace")), namespace))
			return pod;
	}
	return NULL;
}

const char *cluster_domain_of(const struct cluster *cluster, const char *namespace)
{
	const json_t *object;
	size_t i;

	json_array_foreach(cluster_items(cluster->namespaces), i, object)
		if (str_eq(text_or_empty(api_string(object, "metadata.name")), namespace))
			return api_label(object, POLICY_LABEL_DOMAIN);
	return NULL;
}

/* The images of all containers of the pod; too many count as unmapped. */
static size_t images_of(const json_t *pod, const char *images[static IMAGES_MAX])
{
	static const char *const lists[] = {"spec.initContainers", "spec.containers"};
	size_t count = 0, i;
	const json_t *container;

	for (size_t list = 0; list < ARRAY_SIZE(lists); list++)
		json_array_foreach(api_value(pod, lists[list]), i, container) {
			if (count == IMAGES_MAX)
				return 0;
			images[count++] = text_or_empty(api_string(container, "image"));
		}
	return count;
}

static const char *subfunction_of(const struct cluster *cluster, const char *domain_name, const json_t *pod)
{
	const struct policy_domain *domain = policy_domains_find(&cluster->domains, domain_name);
	const char *images[IMAGES_MAX], *name = NULL;

	struct policy_marks marks = {
		.images = images,
		.image_count = images_of(pod, images),
		.namespace = api_string(pod, "metadata.namespace"),
		.account = api_string(pod, "spec.serviceAccountName"),
	};

	if (!domain || policy_subfunction_of(domain, &marks, &name, NULL) < 0)
		return NULL;
	return name;
}

struct policy_pod cluster_pod_facts(const struct cluster *cluster, const json_t *pod)
{
	const char *namespace = text_or_empty(api_string(pod, "metadata.namespace"));
	const char *domain = cluster_domain_of(cluster, namespace);

	return (struct policy_pod){
		.uid = text_or_empty(api_string(pod, "metadata.uid")),
		.namespace = namespace,
		.name = text_or_empty(api_string(pod, "metadata.name")),
		.domain = domain,
		.subfunction = subfunction_of(cluster, domain, pod),
	};
}

struct policy_place cluster_place_facts(const json_t *node)
{
	const char *epoch = api_annotation(node, POLICY_ANNOTATION_EPOCH);
	struct policy_place place = {
		.instance = text_or_empty(api_string(node, "metadata.name")),
		.server = api_label(node, POLICY_LABEL_SERVER),
	};

	if (!epoch || str_parse_u64(epoch, UINT64_MAX, &place.epoch) < 0)
		place.epoch = 0;
	return place;
}

void cluster_decide(const struct cluster *cluster, const json_t *pod, const json_t *node,
		    struct policy_decision *ret_decision)
{
	struct policy_place place = cluster_place_facts(node);
	struct policy_pod facts = cluster_pod_facts(cluster, pod);

	policy_separation_decide(&facts, &place, cluster->holders, cluster->holder_count, &cluster->domains,
				 ret_decision);
}
