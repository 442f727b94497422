/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to a store in etcd from several threads and watches it from another, until its input ends, while somebody does
 * bad things to the cluster: prints "ack KEY REVISION" for each acknowledged transaction, "no KEY" for each that is said
 * not to have happened, "saw KEY REVISION" for each event.
 *   store_storm PREFIX ENDPOINT[,ENDPOINT…] CA CERTIFICATE KEY
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fdio.h"
#include "store/store.h"

#define WRITERS 4
#define PATIENCE_MS 60000

static struct store *store;
static atomic_bool ending, written;
static atomic_uint_fast64_t newest;

static void rest(unsigned ms)
{
	const struct timespec time = {.tv_nsec = (long)ms * 1000000};

	(void)nanosleep(&time, NULL);
}

/* Each transaction makes a key that nobody else makes and moves the writer's own counter on. */
static void *write_keys(void *user)
{
	unsigned writer = *(unsigned *)user;
	char counter[32];
	uint64_t last = 0;

	(void)snprintf(counter, sizeof(counter), "counter/%u", writer);
	for (unsigned i = 0; !atomic_load(&ending); i++) {
		char key[48];
		struct store_compare compares[] = {{key, 0}, {counter, last}};
		struct store_op ops[] = {{STORE_PUT, key, "v", 1}, {STORE_PUT, counter, "n", 1}};
		struct store_entry entry = {0};
		struct err err = {0};
		uint64_t revision;

		(void)snprintf(key, sizeof(key), "k/%u/%06u", writer, i);
		if (store_txn(store, compares, 2, ops, 2, &revision, NULL, &err) == 0) {
			last = revision;
			(void)printf("ack %s %llu\n", key, (unsigned long long)revision);
			if (revision > atomic_load(&newest))
				atomic_store(&newest, revision);
			continue;
		}
		if (!strstr(err.msg, "may have happened"))
			(void)printf("no %s %s\n", key, err.msg);
		/* It may have happened all the same: the counter tells from where to go on. */
		while (store_get(store, counter, &entry, NULL) < 0 && last && !atomic_load(&ending))
			rest(50);
		last = entry.mod_revision ? entry.mod_revision : last;
		store_entry_done(&entry);
		rest(20);
	}
	return NULL;
}

static void tell(void *user, const struct store_event *event)
{
	(void)user;
	(void)printf("saw %s %llu\n", event->key, (unsigned long long)event->revision);
}

static void *watch_keys(void *user)
{
	struct store_watch *watch = user;

	for (unsigned left = PATIENCE_MS / 5; left; left -= atomic_load(&written)) {
		struct err err = {0};

		if (store_watch_next(watch, 100, tell, NULL, &err) < 0) {
			(void)printf("lost %s\n", err.msg);
			break;
		}
		if (atomic_load(&written) && store_watch_position(watch) >= atomic_load(&newest))
			break;
		rest(5);
	}
	return NULL;
}

static char *read_text(const char *path)
{
	struct buf text = buf_of(65536);

	return fdio_read_file(AT_FDCWD, path, &text, NULL) == 0 ? buf_steal(&text) : NULL;
}

static void storm(struct store_watch *watch)
{
	pthread_t writers[WRITERS], watcher;
	unsigned numbers[WRITERS];
	char byte;

	(void)pthread_create(&watcher, NULL, watch_keys, watch);
	for (unsigned i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		(void)pthread_create(&writers[i], NULL, write_keys, &numbers[i]);
	}
	while (read(0, &byte, 1) > 0)
		continue;
	atomic_store(&ending, true);
	for (unsigned i = 0; i < WRITERS; i++)
		(void)pthread_join(writers[i], NULL);
	atomic_store(&written, true);
	(void)pthread_join(watcher, NULL);
}

int main(int argc, char **argv)
{
	const char *endpoints[STORE_ENDPOINTS_MAX];
	struct store_etcd_config config = {.endpoints = endpoints};
	struct store_watch *watch = NULL;
	struct err err = {0};
	char *save;

	if (argc != 6)
		return 2;
	config.prefix = argv[1];
	for (char *at = strtok_r(argv[2], ",", &save); at && config.endpoint_count < STORE_ENDPOINTS_MAX;
	     at = strtok_r(NULL, ",", &save))
		endpoints[config.endpoint_count++] = at;
	config.ca = read_text(argv[3]);
	config.certificate = read_text(argv[4]);
	config.key = read_text(argv[5]);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (store_etcd_open(&config, NULL, &store, &err) < 0 ||
	    store_watch_open(store, "k/", 0, NULL, NULL, &watch, &err) < 0) {
		(void)fprintf(stderr, "store_storm: %s\n", err.msg);
		return 1;
	}
	storm(watch);
	store_watch_close(watch);
	store_close(store);
	(void)printf("end\n");
	return 0;
}
