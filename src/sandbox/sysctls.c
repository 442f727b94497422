/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sysctls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "sandbox/inroot.h"

enum sysctl_type { SYSCTL_NUMBERS, SYSCTL_WORD };

static const struct {
	const char *name; /* a trailing '*' stands for the rest */
	enum spec_namespace_type namespace;
	enum sysctl_type type;
} rows[] = {
	{"kernel.msgmax", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.msgmnb", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.msgmni", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.sem", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.shmall", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.shmmax", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.shmmni", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.shm_rmid_forced", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"fs.mqueue.msg_default", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"fs.mqueue.msg_max", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"fs.mqueue.msgsize_default", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"fs.mqueue.msgsize_max", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"fs.mqueue.queues_max", SPEC_NS_IPC, SYSCTL_NUMBERS},
	{"kernel.domainname", SPEC_NS_UTS, SYSCTL_WORD},
	{"net.ipv4.tcp_congestion_control", SPEC_NS_NETWORK, SYSCTL_WORD},
	{"net.core.somaxconn", SPEC_NS_NETWORK, SYSCTL_NUMBERS},
	{"net.ipv4.*", SPEC_NS_NETWORK, SYSCTL_NUMBERS},
	{"net.ipv6.*", SPEC_NS_NETWORK, SYSCTL_NUMBERS},
	{"net.unix.max_dgram_qlen", SPEC_NS_NETWORK, SYSCTL_NUMBERS},
	{"net.sctp.*", SPEC_NS_NETWORK, SYSCTL_NUMBERS},
};

static bool matches(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0 && name[len - 1];
	return str_eq(pattern, name);
}

/* Dots become slashes; a name with slashes has them as they are. Only plain characters, so that no part is "..". */
static int name_to_path(char *to, size_t size, const char *name)
{
	size_t len = strlen(name);

	if (len + 5 > size || strstr(name, "..") || name[0] == '.' || strchr(name, '/'))
		return -EINVAL;
	for (const char *at = name; *at; at++)
		if (!(*at >= 'a' && *at <= 'z') && !(*at >= '0' && *at <= '9') && *at != '_' && *at != '.' &&
		    *at != '-')
			return -EINVAL;
	(void)snprintf(to, size, "sys/%s", name);
	for (char *at = to; *at; at++)
		if (*at == '.')
			*at = '/';
	return 0;
}

static bool value_fits(enum sysctl_type type, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len > 128)
		return false;
	switch (type) {
	case SYSCTL_NUMBERS:
		return strspn(value, "0123456789 \t-") == len;
	case SYSCTL_WORD:
		return strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
	}
	return false;
}

static int check_one(const struct spec_pair *pair, const bool *own, const char *field, struct err *err)
{
	char path[256];

	if (name_to_path(path, sizeof(path), pair->key) < 0)
		return err_set(err, ERR_INVALID, "%s: '%.128s' is no setting's name", field, pair->key);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!matches(rows[i].name, pair->key))
			continue;
		if (!own[rows[i].namespace])
			return err_set(err, ERR_INVALID,
				       "%s: '%s' would change the host: the container has no %s namespace of its own",
				       field, pair->key, spec_namespace_name(rows[i].namespace));
		if (!value_fits(rows[i].type, pair->value))
			return err_set(err, ERR_INVALID, "%s: '%s' cannot have the value '%.64s'", field, pair->key,
				       pair->value);
		return 0;
	}
	return err_set(err, ERR_INVALID, "%s: '%s' is not among the settings a container may have of its own", field,
		       pair->key);
}

int sysctls_check(const struct spec_pairs *sysctls, const bool own[static SPEC_NS_TYPES], const char *field,
		  struct err *err)
{
	for (size_t i = 0; i < sysctls->count; i++) {
		int r = check_one(&sysctls->items[i], own, field, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int sysctls_write(int proc, const struct spec_pairs *sysctls, const char *field, struct err *err)
{
	for (size_t i = 0; i < sysctls->count; i++) {
		const struct spec_pair *pair = &sysctls->items[i];
		CLEANUP_CLOSE int fd = -1;
		char path[256];
		int r = name_to_path(path, sizeof(path), pair->key);

		if (r == 0)
			r = inroot_open_plain(proc, path, O_WRONLY, true, &fd);
		if (r == 0)
			r = fdio_write_all(fd, pair->value, strlen(pair->value));
		if (r < 0)
			return err_sys(err, r, "%s: '%s'", field, pair->key);
	}
	return 0;
}
