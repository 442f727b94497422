/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "crypto/unwrap_internal.h"

#define SLOTS_MAX 64
#define PIN_MAX 256
#define ATTRIBUTES_MAX 8

CLEANUP_DEFINE(uri, P11KitUri *, p11_kit_uri_free)

struct token_key {
	struct unwrap_key key;
	CK_FUNCTION_LIST *module;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE object;
};

static int failed(struct err *err, const char *what, CK_RV rv)
{
	return err_set(err, rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED ? ERR_DENIED : ERR_UNAVAILABLE,
		       "the token cannot %s: %s", what, p11_kit_strerror(rv));
}

/* --- operations --- */

static struct token_key *token_of(const struct unwrap_key *key)
{
	return (struct token_key *)(uintptr_t)key;
}

static void free_token(struct unwrap_key *key)
{
	struct token_key *token = token_of(key);

	if (token->session)
		(void)token->module->C_CloseSession(token->session);
	if (token->module) {
		(void)p11_kit_module_finalize(token->module);
		p11_kit_module_release(token->module);
	}
	free(token);
}

static int oaep_in_token(const struct unwrap_key *key, bool sha256, const uint8_t *block, size_t len, uint8_t *to,
			 size_t size, size_t *ret_len, struct err *err)
{
	const struct token_key *token = token_of(key);
	CK_RSA_PKCS_OAEP_PARAMS params = {.hash_alg = sha256 ? CKM_SHA256 : CKM_SHA_1,
					  .mgf = sha256 ? CKG_MGF1_SHA256 : CKG_MGF1_SHA1,
					  .source = CKZ_DATA_SPECIFIED};
	CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &params, sizeof(params)};
	uint8_t plain[UNWRAP_RSA_MAX];
	CK_ULONG plain_len = sizeof(plain);
	CK_RV rv = token->module->C_DecryptInit(token->session, &mechanism, token->object);
	bool ok;

	if (rv == CKR_OK)
		rv = token->module->C_Decrypt(token->session, (CK_BYTE_PTR)(uintptr_t)block, len, plain, &plain_len);
	ok = rv == CKR_OK && plain_len <= size;
	if (ok) {
		memcpy(to, plain, plain_len);
		*ret_len = plain_len;
	}
	OPENSSL_cleanse(plain, sizeof(plain));
	return ok ? 0 : err_set(err, ERR_DENIED, "it was wrapped for another RSA key");
}

static int agree_in_token(const struct unwrap_key *key, const uint8_t *point, size_t len, uint8_t *secret,
			  size_t *ret_len, struct err *err)
{
	const struct token_key *token = token_of(key);
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG size = key->size;
	CK_ATTRIBUTE template[] = {
		{CKA_CLASS, &class, sizeof(class)},   {CKA_KEY_TYPE, &type, sizeof(type)},
		{CKA_TOKEN, &no, sizeof(no)},         {CKA_SENSITIVE, &no, sizeof(no)},
		{CKA_EXTRACTABLE, &yes, sizeof(yes)}, {CKA_VALUE_LEN, &size, sizeof(size)},
	};
	CK_ECDH1_DERIVE_PARAMS params = {.kdf = CKD_NULL,
					 .public_data = (unsigned char *)(uintptr_t)point,
					 .public_data_len = len};
	CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &params, sizeof(params)};
	CK_ATTRIBUTE value = {CKA_VALUE, secret, UNWRAP_SECRET_MAX};
	CK_OBJECT_HANDLE derived = 0;
	CK_RV rv = token->module->C_DeriveKey(token->session, &mechanism, token->object, template, ARRAY_SIZE(template),
					      &derived);

	if (rv != CKR_OK)
		return err_set(err, ERR_INVALID, "two keys do not agree on a secret");
	rv = token->module->C_GetAttributeValue(token->session, derived, &value, 1);
	(void)token->module->C_DestroyObject(token->session, derived);
	if (rv != CKR_OK || value.ulValueLen != key->size)
		return err_set(err, ERR_INVALID, "two keys do not agree on a secret");
	*ret_len = key->size;
	return 0;
}

static const struct unwrap_operations in_token = {oaep_in_token, agree_in_token, free_token};

/* --- finding the key --- */

static int find_slot(const struct token_key *token, P11KitUri *uri, CK_SLOT_ID *ret_slot, struct err *err)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	CK_RV rv = token->module->C_GetSlotList(CK_TRUE, slots, &count);

	if (rv != CKR_OK)
		return failed(err, "list its slots", rv);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO info;

		if (token->module->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
		    p11_kit_uri_match_token_info(uri, &info)) {
			*ret_slot = slots[i];
			return 0;
		}
	}
	return err_set(err, ERR_NOT_FOUND, "no token is the one of the URI");
}

static int read_pin(P11KitUri *uri, struct buf *to, struct err *err)
{
	const char *source = p11_kit_uri_get_pin_source(uri), *value = p11_kit_uri_get_pin_value(uri);
	int r;

	if (!source)
		return value && buf_puts(to, value) < 0 ? err_sys(err, -ENOMEM, "cannot read a PIN") : 0;
	if (str_starts(source, "file:"))
		source += strlen("file:");
	if (source[0] != '/')
		return err_set(err, ERR_INVALID, "pin-source is not the absolute path of a file");
	r = fdio_read_file(AT_FDCWD, source, to, err);
	while (r == 0 && to->len && (to->data[to->len - 1] == '\n' || to->data[to->len - 1] == '\r'))
		to->data[--to->len] = '\0';
	return r;
}

static int login(struct token_key *token, P11KitUri *uri, struct err *err)
{
	CLEANUP_BUF struct buf pin = buf_of(PIN_MAX);
	CK_SLOT_ID slot = 0;
	CK_RV rv;
	int r = find_slot(token, uri, &slot, err);

	if (r < 0)
		return r;
	rv = token->module->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session);
	if (rv != CKR_OK)
		return failed(err, "open a session", rv);
	r = read_pin(uri, &pin, err);
	if (r == 0 && pin.len) {
		rv = token->module->C_Login(token->session, CKU_USER, (CK_UTF8CHAR_PTR)pin.data, pin.len);
		r = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN ? 0 : failed(err, "log in", rv);
	}
	if (pin.data)
		OPENSSL_cleanse(pin.data, pin.cap);
	return r;
}

static int find_object(struct token_key *token, P11KitUri *uri, struct err *err)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE template[ATTRIBUTES_MAX] = {{CKA_CLASS, &class, sizeof(class)}};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG given = 0, count = 0, used = 1;
	CK_ATTRIBUTE *attributes = p11_kit_uri_get_attributes(uri, &given);
	CK_RV rv;

	for (CK_ULONG i = 0; i < given && used < ATTRIBUTES_MAX; i++)
		if (attributes[i].type == CKA_LABEL || attributes[i].type == CKA_ID)
			template[used++] = attributes[i];
	rv = token->module->C_FindObjectsInit(token->session, template, used);
	if (rv == CKR_OK) {
		rv = token->module->C_FindObjects(token->session, found, ARRAY_SIZE(found), &count);
		(void)token->module->C_FindObjectsFinal(token->session);
	}
	if (rv != CKR_OK)
		return failed(err, "find a key", rv);
	if (count != 1)
		return err_set(err, ERR_NOT_FOUND, "the token has %s private key of that name",
			       count ? "more than one" : "no");
	token->object = found[0];
	return 0;
}

static int read_kind(struct token_key *token, struct err *err)
{
	static const struct {
		uint8_t oid[10];
		size_t len;
		enum unwrap_kind kind;
	} curves[] = {
		{{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 10, UNWRAP_P256},
		{{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}, 7, UNWRAP_P384},
		{{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23}, 7, UNWRAP_P521},
	};
	CK_KEY_TYPE type = 0;
	uint8_t bytes[UNWRAP_RSA_MAX];
	CK_ATTRIBUTE kind = {CKA_KEY_TYPE, &type, sizeof(type)}, modulus = {CKA_MODULUS, bytes, sizeof(bytes)},
		     parameters = {CKA_EC_PARAMS, bytes, sizeof(bytes)};

	if (token->module->C_GetAttributeValue(token->session, token->object, &kind, 1) != CKR_OK)
		return err_set(err, ERR_INVALID, "a key is neither RSA nor on P-256, P-384 or P-521");
	if (type == CKK_RSA &&
	    token->module->C_GetAttributeValue(token->session, token->object, &modulus, 1) == CKR_OK &&
	    modulus.ulValueLen >= 256) {
		token->key.kind = UNWRAP_RSA;
		token->key.size = modulus.ulValueLen;
		return 0;
	}
	if (type == CKK_EC &&
	    token->module->C_GetAttributeValue(token->session, token->object, &parameters, 1) == CKR_OK)
		for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
			if (parameters.ulValueLen == curves[i].len &&
			    memcmp(bytes, curves[i].oid, curves[i].len) == 0) {
				token->key.kind = curves[i].kind;
				token->key.size = unwrap_curve_size(curves[i].kind);
				return 0;
			}
	return err_set(err, ERR_INVALID, "a key is neither RSA of 2048 to 4096 bits nor on P-256, P-384 or P-521");
}

static int load_module(struct token_key *token, P11KitUri *uri, struct err *err)
{
	const char *path = p11_kit_uri_get_module_path(uri);
	CK_RV rv;

	if (!path || path[0] != '/')
		return err_set(err, ERR_SYNTAX, "a PKCS#11 URI has no module-path, or not an absolute one");
	token->module = p11_kit_module_load(path, 0);
	if (!token->module)
		return err_set(err, ERR_NOT_FOUND, "cannot load the PKCS#11 module '%.300s'", path);
	rv = p11_kit_module_initialize(token->module);
	if (rv == CKR_OK)
		return 0;
	p11_kit_module_release(token->module);
	token->module = NULL;
	return failed(err, "begin", rv);
}

int token_key_open(const char *text, struct unwrap_key **ret_key, struct err *err)
{
	CLEANUP(cleanup_uri) P11KitUri *uri = p11_kit_uri_new();
	struct token_key *token;
	int r;

	if (!uri || p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK)
		return err_set(err, ERR_SYNTAX, "it is no PKCS#11 URI of RFC 7512");
	token = calloc(1, sizeof(*token));
	if (!token)
		return err_sys(err, -ENOMEM, "cannot open a token");
	token->key.operations = &in_token;
	r = load_module(token, uri, err);
	if (r == 0)
		r = login(token, uri, err);
	if (r == 0)
		r = find_object(token, uri, err);
	if (r == 0)
		r = read_kind(token, err);
	if (r < 0) {
		free_token(&token->key);
		return r;
	}
	*ret_key = &token->key;
	return 0;
}
