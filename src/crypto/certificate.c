/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "crypto/key_internal.h"

/* In an arc of no registered owner; certificates with it never leave the cluster. */
#define BINDING_OID "1.3.6.1.4.1.59999.1.1"
#define LIFETIME_MAX ((int64_t)100 * 366 * 86400)
/* A certificate is valid a little before it was made, for clocks that are behind. */
#define BACKDATE_SECONDS 300
#define PEM_MAX ((size_t)64 << 10)

CLEANUP_DEFINE(x509, X509 *, X509_free)

static const struct purpose_row {
	const char *word;
	const char *constraints;
	const char *key_usage;
	const char *extended_key_usage; /* NULL: none */
	int openssl_purpose;
} purposes[] = {
	[CRYPTO_PURPOSE_CA] = {"a CA", "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL,
			       X509_PURPOSE_ANY},
	[CRYPTO_PURPOSE_SERVER] = {"a TLS server", "critical,CA:FALSE", "critical,digitalSignature",
				   "serverAuth,clientAuth", X509_PURPOSE_SSL_SERVER},
	[CRYPTO_PURPOSE_CLIENT] = {"a TLS client", "critical,CA:FALSE", "critical,digitalSignature", "clientAuth",
				   X509_PURPOSE_SSL_CLIENT},
	[CRYPTO_PURPOSE_BINDING] = {"binding", "critical,CA:FALSE", "critical,digitalSignature",
				    "critical," BINDING_OID, X509_PURPOSE_ANY},
};

/* Reads the only certificate of a PEM text and nothing else: the text must be what this certificate is written as. */
static int read_one(const char *pem, X509 **ret_certificate, struct err *err)
{
	size_t len = strnlen(pem, PEM_MAX + 1);
	CLEANUP(cleanup_x509) X509 *certificate = NULL;
	BIO *in, *out = NULL;
	char *again;
	bool same;

	if (len > PEM_MAX)
		return err_set(err, ERR_TOO_LARGE, "a certificate is over the maximum of %zu bytes", PEM_MAX);
	in = BIO_new_mem_buf(pem, (int)len);
	certificate = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	ERR_clear_error();
	if (!certificate)
		return err_set(err, ERR_SYNTAX,
			       "cannot read the certificate: its text is not exactly one certificate in PEM");
	out = BIO_new(BIO_s_mem());
	same = out && PEM_write_bio_X509(out, certificate) == 1 && (size_t)BIO_get_mem_data(out, &again) == len &&
	       memcmp(again, pem, len) == 0;
	BIO_free(out);
	if (!same)
		return err_set(err, ERR_SYNTAX,
			       "cannot read the certificate: its text is not exactly one certificate in PEM");
	*ret_certificate = take_ptr(certificate);
	return 0;
}

static int add_extension(X509 *certificate, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = extension && X509_add_ext(certificate, extension, -1);

	X509_EXTENSION_free(extension);
	return ok ? 0 : -EINVAL;
}

static GENERAL_NAME *general_name(const char *name)
{
	GENERAL_NAME *entry = GENERAL_NAME_new();
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	uint8_t address[16];
	int len = inet_pton(AF_INET, name, address) == 1 ? 4 : inet_pton(AF_INET6, name, address) == 1 ? 16 : 0;

	if (!entry || !value ||
	    !ASN1_OCTET_STRING_set(value, len ? address : (const uint8_t *)name, len ? len : (int)strlen(name))) {
		GENERAL_NAME_free(entry);
		ASN1_OCTET_STRING_free(value);
		return NULL;
	}
	value->type = len ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING;
	GENERAL_NAME_set0_value(entry, len ? GEN_IPADD : GEN_DNS, value);
	return entry;
}

static int add_names(X509 *certificate, const char *const *names)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	bool ok = list != NULL;

	for (size_t i = 0; ok && names[i]; i++) {
		GENERAL_NAME *entry = general_name(names[i]);

		ok = entry && sk_GENERAL_NAME_push(list, entry) > 0;
		if (!ok)
			GENERAL_NAME_free(entry);
	}
	ok = ok && X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(list);
	return ok ? 0 : -EINVAL;
}

static int add_extensions(X509 *certificate, X509 *issuer, const struct crypto_certificate_request *request)
{
	const struct purpose_row *row = &purposes[request->purpose];
	X509V3_CTX ctx;
	int r;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
	r = add_extension(certificate, &ctx, NID_basic_constraints, row->constraints);
	if (r == 0)
		r = add_extension(certificate, &ctx, NID_key_usage, row->key_usage);
	if (r == 0 && row->extended_key_usage)
		r = add_extension(certificate, &ctx, NID_ext_key_usage, row->extended_key_usage);
	if (r == 0)
		r = add_extension(certificate, &ctx, NID_subject_key_identifier, "hash");
	if (r == 0 && issuer != certificate)
		r = add_extension(certificate, &ctx, NID_authority_key_identifier, "keyid:always");
	if (r == 0 && request->names && request->names[0])
		r = add_names(certificate, request->names);
	return r;
}

static int set_subject(X509 *certificate, const struct crypto_certificate_request *request)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	const char *const *organization = request->organizations;

	for (; organization && *organization; organization++)
		if (X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
					       (const uint8_t *)*organization, -1, -1, 0) != 1)
			return -EINVAL;
	if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const uint8_t *)request->common_name, -1,
				       -1, 0) != 1)
		return -EINVAL;
	return 0;
}

static int set_serial(X509 *certificate)
{
	uint8_t bytes[16];
	BIGNUM *number;
	bool ok;

	crypto_random(bytes, sizeof(bytes));
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of the same length */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return ok ? 0 : -ENOMEM;
}

/* From a little before now for the lifetime, but never longer than the issuer. */
static int set_times(X509 *certificate, const X509 *issuer, int64_t lifetime_s)
{
	time_t end = time(NULL) + (time_t)lifetime_s;

	if (!X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE_SECONDS))
		return -EINVAL;
	if (issuer != certificate && ASN1_TIME_cmp_time_t(X509_get0_notAfter(issuer), end) < 0)
		return X509_set1_notAfter(certificate, X509_get0_notAfter(issuer)) == 1 ? 0 : -EINVAL;
	return ASN1_TIME_set(X509_getm_notAfter(certificate), end) ? 0 : -EINVAL;
}

static int fill(X509 *certificate, X509 *issuer, const struct crypto_certificate_request *request,
		const struct crypto_key *key, const struct crypto_key *ca_key)
{
	int r = X509_set_version(certificate, X509_VERSION_3) == 1 ? set_serial(certificate) : -EINVAL;

	if (r == 0)
		r = set_times(certificate, issuer, request->lifetime_s);
	if (r == 0)
		r = set_subject(certificate, request);
	if (r == 0 && (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1 ||
		       X509_set_pubkey(certificate, key->pkey) != 1))
		r = -EINVAL;
	if (r == 0)
		r = add_extensions(certificate, issuer, request);
	if (r == 0 && X509_sign(certificate, ca_key->pkey, crypto_md_sha256()) == 0)
		r = -EINVAL;
	return r;
}

static int append_pem(const X509 *certificate, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int r = -ENOMEM;
	char *bytes;
	long len;

	if (bio && PEM_write_bio_X509(bio, certificate) == 1) {
		len = BIO_get_mem_data(bio, &bytes);
		r = buf_append(pem, bytes, (size_t)len);
	}
	BIO_free(bio);
	return r;
}

static int check_issuer(X509 *issuer, const struct crypto_key *ca_key, struct err *err)
{
	if (X509_check_ca(issuer) != 1)
		return err_set(err, ERR_INVALID, "the issuing certificate is not that of a CA");
	if (X509_check_private_key(issuer, ca_key->pkey) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_INVALID, "the CA's key does not belong to the CA's certificate");
	}
	return 0;
}

int crypto_certificate_issue(const struct crypto_certificate_request *request, const struct crypto_key *key,
			     const char *ca_pem, const struct crypto_key *ca_key, struct buf *pem, struct err *err)
{
	CLEANUP(cleanup_x509) X509 *certificate = X509_new();
	CLEANUP(cleanup_x509) X509 *issuer = NULL;
	bool is_ca = request->purpose == CRYPTO_PURPOSE_CA;
	int r;

	if (!certificate)
		return err_set(err, -ENOMEM, "no memory for a certificate");
	if (request->lifetime_s <= 0 || request->lifetime_s > LIFETIME_MAX)
		return err_set(err, ERR_INVALID, "a certificate's lifetime is 1 second to 100 years");
	if (is_ca == (ca_pem != NULL))
		return err_set(err, ERR_INVALID, "a CA signs itself, every other certificate is signed by the CA");
	r = is_ca ? 0 : read_one(ca_pem, &issuer, err);
	if (r == 0 && !is_ca)
		r = check_issuer(issuer, ca_key, err);
	if (r < 0)
		return r;
	r = fill(certificate, is_ca ? certificate : issuer, request, key, is_ca ? key : ca_key);
	if (r < 0) {
		char text[256];

		(void)snprintf(text, sizeof(text), "cannot issue a certificate for '%.128s'", request->common_name);
		return crypto_openssl_error(err, r, text);
	}
	r = append_pem(certificate, pem);
	return r < 0 ? err_sys(err, r, "cannot write the certificate of '%s'", request->common_name) : 0;
}

int crypto_certificate_left(const char *pem, int64_t *ret_seconds, struct err *err)
{
	CLEANUP(cleanup_x509) X509 *certificate = NULL;
	int days, seconds;
	int r = read_one(pem, &certificate, err);

	if (r < 0)
		return r;
	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
		return crypto_openssl_error(err, ERR_SYNTAX, "cannot read the certificate's end");
	*ret_seconds = (int64_t)days * 86400 + seconds;
	return 0;
}

int crypto_certificate_sha256(const char *pem, uint8_t digest[static CRYPTO_SHA256_SIZE], struct err *err)
{
	CLEANUP(cleanup_x509) X509 *certificate = NULL;
	int r = read_one(pem, &certificate, err);

	if (r < 0)
		return r;
	if (X509_digest(certificate, crypto_md_sha256(), digest, NULL) != 1)
		return crypto_openssl_error(err, -EIO, "cannot digest the certificate");
	return 0;
}

/* Fills a store with every CA certificate of the PEM text: more than one while a CA is being replaced. */
static int read_cas(const char *ca_pem, X509_STORE *store, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(ca_pem, -1);
	size_t count = 0;
	bool ok = bio != NULL;
	X509 *ca;

	while (ok && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		ok = X509_STORE_add_cert(store, ca) == 1;
		X509_free(ca);
		count++;
	}
	BIO_free(bio);
	ERR_clear_error();
	return ok && count ? 0 : err_set(err, ERR_SYNTAX, "cannot read the CA's certificate");
}

static int chain_error(X509_STORE_CTX *ctx, struct err *err)
{
	int code = X509_STORE_CTX_get_error(ctx);

	ERR_clear_error();
	if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID)
		return err_set(err, ERR_EXPIRED, "the certificate is out of its time: %s",
			       X509_verify_cert_error_string(code));
	return err_set(err, ERR_UNKNOWN_PEER, "the certificate does not verify: %s",
		       X509_verify_cert_error_string(code));
}

static int verify_chain(X509 *certificate, const char *ca_pem, int openssl_purpose, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int r = store && ctx ? read_cas(ca_pem, store, err)
			     : err_set(err, -ENOMEM, "no memory to verify a certificate");

	if (r == 0 && X509_STORE_CTX_init(ctx, store, certificate, NULL) != 1)
		r = crypto_openssl_error(err, -ENOMEM, "cannot verify the certificate");
	if (r == 0) {
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
		(void)X509_STORE_CTX_set_purpose(ctx, openssl_purpose);
		if (X509_verify_cert(ctx) != 1)
			r = chain_error(ctx, err);
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return r;
}

/* Whether the extended key usage is binding alone, and critical, on a certificate that is no CA's. */
static bool is_for_binding(X509 *certificate)
{
	int critical;
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, NULL);
	char oid[64];
	bool ok;

	ok = usage && critical == 1 && sk_ASN1_OBJECT_num(usage) == 1 &&
	     OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(usage, 0), 1) > 0 && strcmp(oid, BINDING_OID) == 0;
	EXTENDED_KEY_USAGE_free(usage);
	ERR_clear_error();
	return ok && X509_check_ca(certificate) == 0 && X509_get_key_usage(certificate) == KU_DIGITAL_SIGNATURE;
}

static bool has_purpose(X509 *certificate, enum crypto_purpose purpose)
{
	switch (purpose) {
	case CRYPTO_PURPOSE_CA:
		return X509_check_ca(certificate) == 1;
	case CRYPTO_PURPOSE_SERVER:
	case CRYPTO_PURPOSE_CLIENT:
		return X509_check_purpose(certificate, purposes[purpose].openssl_purpose, 0) == 1 &&
		       (X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE);
	case CRYPTO_PURPOSE_BINDING:
		return is_for_binding(certificate);
	}
	return false;
}

static int verify_signature(X509 *certificate, const void *bytes, size_t len, const uint8_t *signature,
			    size_t signature_len, struct err *err)
{
	EVP_PKEY *pkey = X509_get0_pubkey(certificate);
	EVP_MD_CTX *ctx;
	int ok;

	if (!pkey || !crypto_pkey_is_p256(pkey))
		return err_set(err, ERR_UNKNOWN_PEER, "the certificate's key is not an ECDSA key on P-256");
	ctx = EVP_MD_CTX_new();
	if (!ctx)
		return err_set(err, -ENOMEM, "no memory to verify a signature");
	ok = EVP_DigestVerifyInit(ctx, NULL, crypto_md_sha256(), NULL, pkey) == 1 &&
	     EVP_DigestVerify(ctx, signature, signature_len, bytes, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0
		  : err_set(err, ERR_UNKNOWN_PEER, "the signature is not by the certificate's key over these bytes");
}

int crypto_verify(const char *pem, const char *ca_pem, enum crypto_purpose purpose, const void *bytes, size_t len,
		  const uint8_t *signature, size_t signature_len, struct err *err)
{
	CLEANUP(cleanup_x509) X509 *certificate = NULL;
	int r = read_one(pem, &certificate, err);

	if (r == 0 && !has_purpose(certificate, purpose))
		r = err_set(err, ERR_UNKNOWN_PEER, "the certificate is not one for %s", purposes[purpose].word);
	if (r == 0)
		r = verify_chain(certificate, ca_pem, purposes[purpose].openssl_purpose, err);
	if (r == 0)
		r = verify_signature(certificate, bytes, len, signature, signature_len, err);
	return r;
}
