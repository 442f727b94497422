/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bounds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/str.h"
#include "runtime/bounds_defaults.h"
#include "runtime/bounds_facts.h"
#include "runtime/bounds_narrow.h"
#include "runtime/bounds_path.h"

#define NOTES_MAX 256
#define ROUNDS_MAX 8

void bounds_done(struct bounds *bounds)
{
	for (size_t i = 0; i < bounds->count; i++)
		runtime_ceiling_done(&bounds->ceilings[i]);
	free(bounds->ceilings);
	for (size_t i = 0; i < bounds->note_count; i++)
		free(bounds->notes[i]);
	free(bounds->notes);
	free(bounds->mounts);
	bounds_calls_done(bounds->calls);
	*bounds = (struct bounds){0};
}

void bounds_note(struct bounds *bounds, const char *format, ...)
{
	char **grown = bounds->note_count < NOTES_MAX
			       ? realloc(bounds->notes, (bounds->note_count + 1) * sizeof(*grown))
			       : NULL;
	char text[768];
	va_list args;

	if (!grown)
		return;
	bounds->notes = grown;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	grown[bounds->note_count] = strdup(text);
	if (grown[bounds->note_count])
		bounds->note_count++;
}

/* Only the superuser may have written it. */
static int check_owner(int fd, bool folder, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot be looked at");
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return err_set(err, ERR_DENIED, "is no %s", folder ? "folder" : "plain file");
	if (!bounds_path_is_trusted(&st))
		return err_set(err, ERR_DENIED, "belongs to user %u and not to the superuser", st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_DENIED, "may be written by others than the superuser");
	return 0;
}

/* What a path really is counts on both sides. */
static json_t *resolved(const json_t *path)
{
	CLEANUP_FREE char *real = bounds_path_resolve(json_string_value(path));

	return real ? json_string(real) : NULL;
}

static int resolve_sources(json_t *list, struct runtime_ceiling_source *sources, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		json_t *source = json_array_get(list, i);

		if (json_object_set_new(source, "path", resolved(json_object_get(source, "path"))) < 0)
			return err_set(err, -ENOMEM, "no memory");
		sources[i].path = json_string_value(json_object_get(source, "path"));
	}
	return 0;
}

static int resolve_paths(struct runtime_ceiling *ceiling, struct err *err)
{
	json_t *hooks = json_object_get(ceiling->json, "hooks");
	int r;

	for (size_t i = 0; i < json_array_size(hooks); i++)
		if (json_array_set_new(hooks, i, resolved(json_array_get(hooks, i))) < 0)
			return err_set(err, -ENOMEM, "no memory");
	r = resolve_sources(json_object_get(json_object_get(ceiling->json, "mounts"), "sources"), ceiling->sources,
			    ceiling->source_count, err);
	return r == 0 ? resolve_sources(json_object_get(json_object_get(ceiling->json, "root"), "sources"),
					ceiling->root_sources, ceiling->root_source_count, err)
		      : r;
}

static int read_file(struct runtime_ceiling *ceiling, int folder, const char *name, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(RUNTIME_CEILING_BYTES_MAX);
	CLEANUP_CLOSE int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 ? err_sys(err, -errno, "cannot be opened") : check_owner(fd, false, err);

	if (r == 0) {
		r = fdio_read_all(fd, &text);
		if (r < 0)
			r = err_sys(err, r, "cannot be read");
	}
	if (r < 0)
		return err_prefix(err, "ceiling file '%s'", name);
	r = runtime_ceiling_parse(ceiling, name, text.data ? text.data : "", text.len, err);
	return r == 0 ? resolve_paths(ceiling, err) : r;
}

static int is_file_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && str_ends(entry->d_name, ".json");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_folder(struct bounds *bounds, int folder, struct err *err)
{
	struct dirent **names = NULL;
	int count = scandirat(folder, ".", &names, is_file_name, by_bytes), r = 0;

	if (count < 0)
		return err_sys(err, -errno, "cannot list it");
	if (count > RUNTIME_CEILING_FILES_MAX)
		r = err_set(err, ERR_TOO_LARGE, "has more than %d files", RUNTIME_CEILING_FILES_MAX);
	if (r == 0 && count)
		bounds->ceilings = calloc((size_t)count, sizeof(*bounds->ceilings));
	if (r == 0 && count && !bounds->ceilings)
		r = err_set(err, -ENOMEM, "no memory");
	for (int i = 0; i < count; i++) {
		if (r == 0) {
			r = read_file(&bounds->ceilings[bounds->count], folder, names[i]->d_name, err);
			bounds->count++;
		}
		free(names[i]);
	}
	free(names);
	return r;
}

static bool is_link(const char *path)
{
	int saved = errno;
	struct stat st;
	bool is = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);

	errno = saved;
	return is;
}

int bounds_load(struct bounds *bounds, const char *folder, struct err *err)
{
	const char *path = folder ? folder : BOUNDS_FOLDER;
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	*bounds = (struct bounds){.folder = folder};
	/* A folder that a caller names and that is not there would be no ceiling by mistake, and so is a link to nowhere. */
	if (fd < 0 && errno == ENOENT && !folder && !is_link(BOUNDS_PARENT) && !is_link(path))
		return 0;
	r = fd < 0 ? err_sys(err, -errno, "cannot be opened") : check_owner(fd, true, err);
	if (r == 0)
		r = read_folder(bounds, fd, err);
	if (r < 0)
		return err_prefix(err, "ceiling '%s'", path);
	bounds_defaults_machine(&bounds->machine);
	r = bounds_calls_new(bounds, &bounds->calls, err);
	return r < 0 ? err_prefix(err, "ceiling '%s'", path) : 0;
}

static int check_all(const struct bounds *bounds, const struct runtime_ceiling_facts *facts,
		     struct runtime_ceiling_findings *findings, struct err *err)
{
	for (size_t i = 0; i < bounds->count; i++) {
		int r = runtime_ceiling_check(&bounds->ceilings[i], facts, &bounds->machine, findings, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static void note_findings(struct bounds *bounds, const struct runtime_ceiling_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		bounds_note(bounds, "narrowed: %s", findings->items[i].sentence);
}

int bounds_take_config(struct buf *text, struct spec *spec, const json_t *config, struct err *err)
{
	CLEANUP_FREE char *edited = json_dumps(config, JSON_COMPACT);
	int r;

	if (!edited)
		return err_set(err, -ENOMEM, "no memory");
	spec_done(spec);
	buf_clear(text);
	r = buf_append(text, edited, strlen(edited));
	if (r < 0)
		return err_sys(err, r, "config.json");
	return spec_parse(spec, text->data, text->len, err);
}

/* One round: what is over the ceiling is refused or taken out. */
static int narrow(struct bounds *bounds, int bundle, struct buf *text, struct spec *spec, size_t *ret_count,
		  struct err *err)
{
	struct bounds_facts facts CLEANUP(bounds_facts_done) = {0};
	struct runtime_ceiling_findings findings CLEANUP(runtime_ceiling_findings_done) = {0};
	json_t *config;
	int r = bounds_facts_of_spec(&facts, bounds, bundle, spec, err);

	*ret_count = 0;
	if (r == 0)
		r = check_all(bounds, &facts.facts, &findings, err);
	if (r < 0 || findings.count == 0)
		return r;
	*ret_count = findings.count;
	config = json_deep_copy(spec->json);
	r = config ? bounds_narrow_config(config, &facts.facts, &findings, err) : err_set(err, -ENOMEM, "no memory");
	if (r == 0)
		note_findings(bounds, &findings);
	if (r == 0)
		r = bounds_take_config(text, spec, config, err);
	json_decref(config);
	return r;
}

static int add_defaults(struct bounds *bounds, struct buf *text, struct spec *spec, struct err *err)
{
	json_t *config = NULL;
	int r = bounds_defaults_limits(bounds, spec, &config, err);

	if (r == 0 && config)
		r = bounds_take_config(text, spec, config, err);
	json_decref(config);
	return r;
}

static int lower_limit(pid_t pid, const struct runtime_ceiling_rlimit *row, const char *file, struct err *err)
{
	__rlimit_resource_t resource = (__rlimit_resource_t)spec_rlimit_number(row->name);
	struct rlimit now;

	if (prlimit(pid, resource, NULL, &now) < 0)
		return err_sys(err, -errno, "cannot read %s", row->name);
	if (now.rlim_max <= row->most)
		return 0;
	now.rlim_max = row->most;
	now.rlim_cur = now.rlim_cur < row->most ? now.rlim_cur : row->most;
	if (prlimit(pid, resource, &now, NULL) < 0)
		return err_sys(err, -errno, "cannot lower %s to what ceiling file '%s' says", row->name, file);
	return 0;
}

int bounds_lower_limits(const struct bounds *bounds, pid_t pid, struct err *err)
{
	for (size_t i = 0; bounds && i < bounds->count; i++)
		for (size_t j = 0; j < bounds->ceilings[i].rlimit_count; j++) {
			int r = lower_limit(pid, &bounds->ceilings[i].rlimits[j], bounds->ceilings[i].file, err);

			if (r < 0)
				return r;
		}
	return 0;
}

static int never_ends(const struct bounds *bounds, const char *document, struct err *err)
{
	return err_set(err, ERR_DENIED, "%s: cannot be narrowed: %s", document,
		       bounds->note_count ? bounds->notes[bounds->note_count - 1] : "");
}

int bounds_apply(struct bounds *bounds, int bundle, struct buf *text, struct spec *spec, struct err *err)
{
	size_t found = 1;
	int r = bounds_lower_limits(bounds, 0, err);

	/*
	 * What came out is held against the ceiling again: only what nothing is over any more starts. Narrowing for one
	 * file may show something to another one, each time less, and a limit that was taken out leaves its default.
	 */
	for (size_t round = 0; r == 0 && found; round++) {
		if (round == ROUNDS_MAX)
			return never_ends(bounds, "config.json", err);
		r = add_defaults(bounds, text, spec, err);
		found = 0;
		if (r == 0 && bounds->count)
			r = narrow(bounds, bundle, text, spec, &found, err);
		/* Once more where a path has changed: it is what is run. */
		if (r == 0 && !found)
			r = bounds_hooks_pin(bounds, text, spec, err);
		if (r > 0) {
			found = 1;
			r = 0;
		}
	}
	return r;
}

static int narrow_process(struct bounds *bounds, struct spec_process *process, size_t *ret_count, struct err *err)
{
	struct bounds_facts facts CLEANUP(bounds_facts_done) = {.facts = {.document = "exec"}};
	struct runtime_ceiling_findings findings CLEANUP(runtime_ceiling_findings_done) = {0};
	int r = bounds_facts_add_process(&facts, process, err);

	if (r == 0)
		r = check_all(bounds, &facts.facts, &findings, err);
	if (r < 0)
		return r;
	note_findings(bounds, &findings);
	bounds_narrow_process(process, &findings);
	*ret_count = findings.count;
	return 0;
}

int bounds_apply_process(struct bounds *bounds, struct spec_process *process, struct err *err)
{
	size_t found = 1;
	int r = bounds_lower_limits(bounds, 0, err);

	for (size_t round = 0; r == 0 && found; round++)
		r = round < ROUNDS_MAX ? narrow_process(bounds, process, &found, err) : never_ends(bounds, "exec", err);
	return r;
}

static int narrow_resources(struct bounds *bounds, struct spec_resources *resources, size_t *ret_count, struct err *err)
{
	struct bounds_facts facts CLEANUP(bounds_facts_done) = {.facts = {.document = "update"}};
	struct runtime_ceiling_findings findings CLEANUP(runtime_ceiling_findings_done) = {0};
	int r = bounds_facts_add_resources(&facts, resources, err);

	if (r == 0)
		r = check_all(bounds, &facts.facts, &findings, err);
	if (r < 0)
		return r;
	note_findings(bounds, &findings);
	bounds_narrow_resources(resources, &findings);
	*ret_count = findings.count;
	return 0;
}

int bounds_apply_resources(struct bounds *bounds, struct spec_resources *resources, struct err *err)
{
	size_t found = 1;
	int r = 0;

	for (size_t round = 0; r == 0 && found; round++)
		r = round < ROUNDS_MAX ? narrow_resources(bounds, resources, &found, err)
				       : never_ends(bounds, "update", err);
	return r;
}

static int verify(const struct bounds_identity *judged, int fd, const char *what, struct err *err)
{
	struct stat st;

	if (!judged->judged)
		return 0;
	if (fstat(fd, &st) < 0 || st.st_dev != judged->dev || st.st_ino != judged->ino)
		return err_set(err, ERR_DENIED, "the %s is not what it was when the ceiling was looked at", what);
	return 0;
}

int bounds_verify_mount(const struct bounds *bounds, size_t index, int fd, struct err *err)
{
	return bounds && index < bounds->mount_count ? verify(&bounds->mounts[index], fd, "source", err) : 0;
}

int bounds_verify_root(const struct bounds *bounds, int fd, struct err *err)
{
	return bounds ? verify(&bounds->root, fd, "root", err) : 0;
}

int bounds_verify_namespace(const struct bounds *bounds, enum spec_namespace_type type, int fd, struct err *err)
{
	return bounds ? verify(&bounds->namespaces[type], fd, "namespace", err) : 0;
}
