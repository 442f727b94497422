/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/imagepolicies.h"

#include <errno.h>
#include <string.h>

#include "cism/records.h"
#include "cism/signatures.h"
#include "crypto/imagetrust.h"

int imagepolicies_read(struct cism *cism, struct imagepolicies *ret_policies, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct records_query query = {.kind = records_image_policies()};
	struct imagepolicies policies = {0};
	int r = records_list(cism->store, &query, &list, err);

	if (r == 0 && list.count > POLICY_IMAGE_POLICIES_MAX)
		r = err_set(err, ERR_TOO_LARGE, "there are more than %d ImagePolicies", POLICY_IMAGE_POLICIES_MAX);
	if (r < 0)
		return r;
	policies.items = calloc(list.count + 1, sizeof(struct policy_image *));
	if (!policies.items)
		return err_sys(err, -ENOMEM, "cannot read the ImagePolicies");
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		r = policy_image_parse(list.items[i], &policies.items[i], err);
		policies.count += r == 0;
		if (r < 0)
			(void)err_prefix(err, "ImagePolicy '%s' cannot be read",
					 api_string(list.items[i], "metadata.name"));
	}
	if (r < 0) {
		imagepolicies_done(&policies);
		return r;
	}
	*ret_policies = policies;
	return 0;
}

void imagepolicies_done(struct imagepolicies *policies)
{
	for (size_t i = 0; i < policies->count; i++)
		policy_image_free(policies->items[i]);
	free(policies->items);
	*policies = (struct imagepolicies){0};
}

/* The requirement outlives the policy in the ticket. */
static int add_demand(const struct policy_image *policy, const struct policy_image_requirement *requirement,
		      struct policy_pull *pull, struct err *err)
{
	struct policy_image_demand *demand = &pull->demands[pull->demand_count];
	int r;

	if (pull->demand_count == POLICY_IMAGE_DEMANDS_MAX)
		return err_set(err, ERR_TOO_LARGE, "image '%s': the ImagePolicies have more than %d requirements on it",
			       pull->image, POLICY_IMAGE_DEMANDS_MAX);
	r = policy_image_requirement_parse(requirement->json, "requirement", &demand->requirement, err);
	if (r < 0)
		return r;
	pull->demand_count++;
	demand->policy = strdup(policy->name);
	return demand->policy ? 0 : err_sys(err, -ENOMEM, "cannot read ImagePolicy '%s'", policy->name);
}

/* What asks for no signature is decided at once, the rest becomes demands. */
static int collect(const struct policy_image *policy, const char *domain, struct policy_pull *pull, struct err *err)
{
	const struct policy_image_scope *scope = policy_image_find(policy, domain, pull->image);
	int r = 0;

	for (size_t i = 0; r == 0 && scope && i < scope->count; i++) {
		if (scope->requirements[i].kind == POLICY_IMAGE_SIGNED)
			r = add_demand(policy, &scope->requirements[i], pull, err);
		else
			r = policy_image_decide(&scope->requirements[i], policy->name, pull->image, NULL, err);
	}
	return r;
}

/* Keeps the signatures that were used: the ticket carries no others. */
static void keep(struct policy_pull *pull, const bool *used)
{
	size_t kept = 0;

	for (size_t i = 0; i < pull->signature_count; i++) {
		if (used[i]) {
			pull->signatures[kept++] = pull->signatures[i];
			continue;
		}
		free(pull->signatures[i].bytes);
		free(pull->signatures[i].signature);
	}
	pull->signature_count = kept;
}

static int check_demands(struct policy_pull *pull, struct err *err)
{
	bool used[POLICY_IMAGE_SIGNATURES_MAX] = {0};

	for (size_t i = 0; i < pull->demand_count; i++) {
		size_t which;
		int r = imagetrust_check(&pull->demands[i], pull->image, pull->signatures, pull->signature_count,
					 &which, err);

		if (r < 0)
			return err_hint(err, "sign the image, or change ImagePolicy '%s'", pull->demands[i].policy);
		if (which < pull->signature_count)
			used[which] = true;
	}
	keep(pull, used);
	return 0;
}

int imagepolicies_verify(struct cism *cism, const struct imagepolicies *policies, const char *domain,
			 struct policy_pull *pull, struct err *err)
{
	int r = 0;

	pull->demands = calloc(POLICY_IMAGE_DEMANDS_MAX, sizeof(*pull->demands));
	pull->signatures = calloc(POLICY_IMAGE_SIGNATURES_MAX, sizeof(*pull->signatures));
	if (!pull->demands || !pull->signatures)
		return err_sys(err, -ENOMEM, "cannot verify image '%s'", pull->image);
	for (size_t i = 0; r == 0 && i < policies->count; i++)
		r = collect(policies->items[i], domain, pull, err);
	if (r < 0 || !pull->demand_count)
		return r;
	r = signatures_fetch(cism, pull, err);
	return r < 0 ? r : check_demands(pull, err);
}
