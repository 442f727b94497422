/* SPDX-License-Identifier: Apache-2.0 */
/* ISO-2, ISO-3: files are read strictly, each rule answers with its exact sentence, defaults are the strictest. */
#include "policy/runtime_ceiling.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static const struct runtime_ceiling_machine machine = {.cpu_milli = 8000, .memory = 1000000, .pids = 32768};

static void load(struct runtime_ceiling *ceiling, const char *text)
{
	struct err err = {0};

	if (runtime_ceiling_parse(ceiling, "f.json", text, strlen(text), &err) < 0)
		fail_msg("%s", err.msg);
}

static void refused_files(void **state)
{
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{"[]", "it is not a JSON object"},
		{"{\"mode\":\"refuse\",\"mode\":\"narrow\"}",
		 "it is not JSON: line 1: an object has a name twice near ':\"narrow\"}'"},
		{"{\"modes\":1}", "unknown field 'ceiling.modes'"},
		{"{\"mode\":\"warn\"}", "field 'ceiling.mode' cannot be 'warn'"},
		{"{\"capabilities\":[\"CHOWN\"]}", "field 'ceiling.capabilities[0]' is no capability"},
		{"{\"capabilities\":[1]}", "field 'ceiling.capabilities[0]' is no capability"},
		{"{\"namespaces\":{\"mount\":\"own\"}}", "unknown field 'ceiling.namespaces.mount'"},
		{"{\"namespaces\":{\"pid\":\"mine\"}}", "field 'ceiling.namespaces' cannot be 'mine'"},
		{"{\"userNamespace\":{\"add\":\"always\"}}", "field 'ceiling.userNamespace.add' cannot be 'always'"},
		{"{\"userNamespace\":{\"firstId\":100000}}",
		 "field 'ceiling.userNamespace': 'firstId' and 'ranges' go together"},
		{"{\"userNamespace\":{\"firstId\":1,\"ranges\":1}}",
		 "field 'ceiling.userNamespace.firstId' must be from 65536 to 4294967294"},
		{"{\"userNamespace\":{\"firstId\":100000,\"ranges\":70000}}",
		 "field 'ceiling.userNamespace.ranges' must be at least 1 and end below id 4294967295"},
		{"{\"mounts\":{\"sources\":[{\"path\":\"etc\"}]}}",
		 "field 'ceiling.mounts.sources[0].path' is not a plain absolute path"},
		{"{\"mounts\":{\"sources\":[{\"path\":\"/a/../b\"}]}}",
		 "field 'ceiling.mounts.sources[0].path' is not a plain absolute path"},
		{"{\"root\":{}}", "field 'ceiling.root.sources' is missing"},
		{"{\"root\":{\"sources\":[{\"path\":\"/\"},{\"path\":\"a\"}]}}",
		 "field 'ceiling.root.sources[1].path' is not a plain absolute path"},
		{"{\"mounts\":{\"propagation\":\"none\"}}", "field 'ceiling.mounts.propagation' cannot be 'none'"},
		{"{\"devices\":[{\"type\":\"c\"}]}", "field 'ceiling.devices[0].access' is missing"},
		{"{\"devices\":[{\"type\":\"x\",\"access\":\"r\"}]}",
		 "field 'ceiling.devices[0].type' must be 'a', 'b' or 'c'"},
		{"{\"devices\":[{\"type\":\"c\",\"access\":\"x\"}]}",
		 "field 'ceiling.devices[0].access' must be of 'rwm'"},
		{"{\"devices\":[{\"type\":\"c\",\"major\":4294967296,\"access\":\"r\"}]}",
		 "field 'ceiling.devices[0]' has no device number"},
		{"{\"syscalls\":{\"deny\":[\"\"]}}", "field 'ceiling.syscalls.deny[0]' is not a name"},
		{"{\"syscalls\":{\"deny\":[\"a\",\"a\"]}}", "field 'ceiling.syscalls.deny[1]' repeats 'a'"},
		{"{\"syscalls\":{\"socketFamilies\":[\"alg\"]}}",
		 "field 'ceiling.syscalls.socketFamilies' cannot be 'alg'"},
		{"{\"limits\":{\"cpu\":{\"most\":0}}}", "field 'ceiling.limits.cpu.most' must be at least 1"},
		{"{\"limits\":{\"cpu\":{\"mostPercent\":101}}}",
		 "field 'ceiling.limits.cpu.mostPercent' must be from 1 to 100"},
		{"{\"limits\":{\"pids\":{\"default\":1,\"defaultPercent\":1}}}",
		 "field 'ceiling.limits.pids' has both 'default' and 'defaultPercent'"},
		{"{\"rlimits\":{\"NOFILE\":1}}", "unknown field 'ceiling.rlimits.NOFILE'"},
		{"{\"rlimits\":{\"RLIMIT_NOFILE\":-1}}",
		 "field 'ceiling.rlimits.RLIMIT_NOFILE' is not a non-negative integer"},
		{"{\"hooks\":[\"true\"]}", "field 'ceiling.hooks[0]' is not an absolute path"},
		{"{\"terminal\":\"no\"}", "field 'ceiling.terminal' is not a boolean"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct runtime_ceiling ceiling;
		struct err err = {0};
		char message[256];

		assert_true(runtime_ceiling_parse(&ceiling, "f.json", rows[i].text, strlen(rows[i].text), &err) < 0);
		runtime_ceiling_done(&ceiling);
		(void)snprintf(message, sizeof(message), "ceiling file 'f.json': %s", rows[i].message);
		assert_string_equal(err.msg, message);
	}
}

/* Facts that are over nothing: each test spoils one. */
static struct runtime_ceiling_facts harmless(void)
{
	return (struct runtime_ceiling_facts){.document = "config.json",
					      .set_count = 1,
					      .capabilities = {{"bounding", 0}},
					      .has_namespaces = true,
					      .has_limits = true,
					      .has_process = true,
					      .has_root = true,
					      .no_new_privileges = true,
					      .has_profile = true,
					      .root_read_only = true};
}

struct row {
	const char *ceiling;
	void (*spoil)(struct runtime_ceiling_facts *facts);
	enum runtime_ceiling_rule rule;
	const char *sentence;
};

static void spoil_capability(struct runtime_ceiling_facts *facts)
{
	facts->capabilities[0].mask = 1u << 21;
}

static void spoil_namespace(struct runtime_ceiling_facts *facts)
{
	facts->namespaces[RUNTIME_CEILING_PID] = RUNTIME_CEILING_JOINED;
}

static void spoil_source(struct runtime_ceiling_facts *facts)
{
	static const struct runtime_ceiling_mount mount = {.bind = true, .source = "/srvx", .writable = true};

	facts->mounts = &mount;
	facts->mount_count = 1;
}

static void spoil_unknown_source(struct runtime_ceiling_facts *facts)
{
	static const struct runtime_ceiling_mount mount = {.bind = true};

	facts->mounts = &mount;
	facts->mount_count = 1;
}

static void spoil_propagation(struct runtime_ceiling_facts *facts)
{
	static const struct runtime_ceiling_mount mount = {.propagation = RUNTIME_CEILING_SHARED};

	facts->mounts = &mount;
	facts->mount_count = 1;
}

static void spoil_device(struct runtime_ceiling_facts *facts)
{
	static const struct runtime_ceiling_device rules[] = {{'c', 1, 3, "rwm"},
							      {'c', 136, 7, "rw"},
							      {'a', -1, -1, NULL},
							      {'c', 10, 200, "rw"},
							      {'b', 8, 0, "r"}};

	facts->rules = rules;
	facts->rule_count = ARRAY_SIZE(rules);
}

static void spoil_call(struct runtime_ceiling_facts *facts)
{
	static const char *const denied[] = {"bpf"}, *const names[] = {"read", "keyctl", "bpf"};
	static const struct runtime_ceiling_rule_call calls[] = {{{denied, 1}, false, false}, {{names, 3}, true, true}};

	facts->has_profile = true;
	facts->calls = calls;
	facts->call_count = 2;
}

static void spoil_default_action(struct runtime_ceiling_facts *facts)
{
	static const char *const denied[] = {"bpf"}, *const sometimes[] = {"keyctl"};
	static const struct runtime_ceiling_rule_call calls[] = {{{denied, 1}, false, false},
								 {{sometimes, 1}, false, true}};

	facts->has_profile = facts->profile_permits = true;
	facts->calls = calls;
	facts->call_count = 2;
}

static void spoil_cpu(struct runtime_ceiling_facts *facts)
{
	facts->limits[RUNTIME_CEILING_CPU] = (struct runtime_ceiling_asked_limit){.present = true, .value = 4001};
}

static void spoil_swap(struct runtime_ceiling_facts *facts)
{
	facts->limits[RUNTIME_CEILING_SWAP] = (struct runtime_ceiling_asked_limit){.present = true, .unlimited = true};
}

static void spoil_memory(struct runtime_ceiling_facts *facts)
{
	facts->limits[RUNTIME_CEILING_MEMORY] = (struct runtime_ceiling_asked_limit){.present = true, .value = 8};
}

static void spoil_raw_memory(struct runtime_ceiling_facts *facts)
{
	facts->limits[RUNTIME_CEILING_MEMORY].raw = true;
}

static void spoil_missing(struct runtime_ceiling_facts *facts)
{
	facts->all_limits = true;
}

static void spoil_root(struct runtime_ceiling_facts *facts)
{
	facts->root = "/srv/../etc";
	facts->root_is_system = true;
}

static void root_is_refused_in_either_mode(void **state)
{
	static const struct {
		const char *keys;
		const char *sentence; /* NULL: nothing is said */
	} cases[] = {
		{"\"root\":{\"sources\":[{\"path\":\"/var\"}]}",
		 "root.path: asks for '/srv/../etc' of the host, which is over 'root.sources'"},
		{"\"mounts\":{\"sources\":[{\"path\":\"/srv\"}]}",
		 "root.path: asks for '/srv/../etc' of the host, which is over 'mounts.sources'"},
		{"\"mounts\":{\"sources\":[]},\"root\":{\"sources\":[{\"path\":\"/\"}]}", NULL},
		{"\"rootReadOnly\":true", NULL},
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct runtime_ceiling_findings findings = {0};
		struct runtime_ceiling_facts facts = harmless();
		const char *sentence = cases[i / 2].sentence;
		struct runtime_ceiling ceiling;
		char text[256], message[256];
		struct err err = {0};

		(void)snprintf(text, sizeof(text), "{\"mode\":\"%s\",%s}", i % 2 ? "narrow" : "refuse",
			       cases[i / 2].keys);
		load(&ceiling, text);
		spoil_root(&facts);
		assert_int_equal(runtime_ceiling_check(&ceiling, &facts, &machine, &findings, &err),
				 sentence ? ERR_DENIED : 0);
		(void)snprintf(message, sizeof(message), "config.json: %s of ceiling file 'f.json'", sentence);
		if (sentence)
			assert_string_equal(err.msg, message);
		assert_int_equal(findings.count, 0);
		runtime_ceiling_done(&ceiling);
	}
}

static void spoil_process(struct runtime_ceiling_facts *facts)
{
	facts->no_new_privileges = false;
}

static const struct row rows[] = {
	{"\"capabilities\":[\"CAP_CHOWN\"]", spoil_capability, RUNTIME_CEILING_RULE_CAPABILITY,
	 "process.capabilities.bounding: asks for CAP_SYS_ADMIN, which is over 'capabilities'"},
	{"\"namespaces\":{\"pid\":\"own\"}", spoil_namespace, RUNTIME_CEILING_RULE_NAMESPACE,
	 "linux.namespaces: the pid namespace is a joined one, which is over 'namespaces.pid'"},
	{"\"mounts\":{\"sources\":[{\"path\":\"/srv\"},{\"path\":\"/srv/\"}]}", spoil_source,
	 RUNTIME_CEILING_RULE_SOURCE, "mounts[0].source: asks for '/srvx' of the host, which is over 'mounts.sources'"},
	{"\"mounts\":{\"sources\":[{\"path\":\"/\"}]}", spoil_unknown_source, RUNTIME_CEILING_RULE_SOURCE,
	 "mounts[0].source: asks for '?' of the host, which is over 'mounts.sources'"},
	{"\"mounts\":{\"sources\":[{\"path\":\"/srvx\",\"readOnly\":true}]}", spoil_source,
	 RUNTIME_CEILING_RULE_WRITABLE,
	 "mounts[0].options: asks to write '/srvx' of the host, which is over 'mounts.sources'"},
	{"\"mounts\":{\"propagation\":\"slave\"}", spoil_propagation, RUNTIME_CEILING_RULE_PROPAGATION,
	 "mounts[0].options: asks for shared propagation, which is over 'mounts.propagation'"},
	{"\"devices\":[{\"type\":\"c\",\"major\":10,\"minor\":200,\"access\":\"rw\"}]", spoil_device,
	 RUNTIME_CEILING_RULE_DEVICE, "linux.resources.devices[4]: asks for device 'b 8:0 r', which is over 'devices'"},
	{"\"devices\":[{\"type\":\"a\",\"access\":\"r\"}]", spoil_device, RUNTIME_CEILING_RULE_DEVICE,
	 "linux.resources.devices[3]: asks for device 'c 10:200 rw', which is over 'devices'"},
	{"\"syscalls\":{\"deny\":[\"keyctl\"]}", spoil_call, RUNTIME_CEILING_RULE_CALL,
	 "linux.seccomp.syscalls[1]: asks for system call 'keyctl', which is over 'syscalls.deny'"},
	{"\"syscalls\":{\"allow\":[\"read\",\"keyctl\"]}", spoil_call, RUNTIME_CEILING_RULE_CALL,
	 "linux.seccomp.syscalls[1]: asks for system call 'bpf', which is over 'syscalls.allow'"},
	{"\"syscalls\":{\"deny\":[\"bpf\",\"keyctl\"]}", spoil_default_action, RUNTIME_CEILING_RULE_CALL,
	 "linux.seccomp.defaultAction: asks for system call 'keyctl', which is over 'syscalls.deny'"},
	{"\"limits\":{\"cpu\":{\"mostPercent\":50}}", spoil_cpu, RUNTIME_CEILING_RULE_LIMIT,
	 "linux.resources.cpu.quota: asks for 4001 where 4000 is the most, which is over 'limits.cpu'"},
	{"\"limits\":{\"swap\":{\"most\":7}}", spoil_swap, RUNTIME_CEILING_RULE_LIMIT,
	 "linux.resources.memory.swap: asks for no limit where 7 is the most, which is over 'limits.swap'"},
	{"\"limits\":{\"swap\":{\"most\":7}}", spoil_memory, RUNTIME_CEILING_RULE_LIMIT,
	 "linux.resources.memory.limit: asks for 8 where 7 is the most, which is over 'limits.swap'"},
	{"\"limits\":{\"swap\":{\"most\":7}}", spoil_raw_memory, RUNTIME_CEILING_RULE_RAW_LIMIT,
	 "linux.resources.unified: sets 'memory.max', which is over 'limits.swap'"},
	{"\"limits\":{\"pids\":{\"most\":7}}", spoil_missing, RUNTIME_CEILING_RULE_LIMIT,
	 "linux.resources.pids.limit: is not set where 7 is the most, which is over 'limits.pids'"},
	{"\"noNewPrivileges\":true", spoil_process, RUNTIME_CEILING_RULE_NO_NEW_PRIVILEGES,
	 "process.noNewPrivileges: is not set, which is over 'noNewPrivileges'"},
};

static void check_row(const struct row *row)
{
	struct runtime_ceiling_findings findings = {0};
	struct runtime_ceiling_facts facts = harmless();
	struct runtime_ceiling ceiling;
	char text[512], sentence[512];
	struct err err = {0};

	(void)snprintf(sentence, sizeof(sentence), "config.json: %s of ceiling file 'f.json'", row->sentence);
	(void)snprintf(text, sizeof(text), "{%s}", row->ceiling);
	load(&ceiling, text);
	assert_int_equal(runtime_ceiling_check(&ceiling, &facts, &machine, &findings, &err), 0);
	row->spoil(&facts);
	assert_int_equal(runtime_ceiling_check(&ceiling, &facts, &machine, &findings, &err), ERR_DENIED);
	assert_string_equal(err.msg, sentence);
	assert_int_equal(findings.count, 0);
	runtime_ceiling_done(&ceiling);

	(void)snprintf(text, sizeof(text), "{\"mode\":\"narrow\",%s}", row->ceiling);
	load(&ceiling, text);
	assert_int_equal(runtime_ceiling_check(&ceiling, &facts, &machine, &findings, &err), 0);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.items[0].rule, row->rule);
	assert_string_equal(findings.items[0].sentence, sentence);
	runtime_ceiling_findings_done(&findings);
	runtime_ceiling_done(&ceiling);
}

static void each_rule(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}

static void terminal_is_refused_in_either_mode(void **state)
{
	struct runtime_ceiling_findings findings = {0};
	struct runtime_ceiling_facts facts = harmless();
	struct runtime_ceiling ceiling;
	struct err err = {0};

	load(&ceiling, "{\"mode\":\"narrow\",\"terminal\":false}");
	facts.terminal = true;
	assert_int_equal(runtime_ceiling_check(&ceiling, &facts, &machine, &findings, &err), ERR_DENIED);
	runtime_ceiling_done(&ceiling);
}

static uint64_t default_of(const char *first, const char *second, enum runtime_ceiling_limit_kind kind)
{
	struct runtime_ceiling ceilings[2];
	uint64_t value = 0;

	load(&ceilings[0], first);
	load(&ceilings[1], second);
	if (!runtime_ceiling_default(ceilings, 2, kind, &machine, &value))
		value = UINT64_MAX;
	runtime_ceiling_done(&ceilings[0]);
	runtime_ceiling_done(&ceilings[1]);
	return value;
}

static void defaults_are_the_least(void **state)
{
	assert_int_equal(default_of("{}", "{}", RUNTIME_CEILING_CPU), 6000);
	assert_int_equal(default_of("{}", "{}", RUNTIME_CEILING_MEMORY), 500000);
	assert_int_equal(default_of("{}", "{}", RUNTIME_CEILING_PIDS), 4096);
	assert_int_equal(default_of("{}", "{}", RUNTIME_CEILING_SWAP), UINT64_MAX);
	assert_int_equal(default_of("{\"limits\":{\"pids\":{\"default\":9000}}}", "{}", RUNTIME_CEILING_PIDS), 9000);
	assert_int_equal(default_of("{\"limits\":{\"pids\":{\"default\":9}}}",
				    "{\"limits\":{\"pids\":{\"default\":7}}}", RUNTIME_CEILING_PIDS),
			 7);
	assert_int_equal(default_of("{\"limits\":{\"pids\":{\"default\":9}}}", "{\"limits\":{\"pids\":{\"most\":5}}}",
				    RUNTIME_CEILING_PIDS),
			 5);
	assert_int_equal(default_of("{\"limits\":{\"memory\":{\"most\":9}}}", "{\"limits\":{\"swap\":{\"most\":6}}}",
				    RUNTIME_CEILING_MEMORY),
			 6);
	assert_int_equal(default_of("{\"limits\":{\"swap\":{\"mostPercent\":10}}}", "{}", RUNTIME_CEILING_SWAP),
			 100000);
}

static void added_user_namespace(void **state)
{
	static const struct {
		const char *first, *second;
		struct runtime_ceiling_user_facts facts;
		int result;
		const char *text; /* the reason or the error */
	} cases[] = {
		{"{}", "{}", {.given = true, .shared = "pid"}, 0, ""},
		{"{}", "{}", {.given = true, .exposed = "linux.uidMappings: maps"}, 0, ""},
		{"{\"userNamespace\":{\"demand\":true}}", "{}", {.given = true}, 0, ""},
		{"{\"mode\":\"narrow\",\"userNamespace\":{\"demand\":true}}",
		 "{}",
		 {.given = true, .exposed = "linux.uidMappings: maps"},
		 ERR_DENIED,
		 "config.json: linux.uidMappings: maps, which is over 'userNamespace.demand' of ceiling file 'f.json'"},
		{"{}", "{}", {0}, 1, ""},
		{"{}", "{}", {.shared = "network", .greatest_id = 70000}, 0, "its network namespace is not new"},
		{"{}", "{}", {.capabilities = 1u << 25}, 0, "CAP_SYS_TIME has no effect in one"},
		{"{}", "{}", {.capabilities = 1u << 21, .greatest_id = 65535}, 1, ""},
		{"{}", "{}", {.greatest_id = 65536}, 0, "id 65536 is beyond the 65536 ids of one"},
		{"{}", "{}", {.obstacle = "no ids"}, 0, "no ids"},
		{"{\"userNamespace\":{\"add\":\"never\"}}", "{}", {0}, 0, ""},
		{"{\"userNamespace\":{\"add\":\"never\"}}",
		 "{\"userNamespace\":{\"add\":\"where-possible\"}}",
		 {0},
		 1,
		 ""},
		{"{}",
		 "{\"userNamespace\":{\"demand\":true}}",
		 {.obstacle = "no ids"},
		 ERR_DENIED,
		 "config.json: linux.namespaces: has no user namespace and none can be added (no ids), which is over "
		 "'userNamespace.demand' of ceiling file 'f.json'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct runtime_ceiling ceilings[2];
		struct err err = {0};
		char reason[256];
		int r;

		load(&ceilings[0], cases[i].first);
		load(&ceilings[1], cases[i].second);
		r = runtime_ceiling_user_decide(ceilings, 2, &cases[i].facts, reason, sizeof(reason), &err);
		assert_int_equal(r, cases[i].result);
		assert_string_equal(r < 0 ? err.msg : reason, cases[i].text);
		runtime_ceiling_done(&ceilings[0]);
		runtime_ceiling_done(&ceilings[1]);
	}
}

static void ids_come_from_one_file(void **state)
{
	static const char *const text = "{\"userNamespace\":{\"firstId\":65536,\"ranges\":2}}";
	struct runtime_ceiling ceilings[2];
	const struct runtime_ceiling *found;
	struct err err = {0};

	load(&ceilings[0], "{}");
	load(&ceilings[1], text);
	assert_int_equal(runtime_ceiling_user_ids(ceilings, 2, &found, &err), 0);
	assert_ptr_equal(found, &ceilings[1]);
	runtime_ceiling_done(&ceilings[0]);
	load(&ceilings[0], text);
	assert_int_equal(runtime_ceiling_user_ids(ceilings, 2, &found, &err), ERR_INVALID);
	assert_string_equal(err.msg,
			    "ceiling files 'f.json' and 'f.json' both have 'userNamespace.firstId': only one may");
	runtime_ceiling_done(&ceilings[0]);
	runtime_ceiling_done(&ceilings[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_files),
		cmocka_unit_test(each_rule),
		cmocka_unit_test(root_is_refused_in_either_mode),
		cmocka_unit_test(terminal_is_refused_in_either_mode),
		cmocka_unit_test(defaults_are_the_least),
		cmocka_unit_test(added_user_namespace),
		cmocka_unit_test(ids_come_from_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
