/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a pod in var/lib/bulkhead/cis/pods/UID from the moment its ticket was accepted until nothing of it is
 * left: payload.json (the signed bytes), record.json (this), logs/, volumes/.
 */
#ifndef CIS_PODRECORD_H
#define CIS_PODRECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define PODRECORD_UID_MAX 64

enum podrecord_stage {
	PODRECORD_ACCEPTED, /* it runs, or is to run */
	PODRECORD_STOPPING, /* it is being taken away, and never comes back */
	PODRECORD_FINISHED, /* its containers have ended for good; only logs and record are left */
};

struct podrecord {
	char uid[PODRECORD_UID_MAX];
	enum podrecord_stage stage;
	uint32_t address;   /* host byte order */
	uint32_t range;     /* number of its range of user ids */
	bool attached;      /* its link to the bridge is complete */
	int64_t created_ms; /* wall clock */
	json_t *containers; /* by name: what podlife keeps over restarts of the service */
};

/* Writes payload and record for the first time; root is the folder "pods". Nothing is left on failure. */
int podrecord_create(const char *root, const struct podrecord *record, const struct buf *payload,
		     struct err *err) MUST_CHECK;

/* Replaces the record. */
int podrecord_save(const char *root, const struct podrecord *record, struct err *err) MUST_CHECK;

/* Reads one back; payload may be NULL. podrecord_done also after failure. */
int podrecord_load(const char *root, const char *uid, struct podrecord *record, struct buf *payload,
		   struct err *err) MUST_CHECK;
void podrecord_done(struct podrecord *record);

/* Calls each(user, uid) for every record; folders without one (a crash before it was complete) are removed. */
int podrecord_list(const char *root, int (*each)(void *user, const char *uid, struct err *err), void *user,
		   struct err *err) MUST_CHECK;

/* Removes everything of a pod. */
int podrecord_remove(const char *root, const char *uid, struct err *err) MUST_CHECK;

#endif
