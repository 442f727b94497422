/* SPDX-License-Identifier: Apache-2.0 */
/* config.json, a process and resources from the same bytes; what was read is then used: filter, options, settings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/spec.h"
#include "sandbox/mountfd.h"
#include "sandbox/seccomp.h"
#include "sandbox/sysctls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct spec *spec)
{
	static const bool own[SPEC_NS_TYPES] = {[SPEC_NS_NETWORK] = true, [SPEC_NS_IPC] = true};
	struct seccomp_program program;
	struct mountfd_options options;
	struct err err;

	if (spec->linux_.seccomp.present && seccomp_compile(&spec->linux_.seccomp, &program, &err) == 0) {
		if (program.len == 0 || program.len > SECCOMP_PROGRAM_MAX)
			abort();
		seccomp_program_done(&program);
	}
	for (size_t i = 0; i < spec->mounts.count; i++)
		(void)!mountfd_options_read(&options, &spec->mounts.items[i].options, &err);
	(void)!sysctls_check(&spec->linux_.sysctl, own, "config.json: linux.sysctl", &err);
	(void)spec_annotation(spec, "dev.bulkhead.root.idmap");
	if (spec->process.present && (!spec->process.args.count || spec->process.args.items[spec->process.args.count]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int (*const parsers[])(struct spec *, const char *, size_t, struct err *) = {
		spec_parse,
		spec_parse_process,
		spec_parse_resources,
	};

	for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
		struct err err = {0};
		struct spec spec;

		if (parsers[i](&spec, (const char *)data, size, &err) == 0)
			use(&spec);
		else if (err.code >= 0 || !err.msg[0])
			abort();
		spec_done(&spec);
	}
	return 0;
}
