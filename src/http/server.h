/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 server of all daemons, over libmicrohttpd and GnuTLS. It owns the traps: a peer whose certificate does not
 * verify (status not zero) is refused before any handler runs; deadlines for header, body and idleness; limits for
 * connections in all and per address; refusal of Content-Length together with Transfer-Encoding.
 *
 * A handler runs in one of the server's threads when the header has arrived (body streamed through http_body) or, for
 * routes that ask for it, when the whole body has. Answers are whole, from a file, or streamed from any thread.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct http_server;
struct http_request;
struct http_stream;

/* Who is at the other end, from its verified certificate; empty strings without one. Valid as long as the request. */
struct http_peer {
	char common_name[128];      /* CN */
	char organizations[4][128]; /* O, in order: Kubernetes' groups */
	size_t organization_count;
	char address[64]; /* numeric, without port */
	uint8_t certificate_sha256[32];
};

struct http_server_config {
	const char *address; /* numeric address to bind: "127.0.0.1", "::" */
	uint16_t port;       /* 0: any free one, see http_server_port */
	int socket; /* from http_listen, taken over by a server that started; 0: the server binds address and port itself */
	const char *certificate; /* PEM chain; NULL: plain HTTP */
	const char *key;         /* PEM */
	const char *client_ca;   /* PEM of the CA client certificates must verify against; NULL: none asked for */
	/* Peers whose certificate names this common name as its issuer are refused unless they are of that organization and
	 * no other: for a CA in client_ca that may speak for some only. NULL: none. Kept by reference. */
	const char *limited_issuer, *limited_organization;
	bool client_required; /* refuse peers without a certificate (otherwise they arrive with an empty common_name) */
	unsigned threads;     /* 0: 2 */
	unsigned connections_max; /* 0: 1,000; over three quarters of it, those without a request get 2 s for one */
	unsigned per_address_max; /* 0: no limit */
	unsigned idle_seconds;    /* 0: 60 */
	unsigned header_seconds;  /* for handshake and header; 0: 15 */
	unsigned rate_seconds;    /* window in which a peer must move 1 KiB a second; 0: 20 */
	const char *
		repeatable; /* the one query parameter that may be given more than once, kept by reference; NULL: none */
	size_t body_max; /* bytes of a body collected in memory; 0: 3 MiB. Streamed bodies are the handler's to bound */
	/* Called for each request when its header is complete. It must end by answering (http_answer…, http_stream_begin),
	 * by asking for the body (http_want_body, http_stream_body), or the request gets 500. */
	void (*handle)(struct http_request *request, void *user);
	void *user;
};

/* A listening socket, for who binds a port below 1024 before giving privilege up. */
int http_listen(const char *address, uint16_t port, int *ret_socket, struct err *err) MUST_CHECK;
int http_server_start(const struct http_server_config *config, struct http_server **ret_server,
		      struct err *err) MUST_CHECK;
uint16_t http_server_port(const struct http_server *server);
/* Stops taking connections, ends streams (their writers get -EPIPE and closed), waits up to 5 s for requests in work and
 * answers on their way. NULL is accepted. */
void http_server_stop(struct http_server *server);

/* --- the request --- */
const char *http_method(const struct http_request *request);
/* The decoded path, always beginning with '/', without query; a path with NUL, invalid escapes, '//' or dot segments never arrives. */
const char *http_path(const struct http_request *request);
/* A decoded query parameter, NULL when absent; a parameter given twice is answered with 400 before any handler. */
const char *http_query(const struct http_request *request, const char *name);
/* The same for config.repeatable, given for the index-th time from 0. */
const char *http_query_repeated(const struct http_request *request, const char *name, size_t index);
/* A header by case-insensitive name, NULL when absent. */
const char *http_header(const struct http_request *request, const char *name);
const struct http_peer *http_peer_of(const struct http_request *request);
/* Memory that lives as long as the request: the arena. NULL without memory. */
void *http_alloc(struct http_request *request, size_t size);
/* One pointer of the handler's own, and what frees it when the request ends for whatever reason. */
void http_set_data(struct http_request *request, void *data, void (*release)(void *data));
void *http_data(const struct http_request *request);

/* --- the body --- */
/* Collects the body (bounded by body_max, else 413), then calls ready once; it must answer. body is valid until the answer. */
void http_want_body(struct http_request *request,
		    void (*ready)(struct http_request *request, const char *body, size_t len, void *user));
/* Hands the body over piece by piece; bytes NULL and len 0 marks its end, where the handler must answer. A negative return
 * (after http_answer…) stops reading and closes the connection after the answer. */
void http_stream_body(struct http_request *request,
		      int (*piece)(struct http_request *request, const char *bytes, size_t len, void *user));

/* Lets the body or the answer rest for any time (a followed log): otherwise a peer must move at least 1 KiB a second, and a
 * connection without movement ends after idle_seconds. Called by the handler. */
void http_allow_pauses(struct http_request *request);
/* Called within piece: no further piece comes until any thread calls http_resume, once. For a reader slower than the peer. */
void http_pause(struct http_request *request);

/*
 * Parks a request that cannot be answered yet (a long poll, an answer that another peer brings): the handler returns without
 * an answer, the connection's thread serves others. Any thread calls http_resume once, as soon as from within http_park's
 * caller; then resumed(request, user) runs in a server thread and must answer. Whoever parks sees to a deadline of its own:
 * the request lives until it is resumed, also when the peer has left. http_server_stop resumes nothing: resume all before.
 */
void http_park(struct http_request *request, void (*resumed)(struct http_request *request, void *user), void *user);
void http_resume(struct http_request *request);

/* Cuts the connection of a request whose body or answer nobody wants any more, from any thread. The request ends soon, and
 * what http_set_data was given is released; until then the pointer is valid, so the caller and release share a lock. */
void http_cut(struct http_request *request);

/* For a release function of http_set_data: the status that was answered, 0 for none, and the length of the body, 0 for streams. */
int http_status(const struct http_request *request);
uint64_t http_answer_size(const struct http_request *request);

/* --- the answer: exactly one of these --- */
/* Adds a header to the coming answer. Name and value are copied; an empty value or one with control bytes is refused (-EINVAL). */
int http_add_header(struct http_request *request, const char *name, const char *value) MUST_CHECK;
/* Answers with a copy of the bytes. type NULL: no Content-Type. */
void http_answer(struct http_request *request, int status, const char *type, const void *bytes, size_t len);
/* Answers with part of a file and takes the descriptor. HEAD sends the header alone. */
void http_answer_file(struct http_request *request, int status, const char *type, int fd, uint64_t offset,
		      uint64_t len);
/* Answers with bytes that outlive the answer (a mapping); release(data) when sent or broken off. */
void http_answer_static(struct http_request *request, int status, const char *type, const void *bytes, size_t len,
			void (*release)(void *data), void *data);

/*
 * Begins a chunked answer that any thread continues. Bytes written are queued up to queue_max (one write of any length into
 * an empty queue); over it http_stream_write returns ERR_BUSY and the writer decides (a watch ends with 410, a log waits).
 * The stream lives until http_stream_end, also when the peer leaves, after which writes return -EPIPE. closed(user) (may be
 * NULL) is called once when the peer left before http_stream_end, within a second and from a thread of the server; it may
 * call http_stream_end. Another thread's http_stream_end waits for a closed that runs, so that user may be freed behind it:
 * hold no lock there that closed takes. A HEAD request ends as if the peer had left. NULL without memory: answered with 503.
 */
struct http_stream *http_stream_begin(struct http_request *request, int status, const char *type, size_t queue_max,
				      void (*closed)(void *user), void *user);
int http_stream_write(struct http_stream *stream, const void *bytes, size_t len) MUST_CHECK;
/* How many bytes wait to be sent. */
size_t http_stream_queued(struct http_stream *stream);
/* Ends the answer after what is queued; complete false breaks the connection so that the peer sees it was cut. */
void http_stream_end(struct http_stream *stream, bool complete);

#endif
