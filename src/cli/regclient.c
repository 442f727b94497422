/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/regclient.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "cli/pki.h"
#include "http/client.h"

#define TEXT_MAX ((size_t)64 * 1024)
#define LIST_MAX ((size_t)16 << 20)
#define TIMEOUT_MS 30000
#define PAGE 1000

struct regclient {
	struct buf ca;
	struct http_client *http;
	char base[96];
	char *authorization;
};

void regclient_free(struct regclient *client)
{
	if (!client)
		return;
	http_client_free(client->http);
	buf_done(&client->ca);
	free(client->authorization);
	free(client);
}

/* The one entry of registry-auth.json. */
static int read_auth(const struct paths *paths, struct regclient *client, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/registry-auth.json", paths->etc);
	struct buf text CLEANUP_BUF = buf_of(TEXT_MAX);
	json_t *root = NULL, *auths;
	const char *auth;
	int r = path ? fdio_read_file(AT_FDCWD, path, &text, err) : err_set(err, -ENOMEM, "out of memory");

	if (r == -EACCES)
		return err_hint(err, "the administrator's password belongs to root: use sudo");
	if (r < 0)
		return r;
	root = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
	auths = json_object_get(root, "auths");
	auth = json_string_value(json_object_get(json_object_iter_value(json_object_iter(auths)), "auth"));
	if (auth)
		client->authorization = str_format("Authorization: Basic %s", auth);
	r = auth ? 0 : err_set(err, ERR_INVALID, "'%s' has no credentials", path);
	json_decref(root);
	return r == 0 && !client->authorization ? err_set(err, -ENOMEM, "out of memory") : r;
}

int regclient_new(const struct paths *paths, const struct settings *settings, struct regclient **ret_client,
		  struct err *err)
{
	struct regclient *client CLEANUP(cleanup_regclient) = calloc(1, sizeof(*client));
	struct http_client_config config = {.connect_ms = 3000};
	int r;

	if (!client)
		return err_set(err, -ENOMEM, "out of memory");
	client->ca = buf_of(TEXT_MAX);
	(void)snprintf(client->base, sizeof(client->base), "https://%s:%s", settings->address, settings->cir_port);
	r = pki_read(paths, "ca.pem", &client->ca, err);
	if (r == 0)
		r = read_auth(paths, client, err);
	if (r < 0)
		return r;
	config.ca = client->ca.data;
	r = http_client_new(&config, &client->http, err);
	if (r == 0)
		*ret_client = take_ptr(client);
	return r;
}

/* What the registry says is wrong, in its own words where it has some. */
static int fail_with(const struct http_reply *reply, const char *path, struct err *err)
{
	json_t *document = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len, 0, NULL);
	const json_t *first = json_array_get(json_object_get(document, "errors"), 0);
	const char *message = json_string_value(json_object_get(first, "message"));
	int code = err_from_http_status(reply->status);

	code = code ? code : ERR_UNAVAILABLE;
	if (message)
		(void)err_set(err, code, "%s", message);
	else
		(void)err_set(err, code, "the registry answered '%s' with status %d", path, reply->status);
	json_decref(document);
	return code;
}

/* One call below /v2/; what is no success is an error. */
static int call(struct regclient *client, struct http_call *call, const char *path, const char *header,
		struct http_reply *reply, struct err *err)
{
	const char *headers[] = {client->authorization, header ? header : "Accept: " MEDIA_ACCEPT, NULL};
	char *url CLEANUP_FREE = str_format("%s/v2/%s", client->base, path);
	int r;

	if (!url)
		return err_set(err, -ENOMEM, "out of memory");
	call->url = url;
	call->headers = headers;
	r = http_client_call(client->http, call, reply, err);
	call->url = NULL;
	call->headers = NULL;
	if (r == ERR_UNAVAILABLE)
		(void)err_hint(err, "'bulkhead status' shows which parts run, 'bulkhead up' starts them");
	if (r < 0)
		return r;
	return reply->status >= 200 && reply->status <= 299 ? 0 : fail_with(reply, path, err);
}

static int list_page(struct regclient *client, const char *path, const char *field, json_t *names, size_t *ret_count,
		     struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {.body = buf_of(LIST_MAX)};
	struct http_call get = {.method = "GET", .timeout_ms = TIMEOUT_MS};
	const char *last = json_string_value(json_array_get(names, json_array_size(names) - 1));
	char *page CLEANUP_FREE = str_format("%s?n=%d%s%s", path, PAGE, last ? "&last=" : "", last ? last : "");
	json_t *document, *list;
	int r = page ? call(client, &get, page, NULL, &reply, err) : err_set(err, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	document = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len, 0, NULL);
	list = json_object_get(document, field);
	*ret_count = json_array_size(list);
	if (!document || (list && json_array_extend(names, list) < 0))
		r = err_set(err, ERR_SYNTAX, "the registry's answer to '%s' is not a listing", path);
	json_decref(document);
	return r;
}

int regclient_list(struct regclient *client, const char *path, const char *field, json_t **ret_names, struct err *err)
{
	json_t *names = json_array();
	size_t count = PAGE;
	int r = names ? 0 : err_set(err, -ENOMEM, "out of memory");

	while (r == 0 && count == PAGE)
		r = list_page(client, path, field, names, &count, err);
	if (r < 0)
		json_decref(names);
	else
		*ret_names = names;
	return r;
}

int regclient_manifest(struct regclient *client, const char *repository, const char *reference, struct buf *ret_bytes,
		       struct digest *ret_digest, char type[static 256], struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {.body = buf_of(MANIFEST_BYTES_MAX)};
	struct http_call get = {.method = "GET", .timeout_ms = TIMEOUT_MS};
	char *path CLEANUP_FREE = str_format("%s/manifests/%s", repository, reference);
	char text[DIGEST_TEXT_SIZE];
	int r = path ? call(client, &get, path, NULL, &reply, err) : err_set(err, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	if (http_reply_header(&reply, "Content-Type", type, 256) < 0 ||
	    http_reply_header(&reply, "Docker-Content-Digest", text, sizeof(text)) < 0)
		return err_set(err, ERR_SYNTAX, "the registry did not say what '%s' is", path);
	/* By digest it is the one asked for that counts, not the one told. */
	r = digest_parse(strchr(reference, ':') ? reference : text, ret_digest, err);
	if (r == 0)
		r = digest_verify(ret_digest, reply.body.data ? reply.body.data : "", reply.body.len, err);
	if (r < 0)
		return r;
	*ret_bytes = reply.body;
	reply.body = buf_of(0);
	return 0;
}

int regclient_referrers(struct regclient *client, const char *repository, const struct digest *digest,
			struct manifest *ret_index, struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {.body = buf_of(MANIFEST_BYTES_MAX)};
	struct http_call get = {.method = "GET", .timeout_ms = TIMEOUT_MS};
	char *path CLEANUP_FREE = NULL;
	char text[DIGEST_TEXT_SIZE];
	int r;

	digest_format(digest, text);
	path = str_format("%s/referrers/%s", repository, text);
	r = path ? call(client, &get, path, NULL, &reply, err) : err_set(err, -ENOMEM, "out of memory");
	if (r < 0)
		return r;
	return manifest_parse(reply.body.data ? reply.body.data : "", reply.body.len, MEDIA_OCI_INDEX, ret_index, err);
}

/* --- blobs --- */

struct reading {
	int fd;
	uint64_t left;
	struct digest_stream *stream;
};

static int receive(void *user, const char *bytes, size_t len)
{
	struct reading *reading = user;
	int r;

	if (len > reading->left)
		return ERR_CORRUPT;
	reading->left -= len;
	r = digest_stream_update(reading->stream, bytes, len);
	return r < 0 ? r : fdio_write_all(reading->fd, bytes, len);
}

int regclient_read_blob(struct regclient *client, const char *repository, const struct descriptor *blob, int fd,
			struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {0};
	struct digest_stream *stream CLEANUP(cleanup_digest_stream) = NULL;
	struct reading reading = {.fd = fd, .left = blob->size};
	struct http_call get = {.method = "GET", .receive = receive, .user = &reading};
	char *path CLEANUP_FREE = NULL;
	char text[DIGEST_TEXT_SIZE];
	int r = digest_stream_new(blob->digest.algorithm, &stream);

	digest_format(&blob->digest, text);
	reading.stream = stream;
	path = str_format("%s/blobs/%s", repository, text);
	r = r < 0 || !path ? err_set(err, -ENOMEM, "out of memory") : call(client, &get, path, NULL, &reply, err);
	if (r == 0 && reading.left)
		r = err_set(err, ERR_CORRUPT, "blob '%s' is shorter than its descriptor says", text);
	return r < 0 ? r : digest_stream_verify(stream, &blob->digest, err);
}

int regclient_has_blob(struct regclient *client, const char *repository, const struct digest *digest, bool *ret_has,
		       struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {0};
	struct http_call head = {.method = "HEAD", .timeout_ms = TIMEOUT_MS};
	char *path CLEANUP_FREE = NULL;
	char text[DIGEST_TEXT_SIZE];
	int r;

	digest_format(digest, text);
	path = str_format("%s/blobs/%s", repository, text);
	r = path ? call(client, &head, path, NULL, &reply, err) : err_set(err, -ENOMEM, "out of memory");
	*ret_has = r == 0;
	return r == ERR_NOT_FOUND ? 0 : r;
}

static ssize_t send_piece(void *user, char *to, size_t size)
{
	ssize_t n = read(*(int *)user, to, size);

	return n < 0 ? -errno : n;
}

int regclient_write_blob(struct regclient *client, const char *repository, const struct digest *digest, int fd,
			 uint64_t size, struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {0};
	struct http_call post = {.method = "POST",
				 .send = send_piece,
				 .send_len = (int64_t)size,
				 .user = &fd,
				 .once = true};
	char *path CLEANUP_FREE = NULL;
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	path = str_format("%s/blobs/uploads/?digest=%s", repository, text);
	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	return call(client, &post, path, "Content-Type: application/octet-stream", &reply, err);
}

int regclient_write_manifest(struct regclient *client, const char *repository, const char *reference, const char *type,
			     const struct buf *bytes, struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {0};
	struct http_call put = {.method = "PUT", .body = bytes->data, .body_len = bytes->len, .timeout_ms = TIMEOUT_MS};
	char *path CLEANUP_FREE = str_format("%s/manifests/%s", repository, reference);
	char *header CLEANUP_FREE = str_format("Content-Type: %s", type);

	if (!path || !header)
		return err_set(err, -ENOMEM, "out of memory");
	return call(client, &put, path, header, &reply, err);
}
