/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/bindparts.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "cism/conditions.h"
#include "cism/imagepolicies.h"
#include "cism/joins.h"
#include "cism/podfacts.h"
#include "cism/tags.h"
#include "cism/tickets.h"

#define DIGESTS "nfv.bulkhead.dev/images" /* annotation: which digests the tags were resolved to */

void bindparts_done(struct bindparts *binding)
{
	struct policy_ticket *ticket = &binding->ticket;

	for (size_t i = 0; ticket->pulls && i < ticket->pull_count; i++)
		policy_pull_done(&ticket->pulls[i]);
	free(ticket->pulls);
	free(ticket->pod_text);
	json_decref(binding->pod);
	buf_done(&binding->envelope);
}

/* --- images --- */

/* Images are added once, after the ImagePolicies are met. */
static int add_pull(struct cism *cism, const struct bindfacts *facts, const struct imagepolicies *policies,
		    struct policy_ticket *ticket, const char *image, struct err *err)
{
	struct policy_pull *pull = &ticket->pulls[ticket->pull_count];

	for (size_t i = 0; i < ticket->pull_count; i++)
		if (str_eq(ticket->pulls[i].image, image))
			return 0;
	ticket->pull_count++;
	pull->image = strdup(image);
	if (!pull->image)
		return err_sys(err, -ENOMEM, "cannot resolve the images");
	return imagepolicies_verify(cism, policies, facts->who.domain, pull, err);
}

bool bindparts_asks(const struct bindfacts *facts)
{
	return facts->domain && (facts->domain->subfunction_count || facts->domain->cache_count);
}

/* Puts the digests into the final pod and, by container, into *digests. */
static int resolve_images(struct cism *cism, const struct bindfacts *facts, json_t *final,
			  const struct bindparts_known *known, struct policy_ticket *ticket, json_t *digests,
			  struct err *err)
{
	/* Where sub-function or cache class follow from a repository's name, the repository must really hold the image. */
	bool proven = bindparts_asks(facts);
	CLEANUP_IMAGEPOLICIES struct imagepolicies policies = {0};
	struct podfacts_walk walk = {0};
	json_t *container;

	ticket->pulls = calloc(PODFACTS_CONTAINERS_MAX, sizeof(*ticket->pulls));
	if (!ticket->pulls)
		return err_sys(err, -ENOMEM, "cannot resolve the images");
	/* Behind the revision of the rules: what is newer fails the commit. */
	if ((!known || !known->no_policies) && imagepolicies_read(cism, &policies, err) < 0)
		return err->code;
	while ((container = podfacts_next(final, &walk))) {
		const char *image = api_string(container, "image");
		char resolved[TAGS_IMAGE_SIZE];
		int r;

		if (ticket->pull_count == PODFACTS_CONTAINERS_MAX)
			return err_set(err, ERR_TOO_LARGE, "the pod has more than %d images", PODFACTS_CONTAINERS_MAX);
		r = tags_resolve(cism, image ? image : "", proven, resolved, err);
		if (r == 0)
			r = add_pull(cism, facts, &policies, ticket, resolved, err);
		if (r < 0)
			return r;
		if (json_object_set_new(container, "image", json_string(resolved)) < 0 ||
		    json_object_set_new(digests, api_string(container, "name"), json_string(resolved)) < 0)
			return err_sys(err, -ENOMEM, "cannot resolve the images");
	}
	return 0;
}

/* --- the ticket --- */

/* The pod the instance runs: identity, labels, annotations and the spec; nothing that changes afterwards. */
static json_t *final_pod(const json_t *pod, const char *instance)
{
	const json_t *metadata = json_object_get(pod, "metadata");
	json_t *spec = json_deep_copy(json_object_get(pod, "spec"));

	if (spec)
		(void)json_object_set_new(spec, "nodeName", json_string(instance));
	return json_pack("{s:s, s:s, s:{s:O, s:O, s:O, s:O*, s:O*}, s:o}", "apiVersion", "v1", "kind", "Pod",
			 "metadata", "name", json_object_get(metadata, "name"), "namespace",
			 json_object_get(metadata, "namespace"), "uid", json_object_get(metadata, "uid"), "labels",
			 json_object_get(metadata, "labels"), "annotations", json_object_get(metadata, "annotations"),
			 "spec", spec);
}

static int make_ticket(struct cism *cism, const struct bindfacts *facts, const struct placement_verdict *chosen,
		       const json_t *final, const struct bindparts_known *known, struct bindparts *to, struct err *err)
{
	struct policy_ticket *ticket = &to->ticket;
	char certificate[65];
	int r;

	r = known ? str_copy(certificate, sizeof(certificate), known->certificate)
		  : joins_certificate(cism, chosen->instance, certificate, err);
	if (r < 0)
		return r;
	ticket->pod_text = api_format(final);
	if (!ticket->pod_text)
		return err_sys(err, -ENOMEM, "cannot write the ticket");
	ticket->uid = (char *)(uintptr_t)facts->who.uid;
	ticket->namespace = (char *)(uintptr_t)facts->who.namespace;
	ticket->name = (char *)(uintptr_t)facts->who.name;
	ticket->instance = (char *)(uintptr_t)chosen->instance;
	ticket->server = (char *)(uintptr_t)chosen->mapping->server;
	ticket->epoch = chosen->mapping->epoch;
	ticket->domain_name = (char *)(uintptr_t)facts->who.domain;
	ticket->domain_spec = api_value(facts->admission.domain.json, "spec");
	ticket->domains_revision = facts->rules;
	ticket->subfunction = (char *)(uintptr_t)(facts->who.subfunction ? facts->who.subfunction : "");
	return tickets_seal(cism, ticket, certificate, &to->envelope, err);
}

/* --- the stored pod --- */

static int make_pod(const struct bindfacts *facts, const char *instance, const json_t *digests, struct bindparts *to,
		    struct err *err)
{
	CLEANUP_FREE char *text = api_format(digests);

	to->pod = json_deep_copy(facts->pod.json);
	if (!to->pod || !text ||
	    (!api_value(to->pod, "metadata.annotations") &&
	     api_set(to->pod, "metadata.annotations", json_object()) < 0) ||
	    json_object_set_new(api_value(to->pod, "metadata.annotations"), DIGESTS, json_string(text)) < 0 ||
	    api_set(to->pod, "spec.nodeName", json_string(instance)) < 0 ||
	    conditions_set(to->pod, "PodScheduled", "True", NULL, NULL) < 0)
		return err_sys(err, -ENOMEM, "cannot bind the pod");
	return 0;
}

int bindparts_make(struct cism *cism, const struct bindfacts *facts, const struct placement_verdict *chosen,
		   const struct bindparts_known *known, struct bindparts *to, struct err *err)
{
	CLEANUP_JSON json_t *final = final_pod(facts->pod.json, chosen->instance);
	CLEANUP_JSON json_t *digests = json_object();
	int r;

	if (!final || !digests)
		return err_sys(err, -ENOMEM, "cannot bind the pod");
	r = resolve_images(cism, facts, final, known, &to->ticket, digests, err);
	if (r == 0)
		r = make_ticket(cism, facts, chosen, final, known, to, err);
	if (r == 0)
		r = make_pod(facts, chosen->instance, digests, to, err);
	return r;
}
