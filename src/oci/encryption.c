/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/encryption.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"

static int check_text(const char *name, const struct encryption_text *text, struct err *err)
{
	if (!text->len)
		return err_set(err, ERR_INVALID, "annotation '%s' has an empty part", name);
	if (text->len > ENCRYPTION_TEXT_MAX)
		return err_set(err, ERR_TOO_LARGE, "annotation '%s' has a part of %zu bytes, more than %d", name,
			       text->len, ENCRYPTION_TEXT_MAX);
	return 0;
}

static int read_packets(const char *list, struct encryption *to, struct err *err)
{
	while (true) {
		struct encryption_text packet = {.at = list, .len = strcspn(list, ",")};
		int r = check_text(ENCRYPTION_KEYS_JWE, &packet, err);

		if (r < 0)
			return r;
		if (to->packet_count == ENCRYPTION_PACKETS_MAX)
			return err_set(err, ERR_TOO_LARGE, "annotation '%s' has more than %d packets",
				       ENCRYPTION_KEYS_JWE, ENCRYPTION_PACKETS_MAX);
		to->packets[to->packet_count++] = packet;
		list += packet.len;
		if (!*list)
			return 0;
		list++;
	}
}

/* Says which schemes there are when none of them can be read. */
static int refuse_schemes(const json_t *annotations, struct err *err)
{
	char names[200] = "";
	size_t used = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)annotations, name, value) {
		int n;

		if (!str_starts(name, ENCRYPTION_KEYS))
			continue;
		n = snprintf(names + used, sizeof(names) - used, "%s'%.60s'", used ? ", " : "",
			     name + strlen(ENCRYPTION_KEYS));
		if (n < 0 || (size_t)n >= sizeof(names) - used)
			break;
		used += (size_t)n;
	}
	if (!used)
		return err_set(err, ERR_INVALID, "it is encrypted, and no annotation '%s' has its key",
			       ENCRYPTION_KEYS_JWE);
	(void)err_set(err, -EOPNOTSUPP, "its key is wrapped by %s, of which only 'jwe' is supported", names);
	return err_hint(err, "encrypt the image for a key of the kind 'jwe:PUBLIC.pem'");
}

int encryption_read(const json_t *annotations, struct encryption *ret_encryption, struct err *err)
{
	const char *options = json_string_value(json_object_get(annotations, ENCRYPTION_PUBLIC));
	const char *packets = json_string_value(json_object_get(annotations, ENCRYPTION_KEYS_JWE));
	struct encryption encryption = {0};
	int r;

	if (!packets)
		return refuse_schemes(annotations, err);
	if (!options)
		return err_set(err, ERR_INVALID, "it is encrypted and has no annotation '%s'", ENCRYPTION_PUBLIC);
	encryption.public_options = (struct encryption_text){.at = options, .len = strlen(options)};
	r = check_text(ENCRYPTION_PUBLIC, &encryption.public_options, err);
	if (r == 0)
		r = read_packets(packets, &encryption, err);
	if (r == 0)
		*ret_encryption = encryption;
	return r;
}
