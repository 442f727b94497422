/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key_internal.h"

#define SALT_SIZE 16
#define HASH_SIZE 32
#define PASSWORD_MAX 1024
/* The one set of parameters in use; a line with others is refused, so that a hash cannot ask for any amount of memory. */
#define PREFIX "$scrypt$ln=14,r=8,p=5$"

static int derive(const char *password, const uint8_t *salt, uint8_t hash[static HASH_SIZE], struct err *err)
{
	size_t len = strnlen(password, PASSWORD_MAX + 1);

	if (len == 0 || len > PASSWORD_MAX)
		return err_set(err, ERR_INVALID, "a password has 1 to %d bytes", PASSWORD_MAX);
	if (EVP_PBE_scrypt(password, len, salt, SALT_SIZE, 1 << 14, 8, 5, 64 << 20, hash, HASH_SIZE) != 1)
		return crypto_openssl_error(err, -ENOMEM, "cannot hash the password");
	return 0;
}

static int format(const uint8_t salt[static SALT_SIZE], const uint8_t hash[static HASH_SIZE], struct buf *to,
		  struct err *err)
{
	char salt_hex[2 * SALT_SIZE + 1], hash_hex[2 * HASH_SIZE + 1];
	int r;

	str_hex(salt_hex, salt, SALT_SIZE);
	str_hex(hash_hex, hash, HASH_SIZE);
	r = buf_printf(to, PREFIX "%s$%s", salt_hex, hash_hex);
	return r < 0 ? err_sys(err, r, "cannot format the password's hash") : 0;
}

int crypto_password_hash(const char *password, struct buf *to, struct err *err)
{
	uint8_t salt[SALT_SIZE], hash[HASH_SIZE];
	int r;

	crypto_random(salt, sizeof(salt));
	r = derive(password, salt, hash, err);
	if (r == 0)
		r = format(salt, hash, to, err);
	OPENSSL_cleanse(hash, sizeof(hash));
	return r;
}

int crypto_password_decoy(struct buf *to, struct err *err)
{
	uint8_t salt[SALT_SIZE], hash[HASH_SIZE];

	crypto_random(salt, sizeof(salt));
	crypto_random(hash, sizeof(hash));
	return format(salt, hash, to, err);
}

static int parse(const char *line, uint8_t salt[static SALT_SIZE], uint8_t hash[static HASH_SIZE])
{
	char salt_hex[2 * SALT_SIZE + 1];

	if (!str_starts(line, PREFIX) || strlen(line) != strlen(PREFIX) + 2 * SALT_SIZE + 1 + 2 * HASH_SIZE)
		return -EINVAL;
	line += strlen(PREFIX);
	memcpy(salt_hex, line, 2 * SALT_SIZE);
	salt_hex[2 * SALT_SIZE] = '\0';
	line += 2 * SALT_SIZE;
	if (*line++ != '$' || str_unhex(salt, SALT_SIZE, salt_hex) < 0)
		return -EINVAL;
	return str_unhex(hash, HASH_SIZE, line);
}

int crypto_password_check(const char *password, const char *line, struct err *err)
{
	uint8_t salt[SALT_SIZE], hash[HASH_SIZE], given[HASH_SIZE];
	int r;

	if (parse(line, salt, hash) < 0)
		return err_set(err, ERR_SYNTAX, "the password's hash is not one line of '" PREFIX "SALT$HASH'");
	r = derive(password, salt, given, err);
	if (r < 0)
		return r;
	r = crypto_equal(hash, given, HASH_SIZE);
	OPENSSL_cleanse(given, sizeof(given));
	return r ? 0 : err_set(err, ERR_UNKNOWN_PEER, "the password does not match");
}
