/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/csr.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "crypto/key_internal.h"

CLEANUP_DEFINE(x509_req, X509_REQ *, X509_REQ_free)

static int add_part(X509_NAME *name, int nid, const char *value)
{
	return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0) == 1 ? 0
													    : -EINVAL;
}

static int fill(X509_REQ *request, const struct crypto_key *key, const char *common_name, const char *organization)
{
	X509_NAME *name = X509_REQ_get_subject_name(request);

	if (X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
	    (organization && add_part(name, NID_organizationName, organization) < 0) ||
	    add_part(name, NID_commonName, common_name) < 0 || X509_REQ_set_pubkey(request, key->pkey) != 1 ||
	    X509_REQ_sign(request, key->pkey, crypto_md_sha256()) == 0)
		return -EINVAL;
	return 0;
}

static int append_pem(const X509_REQ *request, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int r = -ENOMEM;
	char *bytes;
	long len;

	if (bio && PEM_write_bio_X509_REQ(bio, (X509_REQ *)(uintptr_t)request) == 1) {
		len = BIO_get_mem_data(bio, &bytes);
		r = buf_append(pem, bytes, (size_t)len);
	}
	BIO_free(bio);
	return r;
}

int crypto_csr_make(const struct crypto_key *key, const char *common_name, const char *organization, struct buf *pem,
		    struct err *err)
{
	CLEANUP(cleanup_x509_req) X509_REQ *request = X509_REQ_new();

	if (!request)
		return err_set(err, -ENOMEM, "no memory for a certificate request");
	if (fill(request, key, common_name, organization) < 0)
		return crypto_openssl_error(err, -EINVAL, "cannot make a certificate request");
	return append_pem(request, pem) < 0 ? err_set(err, -ENOMEM, "no memory for a certificate request") : 0;
}

/* Only what is written as the request that was read: no text before, behind or between. */
static int read_one(const char *pem, X509_REQ **ret_request, struct err *err)
{
	size_t len = strnlen(pem, CRYPTO_CSR_MAX + 1);
	CLEANUP(cleanup_x509_req) X509_REQ *request = NULL;
	struct buf again CLEANUP(buf_done) = buf_of(2 * CRYPTO_CSR_MAX);
	BIO *in;

	if (len > CRYPTO_CSR_MAX)
		return err_set(err, ERR_TOO_LARGE, "a certificate request is over the maximum of %zu bytes",
			       CRYPTO_CSR_MAX);
	in = BIO_new_mem_buf(pem, (int)len);
	request = in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	ERR_clear_error();
	if (!request || append_pem(request, &again) < 0 || again.len != len || memcmp(again.data, pem, len) != 0)
		return err_set(err, ERR_SYNTAX, "its text is not exactly one certificate request in PEM");
	*ret_request = take_ptr(request);
	return 0;
}

static int read_part(const X509_NAME_ENTRY *entry, char *to, size_t size, struct err *err)
{
	const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
	int len = ASN1_STRING_length(value);
	const unsigned char *bytes = ASN1_STRING_get0_data(value);
	int type = ASN1_STRING_type(value);

	if (to[0])
		return err_set(err, ERR_INVALID, "the subject of the certificate request has a part twice");
	if ((type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) || len <= 0 || (size_t)len >= size ||
	    memchr(bytes, '\0', (size_t)len))
		return err_set(err, ERR_INVALID, "the subject of the certificate request is not plain text");
	memcpy(to, bytes, (size_t)len);
	to[len] = '\0';
	return 0;
}

static int read_subject(X509_REQ *request, struct crypto_csr *to, struct err *err)
{
	const X509_NAME *name = X509_REQ_get_subject_name(request);
	int r = 0;

	for (int i = 0; r == 0 && i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));

		if (nid == NID_commonName)
			r = read_part(entry, to->common_name, sizeof(to->common_name), err);
		else if (nid == NID_organizationName)
			r = read_part(entry, to->organization, sizeof(to->organization), err);
		else
			r = err_set(err, ERR_INVALID,
				    "the subject of the certificate request has more than a common name and an "
				    "organization");
	}
	if (r == 0 && !to->common_name[0])
		r = err_set(err, ERR_INVALID, "the certificate request has no common name");
	return r;
}

static int read_key(X509_REQ *request, struct crypto_csr *to, struct err *err)
{
	EVP_PKEY *pkey = X509_REQ_get0_pubkey(request);
	unsigned char *der = NULL;
	int len;

	ERR_clear_error();
	if (!pkey || !crypto_pkey_is_p256(pkey))
		return err_set(err, ERR_INVALID, "the key of the certificate request is not an ECDSA key on P-256");
	if (X509_REQ_verify(request, pkey) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_UNKNOWN_PEER, "the certificate request is not signed by its own key");
	}
	len = i2d_PUBKEY(pkey, &der);
	to->key = calloc(1, sizeof(*to->key));
	if (len <= 0 || !to->key) {
		OPENSSL_free(der);
		return err_set(err, -ENOMEM, "no memory for a certificate request");
	}
	crypto_sha256(der, (size_t)len, to->key_sha256);
	OPENSSL_free(der);
	(void)EVP_PKEY_up_ref(pkey);
	to->key->pkey = pkey;
	return 0;
}

int crypto_csr_read(const char *pem, struct crypto_csr *ret_csr, struct err *err)
{
	CLEANUP(cleanup_x509_req) X509_REQ *request = NULL;
	struct crypto_csr csr = {0};
	int r = read_one(pem, &request, err);

	if (r == 0 && X509_REQ_get_attr_count(request) > 0)
		r = err_set(err, ERR_INVALID, "the certificate request has attributes");
	if (r == 0)
		r = read_subject(request, &csr, err);
	if (r == 0)
		r = read_key(request, &csr, err);
	if (r < 0) {
		crypto_csr_done(&csr);
		return r;
	}
	*ret_csr = csr;
	return 0;
}

void crypto_csr_done(struct crypto_csr *csr)
{
	crypto_key_free(csr->key);
	csr->key = NULL;
}
