/* SPDX-License-Identifier: Apache-2.0 */
/* A container on its way from config.json to a process that waits to be started. */
#ifndef RUNTIME_CONTAINER_H
#define RUNTIME_CONTAINER_H

#include "oci/spec.h"
#include "runtime/bounds.h"
#include "runtime/state.h"
#include "sandbox/cgroup.h"
#include "sandbox/mountfd.h"
#include "sandbox/namespaces.h"

struct container_mount {
	const struct spec_mount *spec;
	struct mountfd_options options;
	int fd;       /* a mount the parent prepared; -1: the child makes it in its own namespaces */
	bool file;    /* fd is of anything but a folder */
	bool skipped; /* /dev: always the runtime's own */
};

struct container_node {
	const char *path; /* in the container */
	int fd;           /* a mount of the machine's */
};

struct container {
	const struct spec *spec;
	struct state *state;
	const struct bounds *bounds; /* what was judged, NULL: nothing */
	int bundle;
	struct cgroup cgroup;
	uint32_t groups_made;    /* in the child: the hierarchies with a group, as cgroup_made has it */
	int join[SPEC_NS_TYPES]; /* namespaces to join, -1: none */
	bool own[SPEC_NS_TYPES]; /* not shared with the host */
	struct idmap uids;       /* of the user namespace; one line of everything without one */
	struct idmap gids;
	int home;                     /* the mount namespace to move to, -1: it stays in its own */
	int root;                     /* detached mount of the root */
	int dev;                      /* detached tmpfs for /dev */
	struct container_node *nodes; /* devices of the machine, for users who cannot make any */
	size_t node_count;
	struct container_mount *mounts;
	size_t mount_count;
	int groups[CGROUP_HIERARCHIES_MAX]; /* detached views of the container's own groups, -1: none */
	int filters;                        /* the folder of kept filters, -1: none */
	int listener;                       /* where the created container waits for `start` */
	int spawner;                        /* where the container's spawner listens, -1: there is none */
	int channel;                        /* to the child, or in the child to the parent */
	int far_end;                        /* while the child is made: the other end of the channel */
	int console;                        /* the socket of --console-socket, -1: none */
	int preserve_fds;
	int apparmor;      /* the child's file for its profile, -1: none */
	bool keep_keyring; /* the caller's session keyring stays */
	bool at_once;      /* starts without waiting for `start` */
	pid_t pid;
};

/* An empty container: every descriptor -1. */
void container_init(struct container *container, const struct spec *spec, struct state *state);
void container_done(struct container *container);

/* Opens the namespaces to join and checks what the namespaces allow. */
int container_open_namespaces(struct container *container, struct err *err) MUST_CHECK;

/* Whether the user the process runs as has ids in the user namespace. */
int container_check_user(const struct container *container, struct err *err) MUST_CHECK;

/* Whether the container is to be in the mount namespace of the runtime or of others: it is seen to have its own root. */
bool container_is_guest(const struct spec *spec);

/* Whether a process may be added to such a container. */
int container_check_guest(const struct spec_process *process, struct err *err) MUST_CHECK;

/* Opens that namespace, when there is one and the container may be there. */
int container_open_home(struct container *container, struct err *err) MUST_CHECK;

/* Child, in the sealed root: moves there with a copy of the root, which container->root then is. */
int container_go_home(struct container *container, struct err *err) MUST_CHECK;

/* Makes a folder the root of this process alone. */
int container_become_root(int root, struct err *err) MUST_CHECK;

/* Whether the container gets a new namespace of this type. */
bool container_makes(const struct container *container, enum spec_namespace_type type);

/* Whether the root is an image's folder, to be mapped and never written. */
bool container_wants_idmap(const struct spec *spec);

/* Reads the mounts' options; nothing is opened. What container_confine needs. */
int container_list_mounts(struct container *container, struct err *err) MUST_CHECK;

/* Parent: clones the root and the sources of bind mounts, makes /dev. All by descriptor from here on. */
int container_open_mounts(struct container *container, struct err *err) MUST_CHECK;

/* Parent: has the mounts that ask for it show the owners of the user namespace. */
int container_map_owners(struct container *container, struct err *err) MUST_CHECK;

/* Parent: a detached tmpfs; then the device nodes every container has and those of linux.devices in it. */
int container_make_dev(struct container *container, struct err *err) MUST_CHECK;
int container_fill_dev(struct container *container, struct err *err) MUST_CHECK;

/* Hands the open control groups over; the caller frees them. NULL without memory. */
struct cgroup *container_take_groups(struct container *container);

/* Parent: makes the control groups that have to be there before the container's process. */
int container_make_groups(struct container *container, struct err *err) MUST_CHECK;

/* Child: attaches it. renew: mounts listed before it are there already. */
int container_attach_dev(struct container *container, bool renew, struct err *err) MUST_CHECK;

/*
 * Parent: makes the container's process, in its namespaces where it enters its groups, says CHANNEL_NAMESPACES and waits
 * for CHANNEL_GO with the process id; meanwhile does for it what takes the rights of the machine's root.
 */
int container_spawn(struct container *container, struct err *err) MUST_CHECK;

/*
 * A detached tmpfs. What its options leave unbounded, size and files, is bounded by half of the container's memory, so that
 * filling it is an error of the one who writes before it is the end of the container. With copy_up it begins with what
 * target, the folder it will lie over, holds.
 */
int container_make_tmpfs(const struct container *container, const char *source, const struct mountfd_options *options,
			 uint64_t attributes, int target, int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Copies files, folders and links with their owners and modes, by descriptor, and makes the tmpfs read-only where its
 * options say so. Bounded in bytes, files and depth; the error names the file.
 */
int container_copy_up(const struct mountfd_options *options, int target, int tmpfs, struct err *err) MUST_CHECK;

/*
 * What a mount of control groups shows, always read-only: in a cgroup namespace the hierarchies from there on, else views
 * of the container's own groups, which the parent opens and the child attaches.
 */
int container_open_groups(struct container *container, struct err *err) MUST_CHECK;
int container_attach_groups(struct container *container, int target, struct err *err) MUST_CHECK;

/* Child: attaches root and mounts, in its own mount namespace; the old root is still there below. */
int container_attach_mounts(struct container *container, struct err *err) MUST_CHECK;

/* Child: makes the root the only one, then masks, write-protects and writes the sysctls. */
int container_seal_root(struct container *container, struct err *err) MUST_CHECK;

/* Whether the annotations that bind a container to TCP ports can be read; then, in the child, binds it. */
int container_check_ports(const struct spec *spec, struct err *err) MUST_CHECK;
int container_confine_ports(const struct spec *spec, struct err *err) MUST_CHECK;

/* Child, in the sealed root: Landlock from the mounts, and over those ports. */
int container_confine(const struct container *container, struct err *err) MUST_CHECK;

/* The child's whole life, up to the container's program. */
_Noreturn void container_child(struct container *container);

#endif
