/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_route.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

static bool is_upload_id(const char *text)
{
	return strlen(text) == CIR_UPLOAD_ID_SIZE - 1 && text[strspn(text, "0123456789abcdef")] == '\0';
}

static int read_digest(const char *text, struct cir_route *route, const char **ret_code, struct err *err)
{
	*ret_code = "DIGEST_INVALID";
	route->has_digest = true;
	return digest_parse(text, &route->digest, err) < 0 ? ERR_SYNTAX : 0;
}

static int read_reference(const char *text, struct cir_route *route, const char **ret_code, struct err *err)
{
	if (strchr(text, ':'))
		return read_digest(text, route, ret_code, err);
	if (!reference_is_tag(text)) {
		*ret_code = "TAG_INVALID";
		return err_set(err, ERR_SYNTAX, "'%.150s' is neither a tag nor a digest", text);
	}
	return str_copy(route->tag, sizeof(route->tag), text);
}

/* Splits the last segment off. */
static char *cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

static int no_endpoint(const char **ret_code, struct err *err)
{
	*ret_code = "UNSUPPORTED";
	return err_set(err, ERR_NOT_FOUND, "there is no such endpoint");
}

/* kind and reference are the last two segments behind name. */
static int read_endpoint(char *name, const char *kind, const char *reference, struct cir_route *route,
			 const char **ret_code, struct err *err)
{
	const char *before;

	if (str_eq(kind, "uploads")) {
		before = cut_last(name);
		if (!before || !str_eq(before, "blobs"))
			return no_endpoint(ret_code, err);
		route->kind = *reference ? CIR_ROUTE_UPLOAD : CIR_ROUTE_UPLOADS;
		if (*reference && !is_upload_id(reference)) {
			*ret_code = "BLOB_UPLOAD_UNKNOWN";
			return err_set(err, ERR_NOT_FOUND, "there is no such upload");
		}
		return str_copy(route->upload, sizeof(route->upload), reference);
	}
	if (str_eq(kind, "tags") && str_eq(reference, "list")) {
		route->kind = CIR_ROUTE_TAGS;
		return 0;
	}
	if (str_eq(kind, "manifests")) {
		route->kind = CIR_ROUTE_MANIFEST;
		return read_reference(reference, route, ret_code, err);
	}
	route->kind = str_eq(kind, "blobs") ? CIR_ROUTE_BLOB : CIR_ROUTE_REFERRERS;
	if (route->kind == CIR_ROUTE_REFERRERS && !str_eq(kind, "referrers"))
		return no_endpoint(ret_code, err);
	/* Docker's clients begin an upload with and without the slash at the end. */
	if (route->kind == CIR_ROUTE_BLOB && str_eq(reference, "uploads")) {
		route->kind = CIR_ROUTE_UPLOADS;
		return 0;
	}
	return read_digest(reference, route, ret_code, err);
}

int cir_route_parse(const char *path, struct cir_route *ret_route, const char **ret_code, struct err *err)
{
	struct cir_route route = {0};
	char name[1024], *reference, *kind;
	int r;

	if (str_eq(path, "/metrics") || str_eq(path, "/token")) {
		route.kind = path[1] == 'm' ? CIR_ROUTE_METRICS : CIR_ROUTE_TOKEN;
		*ret_route = route;
		return 0;
	}
	if (!str_eq(path, "/v2") && !str_starts(path, "/v2/"))
		return no_endpoint(ret_code, err);
	route.kind = str_eq(path, "/v2/_catalog") ? CIR_ROUTE_CATALOG : CIR_ROUTE_PING;
	if (route.kind == CIR_ROUTE_CATALOG || str_eq(path, "/v2") || str_eq(path, "/v2/")) {
		*ret_route = route;
		return 0;
	}
	if (str_copy(name, sizeof(name), path + strlen("/v2/")) < 0) {
		*ret_code = "NAME_INVALID";
		return err_set(err, ERR_SYNTAX, "the path is too long");
	}
	reference = cut_last(name);
	kind = reference ? cut_last(name) : NULL;
	if (!kind)
		return no_endpoint(ret_code, err);
	r = read_endpoint(name, kind, reference, &route, ret_code, err);
	if (r < 0)
		return r;
	if (!reference_is_repository(name)) {
		*ret_code = "NAME_INVALID";
		return err_set(err, ERR_SYNTAX, "'%.260s' is not a repository name", name);
	}
	r = str_copy(route.repository, sizeof(route.repository), name);
	if (r == 0)
		*ret_route = route;
	return r;
}

/* Reads "A-B" where either may be missing; false for anything else. */
static bool read_span(const char *text, char *first, char *last, size_t size)
{
	const char *dash = strchr(text, '-');

	if (!dash || (size_t)(dash - text) >= size || strlen(dash + 1) >= size)
		return false;
	memcpy(first, text, (size_t)(dash - text));
	first[dash - text] = '\0';
	return str_copy(last, size, dash + 1) == 0;
}

int cir_route_range(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len)
{
	uint64_t from = 0, to = UINT64_MAX;
	char first[24], last[24];

	if (!header || !str_starts(header, "bytes=") || !read_span(header + 6, first, last, sizeof(first)) ||
	    (!*first && !*last))
		return 0;
	if ((*first && str_parse_u64(first, INT64_MAX, &from) < 0) ||
	    (*last && str_parse_u64(last, INT64_MAX, &to) < 0))
		return 0;
	if (!*first) { /* the last N bytes */
		if (to == 0 || size == 0)
			return -ERANGE;
		from = to < size ? size - to : 0;
		to = UINT64_MAX;
	}
	if (from > to)
		return 0;
	if (from >= size)
		return -ERANGE;
	*ret_offset = from;
	*ret_len = (to < size ? to + 1 : size) - from;
	return 1;
}

int cir_route_content_range(const char *header, uint64_t *ret_first, uint64_t *ret_last)
{
	char span[64], first[24], last[24], *slash;

	if (str_starts(header, "bytes "))
		header += strlen("bytes ");
	if (str_copy(span, sizeof(span), header) < 0)
		return -EINVAL;
	slash = strchr(span, '/');
	if (slash)
		*slash = '\0';
	if (!read_span(span, first, last, sizeof(first)) || str_parse_u64(first, INT64_MAX, ret_first) < 0 ||
	    str_parse_u64(last, INT64_MAX, ret_last) < 0 || *ret_first > *ret_last)
		return -EINVAL;
	return 0;
}
