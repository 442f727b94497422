/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances and servers that are not believed any more (kind Quarantine): nothing new comes there, and what such an instance
 * confirms releases nothing. A quarantine whose deletion is asked for ends when each instance was installed anew and joined
 * again: another certificate, and a larger epoch in the topology. Then what it had is over, and its former certificate is
 * refused for good.
 */
#ifndef CISM_QUARANTINES_H
#define CISM_QUARANTINES_H

#include "cism/admission.h"
#include "cism/records.h"

#define QUARANTINES_FINALIZER "trust.bulkhead.dev/re-installed"
#define QUARANTINES_CONDITION "Quarantined" /* of a Node */

int quarantines_read(struct store *store, struct object_list *ret_list, struct err *err) MUST_CHECK;

/* The quarantine that an instance or a server (either may be NULL) is under; NULL when it is under none. */
const json_t *quarantines_find(const struct object_list *list, const char *instance, const char *server);

/* Whether what an instance says about a pod that is charged to the server may be believed, compared in the change. ERR_DENIED. */
int quarantines_check(struct store *store, const char *instance, const char *server, struct change *change,
		      struct err *err) MUST_CHECK;

/* Admission: names what is meant, and notes epoch and certificate of the instances concerned. */
int quarantines_admit(struct admission *admission, struct err *err) MUST_CHECK;

/* Marks the nodes, and ends the quarantines whose deletion was asked for where that may be. By the leader. */
int quarantines_follow(struct cism *cism, struct err *err) MUST_CHECK;

/* Whether a certificate belonged to an instance before it was installed anew. */
bool quarantines_revoked(struct cism *cism, const uint8_t certificate_sha256[static 32]);

#endif
