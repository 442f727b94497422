/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/media.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static const struct {
	const char *type;
	struct media media;
} types[] = {
	{MEDIA_OCI_MANIFEST, {.kind = MEDIA_MANIFEST}},
	{MEDIA_OCI_INDEX, {.kind = MEDIA_INDEX}},
	{MEDIA_OCI_CONFIG, {.kind = MEDIA_CONFIG}},
	{"application/vnd.oci.image.layer.v1.tar", {.kind = MEDIA_LAYER}},
	{"application/vnd.oci.image.layer.v1.tar+gzip", {.kind = MEDIA_LAYER, .compression = MEDIA_GZIP}},
	{"application/vnd.oci.image.layer.v1.tar+zstd", {.kind = MEDIA_LAYER, .compression = MEDIA_ZSTD}},
	{MEDIA_DOCKER_MANIFEST, {.kind = MEDIA_MANIFEST}},
	{MEDIA_DOCKER_LIST, {.kind = MEDIA_INDEX}},
	{"application/vnd.docker.container.image.v1+json", {.kind = MEDIA_CONFIG}},
	{"application/vnd.docker.image.rootfs.diff.tar", {.kind = MEDIA_LAYER}},
	{"application/vnd.docker.image.rootfs.diff.tar.gzip", {.kind = MEDIA_LAYER, .compression = MEDIA_GZIP}},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", {.kind = MEDIA_LAYER, .compression = MEDIA_ZSTD}},
};

struct media media_of(const char *type)
{
	static const char suffix[] = "+encrypted";
	size_t len = strlen(type);
	bool encrypted = str_ends(type, suffix);

	if (encrypted)
		len -= sizeof(suffix) - 1;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct media media = types[i].media;

		if (strlen(types[i].type) != len || memcmp(types[i].type, type, len) != 0)
			continue;
		if (encrypted && media.kind != MEDIA_LAYER)
			break;
		media.encrypted = encrypted;
		return media;
	}
	return (struct media){.kind = MEDIA_OTHER};
}

static size_t restricted_name(const char *at)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&-^_.+";
	size_t len = strspn(at, letters);

	return len >= 1 && len <= 127 && !strchr("!#$&-^_.+", at[0]) ? len : 0;
}

bool media_is_type(const char *type)
{
	size_t first = restricted_name(type), second;

	if (!first || type[first] != '/')
		return false;
	second = restricted_name(type + first + 1);
	return second && !type[first + 1 + second];
}
