/* SPDX-License-Identifier: Apache-2.0 */
/* The keys and certificates below etc/bulkhead/pki. */
#ifndef CLI_PKI_H
#define CLI_PKI_H

#include "base/buf.h"
#include "cli/settings.h"

/*
 * Makes what is missing: the CA, the one that certifies instances when they join, then each leaf; one that ends within 30 days is issued again for its key. ret_made is how
 * many certificates were issued. Keys are 0600 and belong to the part that uses them.
 */
int pki_ensure(const struct paths *paths, const struct settings *settings, unsigned *ret_made,
	       struct err *err) MUST_CHECK;

/* Writes a file of the folder that belongs to the superuser. */
int pki_write(const struct paths *paths, const char *name, const struct buf *pem, mode_t mode,
	      struct err *err) MUST_CHECK;

/* Appends a file of the folder ("ca.pem", "admin/client.key"). */
int pki_read(const struct paths *paths, const char *name, struct buf *to, struct err *err) MUST_CHECK;

#endif
