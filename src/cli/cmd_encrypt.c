/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "cli/command.h"
#include "image/cryptlayout.h"

#define KEY_MAX ((size_t)64 << 10)

static const char *file_items[JWE_RECIPIENTS_MAX];
static struct option_list files = {.items = file_items, .most = JWE_RECIPIENTS_MAX};

static const struct option_row encrypt_rows[] = {
	{"recipient", 'r', "FILE", "a public key or certificate in PEM; up to 8", NULL, NULL, &files},
};
static const struct option_command encrypt_options = {
	.program = "bulkhead encrypt",
	.operands = "FROM TO",
	.summary = "Encrypts the layers of all images of the OCI layout FROM into the new OCI layout TO, for the "
		   "owners of "
		   "the keys.",
	.footer = "The private keys belong into etc/bulkhead/keys/DOMAIN/ of the CISM.\n"
		  "skopeo copies layouts: 'skopeo copy oci:TO docker://REGISTRY/IMAGE:TAG'.\n"
		  "Configurations (command, environment) stay readable.",
	.rows = encrypt_rows,
	.row_count = ARRAY_SIZE(encrypt_rows),
	.least_operands = 2,
	.most_operands = 2,
};

static const struct option_row decrypt_rows[] = {
	{"key", 'k', "FILE", "a private key in PEM; up to 8", NULL, NULL, &files},
};
static const struct option_command decrypt_options = {
	.program = "bulkhead decrypt",
	.operands = "FROM TO",
	.summary = "Decrypts the layers of all images of the OCI layout FROM into the new OCI layout TO.",
	.rows = decrypt_rows,
	.row_count = ARRAY_SIZE(decrypt_rows),
	.least_operands = 2,
	.most_operands = 2,
};

/* The folders of the two operands; the second is made. */
static int open_layouts(char **operands, int *ret_from, int *ret_to, struct err *err)
{
	*ret_from = open(operands[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_from < 0)
		return err_sys(err, -errno, "cannot open '%s'", operands[0]);
	if (mkdir(operands[1], 0755) < 0)
		return err_sys(err, -errno, "cannot make '%s'", operands[1]);
	*ret_to = open(operands[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_to < 0 ? err_sys(err, -errno, "cannot open '%s'", operands[1]) : 0;
}

static int read_key(const char *path, struct buf *to, struct err *err)
{
	*to = buf_of(KEY_MAX);
	return fdio_read_file(AT_FDCWD, path, to, err);
}

static int report(int r, const struct cryptlayout_totals *totals, const char *word, uint64_t began_ns,
		  const char *folder, struct err *err)
{
	double seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;

	if (r < 0)
		return err_prefix(err, "'%s'", folder);
	(void)printf("%llu layers %s, %.1f MB in %.2f s\n", (unsigned long long)totals->layers, word,
		     (double)totals->bytes / 1e6, seconds);
	return 0;
}

static int run_encrypt(int argc, char **argv, struct err *err)
{
	struct recipient *keys[JWE_RECIPIENTS_MAX] = {0};
	struct jwe_recipient recipients[JWE_RECIPIENTS_MAX];
	struct cryptlayout_totals totals = {0};
	uint64_t began_ns = clock_monotonic_ns();
	CLEANUP_CLOSE int from = -1, to = -1;
	int r = 0;

	(void)argc;
	if (!files.count)
		return err_set(err, ERR_INVALID, "nobody could read it: name a key by '--recipient'");
	for (size_t i = 0; r == 0 && i < files.count; i++) {
		CLEANUP_BUF struct buf pem = {0};

		r = read_key(files.items[i], &pem, err);
		if (r == 0)
			r = recipient_parse(pem.data ? pem.data : "", pem.len, &keys[i], err);
		if (r < 0)
			r = err_prefix(err, "'%s'", files.items[i]);
		else
			recipients[i] = (struct jwe_recipient){keys[i], jwe_algorithm_of(keys[i])};
	}
	if (r == 0)
		r = open_layouts(argv, &from, &to, err);
	if (r == 0)
		r = report(cryptlayout_encrypt(from, to, recipients, files.count, &totals, err), &totals, "encrypted",
			   began_ns, argv[0], err);
	for (size_t i = 0; i < JWE_RECIPIENTS_MAX; i++)
		recipient_free(keys[i]);
	return r;
}

static int run_decrypt(int argc, char **argv, struct err *err)
{
	struct unwrap_key *keys[JWE_RECIPIENTS_MAX] = {0};
	struct cryptlayout_totals totals = {0};
	uint64_t began_ns = clock_monotonic_ns();
	CLEANUP_CLOSE int from = -1, to = -1;
	int r = 0;

	(void)argc;
	for (size_t i = 0; r == 0 && i < files.count; i++) {
		CLEANUP_BUF struct buf pem = {0};

		r = read_key(files.items[i], &pem, err);
		if (r == 0)
			r = unwrap_key_parse(pem.data ? pem.data : "", pem.len, &keys[i], err);
		if (pem.data)
			explicit_bzero(pem.data, pem.cap);
		if (r < 0)
			r = err_prefix(err, "'%s'", files.items[i]);
	}
	if (r == 0)
		r = open_layouts(argv, &from, &to, err);
	if (r == 0)
		r = report(cryptlayout_decrypt(from, to, keys, files.count, &totals, err), &totals, "decrypted",
			   began_ns, argv[0], err);
	for (size_t i = 0; i < JWE_RECIPIENTS_MAX; i++)
		unwrap_key_free(keys[i]);
	return r;
}

const struct command cmd_encrypt = {.name = "encrypt", .options = &encrypt_options, .run = run_encrypt};
const struct command cmd_decrypt = {.name = "decrypt", .options = &decrypt_options, .run = run_decrypt};
