/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/container.h"
#include "sandbox/landlock.h"

#define BIND_ANNOTATION "dev.bulkhead.landlock.bind-tcp"
#define CONNECT_ANNOTATION "dev.bulkhead.landlock.connect-tcp"

static int read_ports(const struct spec *spec, const char *key, struct landlock_ports *ret_ports, struct err *err)
{
	const char *text = spec_annotation(spec, key);

	*ret_ports = (struct landlock_ports){0};
	return text && landlock_ports_parse(text, ret_ports) < 0
		       ? err_set(err, ERR_INVALID, "config.json: annotations.%s: '%.64s' is no list of up to %d ports",
				 key, text, LANDLOCK_PORTS_MAX)
		       : 0;
}

static int read_both(const struct spec *spec, struct landlock_ports both[2], struct err *err)
{
	int r = read_ports(spec, BIND_ANNOTATION, &both[0], err);

	return r == 0 ? read_ports(spec, CONNECT_ANNOTATION, &both[1], err) : r;
}

int container_check_ports(const struct spec *spec, struct err *err)
{
	struct landlock_ports both[2];

	return read_both(spec, both, err);
}

int container_confine_ports(const struct spec *spec, struct err *err)
{
	struct landlock_ports both[2];
	int r = read_both(spec, both, err);

	return r == 0 ? landlock_confine_tcp(&both[0], &both[1], err) : r;
}
