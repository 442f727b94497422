/* SPDX-License-Identifier: Apache-2.0 */
/* Declared interfaces: who may open what to a pod. All else between trust domains is dropped (NET-1). */
#ifndef POLICY_INTERFACE_H
#define POLICY_INTERFACE_H

#include "policy/domain.h"

/*
 * Whether an interface is open on pods of this sub-function (NULL: unmapped; strictest reading: interfaces that name a
 * sub-function stay closed). The caller walks domain->interfaces to make firewall rules.
 */
bool policy_interface_applies(const struct policy_interface *interface, const char *subfunction);

/* Whether a pod of from_domain may open protocol/port to a pod of `to`. Within one domain everything is allowed. */
bool policy_interface_permits(const struct policy_domain *to, const char *to_subfunction, const char *from_domain,
			      enum policy_protocol protocol, uint16_t port);

/* Whether an address outside all pods (family AF_INET or AF_INET6, network byte order) may. */
bool policy_interface_permits_address(const struct policy_domain *to, const char *to_subfunction, int family,
				      const uint8_t *address, enum policy_protocol protocol, uint16_t port);

/* Parses "10.0.0.0/8" or "fd00::/8"; bits behind the prefix must be zero. ERR_INVALID. */
int policy_network_parse(const char *text, struct policy_network *ret_network, struct err *err) MUST_CHECK;

#endif
