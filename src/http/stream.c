/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that any thread continues. The connection rests (suspended) while the queue is empty. Two sides hold a stream: the
 * writer until http_stream_end, the connection until MHD drops the answer; the watchdog for a moment. Lock order: server,
 * then stream, then MHD's own.
 */
#include <errno.h>
#include <string.h>

#include "http/server_internal.h"

#define BLOCK_SIZE 16384

struct http_stream {
	pthread_mutex_t lock;
	pthread_cond_t closed_done;
	unsigned references;
	struct http_server *server;
	struct connection *connection; /* under server->lock; NULL when it has ended */
	struct MHD_Connection *mhd;
	struct buf queue;
	size_t taken; /* of the queue's beginning */
	size_t queue_max;
	bool suspended, ended, complete, left, closing;
	pthread_t closer; /* who runs closed, while closing */
	void (*closed)(void *user);
	void *user;
};

struct http_stream *stream_ref(struct http_stream *stream)
{
	(void)pthread_mutex_lock(&stream->lock);
	stream->references++;
	(void)pthread_mutex_unlock(&stream->lock);
	return stream;
}

static void unlock_unref(struct http_stream *stream)
{
	bool last = --stream->references == 0;

	(void)pthread_mutex_unlock(&stream->lock);
	if (!last)
		return;
	buf_done(&stream->queue);
	(void)pthread_cond_destroy(&stream->closed_done);
	(void)pthread_mutex_destroy(&stream->lock);
	free(stream);
}

static void wake_connection(struct http_stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->mhd);
}

static size_t queued(const struct http_stream *stream)
{
	return stream->queue.len - stream->taken;
}

static ssize_t take(struct http_stream *stream, char *to, size_t max)
{
	size_t len = queued(stream) < max ? queued(stream) : max;

	memcpy(to, stream->queue.data + stream->taken, len);
	stream->taken += len;
	if (queued(stream) == 0) {
		stream->taken = 0;
		buf_clear(&stream->queue);
	}
	return (ssize_t)len;
}

/* MHD asks for more: from the connection's thread. */
static ssize_t read_stream(void *user, uint64_t position, char *to, size_t max)
{
	struct http_stream *stream = user;
	ssize_t result = 0;

	(void)position;
	(void)pthread_mutex_lock(&stream->lock);
	if (stream->left || (stream->ended && !stream->complete && queued(stream) == 0))
		result = MHD_CONTENT_READER_END_WITH_ERROR;
	else if (queued(stream))
		result = take(stream, to, max);
	else if (stream->ended)
		result = MHD_CONTENT_READER_END_OF_STREAM;
	else if (!stream->suspended) {
		stream->suspended = true;
		MHD_suspend_connection(stream->mhd);
	}
	(void)pthread_mutex_unlock(&stream->lock);
	return result;
}

void stream_peer_left(struct http_stream *stream)
{
	bool tell;

	(void)pthread_mutex_lock(&stream->lock);
	tell = !stream->left && !stream->ended && stream->closed;
	stream->left = true;
	wake_connection(stream);
	if (tell) {
		stream->closing = true;
		stream->closer = pthread_self();
		(void)pthread_mutex_unlock(&stream->lock);
		stream->closed(stream->user);
		(void)pthread_mutex_lock(&stream->lock);
		stream->closing = false;
		(void)pthread_cond_broadcast(&stream->closed_done);
	}
	unlock_unref(stream);
}

void stream_connection_ended(struct http_stream *stream)
{
	stream->connection = NULL;
}

/* MHD drops the answer: it was sent whole, or the connection has ended. */
static void drop_stream(void *user)
{
	struct http_stream *stream = user;

	(void)pthread_mutex_lock(&stream->server->lock);
	if (stream->connection)
		stream->connection->stream = NULL;
	(void)pthread_mutex_unlock(&stream->server->lock);
	(void)pthread_mutex_lock(&stream->lock);
	stream->suspended = false;
	(void)pthread_mutex_unlock(&stream->lock);
	stream_peer_left(stream);
}

static struct http_stream *stream_new(struct http_request *request, size_t queue_max)
{
	struct http_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	(void)pthread_mutex_init(&stream->lock, NULL);
	(void)pthread_cond_init(&stream->closed_done, NULL);
	stream->references = 2;
	stream->server = request->connection->server;
	stream->connection = request->connection;
	stream->mhd = request->mhd;
	stream->queue = buf_of(SIZE_MAX / 4);
	stream->queue_max = queue_max;
	return stream;
}

struct http_stream *http_stream_begin(struct http_request *request, int status, const char *type, size_t queue_max,
				      void (*closed)(void *user), void *user)
{
	struct http_server *server = request->connection->server;
	struct http_stream *stream = stream_new(request, queue_max);
	/* libmicrohttpd would end the answer to a HEAD with a last chunk, which the peer takes for the next answer. */
	uint64_t size = strcmp(request->method, "HEAD") == 0 ? 0 : MHD_SIZE_UNKNOWN;
	struct MHD_Response *response = NULL;

	if (stream)
		response = MHD_create_response_from_callback(size, BLOCK_SIZE, read_stream, stream, drop_stream);
	if (!response) {
		if (stream) {
			stream->references = 1;
			(void)pthread_mutex_lock(&stream->lock);
			unlock_unref(stream);
		}
		answer_refusal(request, 503, "no memory for an answer");
		return NULL;
	}
	stream->closed = closed;
	stream->user = user;
	request->streaming = true;
	request_set_response(request, status, type, response);
	(void)pthread_mutex_lock(&server->lock);
	request->connection->stream = stream;
	(void)pthread_mutex_unlock(&server->lock);
	return stream;
}

int http_stream_write(struct http_stream *stream, const void *bytes, size_t len)
{
	int r;

	(void)pthread_mutex_lock(&stream->lock);
	if (stream->left) {
		r = -EPIPE;
	} else if (queued(stream) && (len > stream->queue_max || queued(stream) > stream->queue_max - len)) {
		r = ERR_BUSY;
	} else {
		buf_consume(&stream->queue, stream->taken);
		stream->taken = 0;
		r = buf_append(&stream->queue, bytes, len);
		if (r == 0 && len)
			wake_connection(stream);
	}
	(void)pthread_mutex_unlock(&stream->lock);
	return r;
}

size_t http_stream_queued(struct http_stream *stream)
{
	size_t len;

	(void)pthread_mutex_lock(&stream->lock);
	len = queued(stream);
	(void)pthread_mutex_unlock(&stream->lock);
	return len;
}

void http_stream_end(struct http_stream *stream, bool complete)
{
	(void)pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	stream->complete = complete;
	wake_connection(stream);
	while (stream->closing && !pthread_equal(stream->closer, pthread_self()))
		(void)pthread_cond_wait(&stream->closed_done, &stream->lock);
	unlock_unref(stream);
}
