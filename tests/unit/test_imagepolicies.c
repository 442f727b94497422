/* SPDX-License-Identifier: Apache-2.0 */
/* CIR-2: ImagePolicies as they lie in the store, one that cannot be read among them. */
#include "cism/imagepolicies.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "cism/records.h"

static char folder[] = "/var/tmp/bulkhead-test-XXXXXX";
static struct cism cism;

static int set_up(void **state)
{
	struct err err = {0};
	int dir;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store_sqlite_open(dir, "state.db", &cism.store, &err) < 0)
		fail_msg("%s", err.msg);
	return close(dir);
}

static int tear_down(void **state)
{
	(void)state;
	store_close(cism.store);
	return fdio_remove_tree(AT_FDCWD, folder, NULL);
}

static void put(const char *name, const char *type)
{
	CLEANUP_CHANGE struct change change = {0};
	json_t *object = json_pack("{s:{s:s},s:{s:[{s:s}]}}", "metadata", "name", name, "spec", "default", "type",
				   type);
	uint64_t revision;

	change_init(&change);
	records_put(&change, records_image_policies(), object, 0);
	assert_int_equal(change_commit(&change, cism.store, &revision, NULL), 0);
	json_decref(object);
}

static void test_unreadable_closes(void **state)
{
	CLEANUP_IMAGEPOLICIES struct imagepolicies policies = {0};
	struct policy_pull pull = {.image = strdup("r/a@sha256:00")};
	uint64_t before, after;
	struct err err = {0};

	(void)state;
	assert_int_equal(records_rules_revision(cism.store, &before, &err), 0);
	put("b", "reject");
	assert_int_equal(records_rules_revision(cism.store, &after, &err), 0);
	assert_true(after > before);
	assert_int_equal(imagepolicies_read(&cism, &policies, &err), 0);
	assert_int_equal(policies.count, 1);
	assert_int_equal(imagepolicies_verify(&cism, &policies, "ims", &pull, &err), ERR_DENIED);
	assert_string_equal(err.msg, "image 'r/a@sha256:00' is refused: ImagePolicy 'b' rejects all that lies there");
	policy_pull_done(&pull);
	imagepolicies_done(&policies);
	put("a", "by-tomorrow");
	assert_int_equal(imagepolicies_read(&cism, &policies, &err), ERR_INVALID);
	assert_string_equal(err.msg,
			    "ImagePolicy 'a' cannot be read: field 'spec.default[0].type' 'by-tomorrow' is not "
			    "insecureAcceptAnything, reject or sigstoreSigned");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_unreadable_closes)};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
