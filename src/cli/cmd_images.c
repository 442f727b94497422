/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/imageinfo.h"
#include "cli/imagemove.h"
#include "cli/table.h"
#include "oci/reference.h"

#define SHORT_DIGEST 19 /* "sha256:" and twelve digits */

static const char *root, *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead images",
	.operands = "[[export|import] IMAGE|DIR...]",
	.summary = "Shows the images of this machine's registry, and moves them to and from folders.",
	.footer = "IMAGE is REPOSITORY[:TAG] or REPOSITORY@DIGEST. Without an operand all images\n"
		  "are listed; of one also what is attached to it: signatures, attestations, SBOMs.\n"
		  "That a signature is there does not say that it holds: ImagePolicies do.\n\n"
		  "  export IMAGE DIR  copies it to an OCI image layout, to carry it elsewhere\n"
		  "  import DIR IMAGE  copies it back; without a TAG every image of the layout\n\n"
		  "skopeo reads and writes such a DIR as oci:DIR:TAG. What is attached goes along.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.most_operands = 3,
};

/* What is shown: rows of the table, or objects. */
struct listing {
	struct regclient *client;
	bool as_json;
	json_t *images;
	struct table table;
	size_t count;
};

/* "12.3M", as in other tables of images. */
static void format_bytes(uint64_t bytes, char to[static 16])
{
	static const char units[] = "BKMGT";
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1000 && units[unit + 1]; unit++)
		value /= 1000;
	(void)snprintf(to, 16, unit ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static json_t *attached_object(const struct imageinfo_attached *one)
{
	return json_pack("{s:s,s:s,s:s,s:s*,s:s*}", "kind", imageinfo_kind_name(one->kind), "digest", one->digest,
			 "type", one->type, "predicateType", one->predicate[0] ? one->predicate : NULL, "tag",
			 one->tag[0] ? one->tag : NULL);
}

static int add_object(struct listing *listing, const char *repository, const char *tag, const struct imageinfo *info)
{
	json_t *attached = json_array(), *object;
	char digest[DIGEST_TEXT_SIZE];
	int r = attached ? 0 : -ENOMEM;

	digest_format(&info->digest, digest);
	for (size_t i = 0; r == 0 && i < info->attached_count; i++)
		r = json_array_append_new(attached, attached_object(&info->attached[i]));
	object = json_pack("{s:s,s:s*,s:s,s:s,s:I,s:b,s:o}", "repository", repository, "tag", tag, "digest", digest,
			   "mediaType", info->type, "bytes", (json_int_t)info->bytes, "encrypted", info->encrypted,
			   "attached", attached);
	return r < 0 || json_array_append_new(listing->images, object) < 0 ? -ENOMEM : 0;
}

static int add_row(struct listing *listing, const char *repository, const char *tag, const struct imageinfo *info)
{
	char digest[DIGEST_TEXT_SIZE], bytes[16], signatures[24], attestations[24];
	const char *cells[] = {repository, tag,         digest, bytes, info->encrypted ? "yes" : "no",
			       signatures, attestations};
	size_t others = imageinfo_count(info, IMAGEINFO_ATTESTATION) + imageinfo_count(info, IMAGEINFO_ARTIFACT);

	digest_format(&info->digest, digest);
	digest[SHORT_DIGEST] = '\0';
	format_bytes(info->bytes, bytes);
	(void)snprintf(signatures, sizeof(signatures), "%zu", imageinfo_count(info, IMAGEINFO_SIGNATURE));
	(void)snprintf(attestations, sizeof(attestations), "%zu", others);
	return table_add(&listing->table, cells);
}

static int add_image(struct listing *listing, const char *repository, const char *reference, struct imageinfo *info,
		     struct err *err)
{
	const char *tag = strchr(reference, ':') ? NULL : reference;
	int r = imageinfo_read(listing->client, repository, reference, info, err);

	if (r < 0)
		return r;
	listing->count++;
	r = listing->as_json ? add_object(listing, repository, tag, info) : add_row(listing, repository, tag, info);
	return r < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int add_repository(struct listing *listing, const char *repository, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/tags/list", repository);
	json_t *tags = NULL, *tag;
	size_t i;
	int r = path ? regclient_list(listing->client, path, "tags", &tags, err)
		     : err_set(err, -ENOMEM, "out of memory");

	json_array_foreach(tags, i, tag) {
		struct imageinfo info CLEANUP_IMAGEINFO = {0};
		const char *name = json_string_value(tag);

		if (r < 0 || !name || imageinfo_is_attached_tag(name))
			continue;
		r = add_image(listing, repository, name, &info, err);
		/* Deleted since it was listed. */
		r = r == ERR_NOT_FOUND ? 0 : r;
	}
	json_decref(tags);
	return r;
}

static int add_all(struct listing *listing, struct err *err)
{
	json_t *names = NULL, *name;
	size_t i;
	int r = regclient_list(listing->client, "_catalog", "repositories", &names, err);

	json_array_foreach(names, i, name)
		if (r == 0 && json_string_value(name))
			r = add_repository(listing, json_string_value(name), err);
	json_decref(names);
	return r;
}

static int begin(struct listing *listing)
{
	static const char *const headers[] = {"REPOSITORY", "TAG",        "DIGEST",  "SIZE",
					      "ENCRYPTED",  "SIGNATURES", "ATTACHED"};

	listing->images = json_array();
	return listing->images ? table_begin(&listing->table, headers, ARRAY_SIZE(headers)) : -ENOMEM;
}

static int print_attached(const struct imageinfo *info, struct err *err)
{
	static const char *const headers[] = {"KIND", "DIGEST", "TYPE", "ABOUT"};
	struct table table CLEANUP_TABLE = {0};
	int r;

	if (!info->attached_count)
		return 0;
	r = table_begin(&table, headers, ARRAY_SIZE(headers));
	for (size_t i = 0; r == 0 && i < info->attached_count; i++) {
		const struct imageinfo_attached *one = &info->attached[i];
		const char *cells[] = {imageinfo_kind_name(one->kind), one->digest, one->type, one->predicate};

		r = table_add(&table, cells);
	}
	(void)putchar('\n');
	if (r == 0)
		table_print(&table);
	return r < 0 ? err_sys(err, r, "cannot print what is attached") : 0;
}

static int print(struct listing *listing, const struct imageinfo *one, struct err *err)
{
	if (!listing->as_json) {
		if (!listing->count)
			return printf("the registry has no images\n") < 0 ? -EIO : 0;
		table_print(&listing->table);
		return one ? print_attached(one, err) : 0;
	}
	if (json_dumpf(listing->images, stdout, JSON_INDENT(2)) < 0)
		return err_sys(err, -EIO, "cannot print the images");
	(void)putchar('\n');
	return 0;
}

/* Splits REPOSITORY[:TAG] or REPOSITORY@DIGEST in place; *ret_reference NULL when there is neither. */
static int split(char *text, const char **ret_reference, struct err *err)
{
	char *at = strchr(text, '@'), *colon = at ? at : strchr(text, ':');
	struct digest digest;

	*ret_reference = colon ? colon + 1 : NULL;
	if (colon)
		*colon = '\0';
	if (!reference_is_repository(text))
		return err_set(err, ERR_INVALID, "'%.255s' is not a repository", text);
	if (at && digest_parse(at + 1, &digest, err) < 0)
		return err->code;
	if (!at && colon && !reference_is_tag(colon + 1))
		return err_set(err, ERR_INVALID, "'%.128s' is not a tag", colon + 1);
	return 0;
}

static int list(struct regclient *client, int argc, char **argv, struct err *err)
{
	struct listing listing = {.client = client};
	struct imageinfo info CLEANUP_IMAGEINFO = {0};
	const char *reference = NULL;
	int r = main_wants_json(output, &listing.as_json, err);

	if (r == 0 && begin(&listing) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	if (r == 0 && argc)
		r = split(argv[0], &reference, err);
	if (r == 0)
		r = !argc       ? add_all(&listing, err)
		    : reference ? add_image(&listing, argv[0], reference, &info, err)
				: add_repository(&listing, argv[0], err);
	if (r == 0)
		r = print(&listing, reference ? &info : NULL, err);
	table_done(&listing.table);
	json_decref(listing.images);
	return r;
}

static int move(struct regclient *client, bool import, char *folder, char *image, struct err *err)
{
	struct layout layout CLEANUP_LAYOUT = LAYOUT_NONE;
	struct imagemove_total total = {0};
	const char *reference;
	char bytes[16];
	int r = split(image, &reference, err);

	if (r == 0)
		r = layout_open(folder, !import, &layout, err);
	if (r == 0 && import)
		r = imagemove_import(client, &layout, image, reference, &total, err);
	else if (r == 0)
		r = imagemove_export(client, image, reference ? reference : "latest", &layout, &total, err);
	if (r < 0)
		return err_prefix(err, "cannot %s '%s'", import ? "import into" : "export", image);
	format_bytes(total.bytes, bytes);
	(void)printf("%s %zu manifests and %zu blobs, %s\n", import ? "imported" : "exported", total.manifests,
		     total.blobs, bytes);
	return 0;
}

static int run(int argc, char **argv, struct err *err)
{
	struct regclient *client CLEANUP(cleanup_regclient) = NULL;
	bool exports = argc && str_eq(argv[0], "export"), imports = argc && str_eq(argv[0], "import");
	struct settings settings;
	struct paths paths;
	int r;

	if ((exports || imports) ? argc != 3 : argc > 1)
		return err_set(err, ERR_INVALID, "'images' takes an image, 'export IMAGE DIR' or 'import DIR IMAGE'");
	r = paths_init(&paths, root, err);
	if (r == 0)
		r = settings_load(&paths, &settings, err);
	if (r == 0)
		r = regclient_new(&paths, &settings, &client, err);
	if (r < 0)
		return r;
	if (exports)
		return move(client, false, argv[2], argv[1], err);
	return imports ? move(client, true, argv[1], argv[2], err) : list(client, argc, argv, err);
}

const struct command cmd_images = {"images", &options, run};
