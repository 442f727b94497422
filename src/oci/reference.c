/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reference.h"

#include <stdio.h>

#include "base/str.h"

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One separator between alphanumeric runs of a path component: ".", "_", "__" or any number of "-". Its length, or 0. */
static size_t separator_length(const char *at)
{
	if (*at == '.')
		return 1;
	if (*at == '_')
		return at[1] == '_' ? 2 : 1;
	return strspn(at, "-");
}

bool reference_is_repository(const char *repository)
{
	const char *at = repository;

	if (strlen(repository) >= REFERENCE_REPOSITORY_SIZE)
		return false;
	while (is_lower_alnum(*at)) {
		while (is_lower_alnum(*at))
			at++;
		if (!*at)
			return true;
		if (*at == '/') {
			at++;
			continue;
		}
		at += separator_length(at);
	}
	return false;
}

bool reference_is_tag(const char *tag)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = strspn(tag, letters);

	return len >= 1 && len <= 128 && !tag[len] && tag[0] != '.' && tag[0] != '-';
}

static bool is_port(const char *port)
{
	uint64_t value;

	return str_parse_u64(port, 65535, &value) == 0 && value != 0;
}

bool reference_is_host(const char *host)
{
	char name[254];
	const char *colon;

	if (host[0] == '[') {
		size_t len = strspn(host + 1, "0123456789abcdef:.");

		if (len < 2 || len > 45 || host[1 + len] != ']')
			return false;
		return !host[2 + len] || (host[2 + len] == ':' && is_port(host + 3 + len));
	}
	colon = strchr(host, ':');
	if (colon && !is_port(colon + 1))
		return false;
	if (snprintf(name, sizeof(name), "%.*s", (int)(colon ? colon - host : 254), host) >= (int)sizeof(name))
		return false;
	return str_is_dns_subdomain(name);
}

/* A first component that says it is a host: with a dot, a port, brackets, or "localhost". "library/x" is none. */
static bool looks_like_host(const char *text, size_t len)
{
	return memchr(text, '.', len) || memchr(text, ':', len) || (len == 9 && memcmp(text, "localhost", 9) == 0);
}

static int take_part(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		return ERR_INVALID;
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

int reference_parse(const char *text, struct reference *ret_reference, struct err *err)
{
	struct reference reference = {0};
	const char *slash = strchr(text, '/'), *at, *colon, *end;
	int r;

	if (!slash || !looks_like_host(text, (size_t)(slash - text)))
		return err_set(err, ERR_INVALID, "image '%.300s' names no registry: write 'host[:port]/repository'",
			       text);
	if (take_part(reference.host, sizeof(reference.host), text, (size_t)(slash - text)) < 0 ||
	    !reference_is_host(reference.host))
		return err_set(err, ERR_INVALID, "image '%.300s': '%.*s' is not a host", text,
			       (int)(slash - text > 100 ? 100 : slash - text), text);
	at = strchr(slash, '@');
	if (at) {
		r = digest_parse(at + 1, &reference.digest, err);
		if (r < 0)
			return err_prefix(err, "image '%.300s'", text);
		reference.has_digest = true;
	}
	end = at ? at : text + strlen(text);
	colon = memchr(slash, ':', (size_t)(end - slash));
	if (colon && (take_part(reference.tag, sizeof(reference.tag), colon + 1, (size_t)(end - colon - 1)) < 0 ||
		      !reference_is_tag(reference.tag)))
		return err_set(err, ERR_INVALID,
			       "image '%.300s': the tag is not 1 to 128 of A-Z, a-z, 0-9, '_', '.', '-'", text);
	if (colon)
		end = colon;
	if (take_part(reference.repository, sizeof(reference.repository), slash + 1, (size_t)(end - slash - 1)) < 0 ||
	    !reference_is_repository(reference.repository))
		return err_set(err, ERR_INVALID,
			       "image '%.300s': the repository is not lower-case words joined by '/', '.', '_' or '-'",
			       text);
	*ret_reference = reference;
	return 0;
}

void reference_format(const struct reference *reference, char to[static REFERENCE_TEXT_SIZE])
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (reference->has_digest)
		digest_format(&reference->digest, digest);
	(void)snprintf(to, REFERENCE_TEXT_SIZE, "%s/%s%s%s%s%s", reference->host, reference->repository,
		       reference->tag[0] ? ":" : "", reference->tag, reference->has_digest ? "@" : "", digest);
}
