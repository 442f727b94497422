/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_bearer.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key.h"

#define TOKEN_MAX 8192

/* --- scopes --- */

static unsigned rights_of(const char *action)
{
	/* Who signs pushes, in the words of this protocol. */
	if (str_eq(action, "push"))
		return 1u << CIR_RIGHT_PUSH | 1u << CIR_RIGHT_SIGN;
	if (str_eq(action, "pull"))
		return 1u << CIR_RIGHT_PULL;
	if (str_eq(action, "delete"))
		return 1u << CIR_RIGHT_DELETE;
	return str_eq(action, "*") ? (1u << CIR_RIGHT_COUNT) - 1 : 0;
}

/* "repository:NAME:ACTION,ACTION" */
static void add_scope(struct cir_bearer *bearer, char *text)
{
	char *name = strchr(text, ':'), *actions = strrchr(text, ':'), *rest;
	struct cir_scope scope = {0};

	if (!name || name == actions || bearer->count == CIR_BEARER_SCOPES_MAX)
		return;
	*name++ = '\0';
	*actions++ = '\0';
	for (char *action = strtok_r(actions, ",", &rest); action; action = strtok_r(NULL, ",", &rest))
		scope.rights |= rights_of(action);
	if (str_eq(text, "repository") && reference_is_repository(name) &&
	    str_copy(scope.repository, sizeof(scope.repository), name) == 0)
		bearer->scopes[bearer->count++] = scope;
}

void cir_bearer_add_scopes(struct cir_bearer *bearer, const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *rest = NULL;

	if (!copy)
		return;
	for (char *scope = strtok_r(copy, " ", &rest); scope; scope = strtok_r(NULL, " ", &rest))
		add_scope(bearer, scope);
}

bool cir_bearer_covers(const struct cir_bearer *bearer, const char *repository, enum cir_right right)
{
	for (size_t i = 0; i < bearer->count; i++)
		if ((bearer->scopes[i].rights & 1u << right) && str_eq(bearer->scopes[i].repository, repository))
			return true;
	return false;
}

/* --- text --- */

/* By the secret over a digest: of fixed length, so that nothing can be appended. */
static void code_of(const char *text, size_t len, const uint8_t secret[static CIR_BEARER_SECRET_SIZE],
		    uint8_t code[static CRYPTO_SHA256_SIZE])
{
	uint8_t inner[CIR_BEARER_SECRET_SIZE + CRYPTO_SHA256_SIZE];

	memcpy(inner, secret, CIR_BEARER_SECRET_SIZE);
	crypto_sha256(text, len, inner + CIR_BEARER_SECRET_SIZE);
	crypto_sha256(inner, sizeof(inner), code);
}

/* The parts of a token's contents are of bytes over blank, for a blank separates them. A user's name is in hexadecimal digits. */
static int format_contents(const struct cir_bearer *bearer, struct buf *to)
{
	char user[2 * CIR_BEARER_USER_SIZE];
	int r;

	str_hex(user, (const uint8_t *)bearer->user, strlen(bearer->user));
	r = buf_printf(to, "%lld %s.", (long long)bearer->expires_ms, user);
	for (size_t i = 0; r == 0 && i < bearer->count; i++)
		r = buf_printf(to, " %u %s", bearer->scopes[i].rights, bearer->scopes[i].repository);
	return r;
}

int cir_bearer_format(const struct cir_bearer *bearer, const uint8_t secret[static CIR_BEARER_SECRET_SIZE],
		      struct buf *to)
{
	CLEANUP_BUF struct buf contents = buf_of(TOKEN_MAX);
	uint8_t code[CRYPTO_SHA256_SIZE];
	int r = format_contents(bearer, &contents);

	if (r == 0)
		r = buf_puts(to, CIR_BEARER_PREFIX);
	if (r == 0)
		r = crypto_base64url(to, contents.data, contents.len);
	if (r < 0)
		return r;
	code_of(contents.data, contents.len, secret, code);
	r = buf_putc(to, '.');
	return r < 0 ? r : crypto_base64url(to, code, sizeof(code));
}

static int parse_contents(char *text, struct cir_bearer *bearer)
{
	char *rest = NULL, *expires = strtok_r(text, " ", &rest), *user = strtok_r(NULL, " ", &rest), *rights;
	size_t len = user ? strlen(user) : 0;
	uint64_t number;

	if (!expires || len % 2 != 1 || len / 2 >= CIR_BEARER_USER_SIZE)
		return -EINVAL;
	user[len - 1] = '\0';
	if (str_parse_i64(expires, 0, INT64_MAX, &bearer->expires_ms) < 0 ||
	    str_unhex((uint8_t *)bearer->user, len / 2, user) < 0)
		return -EINVAL;
	while ((rights = strtok_r(NULL, " ", &rest)) && bearer->count < CIR_BEARER_SCOPES_MAX) {
		struct cir_scope *scope = &bearer->scopes[bearer->count++];
		const char *repository = strtok_r(NULL, " ", &rest);

		if (!repository || str_parse_u64(rights, UINT8_MAX, &number) < 0 ||
		    str_copy(scope->repository, sizeof(scope->repository), repository) < 0)
			return -EINVAL;
		scope->rights = (unsigned)number;
	}
	return 0;
}

int cir_bearer_parse(const char *text, const uint8_t secret[static CIR_BEARER_SECRET_SIZE], int64_t now_ms,
		     struct cir_bearer *ret_bearer, struct err *err)
{
	CLEANUP_BUF struct buf contents = buf_of(TOKEN_MAX), shown = buf_of(CRYPTO_SHA256_SIZE);
	const char *dot = strrchr(text, '.'), *begin = text + strlen(CIR_BEARER_PREFIX);
	struct cir_bearer bearer = {0};
	uint8_t code[CRYPTO_SHA256_SIZE];

	if (!str_starts(text, CIR_BEARER_PREFIX) || dot < begin ||
	    crypto_unbase64url(&contents, begin, (size_t)(dot - begin)) < 0 ||
	    crypto_unbase64url(&shown, dot + 1, strlen(dot + 1)) < 0 || !contents.len || shown.len != sizeof(code))
		return err_set(err, ERR_UNKNOWN_PEER, "the token is malformed");
	code_of(contents.data, contents.len, secret, code);
	if (!crypto_equal(code, shown.data, sizeof(code)) || parse_contents(contents.data, &bearer) < 0)
		return err_set(err, ERR_UNKNOWN_PEER, "the token was not given by this registry since it started");
	if (bearer.expires_ms <= now_ms)
		return err_set(err, ERR_UNKNOWN_PEER, "the token has expired");
	*ret_bearer = bearer;
	return 0;
}
