/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate requests: what is taken has a name, and is the text that its signature is over. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "crypto/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct crypto_csr csr;
	struct err err = {0};

	if (!text)
		return 0;
	if (crypto_csr_read(text, &csr, &err) == 0) {
		assert(csr.common_name[0] && strlen(text) == size);
		crypto_csr_done(&csr);
	} else {
		assert(err.msg[0]);
	}
	free(text);
	return 0;
}
