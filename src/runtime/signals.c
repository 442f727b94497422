/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/signals.h"

#include <signal.h>
#include <string.h>

#include "base/str.h"

int signals_parse(const char *word, int *ret_number, struct err *err)
{
	char upper[32] = "";
	const char *name = upper;
	uint64_t number;

	for (size_t i = 0; i < sizeof(upper) - 1 && word[i]; i++)
		upper[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 'a' + 'A' : word[i]);
	if (str_starts(name, "SIG"))
		name += 3;

	if (str_parse_u64(word, 64, &number) == 0 && number > 0) {
		*ret_number = (int)number;
		return 0;
	}
	for (int i = 1; i < 32; i++) {
		const char *known = sigabbrev_np(i);

		if (known && str_eq(known, name)) {
			*ret_number = i;
			return 0;
		}
	}
	if (str_starts(name, "RTMIN")) {
		number = 0;
		if (!name[5] || (name[5] == '+' && str_parse_u64(name + 6, 30, &number) == 0)) {
			*ret_number = SIGRTMIN + (int)number;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "unknown signal '%.32s'", word);
}
