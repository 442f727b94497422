/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sysctls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_names_values_and_namespaces(void **state)
{
	static const bool own[SPEC_NS_TYPES] = {[SPEC_NS_NETWORK] = true, [SPEC_NS_UTS] = true};
	static const struct {
		const char *key, *value, *message; /* NULL: taken */
	} rows[] = {
		{"net.ipv4.ip_forward", "1", NULL},
		{"net.ipv4.ip_local_port_range", "1024\t65535", NULL},
		{"net.ipv4.conf.eth0.rp_filter", "0", NULL},
		{"net.ipv4.tcp_congestion_control", "cubic", NULL},
		{"kernel.domainname", "a.example", NULL},
		{"kernel.msgmax", "1",
		 "x: 'kernel.msgmax' would change the host: the container has no ipc namespace of its own"},
		{"net.ipv4.ip_forward", "1\n1", "x: 'net.ipv4.ip_forward' cannot have the value '1\n1'"},
		{"net.ipv4.ip_forward", "", "x: 'net.ipv4.ip_forward' cannot have the value ''"},
		{"net.ipv4.ip_forward", "one", "x: 'net.ipv4.ip_forward' cannot have the value 'one'"},
		{"net.ipv4.", "1", "x: 'net.ipv4.' is not among the settings a container may have of its own"},
		{"net.core.rmem_max", "1",
		 "x: 'net.core.rmem_max' is not among the settings a container may have of its own"},
		{"kernel.core_pattern", "x",
		 "x: 'kernel.core_pattern' is not among the settings a container may have of its own"},
		{"net.ipv4..x", "1", "x: 'net.ipv4..x' is no setting's name"},
		{"net/ipv4/x", "1", "x: 'net/ipv4/x' is no setting's name"},
		{".net", "1", "x: '.net' is no setting's name"},
		{"net.ipv4.A", "1", "x: 'net.ipv4.A' is no setting's name"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec_pair pair = {rows[i].key, rows[i].value};
		const struct spec_pairs pairs = {&pair, 1};
		struct err err = {0};
		int r = sysctls_check(&pairs, own, "x", &err);

		assert_int_equal(r, rows[i].message ? ERR_INVALID : 0);
		if (rows[i].message)
			assert_string_equal(err.msg, rows[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_values_and_namespaces)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
