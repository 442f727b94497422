/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance and the CISM tell each other about keys: what is read is written the same, and what is refused says why. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "policy/keygrant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_request(const char *bytes, size_t size)
{
	CLEANUP_POLICY_KEYREQUEST struct policy_keyrequest request = {0}, again = {0};
	CLEANUP_BUF struct buf text = buf_of(POLICY_KEYREQUEST_MAX);
	struct err err = {0};

	if (policy_keyrequest_parse(bytes, size, &request, &err) < 0) {
		assert(err.msg[0]);
		return;
	}
	if (policy_keyrequest_format(&request, &text, &err) < 0)
		return;
	assert(policy_keyrequest_parse(text.data, text.len, &again, &err) == 0);
	assert(strcmp(request.image, again.image) == 0 && !request.index == !again.index);
}

static void read_grant(const char *bytes, size_t size)
{
	CLEANUP_POLICY_KEYGRANT struct policy_keygrant grant = {0}, again = {0};
	CLEANUP_BUF struct buf text = buf_of(POLICY_KEYGRANT_MAX);
	struct policy_keygrant_facts facts;
	struct err err = {0};

	if (policy_keygrant_parse(bytes, size, &grant, &err) < 0) {
		assert(err.msg[0]);
		return;
	}
	facts = (struct policy_keygrant_facts){.uid = grant.uid,
					       .instance = grant.instance,
					       .domain = grant.domain,
					       .image = grant.image,
					       .manifest = grant.manifest,
					       .layers = grant.layers,
					       .layer_count = grant.layer_count};
	assert(policy_keygrant_check(&grant, &facts, &err) == 0);
	facts.uid = "";
	assert(policy_keygrant_check(&grant, &facts, &err) < 0);
	if (policy_keygrant_format(&grant, &text, &err) < 0)
		return;
	assert(policy_keygrant_parse(text.data, text.len, &again, &err) == 0);
	assert(policy_keygrant_check(&again, &facts, &err) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_request((const char *)data, size);
	read_grant((const char *)data, size);
	return 0;
}
