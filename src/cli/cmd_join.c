/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/jointoken.h"
#include "cli/part.h"
#include "cli/pki.h"
#include "cli/setup.h"
#include "crypto/certificate.h"
#include "crypto/csr.h"
#include "http/client.h"

#define ANSWER_MAX ((size_t)256 * 1024)
#define TIMEOUT_MS 30000

static const char *root, *token_file;
static const char *pod_network, *bridge, *uid_base, *cgroup_parent;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"token-file", 0, "FILE", "read the token from a file, '-' for standard input", &token_file, NULL},
	{"pod-network", 0, "NETWORK", "addresses of pods (default 10.88.0.0/24)", &pod_network, NULL},
	{"bridge", 0, "NAME", "bridge of the pods (default bh0)", &bridge, NULL},
	{"uid-base", 0, "UID", "first of 65,536,000 user ids for pods (default 1900000000)", &uid_base, NULL},
	{"cgroup-parent", 0, "NAME", "control group of the pods (default bulkhead)", &cgroup_parent, NULL},
};

static const struct option_command options = {
	.program = "bulkhead join",
	.operands = "[TOKEN]",
	.summary = "Makes this machine an instance of a cluster: makes its key, which never leaves it, has the CISM "
		   "certify it, and starts the instance. The token comes from 'bulkhead token create'.",
	.footer = "A token on the command line is seen by others of this machine: prefer --token-file.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.most_operands = 1,
};

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static int read_token(int argc, char **argv, struct jointoken *to, struct err *err)
{
	struct buf text CLEANUP(buf_done) = buf_of(JOINTOKEN_MAX);
	const char *path = token_file && str_eq(token_file, "-") ? "/dev/stdin" : token_file;
	int r;

	if ((argc == 1) == (token_file != NULL))
		return err_set(err, ERR_INVALID, "either TOKEN or --token-file is needed");
	if (argc == 1)
		return jointoken_parse(argv[0], to, err);
	r = fdio_read_file(AT_FDCWD, path, &text, err);
	return r == 0 ? jointoken_parse(text.data ? text.data : "", to, err) : r;
}

static int check_machine(const struct paths *paths, struct err *err)
{
	struct settings before;
	int r;

	if (geteuid() != 0)
		return err_set(err, -EPERM, "'bulkhead join' starts a daemon of root and needs to be root");
	if (root && strlen(root) > 64)
		return err_set(err, ERR_INVALID, "option --root is longer than 64 bytes");
	r = settings_load(paths, &before, err);
	if (r == ERR_NOT_FOUND) {
		*err = (struct err){0};
		return 0;
	}
	if (r == 0) {
		r = err_set(err, ERR_EXISTS, "this machine is set up already, as instance '%s'", before.instance);
		(void)err_hint(err, "'bulkhead up' starts it; to join anew, install it anew: remove '%s' and '%s'",
			       paths->etc, paths->state);
	}
	return r;
}

static int choose_settings(const struct jointoken *token, struct settings *to, struct err *err)
{
	const char *given[SETTINGS_COUNT] = {token->name, token->server, token->deployment, NULL,         NULL, NULL,
					     pod_network, bridge,        uid_base,          cgroup_parent};
	int r = settings_take(given, to, err);

	to->joined = true;
	return r;
}

/* --- the certificate --- */

/* The key is on disk before anybody is asked to certify it. */
static int make_request(const struct paths *paths, const struct jointoken *token, struct buf *csr, struct err *err)
{
	struct crypto_key *key CLEANUP(cleanup_crypto_key) = NULL;
	char *name CLEANUP_FREE = str_format(CRYPTO_INSTANCES_PREFIX "%s", token->name);
	struct buf pem CLEANUP(buf_done) = buf_of(65536);
	int r = name ? crypto_key_generate(&key, err) : out_of_memory(err);

	if (r == 0)
		r = crypto_key_format(key, &pem, err);
	if (r == 0)
		r = pki_write(paths, "cis/client.key", &pem, 0600, err);
	if (r == 0)
		r = crypto_csr_make(key, name, CRYPTO_INSTANCES_ORGANIZATION, csr, err);
	if (pem.data)
		explicit_bzero(pem.data, pem.len);
	return r;
}

/* What the CISM says in its Status about a refusal. */
static int refused(const struct http_reply *reply, const char *address, struct err *err)
{
	json_t *status = json_loadb(reply->body.data ? reply->body.data : "", reply->body.len, 0, NULL);
	const char *message = json_string_value(json_object_get(status, "message"));
	int code = err_from_http_status(reply->status);

	if (message)
		(void)err_set(err, code, "%s", message);
	else
		(void)err_set(err, code, "the CISM at %s answered with status %d", address, reply->status);
	json_decref(status);
	return code;
}

static int ask(const struct jointoken *token, const char *address, const char *body, json_t **ret_answer,
	       struct err *err)
{
	static const char *const headers[] = {"Accept: application/json", "Content-Type: application/json", NULL};
	const struct http_client_config config = {.ca = token->ca, .connect_ms = 5000};
	struct http_client *client CLEANUP(cleanup_http_client) = NULL;
	struct http_reply reply CLEANUP_HTTP_REPLY = {.body = buf_of(ANSWER_MAX)};
	char *url CLEANUP_FREE = str_format("%s/join", address);
	struct http_call call = {.method = "POST",
				 .url = url,
				 .headers = headers,
				 .body = body,
				 .body_len = strlen(body),
				 .send_len = -1,
				 .timeout_ms = TIMEOUT_MS,
				 .once = true};
	int r = url ? http_client_new(&config, &client, err) : out_of_memory(err);

	if (r == 0)
		r = http_client_call(client, &call, &reply, err);
	if (r == ERR_UNKNOWN_PEER)
		return err_set(err, r, "what answers at %s does not show a certificate of the CA that the token pins",
			       address);
	if (r < 0)
		return r;
	if (reply.status < 200 || reply.status > 299)
		return refused(&reply, address, err);
	*ret_answer = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_string(json_object_get(*ret_answer, "certificate")) ||
	    !json_is_array(json_object_get(*ret_answer, "registries")))
		return err_set(err, ERR_SYNTAX, "the CISM at %s answered with no certificate", address);
	return 0;
}

/* The first CISM that answers decides. */
static int ask_any(const struct jointoken *token, const char *csr, json_t **ret_answer, struct err *err)
{
	json_t *object = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "version", 1, "name", token->name, "server",
				   token->server, "deployment", token->deployment, "secret", token->secret, "request",
				   csr);
	char *body CLEANUP_FREE = object ? json_dumps(object, JSON_COMPACT) : NULL;
	int r = body ? ERR_UNAVAILABLE : out_of_memory(err);

	json_decref(object);
	for (size_t i = 0; i < token->cism_count && r == ERR_UNAVAILABLE; i++)
		r = ask(token, token->cism[i], body, ret_answer, err);
	if (body)
		explicit_bzero(body, strlen(body));
	return r;
}

static int write_all(const struct paths *paths, const struct jointoken *token, const struct settings *settings,
		     const json_t *answer, struct err *err)
{
	struct buf ca CLEANUP(buf_done) = buf_of(65536), certificate CLEANUP(buf_done) = buf_of(65536);
	char runtime[PATHS_MAX];
	int r = part_program("bulkhead-runtime", runtime, err);

	if (r == 0 && (buf_puts(&ca, token->ca) < 0 ||
		       buf_puts(&certificate, json_string_value(json_object_get(answer, "certificate"))) < 0))
		r = out_of_memory(err);
	if (r == 0)
		r = pki_write(paths, "ca.pem", &ca, 0644, err);
	if (r == 0)
		r = pki_write(paths, "cis/client.pem", &certificate, 0644, err);
	if (r == 0)
		r = setup_instance(paths, settings, runtime, (const char *const *)token->cism, token->cism_count,
				   json_object_get(answer, "registries"), err);
	return r == 0 ? settings_save(paths, settings, err) : r;
}

static int join(const struct paths *paths, const struct jointoken *token, const struct settings *settings,
		struct err *err)
{
	struct buf csr CLEANUP(buf_done) = buf_of(CRYPTO_CSR_MAX);
	json_t *answer = NULL;
	int r = make_request(paths, token, &csr, err);

	if (r == 0)
		r = ask_any(token, csr.data, &answer, err);
	if (r == 0)
		r = write_all(paths, token, settings, answer, err);
	json_decref(answer);
	return r;
}

static int run(int argc, char **argv, struct err *err)
{
	CLEANUP_JOINTOKEN struct jointoken token = {0};
	int lock CLEANUP_CLOSE = -1;
	struct settings settings;
	struct paths paths;
	int64_t left;
	int r = paths_init(&paths, root, err);

	if (r == 0)
		r = check_machine(&paths, err);
	if (r == 0)
		r = read_token(argc, argv, &token, err);
	if (r == 0 && crypto_certificate_left(token.ca, &left, err) < 0)
		return err_prefix(err, "the CA that the token pins");
	if (r == 0)
		r = choose_settings(&token, &settings, err);
	if (r == 0)
		r = setup_folders(&paths, err);
	if (r == 0)
		r = part_lock(&paths, &lock, err);
	if (r == 0)
		r = join(&paths, &token, &settings, err);
	if (r < 0)
		return r;
	(void)printf("joined as instance '%s' on server '%s' (%s)\n", token.name, token.server, token.deployment);
	return part_up(&paths, root ? root : "/", &part_rows[PART_COUNT - 1], err);
}

const struct command cmd_join = {"join", &options, run};
