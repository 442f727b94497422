/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/clock.h"
#include "http/server_internal.h"

#define CONNECTIONS_MAX_DEFAULT 1000
#define IDLE_SECONDS_DEFAULT 60
#define THREADS_DEFAULT 2
#define HEADER_SECONDS_DEFAULT 15
#define RATE_SECONDS_DEFAULT 20
#define CONNECTION_MEMORY ((size_t)64 << 10)
#define LISTEN_BACKLOG 1024
#define STOP_NS 5000000000ULL

/* --- MHD's callbacks: they run in the connection's thread --- */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void set_header_deadline(struct connection *connection, unsigned seconds)
{
	uint64_t now = clock_monotonic_ns();

	atomic_store(&connection->since_ns, now);
	atomic_store(&connection->deadline_ns, now + seconds * 1000000000ULL);
	connection_set_phase(connection, PHASE_HEADER);
}

/* Dead peers of resting connections are found in minutes. */
static void set_keepalive(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 30},
		{IPPROTO_TCP, TCP_KEEPINTVL, 10},
		{IPPROTO_TCP, TCP_KEEPCNT, 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

static void read_address(struct MHD_Connection *mhd, struct http_peer *peer)
{
	const struct sockaddr *address = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
	socklen_t len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (getnameinfo(address, len, peer->address, sizeof(peer->address), NULL, 0, NI_NUMERICHOST) != 0)
		peer->address[0] = '\0';
}

static void connection_begin(struct http_server *server, struct MHD_Connection *mhd, void **context)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	const union MHD_ConnectionInfo *tls = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	*context = connection;
	if (!connection)
		return; /* request_begin then has nothing to work on, and the request ends the connection */
	connection->server = server;
	connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	set_keepalive(connection->fd);
	read_address(mhd, &connection->peer);
	set_header_deadline(connection, server->config.header_seconds);
	if (server->asks_client && tls)
		peer_guard_session(tls->tls_session, server->config.client_required);
	(void)pthread_mutex_lock(&server->lock);
	connection->next = server->connections;
	if (connection->next)
		connection->next->prev = connection;
	server->connections = connection;
	server->connection_count++;
	(void)pthread_mutex_unlock(&server->lock);
}

static void connection_end(struct http_server *server, void **context)
{
	struct connection *connection = *context;

	if (!connection)
		return;
	(void)pthread_mutex_lock(&server->lock);
	server->connection_count--;
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		server->connections = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	if (connection->stream)
		stream_connection_ended(connection->stream);
	(void)pthread_mutex_unlock(&server->lock);
	request_free(connection->request);
	free(connection);
	*context = NULL;
}

/* A server that stops takes nobody new. */
static enum MHD_Result on_accept(void *user, const struct sockaddr *address, socklen_t len)
{
	struct http_server *server = user;

	return atomic_load(&server->stopping) ? MHD_NO : MHD_YES;
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_begin(user, mhd, context);
	else
		connection_end(user, context);
}

static void *on_target(void *user, const char *target, struct MHD_Connection *mhd)
{
	struct connection *connection = connection_of(mhd);

	(void)user;
	if (!connection)
		return NULL;
	connection->request = request_new(connection, mhd, target ? target : "");
	return connection->request;
}

static enum MHD_Result on_call(void *user, struct MHD_Connection *mhd, const char *target, const char *method,
			       const char *version, const char *bytes, size_t *len, void **context)
{
	struct http_request *request = *context;

	(void)user, (void)mhd, (void)target;
	if (!request)
		return MHD_NO;
	if (request->stage == STAGE_NEW)
		return request_first_call(request, method, version);
	return *len ? request_body_call(request, bytes, len) : request_final_call(request);
}

static void on_request_end(void *user, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
	const struct http_server *server = user;
	struct http_request *request = *context;
	struct connection *connection;

	(void)code;
	if (!request)
		return;
	connection = request->connection;
	if (request->pauses)
		(void)MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, server->config.idle_seconds);
	connection->request = NULL;
	request_free(request);
	*context = NULL;
	/* A kept connection may rest for its idle time; MHD sees to that, this to a next header that trickles. */
	set_header_deadline(connection, server->config.idle_seconds + server->config.header_seconds);
}

/* Targets are decoded in target.c, strictly. */
static size_t on_unescape(void *user, struct MHD_Connection *mhd, char *text)
{
	(void)user, (void)mhd;
	return strlen(text);
}

/* --- start and stop --- */

static int bind_address(const char *text, uint16_t port, struct sockaddr_storage *to, bool *ret_v6, struct err *err)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;

	*to = (struct sockaddr_storage){0};
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_v6 = false;
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*ret_v6 = true;
		return 0;
	}
	return err_set(err, ERR_INVALID, "'%s' is not a numeric address", text);
}

static int listen_on(int fd, const struct sockaddr_storage *address, bool v6)
{
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (const struct sockaddr *)address, v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) <
		    0 ||
	    listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return 0;
}

int http_listen(const char *text, uint16_t port, int *ret_socket, struct err *err)
{
	struct sockaddr_storage address;
	CLEANUP_CLOSE int fd = -1;
	bool v6 = false;
	int r = bind_address(text, port, &address, &v6, err);

	if (r < 0)
		return r;
	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : listen_on(fd, &address, v6);
	if (r < 0)
		return err_sys(err, r, "cannot serve on %s port %u", text, port);
	*ret_socket = take_fd(&fd);
	return 0;
}

static struct MHD_Daemon *start_daemon(struct http_server *server, const struct http_server_config *config,
				       const struct sockaddr_storage *address, bool v6)
{
	static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";
	struct MHD_OptionItem options[12];
	size_t count = 0;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME;

	if (server->tls) {
		flags |= MHD_USE_TLS;
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
							   (void *)(uintptr_t)config->certificate};
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)config->key};
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
							   (void *)(uintptr_t)priorities};
	}
	if (server->asks_client)
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0,
							   (void *)(uintptr_t)config->client_ca};
	if (server->config.threads > 1)
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, server->config.threads, NULL};
	if (config->per_address_max)
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT, config->per_address_max,
							   NULL};
	if (config->socket)
		options[count++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, config->socket, NULL};
	options[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	if (v6)
		flags |= MHD_USE_IPv6;
	return MHD_start_daemon(flags, 0, on_accept, server, on_call, server, MHD_OPTION_SOCK_ADDR, address,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
				on_request_end, server, MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
				MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
				MHD_OPTION_CONNECTION_LIMIT, server->config.connections_max,
				MHD_OPTION_CONNECTION_TIMEOUT, server->config.idle_seconds,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
				MHD_OPTION_LISTENING_ADDRESS_REUSE, 1, MHD_OPTION_LISTEN_BACKLOG_SIZE, LISTEN_BACKLOG,
				MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static void init_lock(struct http_server *server)
{
	pthread_condattr_t attributes;

	(void)pthread_mutex_init(&server->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&server->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

static struct http_server *server_new(const struct http_server_config *config)
{
	struct http_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->config = *config;
	server->config.certificate = server->config.key = server->config.client_ca = server->config.address = NULL;
	server->config.threads = config->threads ? config->threads : THREADS_DEFAULT;
	server->config.connections_max = config->connections_max ? config->connections_max : CONNECTIONS_MAX_DEFAULT;
	if (server->config.connections_max < server->config.threads)
		server->config.connections_max = server->config.threads;
	server->config.idle_seconds = config->idle_seconds ? config->idle_seconds : IDLE_SECONDS_DEFAULT;
	server->config.header_seconds = config->header_seconds ? config->header_seconds : HEADER_SECONDS_DEFAULT;
	server->config.rate_seconds = config->rate_seconds ? config->rate_seconds : RATE_SECONDS_DEFAULT;
	server->tls = config->certificate != NULL;
	server->asks_client = server->tls && config->client_ca;
	init_lock(server);
	return server;
}

static void server_free(struct http_server *server)
{
	(void)pthread_cond_destroy(&server->wake);
	(void)pthread_mutex_destroy(&server->lock);
	free(server);
}

static void end_watchdog(struct http_server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	server->watchdog_ends = true;
	(void)pthread_cond_broadcast(&server->wake);
	(void)pthread_mutex_unlock(&server->lock);
	(void)pthread_join(server->watchdog, NULL);
}

static int check_config(const struct http_server_config *config, struct err *err)
{
	if (!config->certificate != !config->key)
		return err_set(err, ERR_INVALID, "a certificate goes with its key");
	if (config->client_required && (!config->certificate || !config->client_ca))
		return err_set(err, ERR_INVALID, "client certificates need TLS and a CA");
	return 0;
}

int http_server_start(const struct http_server_config *config, struct http_server **ret_server, struct err *err)
{
	struct sockaddr_storage address;
	struct http_server *server;
	bool v6;
	int r;

	r = check_config(config, err);
	if (r == 0)
		r = bind_address(config->address, config->port, &address, &v6, err);
	if (r < 0)
		return r;
	server = server_new(config);
	if (!server)
		return err_set(err, -ENOMEM, "no memory for a server");
	r = pthread_create(&server->watchdog, NULL, watchdog_run, server);
	if (r) {
		server_free(server);
		return err_sys(err, -r, "cannot start a thread");
	}
	errno = 0;
	server->daemon = start_daemon(server, config, &address, v6);
	if (!server->daemon) {
		r = errno ? -errno : -EINVAL;
		end_watchdog(server);
		server_free(server);
		return err_sys(err, r, "cannot serve on %s port %u%s", config->address, config->port,
			       r == -EINVAL ? " (certificate or key unusable?)" : "");
	}
	server->port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	*ret_server = server;
	return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

/* Whether a request is in work or an answer on its way. */
static bool is_busy(struct http_server *server)
{
	bool busy = false;

	(void)pthread_mutex_lock(&server->lock);
	for (struct connection *at = server->connections; at && !busy; at = at->next)
		busy = atomic_load(&at->phase) != PHASE_HEADER;
	(void)pthread_mutex_unlock(&server->lock);
	return busy;
}

static bool has_suspended(struct http_server *server)
{
	bool suspended = atomic_load(&server->parked) > 0;

	(void)pthread_mutex_lock(&server->lock);
	for (struct connection *at = server->connections; at && !suspended; at = at->next)
		suspended = at->stream != NULL;
	(void)pthread_mutex_unlock(&server->lock);
	return suspended;
}

/* Peers that do not take their answers hold nobody up. */
static void cut_all(struct http_server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	for (struct connection *at = server->connections; at; at = at->next)
		(void)shutdown(at->fd, SHUT_RDWR);
	(void)pthread_mutex_unlock(&server->lock);
}

void http_server_stop(struct http_server *server)
{
	const struct timespec moment = {.tv_nsec = 5000000};
	uint64_t until = clock_monotonic_ns() + STOP_NS;

	if (!server)
		return;
	/*
	 * From here on_accept turns new peers away. Not MHD_quiesce_daemon: it and a worker may both take the listener out
	 * of the worker's epoll set, and the second to come ends the process (libmicrohttpd 0.9.75).
	 */
	atomic_store(&server->stopping, true);
	(void)pthread_cond_broadcast(&server->wake);
	/* MHD ends the process when a connection is still suspended: streams go, parked requests were to be resumed before. */
	while (has_suspended(server) || (is_busy(server) && clock_monotonic_ns() < until)) {
		if (clock_monotonic_ns() >= until)
			cut_all(server);
		(void)nanosleep(&moment, NULL);
	}
	MHD_stop_daemon(server->daemon);
	end_watchdog(server);
	server_free(server);
}
