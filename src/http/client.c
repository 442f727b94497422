/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define CONNECT_MS_DEFAULT 5000
#define STALL_MS_DEFAULT 30000
#define BODY_MAX_DEFAULT ((size_t)4 << 20)
#define HEADERS_MAX ((size_t)256 << 10)
#define HOST_MAX 300
#define RESTING_MS 100 /* between two questions to a sender that has nothing */

struct http_client {
	CURLM *multi;
	CURL *easy;
	struct http_client_config config;
	_Atomic bool cancelled;
	bool resting; /* the sender has nothing at the moment */
	char reason[CURL_ERROR_SIZE];
};

/* What the callbacks of one call share. */
struct transfer {
	const struct http_call *call;
	struct http_reply *reply;
	CURL *easy;
	struct http_client *client;
	unsigned requests; /* begun to be sent */
	int error;         /* that a callback gave */
};

static void init_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_client_new(const struct http_client_config *config, struct http_client **ret_client, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_client *client;

	(void)pthread_once(&once, init_curl);
	if (!config->certificate != !config->key)
		return err_set(err, ERR_INVALID, "a certificate goes with its key");
	client = calloc(1, sizeof(*client));
	if (!client)
		return err_set(err, -ENOMEM, "no memory for an HTTP client");
	client->config = *config;
	client->multi = curl_multi_init();
	client->easy = curl_easy_init();
	if (!client->multi || !client->easy) {
		http_client_free(client);
		return err_set(err, -ENOMEM, "no memory for an HTTP client");
	}
	*ret_client = client;
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->easy);
	(void)curl_multi_cleanup(client->multi);
	free(client);
}

void http_client_cancel(struct http_client *client)
{
	atomic_store(&client->cancelled, true);
	(void)curl_multi_wakeup(client->multi);
}

void http_reply_done(struct http_reply *reply)
{
	buf_done(&reply->body);
	buf_done(&reply->headers);
}

/* --- callbacks --- */

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
	struct transfer *transfer = user;
	size_t len = size * count;
	int r;

	/* Each answer of a chain (100 Continue, redirects) begins with a status line: the last one counts. */
	if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
		buf_clear(&transfer->reply->headers);
		buf_clear(&transfer->reply->body);
	}
	r = buf_append(&transfer->reply->headers, bytes, len);
	if (r < 0)
		transfer->error = r;
	return r < 0 ? 0 : len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
	struct transfer *transfer = user;
	size_t len = size * count;
	long status = 0;
	int r;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (transfer->call->receive && status >= 200 && status < 300)
		r = len ? transfer->call->receive(transfer->call->user, bytes, len) : 0;
	else
		r = buf_append(&transfer->reply->body, bytes, len);
	if (r >= 0)
		return len;
	transfer->error = r;
	return len ? 0 : 1; /* anything but len ends the transfer */
}

static size_t on_send(char *to, size_t size, size_t count, void *user)
{
	struct transfer *transfer = user;
	ssize_t len = transfer->call->send(transfer->call->user, to, size * count);

	if (len == -EAGAIN) {
		transfer->client->resting = true;
		return CURL_READFUNC_PAUSE;
	}
	if (len >= 0)
		return (size_t)len;
	transfer->error = (int)len;
	return CURL_READFUNC_ABORT;
}

/* Before each request that leaves, the repeated one too. */
static int on_request(void *user, char *to_address, char *from_address, int to_port, int from_port)
{
	struct transfer *transfer = user;

	(void)to_address;
	(void)from_address;
	(void)to_port;
	(void)from_port;
	return transfer->requests++ && transfer->call->once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* --- the call --- */

static struct curl_blob blob_of(const char *pem)
{
	union {
		const char *from;
		char *to;
	} text = {.from = pem};

	return (struct curl_blob){.data = text.to, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
}

static bool set_tls(struct http_client *client)
{
	const struct http_client_config *config = &client->config;
	CURL *easy = client->easy;
	struct curl_blob blob;
	bool ok = true;

	if (config->ca) {
		blob = blob_of(config->ca);
		/* The blob replaces the default file of CAs but not the default folder. */
		ok = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
		     curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
		     curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
	}
	if (ok && config->certificate) {
		blob = blob_of(config->certificate);
		ok = curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &blob) == CURLE_OK;
		blob = blob_of(config->key);
		ok = ok && curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &blob) == CURLE_OK;
	}
	return ok && curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
}

static bool set_connection(struct http_client *client)
{
	CURL *easy = client->easy;
	unsigned connect_ms = client->config.connect_ms ? client->config.connect_ms : CONNECT_MS_DEFAULT;
	unsigned stall_ms = client->config.stall_ms ? client->config.stall_ms : STALL_MS_DEFAULT;

	return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000)) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 65536L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->reason) == CURLE_OK && set_tls(client);
}

static bool set_body(CURL *easy, const struct http_call *call)
{
	if (str_eq(call->method, "HEAD"))
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	if (call->send)
		return curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->send_len) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;
	/* Methods that usually carry a body say that it is empty: Content-Length 0. */
	if (call->body || str_eq(call->method, "POST") || str_eq(call->method, "PUT") || str_eq(call->method, "PATCH"))
		return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "") == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;
	return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;
}

static bool set_call(CURL *easy, struct transfer *transfer)
{
	const struct http_call *call = transfer->call;

	if (call->redirects_max && (curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) != CURLE_OK ||
				    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)call->redirects_max) != CURLE_OK ||
				    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https") != CURLE_OK))
		return false;
	return curl_easy_setopt(easy, CURLOPT_URL, call->url) == CURLE_OK && set_body(easy, call) &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_READDATA, transfer) == CURLE_OK;
}

/* The headers of the call, and no content type that the caller did not give. */
static int make_headers(const struct http_call *call, struct curl_slist **ret_list)
{
	struct curl_slist *list = NULL, *longer;
	bool typed = false;

	for (const char *const *at = call->headers; at && *at; at++) {
		typed |= strncasecmp(*at, "content-type:", 13) == 0;
		longer = curl_slist_append(list, *at);
		if (!longer) {
			curl_slist_free_all(list);
			return -ENOMEM;
		}
		list = longer;
	}
	if (!typed) {
		longer = curl_slist_append(list, "Content-Type:");
		if (!longer) {
			curl_slist_free_all(list);
			return -ENOMEM;
		}
		list = longer;
	}
	*ret_list = list;
	return 0;
}

static CURLcode transfer_all(struct http_client *client)
{
	CURLcode result = CURLE_OK;
	CURLMsg *message;
	int running = 1, left;

	if (curl_multi_add_handle(client->multi, client->easy) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (running && !atomic_load(&client->cancelled)) {
		if (curl_multi_perform(client->multi, &running) != CURLM_OK ||
		    (running &&
		     curl_multi_poll(client->multi, NULL, 0, client->resting ? RESTING_MS : 1000, NULL) != CURLM_OK)) {
			result = CURLE_OUT_OF_MEMORY;
			break;
		}
		if (client->resting) {
			client->resting = false;
			(void)curl_easy_pause(client->easy, CURLPAUSE_CONT);
		}
	}
	while ((message = curl_multi_info_read(client->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			result = message->data.result;
	(void)curl_multi_remove_handle(client->multi, client->easy);
	if (running && result == CURLE_OK)
		result = CURLE_ABORTED_BY_CALLBACK;
	return result;
}

/* TLS libraries may write to a peer that has left: the signal is kept from this thread and taken back, nothing else changes. */
static CURLcode run(struct http_client *client)
{
	const struct timespec now = {0};
	sigset_t pipe, before, pending;
	CURLcode result;

	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	(void)sigpending(&pending);
	(void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
	result = transfer_all(client);
	if (!sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe, NULL, &now) == SIGPIPE)
			continue;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* "host:port" of a URL; ERR_INVALID for one that is none, is not http or https, or carries credentials. */
static int host_of(const char *url, char to[static HOST_MAX], struct err *err)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
	bool ok;

	ok = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
	     curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	     curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	     curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	     curl_url_get(parsed, CURLUPART_USER, &user, 0) != CURLUE_OK &&
	     (str_eq(scheme, "http") || str_eq(scheme, "https"));
	if (ok)
		(void)snprintf(to, HOST_MAX, "%s:%s", host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_url_cleanup(parsed);
	return ok ? 0 : err_set(err, ERR_INVALID, "the URL is not a plain http or https one");
}

static int code_of(const struct http_client *client, CURLcode result)
{
	if (result == CURLE_OPERATION_TIMEDOUT)
		return -ETIMEDOUT;
	if (result == CURLE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CONNECT_ERROR ||
	    result == CURLE_SSL_CERTPROBLEM || result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_ISSUER_ERROR)
		return ERR_UNKNOWN_PEER;
	/* In TLS 1.3 a server refuses the client's certificate after the handshake, by an alert. */
	return strstr(client->reason, "alert") ? ERR_UNKNOWN_PEER : ERR_UNAVAILABLE;
}

static int outcome(struct http_client *client, const struct transfer *transfer, CURLcode result, const char *host,
		   struct err *err)
{
	if (atomic_load(&client->cancelled))
		return err_set(err, -ECANCELED, "the call to '%s' was cancelled", host);
	if (transfer->error == -EFBIG)
		return err_set(err, -EFBIG, "the answer of '%s' is too large", host);
	if (transfer->error)
		return err_sys(err, transfer->error, "the call to '%s' was given up", host);
	if (result == CURLE_OK)
		return 0;
	if (transfer->call->once && transfer->requests > 1)
		return err_set(err, ERR_UNAVAILABLE, "'%s' left while it was asked", host);
	return err_set(err, code_of(client, result), "cannot talk to '%s': %s", host,
		       client->reason[0] ? client->reason : curl_easy_strerror(result));
}

int http_client_call(struct http_client *client, const struct http_call *call, struct http_reply *reply,
		     struct err *err)
{
	struct transfer transfer = {.call = call, .reply = reply, .easy = client->easy, .client = client};
	struct curl_slist *headers = NULL;
	char host[HOST_MAX];
	long status = 0, sent = 0;
	CURLcode result;
	int r;

	r = host_of(call->url, host, err);
	if (r < 0)
		return r;
	if (!reply->body.max)
		reply->body.max = BODY_MAX_DEFAULT;
	reply->headers.max = HEADERS_MAX;
	reply->status = 0;
	buf_clear(&reply->body);
	buf_clear(&reply->headers);
	client->reason[0] = '\0';
	curl_easy_reset(client->easy);
	r = make_headers(call, &headers);
	if (r < 0 || !set_connection(client) || !set_call(client->easy, &transfer) ||
	    curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK) {
		curl_slist_free_all(headers);
		return err_set(err, -ENOMEM, "cannot prepare a call to '%s'", host);
	}
	result = run(client);
	(void)curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
	reply->unsent = curl_easy_getinfo(client->easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK && sent == 0;
	(void)curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	r = outcome(client, &transfer, result, host, err);
	if (r == 0)
		reply->status = (int)status;
	return r;
}

int http_reply_header(const struct http_reply *reply, const char *name, char *to, size_t size)
{
	const char *at = reply->headers.len ? reply->headers.data : "";
	size_t name_len = strlen(name);

	for (const char *end; (end = strstr(at, "\r\n")); at = end + 2) {
		const char *value = at + name_len + 1;

		if ((size_t)(end - at) <= name_len || at[name_len] != ':' || strncasecmp(at, name, name_len) != 0)
			continue;
		while (value < end && (*value == ' ' || *value == '\t'))
			value++;
		while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if ((size_t)(end - value) >= size)
			return -ENAMETOOLONG;
		memcpy(to, value, (size_t)(end - value));
		to[end - value] = '\0';
		return 0;
	}
	return -ENOENT;
}
