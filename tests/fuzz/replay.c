/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over stored inputs without a fuzzing engine: every file of the folders and files given. Fails on a
 * folder without files, because a corpus that went missing would otherwise pass for a test.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/str.h"

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	CLEANUP_BUF struct buf input = buf_of(INPUT_MAX);
	CLEANUP_FREE uint8_t *exact = NULL;
	struct err err = {0};

	if (fdio_read_file(AT_FDCWD, path, &input, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	/* A block of exactly this size lets the address sanitizer see a read one byte behind the input. */
	exact = malloc(input.len ? input.len : 1);
	if (!exact)
		return -1;
	if (input.len)
		memcpy(exact, input.data, input.len);
	(void)LLVMFuzzerTestOneInput(exact, input.len);
	return 0;
}

/* Replays a folder; the number of its files, or -1. */
static int replay_folder(const char *path)
{
	DIR *entries = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (!entries) {
		(void)fprintf(stderr, "cannot open folder '%s': %s\n", path, strerror(errno));
		return -1;
	}
	while (count >= 0 && (entry = readdir(entries))) {
		CLEANUP_FREE char *file = NULL;

		if (entry->d_name[0] == '.')
			continue;
		file = str_format("%s/%s", path, entry->d_name);
		count = file && replay_file(file) == 0 ? count + 1 : -1;
	}
	(void)closedir(entries);
	if (count == 0) {
		(void)fprintf(stderr, "folder '%s' holds no inputs\n", path);
		return -1;
	}
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;

	if (argc < 2) {
		(void)fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int count = 1;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			count = replay_folder(argv[i]);
		else if (replay_file(argv[i]) < 0)
			count = -1;
		if (count < 0)
			return 1;
		total += count;
	}
	(void)printf("%d inputs replayed\n", total);
	return 0;
}
