/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that allocate nothing: filled by the one who fails, owned by the caller, usable in a cloned child.
 * Codes are negative errno values; the table in err.c maps each to an HTTP status, a Kubernetes reason and an exit code.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#include "base/cleanup.h"

#define ERR_MESSAGE_MAX 1024

struct err {
	int code;                  /* negative errno, 0 when nothing failed */
	char msg[ERR_MESSAGE_MAX]; /* one lower-case sentence, objects quoted, no full stop; cut when longer */
	char hint[256];            /* what the reader may do about it, or empty */
};

/* What the codes mean throughout the tree. Others are passed on as the system gave them. */
enum {
	ERR_SYNTAX_CODE = 74,        /* EBADMSG: malformed bytes (400 BadRequest) */
	ERR_INVALID_CODE = 22,       /* EINVAL: well-formed but not valid (422 Invalid) */
	ERR_NOT_FOUND_CODE = 2,      /* ENOENT (404 NotFound) */
	ERR_EXISTS_CODE = 17,        /* EEXIST (409 AlreadyExists) */
	ERR_CONFLICT_CODE = 116,     /* ESTALE: somebody changed it first (409 Conflict) */
	ERR_DENIED_CODE = 13,        /* EACCES: known peer, not allowed (403 Forbidden) */
	ERR_UNKNOWN_PEER_CODE = 129, /* EKEYREJECTED: not authenticated (401 Unauthorized) */
	ERR_EXPIRED_CODE = 127,      /* EKEYEXPIRED: history or credential gone (410 Expired) */
	ERR_TOO_LARGE_CODE = 27,     /* EFBIG: over a stated maximum (413 RequestEntityTooLarge) */
	ERR_BUSY_CODE = 16,          /* EBUSY: in use or overloaded, try later (429 TooManyRequests) */
	ERR_UNAVAILABLE_CODE = 112,  /* EHOSTDOWN: a part we need does not answer (503 ServiceUnavailable) */
	ERR_CORRUPT_CODE = 117,      /* EUCLEAN: bytes are not what their digest or signature says (500) */
};
#define ERR_SYNTAX (-ERR_SYNTAX_CODE)
#define ERR_INVALID (-ERR_INVALID_CODE)
#define ERR_NOT_FOUND (-ERR_NOT_FOUND_CODE)
#define ERR_EXISTS (-ERR_EXISTS_CODE)
#define ERR_CONFLICT (-ERR_CONFLICT_CODE)
#define ERR_DENIED (-ERR_DENIED_CODE)
#define ERR_UNKNOWN_PEER (-ERR_UNKNOWN_PEER_CODE)
#define ERR_EXPIRED (-ERR_EXPIRED_CODE)
#define ERR_TOO_LARGE (-ERR_TOO_LARGE_CODE)
#define ERR_BUSY (-ERR_BUSY_CODE)
#define ERR_UNAVAILABLE (-ERR_UNAVAILABLE_CODE)
#define ERR_CORRUPT (-ERR_CORRUPT_CODE)

/* Sets code and message and returns code, so that callers write `return err_set(err, -EINVAL, …)`. err may be NULL. */
int err_set(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Like err_set, with ": " and the system's word for -code appended. */
int err_sys(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the message and returns err->code: once per level that means something to the reader. */
int err_prefix(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Sets the hint: the kernel switch, package or policy object that would help. Returns err->code. */
int err_hint(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* The HTTP status of a code, 500 for codes without a row. */
int err_http_status(int code);

/* The reason word of Kubernetes' Status object for a code, "InternalError" for codes without a row. */
const char *err_reason(int code);

/* The exit status of a command that ends with this code: 0 for 0, 1 for codes without a row (docs/exit-codes.md). */
int err_exit_code(int code);

/* The code for an HTTP status a peer answered with; 0 for 2xx. */
int err_from_http_status(int status);

#endif
