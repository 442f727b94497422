/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/admission.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "cism/podfacts.h"
#include "policy/ceiling.h"
#include "policy/limits.h"
#include "policy/subfunction.h"

static int refuse(const struct admission *admission, struct err *err, const char *path, const char *why)
{
	return err_set(err, ERR_DENIED, "pods \"%s\" is forbidden: %s: %s",
		       api_string(admission->object, "metadata.name"), path, why);
}

/* Where a pod runs is decided by the CISM alone. */
int admission_pod_placement(struct admission *admission, struct err *err)
{
	const char *node = api_string(admission->object, "spec.nodeName");

	if (node && node[0])
		return refuse(admission, err, "spec.nodeName", "only a binding sets it; leave it out");
	return api_set(admission->object, "status",
		       json_pack("{s:s, s:s}", "phase", "Pending", "qosClass", "Burstable"));
}

/* --- what reaches into the host --- */

static const struct {
	const char *path;
	const char *why;
} host_flags[] = {
	{"spec.hostNetwork", "pods have a network of their own"},
	{"spec.hostPID", "pods have process ids of their own"},
	{"spec.hostIPC", "pods have IPC of their own"},
};

static int container_host(const struct admission *admission, const json_t *container, const char *path, struct err *err)
{
	const json_t *port;
	char at[160];
	size_t i;

	if (json_is_true(api_value(container, "securityContext.privileged"))) {
		(void)snprintf(at, sizeof(at), "%s.securityContext.privileged", path);
		return refuse(admission, err, at, "no container is privileged");
	}
	if (json_is_true(api_value(container, "securityContext.allowPrivilegeEscalation"))) {
		(void)snprintf(at, sizeof(at), "%s.securityContext.allowPrivilegeEscalation", path);
		return refuse(admission, err, at, "no container gains privileges");
	}
	json_array_foreach(json_object_get(container, "ports"), i, port) {
		if (api_integer(port, "hostPort", 0) == 0)
			continue;
		(void)snprintf(at, sizeof(at), "%s.ports[%zu].hostPort", path, i);
		return refuse(admission, err, at,
			      "ports of the host are not given to pods; declare an interface in the TrustDomain");
	}
	return 0;
}

static int volumes_host(const struct admission *admission, struct err *err)
{
	const json_t *volume;
	char at[64];
	size_t i;

	json_array_foreach(api_value(admission->object, "spec.volumes"), i, volume) {
		if (!json_object_get(volume, "hostPath"))
			continue;
		(void)snprintf(at, sizeof(at), "spec.volumes[%zu].hostPath", i);
		return refuse(admission, err, at, "no path of the host is given to a pod");
	}
	return 0;
}

int admission_pod_host(struct admission *admission, struct err *err)
{
	struct podfacts_walk walk = {0};
	const json_t *container;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(host_flags); i++)
		if (json_is_true(api_value(admission->object, host_flags[i].path)))
			return refuse(admission, err, host_flags[i].path, host_flags[i].why);
	r = volumes_host(admission, err);
	while (r == 0 && (container = podfacts_next(admission->object, &walk)))
		r = container_host(admission, container, walk.path, err);
	return r;
}

/* --- limits --- */

static int default_limits(json_t *container)
{
	static const struct {
		const char *name;
		const char *value;
	} defaults[] = {{"cpu", POLICY_LIMIT_CPU_TEXT}, {"memory", POLICY_LIMIT_MEMORY_TEXT}};

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		char limit[64], request[64];
		const char *value;

		(void)snprintf(limit, sizeof(limit), "resources.limits.%s", defaults[i].name);
		(void)snprintf(request, sizeof(request), "resources.requests.%s", defaults[i].name);
		value = api_string(container, limit);
		/* A request above the default limit says what is needed at least. */
		if (!value)
			value = api_string(container, request);
		if (!value)
			value = defaults[i].value;
		if (!api_value(container, limit) && api_set(container, limit, json_string(value)) < 0)
			return -ENOMEM;
		if (!api_value(container, request) && api_set(container, request, json_string(value)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int admission_pod_defaults(struct admission *admission, struct err *err)
{
	struct podfacts_walk walk = {0};
	json_t *container;
	uint32_t pids;
	int r;

	while ((container = podfacts_next(admission->object, &walk)))
		if (default_limits(container) < 0)
			return err_sys(err, -ENOMEM, "cannot complete the pod");
	r = policy_limits_pids(api_annotation(admission->object, POLICY_ANNOTATION_PIDS), &pids, err);
	if (r < 0)
		return err_prefix(err, "metadata.annotations[" POLICY_ANNOTATION_PIDS "]"), r;
	return 0;
}

/* --- what the trust domain allows --- */

int admission_pod_domain(struct admission *admission, struct err *err)
{
	CLEANUP_ADMISSION_FACTS struct admission_facts facts = {0};
	CLEANUP(cleanup_policy_domain) struct policy_domain *domain = NULL;
	const char *name = api_string(admission->object, "metadata.name");
	int r;

	r = admission_facts_read(admission->call->cism->store, api_string(admission->object, "metadata.namespace"),
				 &facts, err);
	if (r < 0 || !facts.domain.json)
		return r; /* it stays Pending, with the reason; the bind asks again */
	r = policy_domain_parse(facts.domain.json, &domain, err);
	if (r == 0)
		r = podfacts_allowed(admission->object, domain, err);
	if (r < 0)
		return err_prefix(err, "pods \"%s\" is forbidden", name), r;
	return 0;
}

/* --- what no longer changes --- */

int admission_pod_fixed(struct admission *admission, struct err *err)
{
	const char *node = api_string(admission->object, "spec.nodeName");
	const char *old = api_string(admission->old, "spec.nodeName");
	struct podfacts_walk walk = {0}, old_walk = {0};
	const json_t *container, *before;
	char at[160];

	if ((node && node[0]) && (!old || !str_eq(node, old)))
		return refuse(admission, err, "spec.nodeName", "only a binding sets it");
	if (!old)
		return 0;
	if (!node || !str_eq(node, old))
		return refuse(admission, err, "spec.nodeName",
			      "a bound pod stays where it is; delete and create it again");
	while ((container = podfacts_next(admission->object, &walk)) &&
	       (before = podfacts_next(admission->old, &old_walk))) {
		const char *image = api_string(container, "image");

		if (!image || str_eq(image, api_string(before, "image")))
			continue;
		(void)snprintf(at, sizeof(at), "%s.image", walk.path);
		return refuse(admission, err, at,
			      "the ticket of a bound pod names its images; delete and create it again");
	}
	return 0;
}
