/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a join token: for whom it is, where the CISM is, the CA that it must show, and the secret. */
#ifndef CLI_JOINTOKEN_H
#define CLI_JOINTOKEN_H

#include "base/buf.h"
#include "base/err.h"

#define JOINTOKEN_CISM_MAX 8
#define JOINTOKEN_MAX ((size_t)16 * 1024)

struct jointoken {
	char *name, *server, *deployment, *secret;
	char *ca;                       /* PEM of the cluster's CA */
	char *cism[JOINTOKEN_CISM_MAX]; /* "https://192.0.2.1:6443", tried in this order */
	size_t cism_count;
};

/* Appends the token as one word. */
int jointoken_format(const struct jointoken *token, struct buf *to, struct err *err) MUST_CHECK;

/* Reads a token strictly, blanks around it apart. ERR_SYNTAX, ERR_INVALID. */
int jointoken_parse(const char *text, struct jointoken *ret_token, struct err *err) MUST_CHECK;
void jointoken_done(struct jointoken *token);
#define CLEANUP_JOINTOKEN __attribute__((cleanup(jointoken_done)))

#endif
