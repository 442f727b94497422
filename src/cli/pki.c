/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/privilege.h"
#include "base/str.h"
#include "crypto/certificate.h"

#define DAY_S INT64_C(86400)
#define CA_LIFETIME_S (3650 * DAY_S)
#define LEAF_LIFETIME_S (365 * DAY_S)
#define RENEW_S (30 * DAY_S)
#define PEM_MAX ((size_t)64 * 1024)

enum owner { OWNER_ROOT, OWNER_CISM, OWNER_CIR };

struct leaf {
	const char *name;
	enum crypto_purpose purpose;
	const char *common_name; /* the instance stands behind one that ends in a colon */
	const char *organization;
	bool has_names; /* where servers answer */
	enum owner owner;
};

static const struct leaf leaves[] = {
	{"cism/server", CRYPTO_PURPOSE_SERVER, "bulkhead-cism", NULL, true, OWNER_CISM},
	{"cism/client", CRYPTO_PURPOSE_CLIENT, "system:cism", "system:bulkhead", false, OWNER_CISM},
	{"cism/binding", CRYPTO_PURPOSE_BINDING, "binding:cism-1", NULL, false, OWNER_CISM},
	{"cir/server", CRYPTO_PURPOSE_SERVER, "bulkhead-cir", NULL, true, OWNER_CIR},
	{"cis/client", CRYPTO_PURPOSE_CLIENT, "system:node:", "system:nodes", false, OWNER_ROOT},
	{"admin/client", CRYPTO_PURPOSE_CLIENT, "admin", "system:masters", false, OWNER_ROOT},
};

struct authority {
	struct buf pem;
	struct crypto_key *key;
};

static char *path_of(const struct paths *paths, const char *name, const char *suffix)
{
	return str_format("%s/pki/%s%s", paths->etc, name, suffix);
}

int pki_read(const struct paths *paths, const char *name, struct buf *to, struct err *err)
{
	char *path CLEANUP_FREE = path_of(paths, name, "");

	return path ? fdio_read_file(AT_FDCWD, path, to, err) : err_set(err, -ENOMEM, "out of memory");
}

static int give_to(const char *path, enum owner owner, struct err *err)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (owner == OWNER_CISM)
		privilege_ids(PRIVILEGE_CISM, &uid, &gid);
	else if (owner == OWNER_CIR)
		privilege_ids(PRIVILEGE_CIR, &uid, &gid);
	return chown(path, uid, gid) < 0 ? err_sys(err, -errno, "cannot give '%s' to its part", path) : 0;
}

static int write_pem(const struct paths *paths, const char *name, const char *suffix, const struct buf *pem,
		     mode_t mode, enum owner owner, struct err *err)
{
	char *path CLEANUP_FREE = path_of(paths, name, suffix);
	int r;

	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	r = fdio_replace_file(AT_FDCWD, path, pem->data, pem->len, mode, err);
	return r == 0 ? give_to(path, owner, err) : r;
}

/* Reads the key of a name, or makes it. */
static int ensure_key(const struct paths *paths, const char *name, enum owner owner, struct crypto_key **ret_key,
		      struct err *err)
{
	struct buf pem CLEANUP(buf_done) = buf_of(PEM_MAX);
	struct crypto_key *key CLEANUP(cleanup_crypto_key) = NULL;
	char *path CLEANUP_FREE = path_of(paths, name, ".key");
	int r = path ? fdio_read_file(AT_FDCWD, path, &pem, err) : err_set(err, -ENOMEM, "out of memory");

	if (r == 0) {
		r = crypto_key_parse(pem.data ? pem.data : "", ret_key, err);
		return r < 0 ? err_prefix(err, "'%s'", path) : 0;
	}
	if (r != -ENOENT)
		return r;
	r = crypto_key_generate(&key, err);
	if (r == 0)
		r = crypto_key_format(key, &pem, err);
	if (r == 0)
		r = write_pem(paths, name, ".key", &pem, 0600, owner, err);
	if (r == 0)
		*ret_key = take_ptr(key);
	return r;
}

/* Whether a certificate is there and lasts. A file that does not parse is an error, not a reason to make another. */
static int is_good(const struct paths *paths, const char *name, bool *ret_good, struct err *err)
{
	struct buf pem CLEANUP(buf_done) = buf_of(PEM_MAX);
	char *path CLEANUP_FREE = path_of(paths, name, ".pem");
	int64_t left = 0;
	int r = path ? fdio_read_file(AT_FDCWD, path, &pem, err) : err_set(err, -ENOMEM, "out of memory");

	*ret_good = false;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = crypto_certificate_left(pem.data ? pem.data : "", &left, err);
	if (r < 0)
		return err_prefix(err, "certificate '%s'", path);
	*ret_good = left > RENEW_S;
	return 0;
}

static int issue(const struct paths *paths, const char *name, const struct crypto_certificate_request *request,
		 const struct crypto_key *key, const struct authority *authority, enum owner owner, struct err *err)
{
	struct buf pem CLEANUP(buf_done) = buf_of(PEM_MAX);
	int r = crypto_certificate_issue(request, key, authority ? authority->pem.data : NULL,
					 authority ? authority->key : key, &pem, err);

	if (r < 0)
		return err_prefix(err, "cannot issue certificate '%s'", name);
	return write_pem(paths, name, ".pem", &pem, 0644, owner, err);
}

static int ensure_authority(const struct paths *paths, const char *name, const char *common_name, enum owner owner,
			    struct authority *authority, unsigned *made, struct err *err)
{
	const struct crypto_certificate_request request = {
		.purpose = CRYPTO_PURPOSE_CA,
		.common_name = common_name,
		.lifetime_s = CA_LIFETIME_S,
	};
	char *file CLEANUP_FREE = str_format("%s.pem", name);
	bool good;
	int r = file ? ensure_key(paths, name, owner, &authority->key, err) : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = is_good(paths, name, &good, err);
	if (r == 0 && !good) {
		r = issue(paths, name, &request, authority->key, NULL, owner, err);
		++*made;
	}
	return r == 0 ? pki_read(paths, file, &authority->pem, err) : r;
}

static void authority_done(struct authority *authority)
{
	crypto_key_free(authority->key);
	buf_done(&authority->pem);
}

static int ensure_leaf(const struct paths *paths, const struct settings *settings, const struct leaf *leaf,
		       const struct authority *authority, unsigned *made, struct err *err)
{
	const char *const names[] = {"localhost",       "127.0.0.1", "kubernetes", "kubernetes.default.svc",
				     settings->address, NULL};
	const char *const organizations[] = {leaf->organization, NULL};
	struct crypto_key *key CLEANUP(cleanup_crypto_key) = NULL;
	char *common_name CLEANUP_FREE = str_format("%s%s", leaf->common_name,
						    str_ends(leaf->common_name, ":") ? settings->instance : "");
	struct crypto_certificate_request request = {
		.purpose = leaf->purpose,
		.common_name = common_name,
		.organizations = leaf->organization ? organizations : NULL,
		.names = leaf->has_names ? names : NULL,
		.lifetime_s = LEAF_LIFETIME_S,
	};
	bool good;
	int r = common_name ? ensure_key(paths, leaf->name, leaf->owner, &key, err)
			    : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = is_good(paths, leaf->name, &good, err);
	if (r == 0 && !good) {
		r = issue(paths, leaf->name, &request, key, authority, leaf->owner, err);
		++*made;
	}
	return r;
}

static int make_folders(const struct paths *paths, struct err *err)
{
	static const char *const folders[] = {"cism", "cir", "cis", "admin"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++) {
		char *path CLEANUP_FREE = path_of(paths, folders[i], "");

		r = path ? fdio_mkdir_all(AT_FDCWD, path, 0755, err) : err_set(err, -ENOMEM, "out of memory");
	}
	return r;
}

int pki_write(const struct paths *paths, const char *name, const struct buf *pem, mode_t mode, struct err *err)
{
	int r = make_folders(paths, err);

	return r == 0 ? write_pem(paths, name, "", pem, mode, OWNER_ROOT, err) : r;
}

int pki_ensure(const struct paths *paths, const struct settings *settings, unsigned *ret_made, struct err *err)
{
	struct authority authority CLEANUP(authority_done) = {.pem = buf_of(PEM_MAX)};
	struct authority instances CLEANUP(authority_done) = {.pem = buf_of(PEM_MAX)};
	unsigned made = 0;
	int r = make_folders(paths, err);

	if (r == 0)
		r = ensure_authority(paths, "ca", "bulkhead-ca", OWNER_ROOT, &authority, &made, err);
	if (r == 0)
		r = ensure_authority(paths, "cism/instances", CRYPTO_INSTANCES_ISSUER, OWNER_CISM, &instances, &made,
				     err);
	for (size_t i = 0; i < ARRAY_SIZE(leaves) && r == 0; i++)
		r = ensure_leaf(paths, settings, &leaves[i], &authority, &made, err);
	if (r == 0)
		*ret_made = made;
	return r;
}
