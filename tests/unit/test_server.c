/* SPDX-License-Identifier: Apache-2.0 */
/* The server and the client against each other and against raw sockets, over real connections. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/client.h"
#include "support_pki.h"

#define BIG ((size_t)8 << 20)

static struct pki_identity ca, server_identity, client_identity;
static _Atomic int handled, closed, posted_bytes, writers;
static struct http_request *_Atomic parked;
static struct http_stream *_Atomic stream;

static void sleep_ms(long ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&time, NULL);
}

/* --- the handler under test's requests --- */

static void on_closed(void *user)
{
	(void)user;
	atomic_fetch_add(&closed, 1);
}

static void *write_stream(void *user)
{
	char block[65536];
	struct http_stream *to = user;
	size_t sent = 0;

	memset(block, 'x', sizeof(block));
	while (sent < BIG) {
		int r = http_stream_write(to, block, sizeof(block));

		if (r == ERR_BUSY)
			sleep_ms(1);
		else if (r == 0)
			sent += sizeof(block);
		else
			break;
	}
	http_stream_end(to, true);
	atomic_fetch_sub(&writers, 1);
	return NULL;
}

/* Writes a little, and ends at any moment: before the peer reads, behind its leaving, while the server tells it has left. */
static void *write_fickle(void *user)
{
	struct http_stream *to = user;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	for (long i = now.tv_nsec / 1000 % 5; i > 0 && http_stream_write(to, "some", 4) == 0; i--)
		sleep_ms(i);
	http_stream_end(to, now.tv_nsec / 1000 % 2);
	atomic_fetch_sub(&writers, 1);
	return NULL;
}

static void *resume_it(void *user)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_nsec / 1000 % 2)
		sleep_ms(now.tv_nsec / 1000 % 3);
	http_resume(user);
	atomic_fetch_sub(&writers, 1);
	return NULL;
}

static void start_thread(void *(*run)(void *user), void *user)
{
	pthread_t thread;

	atomic_fetch_add(&writers, 1);
	assert_int_equal(pthread_create(&thread, NULL, run, user), 0);
	(void)pthread_detach(thread);
}

static void echo(struct http_request *request, const char *body, size_t len, void *user)
{
	const char *name = http_peer_of(request)->common_name;

	(void)user;
	assert_int_equal(http_add_header(request, "X-Peer", name[0] ? name : "nobody"), 0);
	assert_int_equal(http_add_header(request, "X-Peer", "a\r\nb: c"), -EINVAL);
	assert_int_equal(http_add_header(request, "X-Peer", ""), -EINVAL);
	assert_int_equal(http_add_header(request, "X Peer", "a"), -EINVAL);
	http_answer(request, 200, "application/octet-stream", body, len);
}

static int count_piece(struct http_request *request, const char *bytes, size_t len, void *user)
{
	char text[32];

	(void)user;
	atomic_fetch_add(&posted_bytes, (int)len);
	if (bytes && bytes[0] == '!') {
		http_answer(request, 400, NULL, "stop", 4);
		return -EINVAL;
	}
	if (!bytes)
		http_answer(request, 200, NULL, text,
			    (size_t)snprintf(text, sizeof(text), "%d", atomic_load(&posted_bytes)));
	return 0;
}

static void answer_parked(struct http_request *request, void *user)
{
	http_answer(request, 200, NULL, user, strlen(user));
}

static void answer_file(struct http_request *request)
{
	int fd = memfd_create("answer", MFD_CLOEXEC);

	assert_int_equal(write(fd, "0123456789", 10), 10);
	http_answer_file(request, 206, "text/plain", fd, 2, 5);
}

static void handle(struct http_request *request, void *user)
{
	const char *path = http_path(request);

	(void)user;
	atomic_fetch_add(&handled, 1);
	if (str_eq(path, "/echo")) {
		http_want_body(request, echo);
	} else if (str_eq(path, "/count")) {
		http_stream_body(request, count_piece);
	} else if (str_eq(path, "/stream")) {
		start_thread(write_stream, http_stream_begin(request, 200, "text/plain", 1 << 20, on_closed, NULL));
	} else if (str_eq(path, "/fickle")) {
		start_thread(write_fickle, http_stream_begin(request, 200, "text/plain", 1 << 20, on_closed, NULL));
	} else if (str_eq(path, "/parked-by-thread")) {
		http_park(request, answer_parked, (void *)"parked");
		start_thread(resume_it, request);
	} else if (str_eq(path, "/watch")) {
		atomic_store(&stream, http_stream_begin(request, 200, "text/plain", 4096, on_closed, NULL));
		if (http_query(request, "now"))
			assert_int_equal(http_stream_write(atomic_load(&stream), "hello", 5), 0);
	} else if (str_eq(path, "/park")) {
		http_park(request, answer_parked, (void *)"parked");
		atomic_store(&parked, request);
		if (http_query(request, "now"))
			http_resume(request);
	} else if (str_eq(path, "/file")) {
		answer_file(request);
	} else if (!str_eq(path, "/nothing")) {
		http_answer(request, 401, "text/plain", "no", 2);
	}
}

/* --- helpers --- */

static struct http_server *start(bool tls, bool required)
{
	const struct http_server_config config = {
		.address = "127.0.0.1",
		.certificate = tls ? server_identity.pem.data : NULL,
		.key = tls ? server_identity.key_pem.data : NULL,
		.client_ca = tls ? ca.pem.data : NULL,
		.client_required = required,
		.header_seconds = 2,
		.rate_seconds = 3,
		.handle = handle,
	};
	struct http_server *server;
	struct err err = {0};

	assert_int_equal(http_server_start(&config, &server, &err), 0);
	atomic_store(&handled, 0);
	atomic_store(&closed, 0);
	atomic_store(&posted_bytes, 0);
	return server;
}

static int call_with(const struct http_client_config *config, const struct http_server *server, bool tls,
		     const char *path, struct http_call *call, struct http_reply *reply, struct err *err)
{
	CLEANUP_FREE char *url = str_format("%s://127.0.0.1:%u%s", tls ? "https" : "http", http_server_port(server),
					    path);
	CLEANUP(cleanup_http_client) struct http_client *client = NULL;

	assert_int_equal(http_client_new(config, &client, err), 0);
	call->url = url;
	if (!call->method)
		call->method = "GET";
	return http_client_call(client, call, reply, err);
}

static int get(const struct http_server *server, bool tls, const struct pki_identity *as, const char *path,
	       struct http_reply *reply, struct err *err)
{
	const struct http_client_config config = {.ca = ca.pem.data,
						  .certificate = as ? as->pem.data : NULL,
						  .key = as ? as->key_pem.data : NULL};
	struct http_call call = {0};

	return call_with(&config, server, tls, path, &call, reply, err);
}

static int raw_connect(const struct http_server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http_server_port(server))};
	const struct timeval limit = {.tv_sec = 40};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

/* Sends the text and returns what comes until the end or the timeout. */
static size_t raw_exchange(const struct http_server *server, const char *text, char *to, size_t size)
{
	int fd = raw_connect(server);
	size_t len = 0;
	ssize_t n;

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	(void)shutdown(fd, SHUT_WR);
	while (len < size - 1 && (n = recv(fd, to + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	to[len] = '\0';
	(void)close(fd);
	return len;
}

/* --- who gets in --- */

/* The server's alert reaches the client unless the reset that follows its close is faster. */
static void assert_refused(int code)
{
	assert_true(code == ERR_UNKNOWN_PEER || code == ERR_UNAVAILABLE);
}

static void test_peers(void **state)
{
	CLEANUP_IDENTITY struct pki_identity other_ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 600);
	CLEANUP_IDENTITY struct pki_identity foreign = pki_issue(CRYPTO_PURPOSE_CLIENT, "admin", "system:masters",
								 &other_ca, 600);
	CLEANUP_IDENTITY struct pki_identity binding = pki_issue(CRYPTO_PURPOSE_BINDING, "binding:1", NULL, &ca, 600);
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(true, true);
	struct err err = {0};

	(void)state;
	assert_refused(get(server, true, &foreign, "/echo", &reply, &err));
	assert_refused(get(server, true, &binding, "/echo", &reply, &err));
	assert_refused(get(server, true, NULL, "/echo", &reply, &err));
	assert_int_equal(atomic_load(&handled), 0);
	assert_int_equal(get(server, true, &client_identity, "/echo", &reply, &err), 0);
	assert_int_equal(reply.status, 200);
	assert_int_equal(atomic_load(&handled), 1);
	http_server_stop(server);
}

static void test_optional_certificate(void **state)
{
	CLEANUP_IDENTITY struct pki_identity other_ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 600);
	CLEANUP_IDENTITY struct pki_identity foreign = pki_issue(CRYPTO_PURPOSE_CLIENT, "admin", "system:masters",
								 &other_ca, 600);
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(true, false);
	struct err err = {0};
	char name[64];

	(void)state;
	assert_refused(get(server, true, &foreign, "/echo", &reply, &err));
	assert_int_equal(atomic_load(&handled), 0);
	assert_int_equal(get(server, true, NULL, "/echo", &reply, &err), 0);
	assert_int_equal(http_reply_header(&reply, "x-peer", name, sizeof(name)), 0);
	assert_string_equal(name, "nobody");
	assert_int_equal(get(server, true, &client_identity, "/echo", &reply, &err), 0);
	assert_int_equal(http_reply_header(&reply, "x-peer", name, sizeof(name)), 0);
	assert_string_equal(name, "system:node:n1");
	http_server_stop(server);
}

/* The client refuses a server of another CA before it says anything. */
static void test_client_checks_server(void **state)
{
	CLEANUP_IDENTITY struct pki_identity other_ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 600);
	const struct http_client_config config = {.ca = other_ca.pem.data};
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(true, false);
	struct http_call call = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(call_with(&config, server, true, "/echo", &call, &reply, &err), ERR_UNKNOWN_PEER);
	assert_int_equal(atomic_load(&handled), 0);
	http_server_stop(server);
}

/* --- bodies and answers --- */

static void test_bodies(void **state)
{
	const struct http_client_config config = {0};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(BIG)};
	CLEANUP_FREE char *bytes = calloc(1, BIG);
	struct http_server *server = start(false, false);
	struct http_call call = {.method = "POST", .body = bytes, .body_len = (size_t)3 << 20};
	struct err err = {0};

	(void)state;
	memset(bytes, 'b', BIG);
	assert_int_equal(call_with(&config, server, false, "/echo", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.body.len, (size_t)3 << 20);
	assert_memory_equal(reply.body.data, bytes, reply.body.len);
	call.body_len++;
	assert_int_equal(call_with(&config, server, false, "/echo", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 413);
	call.body_len = BIG;
	assert_int_equal(call_with(&config, server, false, "/count", &call, &reply, &err), 0);
	assert_string_equal(reply.body.data, "8388608");
	/* The answer reaches a peer that is still sending. */
	assert_int_equal(call_with(&config, server, false, "/denied", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 401);
	bytes[0] = '!';
	assert_int_equal(call_with(&config, server, false, "/count", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 400);
	assert_string_equal(reply.body.data, "stop");
	assert_int_equal(call_with(&config, server, false, "/nothing", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 500);
	http_server_stop(server);
}

static ssize_t send_chunks(void *user, char *to, size_t size)
{
	size_t *left = user;
	size_t len = size < *left ? size : *left;

	memset(to, 'c', len);
	*left -= len;
	return (ssize_t)len;
}

static void test_chunked_body(void **state)
{
	const struct http_client_config config = {0};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(BIG)};
	struct http_server *server = start(false, false);
	size_t left = 5000000;
	struct http_call call = {.method = "PATCH", .send = send_chunks, .send_len = -1, .user = &left};
	struct err err = {0};

	(void)state;
	assert_int_equal(call_with(&config, server, false, "/count", &call, &reply, &err), 0);
	assert_string_equal(reply.body.data, "5000000");
	left = 5000000;
	assert_int_equal(call_with(&config, server, false, "/echo", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 413);
	http_server_stop(server);
}

static void test_file_and_head(void **state)
{
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	const struct http_client_config config = {0};
	struct http_server *server = start(false, false);
	struct http_call call = {.method = "HEAD"};
	struct err err = {0};
	char length[32];

	(void)state;
	assert_int_equal(get(server, false, NULL, "/file", &reply, &err), 0);
	assert_int_equal(reply.status, 206);
	assert_string_equal(reply.body.data, "23456");
	assert_int_equal(call_with(&config, server, false, "/file", &call, &reply, &err), 0);
	assert_int_equal(reply.body.len, 0);
	assert_int_equal(http_reply_header(&reply, "Content-Length", length, sizeof(length)), 0);
	assert_string_equal(length, "5");
	http_server_stop(server);
}

/* --- streams and parking --- */

struct both_ways {
	struct http_server *server;
	bool up;
};

static int count_received(void *user, const char *bytes, size_t len)
{
	assert_int_equal(bytes[0], 'x');
	*(size_t *)user += len;
	return 0;
}

static void *transfer(void *user)
{
	const struct both_ways *way = user;
	const struct http_client_config config = {.ca = ca.pem.data,
						  .certificate = client_identity.pem.data,
						  .key = client_identity.key_pem.data};
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	size_t moved = way->up ? BIG : 0;
	struct http_call call = {.method = way->up ? "PUT" : "GET", .user = &moved, .send_len = -1};
	struct err err = {0};

	if (way->up)
		call.send = send_chunks;
	else
		call.receive = count_received;
	assert_int_equal(call_with(&config, way->server, true, way->up ? "/count" : "/stream", &call, &reply, &err), 0);
	assert_int_equal(reply.status, 200);
	assert_int_equal(moved, way->up ? 0 : BIG);
	return NULL;
}

static void test_streams_both_ways(void **state)
{
	struct http_server *server = start(true, true);
	struct both_ways ways[8];
	pthread_t threads[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		ways[i] = (struct both_ways){server, i & 1};
		assert_int_equal(pthread_create(&threads[i], NULL, transfer, &ways[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&posted_bytes), 4 * BIG);
	assert_int_equal(atomic_load(&closed), 0);
	http_server_stop(server);
}

static bool soon(_Atomic int *value, int wanted)
{
	for (int i = 0; i < 300 && atomic_load(value) != wanted; i++)
		sleep_ms(10);
	return atomic_load(value) == wanted;
}

/* What is written arrives at once; a peer that leaves closes the stream although nothing is written. */
static void test_peer_leaves(void **state)
{
	static const char request[] = "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n";
	struct http_server *server = start(false, false);
	int fd = raw_connect(server);
	char block[8192] = {0}, bytes[512];
	size_t len = 0;

	(void)state;
	atomic_store(&stream, NULL);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	while (!atomic_load(&stream))
		sleep_ms(1);
	while (!strstr(bytes, "\r\n\r\n")) {
		ssize_t n = recv(fd, bytes + len, sizeof(bytes) - 1 - len, 0);

		assert_true(n > 0);
		len += (size_t)n;
		bytes[len] = '\0';
	}
	assert_non_null(strstr(bytes, "Transfer-Encoding: chunked"));
	assert_int_equal(http_stream_write(atomic_load(&stream), "event", 5), 0);
	assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
	assert_memory_equal(bytes, "5\r\nevent\r\n", 10);
	(void)close(fd);
	assert_true(soon(&closed, 1));
	assert_int_equal(http_stream_write(atomic_load(&stream), block, sizeof(block)), -EPIPE);
	http_stream_end(atomic_load(&stream), true);
	http_server_stop(server);
	assert_int_equal(atomic_load(&closed), 1);
}

/* A writer faster than its peer is told; a broken answer is seen as broken. */
static void test_stream_limits(void **state)
{
	static const char request[] = "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n";
	static char block[1 << 20];
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(false, false);
	int fd = raw_connect(server);
	size_t queued = 0;
	int r = 0;

	(void)state;
	atomic_store(&stream, NULL);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	while (!atomic_load(&stream))
		sleep_ms(1);
	/* Refused while the kernel may still take what waits; in the end something stays. */
	for (int i = 0; i < 1000 && (r == 0 || queued == 0); i++) {
		r = http_stream_write(atomic_load(&stream), block, sizeof(block));
		queued = http_stream_queued(atomic_load(&stream));
		sleep_ms(1);
	}
	assert_int_equal(r, ERR_BUSY);
	assert_true(queued > 0);
	http_stream_end(atomic_load(&stream), false);
	(void)close(fd);
	http_server_stop(server);
}

static void *end_soon(void *user)
{
	(void)user;
	while (!atomic_load(&stream))
		sleep_ms(1);
	sleep_ms(50);
	http_stream_end(atomic_load(&stream), false);
	return NULL;
}

static void test_broken_stream(void **state)
{
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(false, false);
	struct err err = {0};
	pthread_t thread;

	(void)state;
	atomic_store(&stream, NULL);
	assert_int_equal(pthread_create(&thread, NULL, end_soon, NULL), 0);
	assert_int_equal(get(server, false, NULL, "/watch?now=1", &reply, &err), ERR_UNAVAILABLE);
	(void)pthread_join(thread, NULL);
	http_server_stop(server);
}

/* Stopping ends streams that nobody ends. */
static void test_stop_ends_streams(void **state)
{
	static const char request[] = "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n";
	struct http_server *server = start(false, false);
	int fd = raw_connect(server);

	(void)state;
	atomic_store(&stream, NULL);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	while (!atomic_load(&stream))
		sleep_ms(1);
	http_server_stop(server);
	assert_int_equal(atomic_load(&closed), 1);
	http_stream_end(atomic_load(&stream), true);
	(void)close(fd);
}

static void *resume_soon(void *user)
{
	(void)user;
	while (!atomic_load(&parked))
		sleep_ms(1);
	sleep_ms(20);
	http_resume(atomic_load(&parked));
	return NULL;
}

static void test_park(void **state)
{
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(false, false);
	struct err err = {0};
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 20; i++) {
		atomic_store(&parked, NULL);
		assert_int_equal(pthread_create(&thread, NULL, resume_soon, NULL), 0);
		assert_int_equal(get(server, false, NULL, "/park", &reply, &err), 0);
		assert_string_equal(reply.body.data, "parked");
		(void)pthread_join(thread, NULL);
		assert_int_equal(get(server, false, NULL, "/park?now=1", &reply, &err), 0);
		assert_string_equal(reply.body.data, "parked");
	}
	http_server_stop(server);
}

/* --- many at once --- */

struct storm {
	struct http_server *server;
	unsigned seed;
};

/* Opens what streams, parks or takes a body, reads some of it or nothing, and leaves. */
static void *storm_client(void *user)
{
	static const char *const requests[] = {
		"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /fickle HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /parked-by-thread HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n012",
	};
	struct storm *storm = user;
	char bytes[70000];

	for (int i = 0; i < 60; i++) {
		const char *request = requests[(unsigned)rand_r(&storm->seed) % ARRAY_SIZE(requests)];
		int fd = raw_connect(storm->server);

		(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
		for (int reads = rand_r(&storm->seed) % 4; reads; reads--)
			(void)recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (rand_r(&storm->seed) % 2)
			sleep_ms(rand_r(&storm->seed) % 5);
		(void)close(fd);
	}
	return NULL;
}

static void storm_over(bool leave_open)
{
	static const char request[] = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";
	struct http_server *server = start(false, false);
	struct storm storms[6];
	pthread_t threads[6];
	int fds[20];

	for (unsigned i = 0; i < 6; i++) {
		storms[i] = (struct storm){server, i * 7919 + leave_open};
		assert_int_equal(pthread_create(&threads[i], NULL, storm_client, &storms[i]), 0);
	}
	for (int i = 0; i < 6; i++)
		(void)pthread_join(threads[i], NULL);
	for (int i = 0; i < 20; i++) {
		fds[i] = raw_connect(server);
		(void)send(fds[i], request, sizeof(request) - 1, MSG_NOSIGNAL);
		if (!leave_open)
			(void)close(fds[i]);
	}
	/* Every writer ends, and the server stops, whatever its peers were at. */
	http_server_stop(server);
	for (int i = 0; i < 20 && leave_open; i++)
		(void)close(fds[i]);
	assert_true(soon(&writers, 0));
}

static void test_storm(void **state)
{
	(void)state;
	storm_over(false);
	storm_over(true);
}

/* --- hostile peers --- */

static void test_malformed(void **state)
{
	static const struct {
		const char *text, *status, *says;
	} cases[] = {
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		 "400", "Content-Length together with Transfer-Encoding"},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400",
		 "a header is given twice"},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", "400", ""},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc", "400", "a header is malformed"},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "400",
		 "the transfer encoding is not supported"},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n0\r\n\r\n",
		 "400", "a header is given twice"},
		{"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400",
		 "the transfer encoding is not supported"},
		{"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400", "a header is given twice"},
		{"GET /echo HTTP/1.1\r\n\r\n", "400", ""},
		{"GET /a/../echo HTTP/1.1\r\nHost: x\r\n\r\n", "400", "the path is not absolute and plain"},
		{"GET http://x/echo HTTP/1.1\r\nHost: x\r\n\r\n", "400", "the path is not absolute and plain"},
		{"GET /echo?a=1&a=2 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "the query has 'a' twice"},
		{"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n", "505", ""},
		{"GET /echo\r\n\r\n", "", ""},
		{"\x16\x03\x01\x02\r\n\r\n", "", ""},
	};
	struct http_server *server = start(false, false);
	char bytes[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = raw_exchange(server, cases[i].text, bytes, sizeof(bytes));

		if (atomic_load(&handled))
			fail_msg("handled: %s", cases[i].text);
		if (cases[i].status[0]) {
			assert_true(len > 12);
			assert_memory_equal(bytes + 9, cases[i].status, 3);
			assert_non_null(strstr(bytes, cases[i].says));
		}
	}
	assert_int_equal(atomic_load(&handled), 0);
	assert_true(raw_exchange(server, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
				 bytes, sizeof(bytes)) > 12);
	assert_memory_equal(bytes + 9, "400", 3);
	/* and the server still serves */
	assert_true(raw_exchange(server, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", bytes,
				 sizeof(bytes)) > 0);
	assert_memory_equal(bytes + 9, "200", 3);
	http_server_stop(server);
}

/* A header that trickles keeps no connection: not the first, not behind an answered request. */
static void test_slow_header(void **state)
{
	struct http_server *server = start(false, false);
	uint64_t began = clock_monotonic_ns();
	int fd = raw_connect(server);
	char byte;

	(void)state;
	while (clock_monotonic_ns() - began < 30000000000ULL) {
		if (send(fd, "G", 1, MSG_NOSIGNAL) < 0)
			break;
		if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
			break;
		sleep_ms(200);
	}
	assert_in_range((clock_monotonic_ns() - began) / 1000000000ULL, 1, 12);
	assert_int_equal(atomic_load(&handled), 0);
	(void)close(fd);
	http_server_stop(server);
}

/* A body that trickles ends too, unless its handler allows pauses. */
static void test_slow_body(void **state)
{
	static const char request[] = "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
	struct http_server *server = start(false, false);
	uint64_t began = clock_monotonic_ns();
	int fd = raw_connect(server);
	char byte;

	(void)state;
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	while (clock_monotonic_ns() - began < 35000000000ULL) {
		if (send(fd, "b", 1, MSG_NOSIGNAL) < 0 || recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
			break;
		sleep_ms(200);
	}
	assert_in_range((clock_monotonic_ns() - began) / 1000000000ULL, 2, 15);
	(void)close(fd);
	http_server_stop(server);
}

/* An answer that is not taken ends too: the reader asks for 5 MB and reads nothing. */
static void test_slow_reader(void **state)
{
	static const char request[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n";
	CLEANUP_FREE char *body = calloc(1, 3000000);
	struct http_server *server = start(false, false);
	uint64_t began = clock_monotonic_ns();
	const int small = 4096;
	int fd = raw_connect(server);
	struct pollfd end = {.fd = fd, .events = POLLRDHUP};

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	for (size_t sent = 0; sent < 3000000;) {
		ssize_t n = send(fd, body + sent, 3000000 - sent, 0);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	(void)poll(&end, 1, 30000);
	assert_in_range((clock_monotonic_ns() - began) / 1000000000ULL, 2, 20);
	(void)close(fd);
	http_server_stop(server);
}

/* Requests sent at once are answered in order, over one connection. */
static void test_pipelined(void **state)
{
	static const char both[] =
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst"
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n"
		"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct http_server *server = start(false, false);
	const char *first, *second, *third;
	char bytes[4096];

	(void)state;
	assert_true(raw_exchange(server, both, bytes, sizeof(bytes)) > 0);
	first = strstr(bytes, "\r\n\r\nfirst");
	assert_non_null(first);
	second = strstr(first, "\r\n\r\nsecond");
	assert_non_null(second);
	third = strstr(second, "\r\n\r\n23456");
	assert_non_null(third);
	assert_int_equal(atomic_load(&handled), 3);
	http_server_stop(server);
}

/* A stream for HTTP/1.0 has no chunks, one for HEAD no body. */
static void test_streams_of_old_and_head(void **state)
{
	struct http_server *server = start(false, false);
	char bytes[4096];

	(void)state;
	assert_true(raw_exchange(server, "HEAD /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", bytes,
				 sizeof(bytes)) > 0);
	assert_memory_equal(bytes, "HTTP/1.1 200", 12);
	assert_non_null(strstr(bytes, "\r\n\r\n"));
	assert_string_equal(strstr(bytes, "\r\n\r\n"), "\r\n\r\n");
	assert_true(raw_exchange(server, "GET /stream HTTP/1.0\r\n\r\n", bytes, sizeof(bytes)) > 0);
	assert_memory_equal(strstr(bytes, "\r\n\r\n") + 4, "xxxxx", 5);
	http_server_stop(server);
}

/* --- the client's own limits --- */

static void test_client_stall(void **state)
{
	const struct http_client_config config = {.stall_ms = 1000};
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(false, false);
	struct http_call call = {0};
	struct err err = {0};
	uint64_t began = clock_monotonic_ns();

	(void)state;
	atomic_store(&stream, NULL);
	assert_int_equal(call_with(&config, server, false, "/watch", &call, &reply, &err), -ETIMEDOUT);
	assert_in_range((clock_monotonic_ns() - began) / 1000000, 900, 15000);
	http_stream_end(atomic_load(&stream), true);
	call.timeout_ms = 200;
	began = clock_monotonic_ns();
	assert_int_equal(call_with(&config, server, false, "/watch", &call, &reply, &err), -ETIMEDOUT);
	assert_in_range((clock_monotonic_ns() - began) / 1000000, 150, 10000);
	http_stream_end(atomic_load(&stream), true);
	http_server_stop(server);
}

static void *cancel_soon(void *user)
{
	sleep_ms(200);
	http_client_cancel(user);
	return NULL;
}

static void test_client_cancel(void **state)
{
	const struct http_client_config config = {0};
	CLEANUP(cleanup_http_client) struct http_client *client = NULL;
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_server *server = start(false, false);
	CLEANUP_FREE char *url = str_format("http://127.0.0.1:%u/watch", http_server_port(server));
	const struct http_call call = {.method = "GET", .url = url};
	uint64_t began = clock_monotonic_ns();
	struct err err = {0};
	pthread_t thread;

	(void)state;
	atomic_store(&stream, NULL);
	assert_int_equal(http_client_new(&config, &client, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, client), 0);
	assert_int_equal(http_client_call(client, &call, &reply, &err), -ECANCELED);
	assert_in_range((clock_monotonic_ns() - began) / 1000000, 150, 10000);
	(void)pthread_join(thread, NULL);
	assert_int_equal(http_client_call(client, &call, &reply, &err), -ECANCELED);
	http_stream_end(atomic_load(&stream), true);
	http_server_stop(server);
}

static int refuse_piece(void *user, const char *bytes, size_t len)
{
	(void)user, (void)bytes, (void)len;
	return -ENOSPC;
}

static void test_client_errors(void **state)
{
	const struct http_client_config config = {0};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(8)};
	struct http_server *server = start(false, false);
	struct http_call call = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(call_with(&config, server, false, "/stream", &call, &reply, &err), -EFBIG);
	call.receive = refuse_piece;
	assert_int_equal(call_with(&config, server, false, "/stream", &call, &reply, &err), -ENOSPC);
	http_server_stop(server);
	{
		CLEANUP(cleanup_http_client) struct http_client *client = NULL;
		const struct http_call nowhere = {.method = "GET", .url = "http://127.0.0.1:1/"};
		const struct http_call with_password = {.method = "GET", .url = "http://u:p@127.0.0.1:1/"};
		const struct http_call file = {.method = "GET", .url = "file:///etc/passwd"};

		assert_int_equal(http_client_new(&config, &client, &err), 0);
		assert_int_equal(http_client_call(client, &nowhere, &reply, &err), ERR_UNAVAILABLE);
		assert_memory_equal(err.msg, "cannot talk to '127.0.0.1:1': ", 30);
		assert_int_equal(http_client_call(client, &with_password, &reply, &err), ERR_INVALID);
		assert_int_equal(http_client_call(client, &file, &reply, &err), ERR_INVALID);
		assert_string_equal(err.msg, "the URL is not a plain http or https one");
	}
}

static int setup(void **state)
{
	(void)state;
	ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	server_identity = pki_issue(CRYPTO_PURPOSE_SERVER, "server", NULL, &ca, 600);
	client_identity = pki_issue(CRYPTO_PURPOSE_CLIENT, "system:node:n1", "system:nodes", &ca, 600);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_identity_done(&ca);
	pki_identity_done(&server_identity);
	pki_identity_done(&client_identity);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_optional_certificate),
		cmocka_unit_test(test_client_checks_server),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_chunked_body),
		cmocka_unit_test(test_file_and_head),
		cmocka_unit_test(test_streams_both_ways),
		cmocka_unit_test(test_peer_leaves),
		cmocka_unit_test(test_stream_limits),
		cmocka_unit_test(test_broken_stream),
		cmocka_unit_test(test_stop_ends_streams),
		cmocka_unit_test(test_park),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_slow_header),
		cmocka_unit_test(test_slow_body),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_streams_of_old_and_head),
		cmocka_unit_test(test_client_stall),
		cmocka_unit_test(test_client_cancel),
		cmocka_unit_test(test_client_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
