/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's token flow: who may not do something is told where to get a token, and gets it there by password or certificate. */
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "cir/cir_work.h"
#include "oci/reference.h"

#define TOKEN_SECONDS 300

/* What the request needs, as a scope says it. All that is done to an upload is part of a push. */
static const char *actions_for(const struct cir_work *work, const char *method)
{
	if (work->route.kind == CIR_ROUTE_UPLOADS || work->route.kind == CIR_ROUTE_UPLOAD)
		return "pull,push";
	if (str_eq(method, "GET") || str_eq(method, "HEAD"))
		return "pull";
	return str_eq(method, "DELETE") ? "delete" : "pull,push";
}

void cir_login_challenge(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	const char *host = http_header(request, "Host");

	/* Clients take the first they know; the one added last stands first. */
	cir_work_header(request, "WWW-Authenticate", "Basic realm=\"bulkhead-cir\"");
	/* What ends TLS for us has an address that is not known here, and nobody may be sent anywhere without TLS. */
	if (!work || work->service->plain || !host || !reference_is_host(host) || work->route.kind == CIR_ROUTE_TOKEN)
		return;
	if (work->routed && work->route.repository[0])
		cir_work_header(request, "WWW-Authenticate",
				"Bearer realm=\"https://%s/token\",service=\"bulkhead-cir\",scope=\"repository:%s:%s\"",
				host, work->route.repository, actions_for(work, http_method(request)));
	else
		cir_work_header(request, "WWW-Authenticate",
				"Bearer realm=\"https://%s/token\",service=\"bulkhead-cir\"", host);
}

static void answer_token(struct http_request *request, const char *token, int64_t now_ms)
{
	char issued[CLOCK_STAMP_SIZE];
	json_t *document;
	char *text;

	clock_format(issued, now_ms);
	document = json_pack("{s:s,s:s,s:i,s:s}", "token", token, "access_token", token, "expires_in", TOKEN_SECONDS,
			     "issued_at", issued);
	text = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	if (text)
		http_answer_static(request, 200, "application/json", text, strlen(text), free, text);
	else
		cir_work_fail(request, 503, "UNKNOWN", "no memory for a token");
}

void cir_login_token(struct http_request *request)
{
	const struct cir_work *work = cir_work_of(request);
	CLEANUP_BUF struct buf token = buf_of(16384);
	struct cir_bearer bearer = {.expires_ms = clock_wall_ms() + TOKEN_SECONDS * 1000};
	const char *scope;
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; (scope = http_query_repeated(request, "scope", i)); i++)
		cir_bearer_add_scopes(&bearer, scope);
	r = cir_access_mint(&work->identity, &bearer, &token, &err);
	if (r < 0)
		cir_work_fail_err(request, NULL, &err);
	else
		answer_token(request, token.data, bearer.expires_ms - TOKEN_SECONDS * 1000);
}
