/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/str.h"
#include "policy/domain.h"

const struct policy_subfunction *policy_domain_subfunction(const struct policy_domain *domain, const char *name)
{
	for (size_t i = 0; name && i < domain->subfunction_count; i++)
		if (str_eq(domain->subfunctions[i].name, name))
			return &domain->subfunctions[i];
	return NULL;
}

const struct policy_interface *policy_domain_interface(const struct policy_domain *domain, const char *name)
{
	for (size_t i = 0; i < domain->interface_count; i++)
		if (str_eq(domain->interfaces[i].name, name))
			return &domain->interfaces[i];
	return NULL;
}

/* Whether pods of the sub-function offer the interface. */
static bool offers(const struct policy_domain *domain, const struct policy_subfunction *subfunction, const char *name)
{
	const struct policy_interface *interface = policy_domain_interface(domain, name);

	return interface && (!interface->subfunction || str_eq(interface->subfunction, subfunction->name));
}

bool policy_selector_means(const struct policy_selector *selector, const struct policy_domain *domain,
			   const char *subfunction)
{
	const struct policy_subfunction *known = policy_domain_subfunction(domain, subfunction);

	if (!known)
		return !selector->interface || policy_domain_interface(domain, selector->interface);
	if (selector->subfunction && !str_eq(selector->subfunction, known->name))
		return false;
	if (selector->plane != POLICY_PLANE_ANY && known->plane != POLICY_PLANE_ANY && selector->plane != known->plane)
		return false;
	return !selector->interface || offers(domain, known, selector->interface);
}

/* The first interface that pods of this sub-function may offer and that needs a VM. */
static const struct policy_interface *vm_interface(const struct policy_domain *domain, const char *subfunction)
{
	for (size_t i = 0; i < domain->interface_count; i++) {
		const struct policy_interface *interface = &domain->interfaces[i];
		const struct policy_selector offering = {.interface = interface->name};

		if (interface->needs_vm && policy_selector_means(&offering, domain, subfunction))
			return interface;
	}
	return NULL;
}

int policy_domain_supported(const struct policy_domain *domain, const char *subfunction, struct err *err)
{
	const struct policy_interface *interface = vm_interface(domain, subfunction);

	if (domain->isolation == POLICY_ISOLATION_VM) {
		(void)err_set(err, -EOPNOTSUPP, "isolation 'VM' of TrustDomain '%s' is not available on any instance",
			      domain->name);
		(void)err_hint(err, "set spec.isolation to Container or Dedicated");
		return -EOPNOTSUPP;
	}
	if (interface) {
		(void)err_set(err, -EOPNOTSUPP,
			      "the VM that interface '%s' of TrustDomain '%s' needs is not available on any instance",
			      interface->name, domain->name);
		(void)err_hint(err, "set spec.interfaces[].border to DedicatedServer%s",
			       subfunction && *subfunction ? "" : ", or map the pod's images to a sub-function");
		return -EOPNOTSUPP;
	}
	return 0;
}
