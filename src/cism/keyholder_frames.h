/* SPDX-License-Identifier: Apache-2.0 */
/* What goes between the service and the process that holds the keys; both ends are one executable. */
#ifndef CISM_KEYHOLDER_FRAMES_H
#define CISM_KEYHOLDER_FRAMES_H

#include <stdint.h>

/* A question: its length, then that many bytes of JSON. */
#define KEYHOLDER_QUESTION_MAX ((size_t)3 << 20)

/* An answer: this, then len bytes: the JWE, or with a code the sentence. */
struct keyholder_answer {
	int32_t code;
	uint32_t len;
};
#define KEYHOLDER_ANSWER_MAX ((size_t)65536)

/* How long an answer may take, tokens included, and how long the service waits for it. */
#define KEYHOLDER_ANSWER_SECONDS 20
#define KEYHOLDER_ASK_SECONDS 30

#endif
