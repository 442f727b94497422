/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/admit.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "crypto/envelope.h"
#include "crypto/imagetrust.h"
#include "policy/ceiling.h"
#include "policy/separation.h"
#include "policy/subfunction.h"

#define ADMIT_CAPABILITIES_MAX 64

void admit_done(struct admitted *admitted)
{
	policy_ticket_free(admitted->ticket);
	podspec_free(admitted->spec);
	memset(admitted, 0, sizeof(*admitted));
}

static int put_domain(struct policy_domains *domains, const struct policy_ticket *ticket)
{
	struct policy_domain *domain = NULL;
	struct err err = {0};
	int r = policy_domain_parse_spec(ticket->domain_name, ticket->domain_spec, &domain, &err);

	return r < 0 ? r : policy_domains_put(domains, domain);
}

/* The rules as the tickets carry them; of two versions of a domain the newer counts, whichever pod brought it. */
static int collect_domains(const struct admit_facts *facts, const struct policy_ticket *ticket,
			   struct policy_domains *domains)
{
	int r = put_domain(domains, ticket);

	for (size_t i = 0; r == 0 && i < facts->running_count; i++) {
		const struct policy_ticket *other = facts->running[i], *newest = other;

		for (size_t k = 0; k < facts->running_count; k++) {
			if (str_eq(facts->running[k]->domain_name, other->domain_name) &&
			    facts->running[k]->domains_revision > newest->domains_revision)
				newest = facts->running[k];
		}
		if (str_eq(other->domain_name, ticket->domain_name) &&
		    ticket->domains_revision >= newest->domains_revision)
			continue;
		r = put_domain(domains, newest);
	}
	return r;
}

static struct policy_pod pod_of(const struct policy_ticket *ticket)
{
	return (struct policy_pod){.uid = ticket->uid,
				   .namespace = ticket->namespace,
				   .name = ticket->name,
				   .domain = ticket->domain_name,
				   .subfunction = ticket->subfunction};
}

/* Whether the pod may run next to what runs here. */
static int check_separation(const struct admit_facts *facts, const struct policy_ticket *ticket, struct err *err)
{
	CLEANUP_POLICY_DOMAINS struct policy_domains domains = {0};
	CLEANUP_FREE struct policy_holder *holders = calloc(facts->running_count + 1, sizeof(*holders));
	struct policy_place place = {.instance = ticket->instance, .server = ticket->server, .epoch = ticket->epoch};
	struct policy_pod pod = pod_of(ticket);
	struct policy_decision decision;
	int r;

	if (!holders)
		return err_sys(err, -ENOMEM, "cannot check the running set");
	r = collect_domains(facts, ticket, &domains);
	if (r < 0)
		return err_sys(err, r, "cannot read the domains of the running set");
	for (size_t i = 0; i < facts->running_count; i++)
		holders[i] = (struct policy_holder){.pod = pod_of(facts->running[i]),
						    .instance = ticket->instance,
						    .server = ticket->server};
	policy_separation_decide(&pod, &place, holders, facts->running_count, &domains, &decision);
	if (decision.allowed)
		return 0;
	/* The refusal is shown to whoever owns the pod; whom it would have met here is the operator's to know. */
	log_warn("a ticket does not fit what runs", "uid", ticket->uid, "reason", decision.sentence);
	return err_set(err, ERR_DENIED, "%s", decision.tenant_sentence);
}

static size_t capability_list(const json_t *list, const char **to, size_t max)
{
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(list, i, item) {
		if (json_is_string(item) && count < max)
			to[count++] = json_string_value(item);
	}
	return count;
}

/* The capabilities of a container within the ceiling of its domain. */
static int check_capabilities(const struct policy_domain *domain, const struct podspec_container *container,
			      struct err *err)
{
	const json_t *security = json_object_get(container->object, "securityContext");
	const json_t *capabilities = json_object_get(security, "capabilities");
	const json_t *add = json_object_get(capabilities, "add"), *drop = json_object_get(capabilities, "drop");
	const char *added[ADMIT_CAPABILITIES_MAX], *dropped[ADMIT_CAPABILITIES_MAX];
	uint64_t set;

	if (json_array_size(add) > ADMIT_CAPABILITIES_MAX || json_array_size(drop) > ADMIT_CAPABILITIES_MAX)
		return err_set(err, ERR_TOO_LARGE, "container '%s' names more than %d capabilities", container->name,
			       ADMIT_CAPABILITIES_MAX);
	return policy_ceiling_compute(domain, container->name, added,
				      capability_list(add, added, ADMIT_CAPABILITIES_MAX), dropped,
				      capability_list(drop, dropped, ADMIT_CAPABILITIES_MAX), &set, err);
}

static const struct policy_pull *find_pull(const struct policy_ticket *ticket, const char *image)
{
	for (size_t i = 0; i < ticket->pull_count; i++) {
		if (str_eq(ticket->pulls[i].image, image))
			return &ticket->pulls[i];
	}
	return NULL;
}

/* What the ImagePolicies demand, verified once more from the raw bytes of the signatures; nothing is asked of anybody. */
static int check_signatures(const struct policy_pull *pull, struct err *err)
{
	size_t used;
	int r = 0;

	for (size_t i = 0; r == 0 && i < pull->demand_count; i++)
		r = imagetrust_check(&pull->demands[i], pull->image, pull->signatures, pull->signature_count, &used,
				     err);
	return r;
}

static int check_pull(const struct policy_ticket *ticket, const struct podspec_container *container, struct err *err)
{
	const struct policy_pull *pull = find_pull(ticket, container->image);

	if (!pull)
		return err_set(err, ERR_DENIED, "it carries no pull token for image '%s' of container '%s'",
			       container->image, container->name);
	return check_signatures(pull, err);
}

/* What the platform says the pod is must follow from its images here too. */
static int check_subfunction(const struct policy_ticket *ticket, const struct podspec *spec, struct err *err)
{
	const json_t *labels = json_object_get(json_object_get(spec->pod, "metadata"), "labels");
	const json_t *account = json_object_get(json_object_get(spec->pod, "spec"), "serviceAccountName");
	const char *images[PODSPEC_CONTAINERS_MAX], *name = NULL;
	struct policy_marks marks = {
		.images = images,
		.image_count = spec->count,
		.namespace = ticket->namespace,
		.account = json_string_value(account),
		.label = json_string_value(json_object_get(labels, POLICY_LABEL_SUBFUNCTION)),
	};
	int r;

	for (size_t i = 0; i < spec->count; i++)
		images[i] = spec->containers[i].image;
	r = policy_subfunction_of(ticket->domain, &marks, &name, err);
	if (r < 0)
		return r;
	if (!str_eq(name ? name : "", ticket->subfunction))
		return err_set(err, ERR_DENIED, "its sub-function is '%s', images and service account make it '%s'",
			       ticket->subfunction, name ? name : "");
	return 0;
}

static int check_containers(const struct policy_ticket *ticket, const struct podspec *spec, struct err *err)
{
	for (size_t i = 0; i < spec->count; i++) {
		const struct podspec_container *container = &spec->containers[i];
		int r = check_capabilities(ticket->domain, container, err);

		if (r == 0)
			r = check_pull(ticket, container, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int name_refusal(const struct admit_facts *facts, struct err *err)
{
	if (facts->ticket.namespace && facts->ticket.name)
		return err_prefix(err, "ticket of pod '%s/%s' refused", facts->ticket.namespace, facts->ticket.name);
	return err_prefix(err, "ticket refused");
}

static int check_pod(const struct admit_facts *facts, struct admitted *admitted, struct err *err)
{
	int r = podspec_parse(admitted->ticket->pod, &admitted->spec, err);

	if (r == 0)
		r = check_subfunction(admitted->ticket, admitted->spec, err);
	if (r == 0)
		r = check_containers(admitted->ticket, admitted->spec, err);
	if (r == 0)
		r = check_separation(facts, admitted->ticket, err);
	return r;
}

int admit_payload(const struct admit_facts *facts, const char *payload, size_t len, struct admitted *ret_admitted,
		  struct err *err)
{
	CLEANUP_ADMITTED struct admitted admitted = {0};
	enum policy_refusal refusal;
	int r;

	if (policy_ticket_parse(payload, len, &admitted.ticket, err) < 0)
		return name_refusal(facts, err);
	r = policy_ticket_check(admitted.ticket, &facts->ticket, &refusal, err);
	if (r < 0)
		return r;
	if (check_pod(facts, &admitted, err) < 0)
		return name_refusal(facts, err);
	*ret_admitted = admitted;
	memset(&admitted, 0, sizeof(admitted));
	return 0;
}

int admit_ticket(const struct admit_facts *facts, const char *envelope, size_t len, struct buf *payload,
		 struct admitted *ret_admitted, struct err *err)
{
	if (crypto_envelope_open(facts->ca, CRYPTO_PURPOSE_BINDING, envelope, len, payload, err) < 0)
		return name_refusal(facts, err);
	return admit_payload(facts, payload->data, payload->len, ret_admitted, err);
}
