/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, from its first line to its end. MHD calls three times: with the header, with pieces of the body, and when all
 * has come. Answers are kept and queued in the last call, because MHD closes a connection whose answer was queued before.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/str.h"
#include "http/server_internal.h"

#define BODY_MAX_DEFAULT ((size_t)3 << 20)
/* How much of a body is taken in and dropped so that the peer, still sending, gets to read its answer. */
#define SWALLOW_MAX ((uint64_t)16 << 20)
#define ARENA_BLOCK 1024

struct http_request *request_new(struct connection *connection, struct MHD_Connection *mhd, const char *target)
{
	struct http_request *request = calloc(1, sizeof(*request));
	size_t body_max = connection->server->config.body_max;
	size_t size = strlen(target) + 1;

	if (!request)
		return NULL;
	request->connection = connection;
	request->mhd = mhd;
	request->body = buf_of(body_max ? body_max : BODY_MAX_DEFAULT);
	(void)pthread_mutex_init(&request->park_lock, NULL);
	request->target_text = http_alloc(request, size);
	if (!request->target_text) {
		request_free(request);
		return NULL;
	}
	memcpy(request->target_text, target, size);
	if (target_parse_repeated(request->target_text, connection->server->config.repeatable, &request->target,
				  &request->target_error) == 0)
		request->target_error.code = 0;
	return request;
}

void request_free(struct http_request *request)
{
	struct arena_block *block, *next;

	if (!request)
		return;
	if (request->release)
		request->release(request->data);
	if (request->response)
		MHD_destroy_response(request->response);
	buf_done(&request->body);
	(void)pthread_mutex_destroy(&request->park_lock);
	for (block = request->arena; block; block = next) {
		next = block->next;
		free(block);
	}
	free(request);
}

void *http_alloc(struct http_request *request, size_t size)
{
	struct arena_block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	block->next = request->arena;
	request->arena = block;
	return block->bytes;
}

const char *http_method(const struct http_request *request)
{
	return request->method;
}

const char *http_path(const struct http_request *request)
{
	return request->target.path;
}

const char *http_query(const struct http_request *request, const char *name)
{
	return target_parameter(&request->target, name);
}

const char *http_query_repeated(const struct http_request *request, const char *name, size_t index)
{
	return target_repeated(&request->target, name, index);
}

const char *http_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const struct http_peer *http_peer_of(const struct http_request *request)
{
	return &request->connection->peer;
}

void http_set_data(struct http_request *request, void *data, void (*release)(void *data))
{
	assert(!request->release);
	request->data = data;
	request->release = release;
}

void *http_data(const struct http_request *request)
{
	return request->data;
}

void http_want_body(struct http_request *request,
		    void (*ready)(struct http_request *request, const char *body, size_t len, void *user))
{
	request->ready = ready;
}

void http_stream_body(struct http_request *request,
		      int (*piece)(struct http_request *request, const char *bytes, size_t len, void *user))
{
	request->piece = piece;
}

void http_allow_pauses(struct http_request *request)
{
	request->pauses = true;
	(void)MHD_set_connection_option(request->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
}

/* --- parking --- */

void http_park(struct http_request *request, void (*resumed)(struct http_request *request, void *user), void *user)
{
	(void)pthread_mutex_lock(&request->park_lock);
	assert(request->park == PARK_NONE);
	request->park = PARK_ASKED;
	request->resumed = resumed;
	request->resumed_user = user;
	(void)pthread_mutex_unlock(&request->park_lock);
}

void http_pause(struct http_request *request)
{
	http_park(request, NULL, NULL);
}

/* A peer that left has its request freed as soon as the connection is resumed: nothing of it is touched behind that. */
void http_resume(struct http_request *request)
{
	struct http_server *server = request->connection->server;
	struct MHD_Connection *mhd = request->mhd;
	bool suspended;

	(void)pthread_mutex_lock(&request->park_lock);
	suspended = request->park == PARK_SUSPENDED;
	assert(suspended || request->park == PARK_ASKED);
	request->park = PARK_RESUMED;
	(void)pthread_mutex_unlock(&request->park_lock);
	if (!suspended)
		return;
	MHD_resume_connection(mhd);
	atomic_fetch_sub(&server->parked, 1);
}

void http_cut(struct http_request *request)
{
	(void)shutdown(request->connection->fd, SHUT_RDWR);
}

/* Suspends a request that asked for it; true while it rests. Runs resumed when that was due. */
static bool rests(struct http_request *request)
{
	void (*resumed)(struct http_request * request, void *user) = NULL;
	enum park_state park;

	do {
		(void)pthread_mutex_lock(&request->park_lock);
		park = request->park;
		if (park == PARK_ASKED) {
			request->park = PARK_SUSPENDED;
			atomic_fetch_add(&request->connection->server->parked, 1);
			MHD_suspend_connection(request->mhd);
		} else if (park == PARK_RESUMED) {
			request->park = PARK_NONE;
			resumed = request->resumed;
		}
		(void)pthread_mutex_unlock(&request->park_lock);
		if (park == PARK_RESUMED && resumed)
			resumed(request, request->resumed_user);
	} while (park == PARK_RESUMED);
	return park != PARK_NONE;
}

/* --- framing --- */

struct framing {
	unsigned hosts, lengths, encodings;
	bool malformed, chunked;
	uint64_t length;
};

static enum MHD_Result look_at_header(void *user, enum MHD_ValueKind kind, const char *key, size_t key_len,
				      const char *value, size_t value_len)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct framing *framing = user;

	(void)kind;
	if (key_len == 0 || strspn(key, token) != key_len || !value || strlen(value) != value_len) {
		framing->malformed = true;
		return MHD_NO;
	}
	for (size_t i = 0; i < value_len; i++)
		if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
			framing->malformed = true;
	if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
		framing->hosts++;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		framing->lengths++;
		framing->malformed |= str_parse_u64(value, INT64_MAX, &framing->length) < 0;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		framing->encodings++;
		framing->chunked = strcasecmp(value, "chunked") == 0;
	}
	return MHD_YES;
}

/* What would let two readers of these bytes disagree about where the request ends is refused. */
static const char *framing_fault(struct http_request *request, const char *version, struct framing *framing)
{
	(void)MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, look_at_header, framing);
	if (framing->malformed)
		return "a header is malformed";
	if (framing->hosts > 1 || framing->lengths > 1 || framing->encodings > 1)
		return "a header is given twice";
	if (framing->lengths && framing->encodings)
		return "Content-Length together with Transfer-Encoding";
	if (framing->encodings && (!framing->chunked || !str_eq(version, MHD_HTTP_VERSION_1_1)))
		return "the transfer encoding is not supported";
	return NULL;
}

static bool is_supported_version(const char *version)
{
	return str_eq(version, MHD_HTTP_VERSION_1_1) || str_eq(version, MHD_HTTP_VERSION_1_0);
}

static int identify_peer(struct http_request *request, struct err *err)
{
	struct connection *connection = request->connection;
	const union MHD_ConnectionInfo *info;
	int r;

	if (connection->peer_known || !connection->server->asks_client)
		return 0;
	info = MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	r = peer_identify(info ? info->tls_session : NULL, &connection->server->config, &connection->peer, err);
	connection->peer_known = r == 0;
	return r;
}

/* Answers what no handler should see. */
static void refuse(struct http_request *request, int status, const char *text)
{
	request->close = true;
	answer_refusal(request, status, text);
}

static void begin(struct http_request *request, const char *version, struct framing *framing)
{
	struct err err;
	const char *fault = is_supported_version(version) ? framing_fault(request, version, framing)
							  : "the HTTP version is not supported";

	request->has_body = framing->chunked || framing->length;
	if (fault)
		refuse(request, 400, fault);
	else if (request->target_error.code)
		refuse(request, err_http_status(request->target_error.code), request->target_error.msg);
	else if (identify_peer(request, &err) < 0)
		refuse(request, 403, err.msg);
	else
		request->connection->server->config.handle(request, request->connection->server->config.user);
	if (!request->response && request->ready && framing->length > request->body.max)
		answer_refusal(request, 413, "the body is too large");
}

static enum MHD_Result queue_answer(struct http_request *request)
{
	struct MHD_Response *response = take_ptr(request->response);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	request->stage = STAGE_SENT;
	connection_set_phase(request->connection, request->streaming || request->pauses ? PHASE_PAUSED : PHASE_REPLY);
	result = MHD_queue_response(request->mhd, (unsigned)request->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool expects_continue(const struct http_request *request)
{
	const char *expect = http_header(request, MHD_HTTP_HEADER_EXPECT);

	return expect && strcasecmp(expect, "100-continue") == 0;
}

enum MHD_Result request_first_call(struct http_request *request, const char *method, const char *version)
{
	struct framing framing = {0};

	connection_set_phase(request->connection, PHASE_HANDLER);
	request->method = method;
	begin(request, version, &framing);
	if (!request->has_body) {
		request->stage = STAGE_END;
		return request->close && request->response ? queue_answer(request) : MHD_YES;
	}
	/* It must rest at once, or the peer's leaving would free it before it is resumed; its answer ends the connection. */
	if (rests(request)) {
		request->stage = STAGE_SWALLOW;
		return MHD_YES;
	}
	/* No use in taking in a body that the peer has not sent yet, that has no sure end, or that is too long. */
	if (request->response && (request->close || expects_continue(request) || framing.length > SWALLOW_MAX))
		return queue_answer(request);
	request->stage = request->response || !(request->ready || request->piece) ? STAGE_SWALLOW : STAGE_BODY;
	connection_set_phase(request->connection, request->pauses ? PHASE_PAUSED : PHASE_BODY);
	return MHD_YES;
}

static void take_piece(struct http_request *request, const char *bytes, size_t len)
{
	void *user = request->connection->server->config.user;

	if (request->piece) {
		if (request->piece(request, bytes, len, user) < 0) {
			request->stage = STAGE_SWALLOW;
			if (!request->response)
				answer_refusal(request, 500, "the request was not answered");
			(void)MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONNECTION, "close");
		}
	} else if (buf_append(&request->body, bytes, len) < 0) {
		request->stage = STAGE_SWALLOW;
		buf_done(&request->body);
		answer_refusal(request, 413, "the body is too large");
	}
}

enum MHD_Result request_body_call(struct http_request *request, const char *bytes, size_t *len)
{
	/* MHD goes on with a chunk at hand even when the connection was just suspended. */
	if (rests(request))
		return MHD_YES;
	if (request->stage == STAGE_SWALLOW) {
		request->swallowed += *len;
		if (request->swallowed > SWALLOW_MAX)
			return MHD_NO;
	} else {
		take_piece(request, bytes, *len);
	}
	*len = 0;
	(void)rests(request);
	return MHD_YES;
}

static void end_body(struct http_request *request)
{
	void *user = request->connection->server->config.user;

	if (request->ready)
		request->ready(request, request->body.len ? request->body.data : "", request->body.len, user);
	else if (request->piece)
		(void)request->piece(request, NULL, 0, user);
}

enum MHD_Result request_final_call(struct http_request *request)
{
	bool body_due = !request->response &&
			(request->stage == STAGE_BODY || (request->stage == STAGE_END && !request->has_body));

	if (rests(request))
		return MHD_YES;
	if (body_due && (request->ready || request->piece)) {
		connection_set_phase(request->connection, PHASE_HANDLER);
		request->stage = STAGE_END;
		end_body(request);
		request->ready = NULL;
		request->piece = NULL;
		if (rests(request))
			return MHD_YES;
	}
	if (!request->response)
		answer_refusal(request, 500, "the request was not answered");
	return queue_answer(request);
}
