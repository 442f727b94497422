/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "http/server_internal.h"

static bool is_token(const char *name)
{
	return *name &&
	       name[strspn(name, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] ==
		       '\0';
}

static bool is_header_value(const char *value)
{
	if (!*value)
		return false;
	for (; *value; value++)
		if ((unsigned char)*value < 0x20 || *value == 0x7f)
			return false;
	return true;
}

static const char *copy_string(struct http_request *request, const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = http_alloc(request, size);

	return copy ? memcpy(copy, string, size) : NULL;
}

int http_add_header(struct http_request *request, const char *name, const char *value)
{
	struct answer_header *header;

	if (!is_token(name) || !is_header_value(value))
		return -EINVAL;
	header = http_alloc(request, sizeof(*header));
	if (!header)
		return -ENOMEM;
	header->name = copy_string(request, name);
	header->value = copy_string(request, value);
	if (!header->name || !header->value)
		return -ENOMEM;
	header->next = request->headers;
	request->headers = header;
	return 0;
}

void request_set_response(struct http_request *request, int status, const char *type, struct MHD_Response *response)
{
	assert(!request->response && request->stage != STAGE_SENT);
	if (!response) {
		answer_refusal(request, 503, "no memory for an answer");
		return;
	}
	for (const struct answer_header *at = request->headers; at; at = at->next)
		(void)MHD_add_response_header(response, at->name, at->value);
	if (type)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (request->close)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	request->response = response;
	request->status = status;
}

int http_status(const struct http_request *request)
{
	return request->status;
}

uint64_t http_answer_size(const struct http_request *request)
{
	return request->answer_size;
}

void answer_refusal(struct http_request *request, int status, const char *text)
{
	struct MHD_Response *response;
	char line[256];
	int len;

	len = snprintf(line, sizeof(line), "%s\n", text);
	response = MHD_create_response_from_buffer(len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1, line,
						   MHD_RESPMEM_MUST_COPY);
	if (response)
		request_set_response(request, status, "text/plain; charset=utf-8", response);
}

void http_answer(struct http_request *request, int status, const char *type, const void *bytes, size_t len)
{
	/* MHD's prototype has no const; it only reads. */
	union {
		const void *from;
		void *to;
	} body = {.from = len ? bytes : ""};

	request->answer_size = len;
	request_set_response(request, status, type,
			     MHD_create_response_from_buffer(len, body.to, MHD_RESPMEM_MUST_COPY));
}

void http_answer_file(struct http_request *request, int status, const char *type, int fd, uint64_t offset, uint64_t len)
{
	struct MHD_Response *response = len ? MHD_create_response_from_fd_at_offset64(len, fd, offset) : NULL;

	if (!response)
		(void)close(fd);
	request->answer_size = len;
	if (len)
		request_set_response(request, status, type, response);
	else
		http_answer(request, status, type, "", 0);
}

struct kept {
	void (*release)(void *data);
	void *data;
};

static void release_kept(void *user)
{
	struct kept *kept = user;

	if (kept->release)
		kept->release(kept->data);
	free(kept);
}

void http_answer_static(struct http_request *request, int status, const char *type, const void *bytes, size_t len,
			void (*release)(void *data), void *data)
{
	struct kept *kept = malloc(sizeof(*kept));
	union {
		const void *from;
		void *to;
	} body = {.from = bytes};
	struct MHD_Response *response = NULL;

	request->answer_size = len;
	if (kept) {
		*kept = (struct kept){release, data};
		response = MHD_create_response_from_buffer_with_free_callback_cls(len, body.to, release_kept, kept);
	}
	if (!response) {
		free(kept);
		if (release)
			release(data);
	}
	request_set_response(request, status, type, response);
}
