/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs over reverse connections: the CISM never dials an instance. A client's request waits, the instance asks what to
 * stream (a long poll) and brings the text as the body of a POST, which is passed on piece by piece (docs/protocols.md).
 */
#ifndef CISM_RELAYS_H
#define CISM_RELAYS_H

#include "cism/call.h"

int relays_new(struct relays **ret_relays, struct err *err) MUST_CHECK;
/* Answers everybody who waits, so that the server can stop; nothing begins any more. */
void relays_shut(struct relays *relays);
/* After the server has stopped. NULL is accepted. */
void relays_free(struct relays *relays);

/* GET pods/NAME/log. */
void relays_log(struct call *call);
/* GET nodes/NAME/streams: answers with the next order, or 204 after timeoutSeconds. */
void relays_poll(struct call *call);
/* POST nodes/NAME/streams/ID: the text. Called with the header; takes the body as it comes. */
void relays_answer(struct call *call);

#endif
