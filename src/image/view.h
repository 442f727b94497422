/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed images as plain files, without a plain file: for each trust domain one process serves a read-only FUSE folder, whose
 * files it decrypts as they are read. It has the domain's image keys, nobody's rights, and outlives the instance service, as
 * containers do. Root alone opens its files: to mount images from them.
 */
#ifndef IMAGE_VIEW_H
#define IMAGE_VIEW_H

#include <stdbool.h>

#include "image/seal.h"

#define VIEW_NAME_SIZE 168
#define VIEW_FILES_MAX 256

/* --- what goes over its socket (SOCK_SEQPACKET); both ends are one executable --- */

enum view_op { VIEW_ADD, VIEW_DROP, VIEW_END };

struct view_request {
	uint32_t op;
	char name[VIEW_NAME_SIZE]; /* of the file; VIEW_ADD comes with the descriptor of the sealed file */
	struct seal_binding binding;
	uint8_t key[SEAL_KEY_SIZE]; /* of the trust domain; used to open the file and forgotten */
};

struct view_reply {
	int32_t code; /* 0 or negative errno */
	char message[256];
};

/* --- the store's side --- */

struct view {
	char domain[SEAL_DOMAIN_SIZE];
	int socket;
};

/*
 * The process of a domain: the one that runs, else a new one. dir is the folder of mounts, where its socket and its file
 * system are; executable NULL: the running one.
 */
int view_open(int dir, const char *executable, const char *domain, struct view *ret_view, struct err *err) MUST_CHECK;
/* Lets go of it; it runs on. */
void view_close(struct view *view);

/* Whether the process is there still. */
bool view_is_alive(const struct view *view);
/* Whether a domain has one, connected to or not. */
bool view_is_running(int dir, const char *domain);

/* Has it serve a sealed file under a name, which may be there already, and opens that. unseal_new's errors. */
int view_add(const struct view *view, int dir, const char *name, int sealed, const struct seal_binding *binding,
	     const uint8_t key[static SEAL_KEY_SIZE], int *ret_file, struct err *err) MUST_CHECK;

/* Has it wipe the key of a file: whatever is read from it afterwards is an error. */
int view_drop(const struct view *view, const char *name, struct err *err) MUST_CHECK;

/* Ends the process of a domain, and with it all keys; takes its file system away. Nothing happens when there is none. */
int view_end(int dir, const char *domain, struct err *err) MUST_CHECK;

/* Ends those of all domains. */
int view_end_all(int dir, struct err *err) MUST_CHECK;

#endif
