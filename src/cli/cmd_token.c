/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "cli/apiclient.h"
#include "cli/command.h"
#include "cli/jointoken.h"
#include "cli/pki.h"
#include "cli/table.h"
#include "crypto/key.h"
#include "policy/domain.h"

#define PATH "/apis/trust.bulkhead.dev/v1/jointokens"
#define SECRET_BYTES 32
#define TTL_DEFAULT_S 900
#define TOPOLOGY_NS (UINT64_C(10) * 1000000000)
#define FILE_MAX ((size_t)4 * 1024 * 1024)

static const char *root, *server, *deployment = "BareMetal", *ttl, *output;
static bool replace;
static const char *cism_items[JOINTOKEN_CISM_MAX];
static struct option_list cism = {.items = cism_items, .most = JOINTOKEN_CISM_MAX};

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"server", 0, "NAME", "create: the physical server the instance is on", &server, NULL},
	{"deployment", 0, "OPTION", "create: BareMetal (the default), Nested or Hybrid", &deployment, NULL},
	{"ttl", 0, "SECONDS", "create: how long the token is good (900, at most 86400)", &ttl, NULL},
	{"replace", 0, NULL, "create: the machine was installed anew and runs nothing of before", NULL, &replace},
	{"cism", 0, "URL", "create: where the CISM is; may be given several times", NULL, NULL, &cism},
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead token",
	.operands = "create NAME | list | revoke NAME",
	.summary = "Lets an instance join: 'create' prints a token that is good once, for one name, one server and one "
		   "deployment option. 'list' shows those that were made, 'revoke' takes one back.",
	.footer = "Example:\n"
		  "  bulkhead token create blade-8 --server rack3-blade8 >token\n"
		  "  # and on that machine:\n"
		  "  bulkhead join --token-file token",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.least_operands = 1,
	.most_operands = 2,
};

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* --- the row of topology.json --- */

static json_t *find_row(const json_t *topology, const char *name)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(topology, "instances"), i, row) {
		const char *known = api_string(row, "name");

		if (known && str_eq(known, name))
			return row;
	}
	return NULL;
}

static int check_row(const json_t *row, const char *name, struct err *err)
{
	const char *known = api_string(row, "server"), *option = api_string(row, "deployment");

	if (known && option && str_eq(known, server) && str_eq(option, deployment))
		return 0;
	(void)err_set(err, ERR_CONFLICT, "topology.json has instance '%s' as %s on server '%s'", name,
		      option ? option : "?", known ? known : "?");
	return err_hint(err, "a move is a higher epoch there; or give the server that it says");
}

/* Whether the topology of this machine counts its generations. */
static void raise_generation(json_t *topology)
{
	json_int_t generation = api_integer(topology, "generation", 0);

	if (generation)
		(void)json_object_set_new(topology, "generation", json_integer(generation + 1));
}

/* Where this machine's file is the source of the topology, the operator's word about a new instance goes there. */
static int ensure_row(const struct paths *paths, const char *name, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/topology.json", paths->etc), *text CLEANUP_FREE = NULL;
	struct buf bytes CLEANUP(buf_done) = buf_of(FILE_MAX);
	json_t *topology CLEANUP_JSON = NULL;
	int r = path ? fdio_read_file(AT_FDCWD, path, &bytes, err) : out_of_memory(err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	topology = json_loadb(bytes.data ? bytes.data : "", bytes.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_array(json_object_get(topology, "instances")))
		return err_set(err, ERR_SYNTAX, "'%s' has no list of instances", path);
	if (find_row(topology, name))
		return check_row(find_row(topology, name), name, err);
	raise_generation(topology);
	if (json_array_append_new(json_object_get(topology, "instances"),
				  json_pack("{s:s,s:s,s:s,s:i}", "name", name, "server", server, "deployment",
					    deployment, "epoch", 1)) < 0)
		return out_of_memory(err);
	text = json_dumps(topology, JSON_INDENT(2));
	return text ? fdio_replace_file(AT_FDCWD, path, text, strlen(text), 0644, err) : out_of_memory(err);
}

/* --- create --- */

static int check_options(const char *name, uint64_t *ret_seconds, struct err *err)
{
	*ret_seconds = TTL_DEFAULT_S;
	if (!str_is_dns_label(name))
		return err_set(err, ERR_INVALID, "'%s' is not a DNS label", name);
	if (!server)
		return err_set(err, ERR_INVALID, "option --server is missing");
	if (!str_is_dns_label(server))
		return err_set(err, ERR_INVALID, "option --server '%s' is not a DNS label", server);
	if (!str_eq(deployment, "BareMetal") && !str_eq(deployment, "Nested") && !str_eq(deployment, "Hybrid"))
		return err_set(err, ERR_INVALID, "option --deployment '%s' is not BareMetal, Nested or Hybrid",
			       deployment);
	if (ttl && (str_parse_u64(ttl, 86400, ret_seconds) < 0 || *ret_seconds == 0))
		return err_set(err, ERR_INVALID, "option --ttl '%s' is not 1 to 86400 seconds", ttl);
	return 0;
}

static int make_secret(struct buf *to, char hash[static 65], struct err *err)
{
	uint8_t bytes[SECRET_BYTES], digest[CRYPTO_SHA256_SIZE];

	crypto_random(bytes, sizeof(bytes));
	if (crypto_base64url(to, bytes, sizeof(bytes)) < 0)
		return out_of_memory(err);
	crypto_sha256(to->data, to->len, digest);
	str_hex(hash, digest, sizeof(digest));
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

static bool says_so(const json_t *node)
{
	const char *known = api_label(node, POLICY_LABEL_SERVER), *option = api_label(node, POLICY_LABEL_DEPLOYMENT);

	return known && option && str_eq(known, server) && str_eq(option, deployment);
}

/* The CISM reads its topology every second: what is printed is good at once. */
static int wait_for_topology(struct apiclient *client, const char *name, struct err *err)
{
	char *path CLEANUP_FREE = str_format("/api/v1/nodes/%s", name);
	uint64_t until = clock_monotonic_ns() + TOPOLOGY_NS;
	int r;

	if (!path)
		return out_of_memory(err);
	do {
		json_t *node CLEANUP_JSON = NULL;

		r = apiclient_get(client, path, &node, err);
		if (r == 0 && says_so(node))
			return 0;
		if (r < 0 && r != ERR_NOT_FOUND)
			return r;
		(void)usleep(100000);
	} while (clock_monotonic_ns() < until);
	(void)err_set(err, ERR_NOT_FOUND, "the topology of the CISM does not have instance '%s' as %s on server '%s'",
		      name, deployment, server);
	return err_hint(err, "the source of the topology, such as topology.json, says where instances are");
}

/* The CISM gets the secret's hash alone. A token of before under that name, used or not, gives way. */
static int register_token(struct apiclient *client, const char *name, const char *hash, uint64_t seconds,
			  struct err *err)
{
	char *path CLEANUP_FREE = str_format(PATH "/%s", name);
	char expires[CLOCK_STAMP_SIZE];
	json_t *object CLEANUP_JSON = NULL, *gone CLEANUP_JSON = NULL, *made CLEANUP_JSON = NULL;
	int r = path ? apiclient_send(client, "DELETE", path, NULL, &gone, err) : out_of_memory(err);

	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	clock_format(expires, clock_wall_ms() + (int64_t)seconds * 1000);
	object = json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s, s:s, s:b}}", "apiVersion", "trust.bulkhead.dev/v1",
			   "kind", "JoinToken", "metadata", "name", name, "spec", "server", server, "deployment",
			   deployment, "secretSHA256", hash, "expires", expires, "replaces", replace);
	return object ? apiclient_send(client, "POST", PATH, object, &made, err) : out_of_memory(err);
}

static int print_token(const struct paths *paths, const struct settings *settings, const char *name,
		       const struct buf *secret, struct err *err)
{
	char *address CLEANUP_FREE = str_format("https://%s:%s", settings->address, settings->cism_port);
	struct buf ca CLEANUP(buf_done) = buf_of(65536), text CLEANUP(buf_done) = buf_of(JOINTOKEN_MAX);
	struct jointoken token = {.name = (char *)(uintptr_t)name,
				  .server = (char *)(uintptr_t)server,
				  .deployment = (char *)(uintptr_t)deployment,
				  .secret = secret->data,
				  .cism_count = cism.count ? cism.count : 1};
	int r = address ? pki_read(paths, "ca.pem", &ca, err) : out_of_memory(err);

	token.ca = ca.data;
	token.cism[0] = address;
	for (size_t i = 0; i < cism.count; i++)
		token.cism[i] = (char *)(uintptr_t)cism_items[i];
	if (r == 0)
		r = jointoken_format(&token, &text, err);
	if (r == 0)
		(void)printf("%s\n", text.data);
	if (r == 0 && !cism.count && str_starts(settings->address, "127."))
		(void)fprintf(stderr, "the CISM listens on %s alone: only this machine reaches it\n",
			      settings->address);
	return r;
}

static int create(const struct paths *paths, const struct settings *settings, struct apiclient *client,
		  const char *name, struct err *err)
{
	struct buf secret CLEANUP(buf_done) = buf_of(256);
	char hash[65];
	uint64_t seconds;
	int r = check_options(name, &seconds, err);

	if (r == 0)
		r = ensure_row(paths, name, err);
	if (r == 0)
		r = wait_for_topology(client, name, err);
	if (r == 0)
		r = make_secret(&secret, hash, err);
	if (r == 0)
		r = register_token(client, name, hash, seconds, err);
	if (r == 0)
		r = print_token(paths, settings, name, &secret, err);
	return r;
}

/* --- list, revoke --- */

static const char *state_of(const json_t *token)
{
	const char *expires = api_string(token, "spec.expires");
	int64_t until = 0;

	if (api_string(token, "status.usedAt"))
		return "used";
	return expires && clock_parse(expires, &until) == 0 && until > clock_wall_ms() ? "good" : "over";
}

static int print_list(const json_t *items, struct err *err)
{
	static const char *const headers[] = {"INSTANCE", "SERVER", "DEPLOYMENT", "EXPIRES", "STATE"};
	CLEANUP_TABLE struct table table = {0};
	const json_t *token;
	size_t i;
	int r;

	if (json_array_size(items) == 0)
		return printf("no join tokens\n") < 0 ? err_set(err, -EIO, "cannot print the tokens") : 0;
	r = table_begin(&table, headers, ARRAY_SIZE(headers));
	json_array_foreach(items, i, token) {
		const char *const cells[] = {api_string(token, "metadata.name"), api_string(token, "spec.server"),
					     api_string(token, "spec.deployment"), api_string(token, "spec.expires"),
					     state_of(token)};

		if (r == 0)
			r = table_add(&table, cells);
	}
	if (r < 0)
		return out_of_memory(err);
	table_print(&table);
	return 0;
}

static int list(struct apiclient *client, struct err *err)
{
	json_t *found CLEANUP_JSON = NULL;
	bool as_json;
	int r = main_wants_json(output, &as_json, err);

	if (r == 0)
		r = apiclient_get(client, PATH, &found, err);
	if (r < 0)
		return r;
	if (!as_json)
		return print_list(json_object_get(found, "items"), err);
	return json_dumpf(json_object_get(found, "items"), stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0
		       ? err_set(err, -EIO, "cannot print the tokens")
		       : 0;
}

static int take_back(struct apiclient *client, const char *name, struct err *err)
{
	char *path CLEANUP_FREE = str_is_dns_label(name) ? str_format(PATH "/%s", name) : NULL;
	json_t *gone CLEANUP_JSON = NULL;
	int r = path ? apiclient_send(client, "DELETE", path, NULL, &gone, err)
		     : err_set(err, ERR_INVALID, "'%s' is not a DNS label", name);

	if (r == 0)
		(void)printf("the join token of instance '%s' is good for nothing any more\n", name);
	return r;
}

static int run(int argc, char **argv, struct err *err)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = NULL;
	bool lists = str_eq(argv[0], "list");
	struct settings settings;
	struct paths paths;
	int r;

	if ((!lists && !str_eq(argv[0], "create") && !str_eq(argv[0], "revoke")) || argc != (lists ? 1 : 2)) {
		(void)err_set(err, ERR_INVALID, "'bulkhead token' is followed by: create NAME, list, or revoke NAME");
		return ERR_INVALID;
	}
	r = paths_init(&paths, root, err);
	if (r == 0)
		r = settings_load(&paths, &settings, err);
	if (r == 0 && settings.joined)
		r = err_set(err, ERR_INVALID, "this machine is an instance alone: tokens are made where the CISM runs");
	if (r == 0)
		r = apiclient_new(&paths, &settings, &client, err);
	if (r < 0)
		return r;
	if (lists)
		return list(client, err);
	return str_eq(argv[0], "revoke") ? take_back(client, argv[1], err)
					 : create(&paths, &settings, client, argv[1], err);
}

const struct command cmd_token = {"token", &options, run};
