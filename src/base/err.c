/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct err_row {
	int code;
	int http;
	int exit;
	const char *reason;
};

/* Every code that has a meaning of its own outside the process. */
static const struct err_row rows[] = {
	{ERR_SYNTAX, 400, 3, "BadRequest"},
	{ERR_INVALID, 422, 3, "Invalid"},
	{ERR_NOT_FOUND, 404, 4, "NotFound"},
	{ERR_EXISTS, 409, 5, "AlreadyExists"},
	{ERR_CONFLICT, 409, 5, "Conflict"},
	{ERR_DENIED, 403, 6, "Forbidden"},
	{-EPERM, 403, 6, "Forbidden"},
	{ERR_UNKNOWN_PEER, 401, 6, "Unauthorized"},
	{ERR_EXPIRED, 410, 7, "Expired"},
	{ERR_TOO_LARGE, 413, 3, "RequestEntityTooLarge"},
	{ERR_BUSY, 429, 8, "TooManyRequests"},
	{ERR_UNAVAILABLE, 503, 8, "ServiceUnavailable"},
	{-ETIMEDOUT, 504, 8, "Timeout"},
	{-EOPNOTSUPP, 405, 9, "MethodNotAllowed"},
	{-EPROTONOSUPPORT, 406, 3, "NotAcceptable"},
	{-EMEDIUMTYPE, 415, 3, "UnsupportedMediaType"},
	{-ENOSPC, 507, 10, "InsufficientStorage"},
	{ERR_CORRUPT, 500, 11, "InternalError"},
};

static const struct err_row *row_of(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}

int err_set(struct err *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	err->hint[0] = '\0';
	va_start(args, format);
	(void)vsnprintf(err->msg, sizeof(err->msg), format, args);
	va_end(args);
	return code;
}

int err_sys(struct err *err, int code, const char *format, ...)
{
	va_list args;
	size_t len;
	char word[128];

	if (!err)
		return code;
	err->code = code;
	err->hint[0] = '\0';
	va_start(args, format);
	(void)vsnprintf(err->msg, sizeof(err->msg), format, args);
	va_end(args);
	len = strlen(err->msg);
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", strerror_r(-code, word, sizeof(word)));
	return code;
}

int err_prefix(struct err *err, const char *format, ...)
{
	char prefix[ERR_MESSAGE_MAX / 2];
	char rest[ERR_MESSAGE_MAX];
	va_list args;

	if (!err)
		return ERR_INVALID;
	va_start(args, format);
	(void)vsnprintf(prefix, sizeof(prefix), format, args);
	va_end(args);
	memcpy(rest, err->msg, sizeof(rest));
	(void)snprintf(err->msg, sizeof(err->msg), "%s: %.*s", prefix, (int)(sizeof(err->msg) - strlen(prefix) - 3),
		       rest);
	return err->code;
}

int err_hint(struct err *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return ERR_INVALID;
	va_start(args, format);
	(void)vsnprintf(err->hint, sizeof(err->hint), format, args);
	va_end(args);
	return err->code;
}

int err_http_status(int code)
{
	const struct err_row *row = row_of(code);

	return row ? row->http : 500;
}

const char *err_reason(int code)
{
	const struct err_row *row = row_of(code);

	return row ? row->reason : "InternalError";
}

int err_exit_code(int code)
{
	const struct err_row *row = row_of(code);

	if (code == 0)
		return 0;
	return row ? row->exit : 1;
}

int err_from_http_status(int status)
{
	if (status >= 200 && status < 300)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].http == status)
			return rows[i].code;
	return status >= 400 && status < 500 ? ERR_INVALID : ERR_UNAVAILABLE;
}
