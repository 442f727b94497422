/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/registries.h"

int registries_client(struct cism *cism, const char *host, struct http_client **ret_client, struct err *err)
{
	const struct cism_config_registry *registry = cism_config_registry(&cism->config, host);
	struct http_client_config config = {
		.ca = registry && registry->ca ? registry->ca : cism->ca,
		.certificate = cism->client_certificate,
		.key = cism->client_key,
		.connect_ms = REGISTRIES_ASK_MS,
		.stall_ms = REGISTRIES_ASK_MS,
	};

	if (registry)
		return http_client_new(&config, ret_client, err);
	(void)err_set(err, ERR_DENIED, "registry '%s' is not among those the CISM may contact", host);
	return err_hint(err, "name it under \"registries\" in cism.json");
}
