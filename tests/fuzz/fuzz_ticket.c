/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket and pull-token payloads: parse, check against facts, format again, and read back what was formatted. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void try_ticket(const char *text, size_t len)
{
	static const struct policy_ticket_facts facts = {.instance = "node-1",
							 .now_ms = INT64_C(1800000000000),
							 .newest_epoch = 3,
							 .server = "server-1"};
	struct policy_ticket *ticket CLEANUP(cleanup_policy_ticket) = NULL,
				     *again CLEANUP(cleanup_policy_ticket) = NULL;
	struct buf out CLEANUP(buf_done) = buf_of(POLICY_TICKET_MAX);
	enum policy_refusal refusal;
	struct err err = {0};
	int r;

	if (policy_ticket_parse(text, len, &ticket, &err) < 0) {
		if (!err.msg[0] || ticket)
			abort();
		return;
	}
	r = policy_ticket_check(ticket, &facts, &refusal, &err);
	if ((r == 0) != (refusal == POLICY_REFUSAL_NONE))
		abort();
	if (policy_ticket_format(ticket, &out, &err) == 0 &&
	    policy_ticket_parse(out.data, out.len, &again, &err) == 0 && strcmp(ticket->pod_text, again->pod_text) != 0)
		abort();
}

static void try_token(const char *text, size_t len)
{
	struct policy_token token CLEANUP_POLICY_TOKEN = {0};
	struct err err = {0};

	if (policy_token_parse(text, len, &token, &err) < 0)
		return;
	if (policy_token_check(&token, "other", "x", NULL, 0, &err) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	try_ticket((const char *)bytes, len);
	try_token((const char *)bytes, len);
	return 0;
}
