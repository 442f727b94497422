/* SPDX-License-Identifier: Apache-2.0 */
/* From a method and a path to what is asked: the paths of the Kubernetes API, and nothing else. */
#ifndef CISM_ROUTING_H
#define CISM_ROUTING_H

#include <stdbool.h>

#include "api/api.h"

enum routing_class {
	ROUTING_PROBE,      /* /livez, /readyz, /healthz: open to everybody */
	ROUTING_VERSION,    /* /version: open to everybody */
	ROUTING_DISCOVERY,  /* /api, /apis, /api/v1, /apis/G, /apis/G/V */
	ROUTING_OPENAPI_V2, /* /openapi/v2 */
	ROUTING_OPENAPI_V3, /* /openapi/v3 and below */
	ROUTING_METRICS,    /* /metrics */
	ROUTING_LEDGER,     /* /apis/trust.bulkhead.dev/v1/ledger */
	ROUTING_RELEASE,    /* /apis/trust.bulkhead.dev/v1/releases */
	ROUTING_JOIN,       /* POST /join: open to everybody; its body says who may */
	ROUTING_DECISION,   /* /apis/trust.bulkhead.dev/v1/namespaces/NS/decisions/POD */
	ROUTING_RESOURCE,   /* everything with a kind */
};

enum routing_verb {
	ROUTING_GET,
	ROUTING_LIST,
	ROUTING_WATCH,
	ROUTING_CREATE,
	ROUTING_UPDATE,
	ROUTING_PATCH,
	ROUTING_DELETE,
	ROUTING_DELETE_COLLECTION,
};

struct routing {
	enum routing_class class;
	enum routing_verb verb;
	const struct api_kind *kind; /* NULL unless ROUTING_RESOURCE */
	char namespace[64];          /* empty: all namespaces, or a kind without */
	char name[254];              /* empty for collections */
	char subresource[32];        /* empty for the object itself */
	char tail[64];               /* the one segment behind a subresource ("streams/ID"), or empty */
};

/*
 * Reads a request line; path is decoded and begins with '/'. watch: the query asks for watch=true. ERR_NOT_FOUND for
 * paths that name nothing, -EOPNOTSUPP for methods a path does not have, ERR_INVALID for names that cannot be.
 */
int routing_parse(const char *method, const char *path, bool watch, struct routing *ret_routing,
		  struct err *err) MUST_CHECK;

/* The word of a verb, as audit lines and refusals have it. */
const char *routing_verb_name(enum routing_verb verb);

/* Whether the verb changes nothing. */
bool routing_reads(enum routing_verb verb);

#endif
