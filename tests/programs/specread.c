/* SPDX-License-Identifier: Apache-2.0 */
/* specread: reads one config.json a line and answers each with a line: "ok", or what is wrong with it. */
#include <stdio.h>
#include <stdlib.h>

#include "oci/spec.h"

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		struct err err = {0};
		struct spec spec;
		int r = spec_parse(&spec, line, (size_t)len, &err);

		(void)puts(r == 0 ? "ok" : err.msg);
		spec_done(&spec);
	}
	free(line);
	return fflush(stdout) != 0;
}
