/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share. A connection belongs to its MHD thread but for what is atomic or under server->lock. */
#ifndef HTTP_SERVER_INTERNAL_H
#define HTTP_SERVER_INTERNAL_H

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "http/server.h"
#include "http/target.h"

/* What a connection is waiting for: it decides which deadline holds (watchdog.c). */
enum connection_phase {
	PHASE_HEADER,  /* handshake and header: until connection.deadline_ns */
	PHASE_HANDLER, /* the server's own work: no deadline */
	PHASE_BODY,    /* the peer's body: minimum rate */
	PHASE_REPLY,   /* the peer takes the answer: minimum rate */
	PHASE_PAUSED,  /* a stream or body that may rest: only the peer's leaving counts */
};

struct connection {
	struct http_server *server;
	struct connection *next, *prev; /* server->connections, under server->lock */
	struct http_request *request;   /* the one in work, or NULL */
	struct http_stream *stream;     /* under server->lock */
	int fd;
	_Atomic uint64_t since_ns;    /* when PHASE_HEADER began */
	_Atomic uint64_t deadline_ns; /* for PHASE_HEADER */
	_Atomic enum connection_phase phase;
	_Atomic unsigned phase_changes; /* restarts the rate's window */
	unsigned window_changes;        /* the watchdog's: phase_changes when its window began */
	uint64_t window_ns, window_bytes;
	bool peer_known;
	struct http_peer peer;
};

enum request_stage {
	STAGE_NEW,     /* the header has not been seen */
	STAGE_BODY,    /* pieces go to request->piece or into request->body */
	STAGE_SWALLOW, /* answered early: what comes is dropped, up to a limit */
	STAGE_END,     /* nothing more comes */
	STAGE_SENT,    /* the answer is queued */
};

enum park_state { PARK_NONE, PARK_ASKED, PARK_SUSPENDED, PARK_RESUMED };

struct arena_block {
	struct arena_block *next;
	max_align_t bytes[];
};

struct answer_header {
	struct answer_header *next;
	const char *name, *value;
};

struct http_request {
	struct connection *connection;
	struct MHD_Connection *mhd;
	enum request_stage stage;
	const char *method;
	char *target_text; /* of the arena; target points into it */
	struct target target;
	struct err target_error;
	struct arena_block *arena;
	struct answer_header *headers;
	struct MHD_Response *response; /* the answer, until it is queued */
	int status;
	uint64_t answer_size; /* of its body, when it is known */
	bool streaming;       /* the answer is a stream */
	bool pauses;          /* body or answer may rest: no minimum rate */
	bool close;           /* the connection ends behind the answer */
	uint64_t swallowed;
	/* the body */
	bool has_body;
	struct buf body;
	void (*ready)(struct http_request *request, const char *body, size_t len, void *user);
	int (*piece)(struct http_request *request, const char *bytes, size_t len, void *user);
	/* parking: under park_lock */
	pthread_mutex_t park_lock;
	enum park_state park;
	void (*resumed)(struct http_request *request, void *user);
	void *resumed_user;
	/* the handler's */
	void *data;
	void (*release)(void *data);
};

struct http_server {
	struct MHD_Daemon *daemon;
	struct http_server_config config; /* certificate, key and client_ca are not kept */
	bool tls, asks_client;
	uint16_t port;
	pthread_mutex_t lock; /* connections, stopping */
	pthread_cond_t wake;  /* the watchdog, on stopping; the stopper, on the last request */
	struct connection *connections;
	unsigned connection_count;
	_Atomic bool stopping;
	_Atomic unsigned parked; /* requests that rest until http_resume */
	bool watchdog_ends;      /* under lock */
	pthread_t watchdog;
};

/* request.c: one request from its first line to its end. */
struct http_request *request_new(struct connection *connection, struct MHD_Connection *mhd, const char *target);
void request_free(struct http_request *request);
/* The three kinds of calls that MHD makes. */
enum MHD_Result request_first_call(struct http_request *request, const char *method, const char *version);
enum MHD_Result request_body_call(struct http_request *request, const char *bytes, size_t *len);
enum MHD_Result request_final_call(struct http_request *request);

/* answer.c */
/* Answers with one line of plain text: for what fails before or instead of the handler. */
void answer_refusal(struct http_request *request, int status, const char *text);
/* Takes the response over as the request's answer, with the headers added so far. */
void request_set_response(struct http_request *request, int status, const char *type, struct MHD_Response *response);

/* peer.c */
/* Has the handshake refuse a peer whose certificate does not verify or, when required, who shows none. */
void peer_guard_session(gnutls_session_t session, bool required);
/* Fills peer from a verified certificate; ERR_UNKNOWN_PEER. An absent certificate is no error unless required. */
int peer_identify(gnutls_session_t session, const struct http_server_config *config, struct http_peer *peer,
		  struct err *err) MUST_CHECK;

/* stream.c */
/* The peer has left: further writes fail, closed is called. Takes over the reference. */
void stream_peer_left(struct http_stream *stream);
struct http_stream *stream_ref(struct http_stream *stream);
/* The connection is about to be freed; under server->lock. */
void stream_connection_ended(struct http_stream *stream);

/* watchdog.c */
void connection_set_phase(struct connection *connection, enum connection_phase phase);
void *watchdog_run(void *server);

#endif
