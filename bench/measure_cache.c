/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protected image cache beside the plain one, in turns: a registry over loopback, one image that a domain keeps sealed
 * and one of the same layer for all. Prints {"NAME":[[ours, peer], ...]} in seconds or bytes. Arguments: folder, rounds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fdio.h"
#include "image/image.h"
#include "image_registry.h"
#include "sandbox/mountfd.h"

#define FILES 1024
#define PIECE ((size_t)128 << 10)
#define IMAGE_BYTES ((size_t)480 << 20) /* packs to 200 MB */
#define WORKING_SET ((size_t)24 << 20)
#define CONTAINERS 100
#define PAGE 4096

static const struct http_client_config client;
static const uint8_t domain_key[IMAGE_DOMAIN_KEY_SIZE] = "the key of a trust domain";

/* What is measured: the two images in one store. */
static struct {
	char path[128], mounts[128];
	int dir;
	struct image_store *store;
	struct blob *sealed, *plain, *other;
} bench;

/* Files of the image, of the sizes that images have, and which of them a container reads when it starts. */
static struct {
	size_t size[FILES];
	bool wanted[FILES];
	size_t count;
} files;

static void must(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "measure_cache: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- the images --- */

/* Bytes that gzip makes 2.4 times smaller: runs of noise between runs of what was there before. */
static void fill(char *to, size_t size)
{
	static uint64_t state = 88172645463325252u;

	for (size_t i = 0; i < size; i++) {
		if (i % 8 == 0) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
		}
		to[i] = i % 1024 < 420 ? (char)(state >> (i % 8 * 8)) : (char)('a' + i % 16);
	}
}

static void choose_files(void)
{
	static const size_t sizes[] = {12, 40, 90, 200, 400, 700, 1500, 3000};
	size_t left = IMAGE_BYTES;

	for (; files.count < FILES && left; files.count++) {
		size_t size = sizes[files.count * 5 % 8] << 10;

		files.size[files.count] = size < left ? size : left;
		left -= files.size[files.count];
	}
	/* Spread over the image, as what a start reads is. */
	left = WORKING_SET;
	for (size_t i = 0; left && i < files.count; i++) {
		size_t at = i * 17 % files.count;

		if (files.wanted[at] || files.size[at] > left)
			continue;
		files.wanted[at] = true;
		left -= files.size[at];
	}
}

static struct layer make_layer(void)
{
	struct buf tar = buf_of(IMAGE_BYTES * 2);
	char *bytes = malloc(4 << 20), name[32];

	must(bytes != NULL, "memory");
	tar_put(&tar, "f/", '5', NULL);
	for (size_t i = 0; i < files.count; i++) {
		(void)snprintf(name, sizeof(name), "f/%zu", i);
		fill(bytes, files.size[i]);
		tar_put_header(&tar, &(struct tar_header_spec){.name = name, .type = '0', .size = files.size[i]});
		tar_put_data(&tar, bytes, files.size[i]);
	}
	free(bytes);
	return put_layer(&tar, true);
}

static struct blob *make_image(const struct layer *layer, const char *text)
{
	struct buf tar = buf_of(1 << 20);
	struct layer layers[] = {*layer, {0}};

	tar_put_file(&tar, "hello", text);
	layers[1] = put_layer(&tar, true);
	return put_image(layers, 2, MEDIA_OCI_CONFIG, 0);
}

static void open_store(const char *folder)
{
	const struct image_store_config config = {.mounts = bench.mounts};
	struct err err = {0};

	(void)snprintf(bench.path, sizeof(bench.path), "%s/store", folder);
	(void)snprintf(bench.mounts, sizeof(bench.mounts), "%s/mounts", folder);
	must(mkdir(bench.path, 0700) == 0, bench.path);
	bench.dir = open(bench.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(image_store_open(bench.dir, &config, &bench.store, &err) == 0, err.msg);
}

static struct image *pull(struct blob *blob)
{
	const struct image_protection protection = {.class = POLICY_CACHE_ENCRYPTED,
						    .domain = "gold",
						    .key = domain_key};
	char reference[256];
	const struct image_request request = {.image = reference,
					      .token = "secret",
					      .client = &client,
					      .plain_http = true,
					      .protection = blob != bench.plain ? &protection : NULL};
	struct image *image;
	struct err err = {0};

	reference_of(reference, blob);
	must(image_pull(bench.store, &request, &image, &err) == 0, err.msg);
	return image;
}

/* --- reading --- */

static void read_file(int root, size_t index)
{
	static char bytes[PIECE];
	char name[32];
	size_t done = 0;
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "f/%zu", index);
	fd = openat(root, name, O_RDONLY | O_CLOEXEC);
	must(fd >= 0, name);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		done += (size_t)n;
	must(n == 0 && done == files.size[index], name);
	(void)close(fd);
}

static void read_files(int root, bool all)
{
	for (size_t i = 0; i < files.count; i++)
		if (all || files.wanted[i])
			read_file(root, i);
}

static int root_of(const struct image *image)
{
	struct err err = {0};
	int root;

	must(image_open_root(image, &root, &err) == 0, err.msg);
	return root;
}

/* Nothing of the images in any memory of this machine: mounts and their processes gone, the files left the page cache. */
static void forget(void)
{
	int copy = openat(bench.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fdopendir(copy);
	struct err err = {0};

	must(image_store_trim(bench.store, &err) == 0, err.msg);
	must(names != NULL, bench.path);
	for (struct dirent *entry; (entry = readdir(names));) {
		char path[512];
		int fd;

		(void)snprintf(path, sizeof(path), "%s/image", entry->d_name);
		fd = openat(bench.dir, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		must(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, path);
		(void)close(fd);
	}
	(void)closedir(names);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
}

/* --- what is measured --- */

/*
 * From nothing in memory to a mounted image of which a start has read its part, or all. running: the domain has another
 * image in use, and so its process.
 */
static double cold(struct blob *blob, bool all, bool running)
{
	struct image *other = NULL, *image;
	double began;
	int root;

	forget();
	if (running)
		other = pull(bench.other);
	began = seconds();
	image = pull(blob);
	root = root_of(image);
	read_files(root, all);
	began = seconds() - began;
	(void)close(root);
	image_release(image);
	image_release(other);
	return began;
}

/* The next container on an image that is mounted and was read. */
static double warm(struct blob *blob)
{
	double began = seconds();
	struct image *image = pull(blob);
	int root = root_of(image);

	read_files(root, false);
	began = seconds() - began;
	(void)close(root);
	image_release(image);
	return began;
}

static void inflate_all(const struct blob *blob)
{
	static unsigned char to[PIECE];
	z_stream z = {.next_in = (Bytef *)blob->bytes.data, .avail_in = (uInt)blob->bytes.len};
	int r = inflateInit2(&z, 31);

	while (r == Z_OK) {
		z.next_out = to;
		z.avail_out = sizeof(to);
		r = inflate(&z, Z_NO_FLUSH);
	}
	must(r == Z_STREAM_END, "inflate");
	(void)inflateEnd(&z);
}

static double first_pull(void)
{
	struct err err = {0};
	size_t count;
	double began;

	must(image_revoke(bench.store, NULL, "gold", &count, &err) == 0, err.msg);
	began = seconds();
	image_release(pull(bench.sealed));
	return seconds() - began;
}

/* Bytes of an open file that are in memory. */
static size_t resident(int fd)
{
	struct stat st;
	size_t count = 0;
	unsigned char *pages;
	void *at;

	must(fstat(fd, &st) == 0, "stat");
	pages = malloc((size_t)st.st_size / PAGE + 1);
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	must(pages && at != MAP_FAILED && mincore(at, (size_t)st.st_size, pages) == 0, "mincore");
	for (size_t i = 0; i < ((size_t)st.st_size + PAGE - 1) / PAGE; i++)
		count += pages[i] & 1;
	(void)munmap(at, (size_t)st.st_size);
	free(pages);
	return count * PAGE;
}

/* The image's page cache as these mounts see it: a file that two of them have in common counts once. */
static size_t resident_of(const int *roots, size_t roots_count)
{
	dev_t seen[CONTAINERS];
	size_t bytes = 0, seen_count = 0;

	for (size_t i = 0; i < roots_count; i++) {
		struct stat st;
		bool known = false;

		must(fstat(roots[i], &st) == 0, "stat");
		for (size_t j = 0; j < seen_count; j++)
			known |= seen[j] == st.st_dev;
		if (known)
			continue;
		seen[seen_count++] = st.st_dev;
		for (size_t file = 0; file < files.count; file++) {
			char name[32];
			int fd;

			(void)snprintf(name, sizeof(name), "f/%zu", file);
			fd = openat(roots[i], name, O_RDONLY | O_CLOEXEC);
			must(fd >= 0, name);
			bytes += resident(fd);
			(void)close(fd);
		}
	}
	return bytes;
}

/* As containers get the image: a clone of its mount each, and each reads its working set. */
static void containers(size_t count, double *ret_bytes)
{
	struct image *image;
	int roots[CONTAINERS], root;

	forget();
	image = pull(bench.sealed);
	root = root_of(image);
	for (size_t i = 0; i < count; i++) {
		must(mountfd_clone(root, "", false, &roots[i]) == 0, "clone");
		read_files(roots[i], false);
	}
	*ret_bytes = (double)resident_of(roots, count);
	for (size_t i = 0; i < count; i++)
		(void)close(roots[i]);
	(void)close(root);
	image_release(image);
}

static void print_rows(const char *name, double (*rows)[2], unsigned count)
{
	printf("\"%s\":[", name);
	for (unsigned i = 0; i < count; i++)
		printf("%s[%.6f,%.6f]", i ? "," : "", rows[i][0], rows[i][1]);
	printf("]");
}

static void measure_reading(unsigned rounds)
{
	double part[64][2], first[64][2], again[64][2], all[64][2];

	for (unsigned i = 0; i < rounds; i++) {
		part[i][1] = cold(bench.plain, false, true);
		again[i][1] = warm(bench.plain);
		part[i][0] = cold(bench.sealed, false, true);
		again[i][0] = warm(bench.sealed);
		first[i][1] = cold(bench.plain, false, false);
		first[i][0] = cold(bench.sealed, false, false);
		all[i][1] = cold(bench.plain, true, true);
		all[i][0] = cold(bench.sealed, true, true);
	}
	print_rows("cache_cold", part, rounds);
	printf(",");
	print_rows("cache_cold_first", first, rounds);
	printf(",");
	print_rows("cache_warm", again, rounds);
	printf(",");
	print_rows("cache_full", all, rounds);
}

static void measure(unsigned rounds)
{
	struct layer layer;
	double bytes[1][2], pulls[64][2];

	choose_files();
	start_registry();
	layer = make_layer();
	bench.sealed = make_image(&layer, "sealed");
	bench.plain = make_image(&layer, "plain");
	bench.other = put_simple_image(true, "other");
	image_release(pull(bench.other));
	image_release(pull(bench.plain));
	image_release(pull(bench.sealed));
	printf("{");
	measure_reading(rounds);
	containers(1, &bytes[0][1]);
	containers(CONTAINERS, &bytes[0][0]);
	printf(",");
	print_rows("containers_100", bytes, 1);
	for (unsigned i = 0; i < rounds; i++) {
		pulls[i][1] = -seconds();
		inflate_all(layer.blob);
		pulls[i][1] += seconds();
		pulls[i][0] = first_pull();
	}
	printf(",");
	print_rows("pull_to_runnable", pulls, rounds);
	printf("}\n");
}

int main(int argc, char **argv)
{
	unsigned rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	struct err err = {0};

	if (argc > 1 && str_eq(argv[1], IMAGE_INGEST_WORD))
		return image_ingest_main();
	if (argc > 1 && str_eq(argv[1], IMAGE_VIEW_WORD))
		return image_view_main();
	if (rounds < 1 || rounds > 64)
		return 2;
	/* Mounts of the measurement are seen by nobody else, and go with it. */
	must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mount namespace");
	open_store(argv[1]);
	measure(rounds);
	must(image_store_trim(bench.store, &err) == 0, err.msg);
	image_store_close(bench.store);
	stop_registry();
	return EXIT_SUCCESS;
}
