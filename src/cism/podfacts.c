/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/podfacts.h"

#include <stdio.h>

#include "api/api.h"
#include "base/str.h"
#include "policy/ceiling.h"
#include "policy/subfunction.h"

#define NAMES_MAX 64

static const char *const lists[] = {"spec.initContainers", "spec.containers"};

json_t *podfacts_next(const json_t *pod, struct podfacts_walk *walk)
{
	while (walk->list < ARRAY_SIZE(lists)) {
		json_t *container = json_array_get(api_value(pod, lists[walk->list]), walk->index);

		if (container) {
			(void)snprintf(walk->path, sizeof(walk->path), "%s[%zu]", lists[walk->list], walk->index++);
			return container;
		}
		walk->list++;
		walk->index = 0;
	}
	return NULL;
}

size_t podfacts_images(const json_t *pod, const char *images[static PODFACTS_CONTAINERS_MAX])
{
	struct podfacts_walk walk = {0};
	const json_t *container;
	size_t count = 0;

	while (count < PODFACTS_CONTAINERS_MAX && (container = podfacts_next(pod, &walk))) {
		const char *image = api_string(container, "image");

		images[count++] = image ? image : "";
	}
	return count;
}

static int request_of(const json_t *container, const char *resource, const char *path, int64_t *ret_milli,
		      struct err *err)
{
	char at[64];
	const char *text;
	int r;

	*ret_milli = 0;
	(void)snprintf(at, sizeof(at), "resources.requests.%s", resource);
	text = api_string(container, at);
	if (!text)
		return 0;
	r = api_quantity(text, ret_milli, err);
	return r < 0 ? (err_prefix(err, "%s.%s", path, at), r) : 0;
}

int podfacts_requests(const json_t *pod, int64_t *ret_cpu_milli, int64_t *ret_memory_bytes, struct err *err)
{
	static const char *const resources[] = {"cpu", "memory"};
	int64_t totals[2] = {0, 0};

	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		struct podfacts_walk walk = {0};
		const json_t *container;
		int64_t largest_init = 0;

		while ((container = podfacts_next(pod, &walk))) {
			int64_t milli;
			int r = request_of(container, resources[i], walk.path, &milli, err);

			if (r < 0)
				return r;
			if (walk.list == 0)
				largest_init = milli > largest_init ? milli : largest_init;
			else if (__builtin_add_overflow(totals[i], milli, &totals[i]))
				return err_set(err, ERR_INVALID, "%s.resources.requests.%s: the sum is too large",
					       walk.path, resources[i]);
		}
		totals[i] = largest_init > totals[i] ? largest_init : totals[i];
	}
	*ret_cpu_milli = totals[0];
	*ret_memory_bytes = totals[1] / 1000;
	return 0;
}

int podfacts_subfunction(const json_t *pod, const struct policy_domain *domain, const char **ret_name, struct err *err)
{
	const char *images[PODFACTS_CONTAINERS_MAX];
	struct policy_marks marks = {
		.images = images,
		.image_count = podfacts_images(pod, images),
		.namespace = api_string(pod, "metadata.namespace"),
		.account = api_string(pod, "spec.serviceAccountName"),
		.label = api_label(pod, POLICY_LABEL_SUBFUNCTION),
	};

	return policy_subfunction_of(domain, &marks, ret_name, err);
}

static size_t names_of(const json_t *array, const char *names[static NAMES_MAX])
{
	const json_t *name;
	size_t count = 0;
	size_t i;

	json_array_foreach(array, i, name)
		if (json_string_value(name) && count < NAMES_MAX)
			names[count++] = json_string_value(name);
	return count;
}

static int container_allowed(const json_t *container, const char *path, const struct policy_domain *domain,
			     struct err *err)
{
	const json_t *asked = api_value(container, "securityContext.capabilities");
	const char *add[NAMES_MAX], *drop[NAMES_MAX];
	const char *name = api_string(container, "name");
	uint64_t set;
	int r;

	if (json_array_size(json_object_get(asked, "add")) > NAMES_MAX ||
	    json_array_size(json_object_get(asked, "drop")) > NAMES_MAX)
		return err_set(err, ERR_INVALID, "%s.securityContext.capabilities: Too many: at most %d", path,
			       NAMES_MAX);
	r = policy_ceiling_compute(domain, name ? name : "", add, names_of(json_object_get(asked, "add"), add), drop,
				   names_of(json_object_get(asked, "drop"), drop), &set, err);
	return r < 0 ? (err_prefix(err, "%s.securityContext.capabilities", path), r) : 0;
}

int podfacts_allowed(const json_t *pod, const struct policy_domain *domain, struct err *err)
{
	struct podfacts_walk walk = {0};
	const json_t *container;
	const char *subfunction = NULL;
	int r;

	r = podfacts_subfunction(pod, domain, &subfunction, err);
	if (r == 0)
		r = policy_domain_supported(domain, subfunction, err);
	while (r == 0 && (container = podfacts_next(pod, &walk)))
		r = container_allowed(container, walk.path, domain, err);
	return r;
}
