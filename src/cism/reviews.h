/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may ask about itself: who am I, may I do this. Answered, never stored. */
#ifndef CISM_REVIEWS_H
#define CISM_REVIEWS_H

#include "cism/call.h"

void reviews_access(struct call *call);
void reviews_rules(struct call *call);
void reviews_subject(struct call *call);

#endif
