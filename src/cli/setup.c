/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/privilege.h"
#include "base/str.h"
#include "cli/pki.h"
#include "crypto/key.h"

#define FILE_MAX ((size_t)256 * 1024)
#define PASSWORD_BYTES 18

/* What the makers of the files need. */
struct plan {
	const struct paths *paths;
	const struct settings *settings;
	const char *runtime;
	uint64_t cism_port, cir_port, uid_base;
	char host[80]; /* of the registry, as image references begin */
	char ca[PATHS_MAX];
};

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static int make_folder(const char *base, const char *name, mode_t mode, const enum privilege_part *owner,
		       struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/%s", base, name);
	uid_t uid = 0;
	gid_t gid = 0;
	int r = path ? fdio_mkdir_all(AT_FDCWD, path, 0755, err) : out_of_memory(err);

	if (r < 0)
		return r;
	if (owner)
		privilege_ids(*owner, &uid, &gid);
	if (chmod(path, mode) < 0 || chown(path, uid, gid) < 0)
		return err_sys(err, -errno, "cannot set owner and mode of '%s'", path);
	return 0;
}

int setup_folders(const struct paths *paths, struct err *err)
{
	static const enum privilege_part cism = PRIVILEGE_CISM, cir = PRIVILEGE_CIR;
	const struct {
		const char *base, *name;
		mode_t mode;
		const enum privilege_part *owner;
	} folders[] = {
		{paths->etc, "registry-ca", 0755, NULL}, {paths->state, "log", 0755, NULL},
		{paths->state, "cism", 0700, &cism},     {paths->state, "cir", 0700, &cir},
		{paths->state, "cis", 0700, NULL},       {paths->run, "pods", 0700, NULL},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = make_folder(folders[i].base, folders[i].name, folders[i].mode, folders[i].owner, err);
	return r;
}

static bool is_there(const struct plan *plan, const char *name)
{
	char *path CLEANUP_FREE = str_format("%s/%s", plan->paths->etc, name);

	return path && access(path, F_OK) == 0;
}

static int write_text(const struct plan *plan, const char *name, const char *text, mode_t mode, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/%s", plan->paths->etc, name);

	return path ? fdio_replace_file(AT_FDCWD, path, text, strlen(text), mode, err) : out_of_memory(err);
}

/* Writes an object (stolen) as JSON for people. */
static int write_json(const struct plan *plan, const char *name, json_t *object, mode_t mode, struct err *err)
{
	char *text CLEANUP_FREE = object ? json_dumps(object, JSON_INDENT(2)) : NULL;

	json_decref(object);
	return text ? write_text(plan, name, text, mode, err) : out_of_memory(err);
}

static int make_cism(const struct plan *plan, const char *name, struct err *err)
{
	return write_json(plan, name,
			  json_pack("{s:s,s:I,s:[{s:s,s:s}],s:i}", "address", plan->settings->address, "port",
				    (json_int_t)plan->cism_port, "registries", "host", plan->host, "ca", plan->ca,
				    "ticketLifetimeSeconds", 600),
			  0644, err);
}

static int make_topology(const struct plan *plan, const char *name, struct err *err)
{
	return write_json(plan, name,
			  json_pack("{s:[{s:s,s:s,s:s,s:i}]}", "instances", "name", plan->settings->instance, "server",
				    plan->settings->server, "deployment", plan->settings->deployment, "epoch", 1),
			  0644, err);
}

static int make_cir(const struct plan *plan, const char *name, struct err *err)
{
	char *users CLEANUP_FREE = str_format("%s/users.json", plan->paths->etc);

	if (!users)
		return out_of_memory(err);
	return write_json(plan, name,
			  json_pack("{s:s,s:I,s:s}", "address", plan->settings->address, "port",
				    (json_int_t)plan->cir_port, "users", users),
			  0644, err);
}

/* further: addresses of the CISM's other replicas, or NULL; stolen, like registries. */
static int write_cis(const struct plan *plan, const char *cism, json_t *further, json_t *registries, struct err *err)
{
	const struct settings *settings = plan->settings;

	return write_json(plan, "cis.json",
			  json_pack("{s:s,s:s,s:o*,s:o,s:s,s:s,s:I,s:i,s:s,s:s}", "instance", settings->instance,
				    "cism", cism, "cismReplicas", further, "registries", registries, "podNetwork",
				    settings->pod_network, "bridge", settings->bridge, "uidBase",
				    (json_int_t)plan->uid_base, "uidRanges", 1000, "runtime", plan->runtime,
				    "cgroupParent", settings->cgroup_parent),
			  0644, err);
}

static int make_cis(const struct plan *plan, const char *name, struct err *err)
{
	char *cism CLEANUP_FREE = str_format("https://%s:%s", plan->settings->address, plan->settings->cism_port);

	(void)name;
	return cism ? write_cis(plan, cism, NULL, json_pack("[{s:s}]", "host", plan->host), err) : out_of_memory(err);
}

static json_t *registries_of(const json_t *hosts)
{
	json_t *list = json_array();
	const json_t *host;
	size_t i;

	json_array_foreach(hosts, i, host)
		(void)json_array_append_new(list, json_pack("{s:O}", "host", host));
	return list;
}

int setup_instance(const struct paths *paths, const struct settings *settings, const char *runtime,
		   const char *const *cism, size_t cism_count, const json_t *registries, struct err *err)
{
	struct plan plan = {.paths = paths, .settings = settings, .runtime = runtime};
	json_t *further = cism_count > 1 ? json_array() : NULL;

	for (size_t i = 1; i < cism_count; i++)
		(void)json_array_append_new(further, json_string(cism[i]));
	if (str_parse_u64(settings->uid_base, UINT32_MAX, &plan.uid_base) < 0) {
		json_decref(further);
		return err_set(err, ERR_INVALID, "the first user id is no number");
	}
	return write_cis(&plan, cism[0], further, registries_of(registries), err);
}

static int append_base64(const struct plan *plan, const char *name, struct buf *to, struct err *err)
{
	struct buf pem CLEANUP(buf_done) = buf_of(FILE_MAX);
	int r = pki_read(plan->paths, name, &pem, err);

	if (r == 0 && crypto_base64(to, pem.data, pem.len) < 0)
		r = out_of_memory(err);
	return r;
}

static int make_kubeconfig(const struct plan *plan, const char *name, struct err *err)
{
	static const struct {
		const char *before, *file;
	} parts[] = {
		{"    certificate-authority-data: ", "ca.pem"},
		{"contexts:\n- name: bulkhead\n  context:\n    cluster: bulkhead\n    user: admin\ncurrent-context: "
		 "bulkhead\n"
		 "users:\n- name: admin\n  user:\n    client-certificate-data: ",
		 "admin/client.pem"},
		{"    client-key-data: ", "admin/client.key"},
	};
	struct buf text CLEANUP(buf_done) = buf_of(FILE_MAX);
	int r = buf_printf(
		&text,
		"apiVersion: v1\nkind: Config\nclusters:\n- name: bulkhead\n  cluster:\n    server: https://%s:%s\n",
		plan->settings->address, plan->settings->cism_port);

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		r = buf_puts(&text, parts[i].before);
		if (r == 0)
			r = append_base64(plan, parts[i].file, &text, err);
		if (r == 0)
			r = buf_puts(&text, "\n");
	}
	if (r == -EFBIG || r == -ENOMEM)
		return out_of_memory(err);
	return r == 0 ? write_text(plan, name, text.data, 0600, err) : r;
}

/* The registry's certificate for clients that want a folder of CAs (skopeo, podman). */
static int make_registry_ca(const struct plan *plan, const char *name, struct err *err)
{
	struct buf pem CLEANUP(buf_done) = buf_of(FILE_MAX);
	int r = pki_read(plan->paths, "ca.pem", &pem, err);

	return r == 0 ? write_text(plan, name, pem.data, 0644, err) : r;
}

/* users.json with the hash of the password; the file belongs to the registry. */
static int write_users(const struct plan *plan, const char *password, struct err *err)
{
	struct buf hash CLEANUP(buf_done) = buf_of(4096);
	char *path CLEANUP_FREE = str_format("%s/users.json", plan->paths->etc);
	uid_t uid;
	gid_t gid;
	int r = path ? crypto_password_hash(password, &hash, err) : out_of_memory(err);

	if (r == 0)
		r = write_json(plan, "users.json",
			       json_pack("{s:[{s:s,s:s,s:[s],s:[s]}]}", "users", "name", "admin", "passwordHash",
					 hash.data, "push", "*", "pull", "*"),
			       0600, err);
	privilege_ids(PRIVILEGE_CIR, &uid, &gid);
	if (r == 0 && chown(path, uid, gid) < 0)
		r = err_sys(err, -errno, "cannot give '%s' to the registry", path);
	return r;
}

/* A password nobody chose, kept where skopeo and podman look for it when told. Its hash is what the registry knows. */
static int make_registry_auth(const struct plan *plan, const char *name, struct err *err)
{
	unsigned char random[PASSWORD_BYTES];
	char password[2 * PASSWORD_BYTES + 1], pair[sizeof(password) + 8] = "admin:";
	struct buf auth CLEANUP(buf_done) = buf_of(4096);
	int r;

	crypto_random(random, sizeof(random));
	str_hex(password, random, sizeof(random));
	(void)strncat(pair, password, sizeof(pair) - strlen(pair) - 1);
	r = write_users(plan, password, err);
	if (r == 0 && crypto_base64(&auth, pair, strlen(pair)) < 0)
		r = out_of_memory(err);
	return r == 0 ? write_json(plan, name, json_pack("{s:{s:{s:s}}}", "auths", plan->host, "auth", auth.data), 0600,
				   err)
		      : r;
}

int setup_files(const struct paths *paths, const struct settings *settings, const char *runtime, bool renewed,
		struct err *err)
{
	static const struct {
		const char *name;
		int (*make)(const struct plan *plan, const char *name, struct err *err);
	} files[] = {
		{"cism.json", make_cism},
		{"topology.json", make_topology},
		{"cir.json", make_cir},
		{"cis.json", make_cis},
		{"kubeconfig", make_kubeconfig},
		{"registry-ca/ca.crt", make_registry_ca},
		{"registry-auth.json", make_registry_auth},
	};
	struct plan plan = {.paths = paths, .settings = settings, .runtime = runtime};
	int r = 0;

	if (str_parse_u64(settings->cism_port, 65535, &plan.cism_port) < 0 ||
	    str_parse_u64(settings->cir_port, 65535, &plan.cir_port) < 0 ||
	    str_parse_u64(settings->uid_base, UINT32_MAX, &plan.uid_base) < 0)
		return err_set(err, ERR_INVALID, "a port or user id of the settings is no number");
	if (snprintf(plan.host, sizeof(plan.host), "%s:%s", settings->address, settings->cir_port) >=
		    (int)sizeof(plan.host) ||
	    snprintf(plan.ca, sizeof(plan.ca), "%s/pki/ca.pem", paths->etc) >= (int)sizeof(plan.ca))
		return err_set(err, -ENAMETOOLONG, "the root folder's name is too long");
	for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++)
		if (!is_there(&plan, files[i].name) || (renewed && files[i].make == make_kubeconfig))
			r = files[i].make(&plan, files[i].name, err);
	return r;
}
