/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

#define D "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define CONFIG "{'mediaType':'application/vnd.oci.image.config.v1+json','digest':'" D "','size':7}"
#define LAYER "{'mediaType':'application/vnd.oci.image.layer.v1.tar+gzip','digest':'" D "','size':9}"
#define IMAGE "{'schemaVersion':2,'config':" CONFIG ",'layers':[" LAYER "]}"
#define ENTRY(os, arch)                                                                         \
	"{'mediaType':'" MEDIA_OCI_MANIFEST "','digest':'" D "','size':3,'platform':{'os':'" os \
	"','architecture':'" arch "'}}"

/* Reads a document written with single quotes. */
static int parse(const char *text, const char *type, struct manifest *manifest, struct err *err)
{
	CLEANUP_FREE char *json = strdup(text);

	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	return manifest_parse(json, strlen(json), type, manifest, err);
}

static void test_image(void **state)
{
	struct manifest manifest;
	struct err err;

	(void)state;
	assert_int_equal(parse("{'schemaVersion':2,'unknown':{},'artifactType':'a/b','config':" CONFIG
			       ",'layers':[" LAYER "," LAYER "],'subject':" CONFIG ",'annotations':{'k':'v'}}",
			       MEDIA_DOCKER_MANIFEST, &manifest, &err),
			 0);
	assert_int_equal(manifest.kind, MANIFEST_IMAGE);
	assert_string_equal(manifest.media_type, MEDIA_DOCKER_MANIFEST);
	assert_string_equal(manifest.artifact_type, "a/b");
	assert_int_equal(manifest.config.size, 7);
	assert_int_equal(manifest.entry_count, 2);
	assert_int_equal(manifest.entries[1].size, 9);
	assert_true(manifest.has_subject);
	assert_string_equal(manifest_annotation(manifest.annotations, "k"), "v");
	assert_null(manifest_annotation(manifest.annotations, "x"));
	assert_null(manifest_annotation(NULL, "k"));
	manifest_done(&manifest);
	assert_int_equal(parse(IMAGE, NULL, &manifest, &err), 0);
	assert_string_equal(manifest.media_type, MEDIA_OCI_MANIFEST);
	manifest_done(&manifest);
}

static void test_index(void **state)
{
	const struct descriptor *entry;
	struct manifest manifest;
	struct err err;

	(void)state;
	assert_int_equal(parse("{'schemaVersion':2,'manifests':[" LAYER
			       "," ENTRY("linux", "arm64") "," ENTRY("linux", "amd64") "]}",
			       NULL, &manifest, &err),
			 0);
	assert_int_equal(manifest.kind, MANIFEST_INDEX);
	assert_int_equal(manifest_select(&manifest, "linux", "amd64", &entry, &err), 0);
	assert_ptr_equal(entry, &manifest.entries[2]);
	assert_int_equal(manifest_select(&manifest, "linux", "riscv64", &entry, &err), ERR_NOT_FOUND);
	assert_string_equal(err.msg, "index has no manifest for linux/riscv64");
	manifest_done(&manifest);
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *type;
		int code;
		const char *message;
	} bad[] = {
		{"", NULL, ERR_SYNTAX, "manifest: not JSON: line 1 column 0: '[' or '{' expected near end of file"},
		{"[]", NULL, ERR_INVALID, "manifest: the document is not an object"},
		{"{'a':1,'a':2}", NULL, ERR_SYNTAX,
		 "manifest: not JSON: line 1 column 10: duplicate object key near '\"a\"'"},
		{"{}", NULL, ERR_INVALID, "manifest: schemaVersion is not 2"},
		{"{'schemaVersion':'2'}", NULL, ERR_INVALID, "manifest: schemaVersion is not 2"},
		{"{'schemaVersion':2,'mediaType':3}", NULL, ERR_INVALID, "manifest: mediaType is not a string"},
		{"{'schemaVersion':2,'mediaType':'text/plain'}", NULL, -EMEDIUMTYPE,
		 "manifest: mediaType 'text/plain' is neither a manifest nor an index"},
		{"{'schemaVersion':2,'mediaType':'" MEDIA_OCI_INDEX "'}", MEDIA_OCI_MANIFEST, ERR_INVALID,
		 "manifest: mediaType is '" MEDIA_OCI_INDEX "' but the document came as '" MEDIA_OCI_MANIFEST "'"},
		{"{'schemaVersion':2,'layers':[],'manifests':[]}", NULL, ERR_INVALID,
		 "manifest: the document has the fields of a manifest and of an index"},
		{"{'schemaVersion':2,'layers':[]}", NULL, ERR_INVALID, "manifest: config is not an object"},
		{"{'schemaVersion':2,'config':" CONFIG "}", NULL, ERR_INVALID, "manifest: layers is not a list"},
		{"{'schemaVersion':2,'config':" CONFIG ",'layers':[3]}", NULL, ERR_INVALID,
		 "manifest: layers[0] is not an object"},
		{"{'schemaVersion':2,'config':{}}", NULL, ERR_INVALID, "manifest: config.mediaType is missing"},
		{"{'schemaVersion':2,'config':{'mediaType':'x'}}", NULL, ERR_INVALID,
		 "manifest: config.mediaType 'x' is not a media type"},
		{"{'schemaVersion':2,'config':{'mediaType':'x/y'}}", NULL, ERR_INVALID,
		 "manifest: config.digest is missing"},
		{"{'schemaVersion':2,'config':{'mediaType':'x/y','digest':'sha256:1','size':1}}", NULL, ERR_INVALID,
		 "manifest: config: digest 'sha256:1' is not 'sha256:' and 64 lower-case hexadecimal digits"},
		{"{'schemaVersion':2,'config':{'mediaType':'x/y','digest':'" D "','size':-1}}", NULL, ERR_INVALID,
		 "manifest: config.size is not a number from 0 to 1099511627776"},
		{"{'schemaVersion':2,'config':{'mediaType':'x/y','digest':'" D "','size':1.0}}", NULL, ERR_INVALID,
		 "manifest: config.size is not a number from 0 to 1099511627776"},
		{"{'schemaVersion':2,'config':{'mediaType':'x/y','digest':'" D "','size':1,'annotations':[]}}", NULL,
		 ERR_INVALID, "manifest: config.annotations is not an object"},
		{"{'schemaVersion':2,'config':{'mediaType':'x/y','digest':'" D "','size':1,'annotations':{'k':1}}}",
		 NULL, ERR_INVALID, "manifest: config.annotations['k'] is not a string"},
		{"{'schemaVersion':2,'manifests':[{'mediaType':'x/y','digest':'" D "','size':1,'platform':1}]}", NULL,
		 ERR_INVALID, "manifest: manifests[0].platform is not an object"},
		{"{'schemaVersion':2,'manifests':[{'mediaType':'x/y','digest':'" D
		 "','size':1,'platform':{'os':'linux'}}]}",
		 NULL, ERR_INVALID, "manifest: manifests[0].platform.architecture is missing"},
	};
	struct manifest manifest;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].text, bad[i].type, &manifest, &err), bad[i].code);
		assert_string_equal(err.msg, bad[i].message);
	}
}

static void test_bounds(void **state)
{
	struct buf text = buf_of(MANIFEST_BYTES_MAX * 2);
	struct manifest manifest;
	struct err err;

	(void)state;
	assert_int_equal(buf_puts(&text, "{'schemaVersion':2,'manifests':["), 0);
	for (size_t i = 0; i <= MANIFEST_ENTRIES_MAX; i++)
		assert_int_equal(buf_printf(&text, "%s{}", i ? "," : ""), 0);
	assert_int_equal(buf_puts(&text, "]}"), 0);
	assert_int_equal(parse(text.data, NULL, &manifest, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "manifest: manifests has 1025 entries, more than 1024");
	assert_int_equal(manifest_parse("", MANIFEST_BYTES_MAX + 1, NULL, &manifest, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "manifest: the document has 4194305 bytes, more than 4194304");
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
