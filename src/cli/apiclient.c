/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/apiclient.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/pki.h"
#include "http/client.h"

#define PEM_MAX ((size_t)64 * 1024)
#define ANSWER_MAX ((size_t)64 * 1024 * 1024)
#define TIMEOUT_MS 30000

struct apiclient {
	struct buf ca, certificate, key;
	struct http_client *http;
	char base[96];
};

void apiclient_free(struct apiclient *client)
{
	if (!client)
		return;
	http_client_free(client->http);
	buf_done(&client->ca);
	buf_done(&client->certificate);
	buf_done(&client->key);
	free(client);
}

int apiclient_new(const struct paths *paths, const struct settings *settings, struct apiclient **ret_client,
		  struct err *err)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = calloc(1, sizeof(*client));
	struct http_client_config config = {.connect_ms = 3000};
	int r;

	if (!client)
		return err_set(err, -ENOMEM, "out of memory");
	client->ca = client->certificate = client->key = buf_of(PEM_MAX);
	(void)snprintf(client->base, sizeof(client->base), "https://%s:%s", settings->address, settings->cism_port);
	r = pki_read(paths, "ca.pem", &client->ca, err);
	if (r == 0)
		r = pki_read(paths, "admin/client.pem", &client->certificate, err);
	if (r == 0)
		r = pki_read(paths, "admin/client.key", &client->key, err);
	if (r == -EACCES)
		(void)err_hint(err, "the administrator's key belongs to root: use sudo");
	if (r < 0)
		return r;
	config.ca = client->ca.data;
	config.certificate = client->certificate.data;
	config.key = client->key.data;
	r = http_client_new(&config, &client->http, err);
	if (r == 0)
		*ret_client = take_ptr(client);
	return r;
}

/* The error of an answer that is not 2xx, from its Status object when it is one. */
static int fail_with(const struct http_reply *reply, const char *path, struct err *err)
{
	json_t *status = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len, 0, NULL);
	const char *message = json_string_value(json_object_get(status, "message"));
	int code = err_from_http_status(reply->status);

	if (message)
		(void)err_set(err, code, "%s", message);
	else
		(void)err_set(err, code, "the CISM answered '%s' with status %d", path, reply->status);
	json_decref(status);
	return code;
}

static int call_api(struct apiclient *client, struct http_call *call, const char *path, json_t **ret_object,
		    struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {.body = buf_of(ANSWER_MAX)};
	char *url CLEANUP_FREE = str_format("%s%s", client->base, path);
	json_error_t error;
	int r;

	call->url = url;
	call->send_len = -1;
	call->timeout_ms = TIMEOUT_MS;
	r = url ? http_client_call(client->http, call, &reply, err) : err_set(err, -ENOMEM, "out of memory");
	if (r == ERR_UNAVAILABLE)
		(void)err_hint(err, "'bulkhead status' shows which parts run, 'bulkhead up' starts them");
	if (r < 0)
		return r;
	if (reply.status < 200 || reply.status > 299)
		return fail_with(&reply, path, err);
	*ret_object = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len, JSON_REJECT_DUPLICATES,
				 &error);
	if (!*ret_object)
		return err_set(err, ERR_SYNTAX, "the CISM's answer to '%s' is not JSON: %s", path, error.text);
	return 0;
}

int apiclient_get(struct apiclient *client, const char *path, json_t **ret_object, struct err *err)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	struct http_call call = {.method = "GET", .headers = headers};

	return call_api(client, &call, path, ret_object, err);
}

int apiclient_send(struct apiclient *client, const char *method, const char *path, const json_t *body,
		   json_t **ret_object, struct err *err)
{
	static const char *const headers[] = {"Accept: application/json", "Content-Type: application/json", NULL};
	char *text CLEANUP_FREE = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_call call = {.method = method,
				 .headers = headers,
				 .body = text,
				 .body_len = text ? strlen(text) : 0,
				 .once = true};

	if (body && !text)
		return err_set(err, -ENOMEM, "out of memory");
	return call_api(client, &call, path, ret_object, err);
}
