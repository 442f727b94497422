/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/signals.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

int signals_parse(const char *word, int *ret_number, struct err *err)
{
	const char *name = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
	uint64_t number;

	if (str_parse_u64(word, 64, &number) == 0 && number > 0) {
		*ret_number = (int)number;
		return 0;
	}
	for (int i = 1; i < 32; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0) {
			*ret_number = i;
			return 0;
		}
	}
	if (strncasecmp(name, "RTMIN", 5) == 0) {
		number = 0;
		if (!name[5] || (name[5] == '+' && str_parse_u64(name + 6, 30, &number) == 0)) {
			*ret_number = SIGRTMIN + (int)number;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "unknown signal '%.32s'", word);
}
