/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel settings a container may have of its own: an allow-list with types, each bound to a namespace. */
#ifndef SANDBOX_SYSCTLS_H
#define SANDBOX_SYSCTLS_H

#include "base/err.h"
#include "oci/spec.h"

/*
 * Checks name and value: known, of the right type, and its namespace not the host's. `own` tells which namespaces the
 * container does not share with the host. field begins the error ("config.json: linux.sysctl").
 */
int sysctls_check(const struct spec_pairs *sysctls, const bool own[static SPEC_NS_TYPES], const char *field,
		  struct err *err) MUST_CHECK;

/* Writes them through a descriptor of a private procfs. They have passed sysctls_check. */
int sysctls_write(int proc, const struct spec_pairs *sysctls, const char *field, struct err *err) MUST_CHECK;

#endif
