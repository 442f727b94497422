/* SPDX-License-Identifier: Apache-2.0 */
/* Every document of src/oci from the same bytes: manifest or index, image configuration, reference. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/image_config.h"
#include "oci/manifest.h"
#include "oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_reference(const char *text)
{
	char again[REFERENCE_TEXT_SIZE];
	struct reference reference, second;
	struct err err;

	if (reference_parse(text, &reference, &err) < 0)
		return;
	reference_format(&reference, again);
	if (strcmp(again, text) != 0 || reference_parse(again, &second, &err) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	CLEANUP_FREE char *text = strndup(bytes, size);
	const struct descriptor *entry;
	struct image_config config;
	struct manifest manifest;
	struct err err;
	uid_t uid;
	gid_t gid;

	if (!text)
		return 0;
	if (manifest_parse(bytes, size, NULL, &manifest, &err) == 0) {
		if (manifest_select(&manifest, "linux", "amd64", &entry, &err) == 0 &&
		    media_of(entry->media_type).kind != MEDIA_MANIFEST)
			abort();
		(void)manifest_annotation(manifest.annotations, "k");
		manifest_done(&manifest);
	}
	if (manifest_parse(bytes, size, MEDIA_DOCKER_MANIFEST, &manifest, &err) == 0)
		manifest_done(&manifest);
	if (image_config_parse(bytes, size, &config, &err) == 0) {
		if (image_config_ids(&config, &uid, &gid, &err) == 0 && (uid > 65535 || gid > 65535))
			abort();
		image_config_done(&config);
	}
	read_reference(text);
	return 0;
}
