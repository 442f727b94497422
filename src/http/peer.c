/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

#include "http/server_internal.h"

/*
 * GnuTLS returns success with a status that is not zero for a certificate that does not verify, and checks the purpose only
 * when it is told one: both are needed here.
 */
static bool is_verified(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
					 .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = ~0U;

	return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == GNUTLS_E_SUCCESS && status == 0;
}

/* MHD closes without a word when a handshake fails: the peer is told here why. */
static int refuse(gnutls_session_t session, gnutls_alert_description_t alert)
{
	(void)gnutls_alert_send(session, GNUTLS_AL_FATAL, alert);
	return GNUTLS_E_CERTIFICATE_ERROR;
}

static bool shows_certificate(gnutls_session_t session)
{
	unsigned count = 0;

	return gnutls_certificate_get_peers(session, &count) && count > 0;
}

static int refuse_unverified(gnutls_session_t session)
{
	if (!shows_certificate(session) || is_verified(session))
		return 0;
	return refuse(session, GNUTLS_A_BAD_CERTIFICATE);
}

static int refuse_unverified_or_absent(gnutls_session_t session)
{
	if (!shows_certificate(session))
		return refuse(session, GNUTLS_A_CERTIFICATE_REQUIRED);
	return refuse_unverified(session);
}

void peer_guard_session(gnutls_session_t session, bool required)
{
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	gnutls_session_set_verify_function(session, required ? refuse_unverified_or_absent : refuse_unverified);
}

/* Copies the index-th value of an attribute; 1 when there is none, negative when it cannot be taken as it is. */
static int name_part(gnutls_x509_crt_t certificate, const char *oid, unsigned index, char *to, size_t size)
{
	size_t len = size;
	int r = gnutls_x509_crt_get_dn_by_oid(certificate, oid, index, 0, to, &len);

	if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
		to[0] = '\0';
		return 1;
	}
	return r == GNUTLS_E_SUCCESS && strlen(to) == len && len > 0 ? 0 : -EINVAL;
}

static int read_names(gnutls_x509_crt_t certificate, struct http_peer *peer)
{
	char extra[8];
	int r;

	if (name_part(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, peer->common_name, sizeof(peer->common_name)) != 0 ||
	    name_part(certificate, GNUTLS_OID_X520_COMMON_NAME, 1, extra, sizeof(extra)) != 1)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(peer->organizations); i++) {
		r = name_part(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, i, peer->organizations[i],
			      sizeof(peer->organizations[i]));
		if (r != 0)
			return r < 0 ? r : 0;
		peer->organization_count++;
	}
	r = name_part(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, ARRAY_SIZE(peer->organizations), extra,
		      sizeof(extra));
	return r == 1 ? 0 : -EINVAL;
}

/* Whether the issuer has one common name, and it is this. */
static bool is_issued_by(gnutls_x509_crt_t certificate, const char *issuer)
{
	char name[128];
	size_t len = sizeof(name);

	return gnutls_x509_crt_get_issuer_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) ==
		       GNUTLS_E_SUCCESS &&
	       strlen(name) == len && strcmp(name, issuer) == 0;
}

static bool is_beyond_limit(const struct http_server_config *config, gnutls_x509_crt_t certificate,
			    const struct http_peer *peer)
{
	return config->limited_issuer && is_issued_by(certificate, config->limited_issuer) &&
	       (peer->organization_count != 1 || strcmp(peer->organizations[0], config->limited_organization) != 0);
}

static int read_certificate(const struct http_server_config *config, const gnutls_datum_t *der, struct http_peer *peer)
{
	size_t size = sizeof(peer->certificate_sha256);
	gnutls_x509_crt_t certificate;
	int r;

	if (gnutls_fingerprint(GNUTLS_DIG_SHA256, der, peer->certificate_sha256, &size) != GNUTLS_E_SUCCESS ||
	    gnutls_x509_crt_init(&certificate) != GNUTLS_E_SUCCESS)
		return -ENOMEM;
	r = gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS
		    ? read_names(certificate, peer)
		    : -EINVAL;
	if (r == 0 && is_beyond_limit(config, certificate, peer))
		r = -EACCES;
	gnutls_x509_crt_deinit(certificate);
	return r;
}

int peer_identify(gnutls_session_t session, const struct http_server_config *config, struct http_peer *peer,
		  struct err *err)
{
	const gnutls_datum_t *chain;
	unsigned count = 0;
	int r;

	/* The handshake has refused all these already; nobody gets further should it ever not have. */
	chain = session ? gnutls_certificate_get_peers(session, &count) : NULL;
	if (!chain || count == 0)
		return config->client_required ? err_set(err, ERR_UNKNOWN_PEER, "a client certificate is required") : 0;
	if (!is_verified(session))
		return err_set(err, ERR_UNKNOWN_PEER, "the client certificate does not verify");
	r = read_certificate(config, &chain[0], peer);
	if (r < 0)
		*peer = (struct http_peer){0};
	if (r == -EACCES)
		return err_set(err, ERR_UNKNOWN_PEER, "the client certificate's issuer may not certify such a name");
	return r < 0 ? err_set(err, ERR_UNKNOWN_PEER, "the client certificate's names cannot be read") : 0;
}
