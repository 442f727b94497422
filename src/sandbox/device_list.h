/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the devices controller of a version 1 group holds: the devices that are allowed, or, when the list is open, those
 * that are not. Pure: rules come in as they are written to the group, or as the group's file tells them.
 */
#ifndef SANDBOX_DEVICE_LIST_H
#define SANDBOX_DEVICE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "oci/spec.h"

struct device_list_entry {
	char type;           /* 'b' or 'c' */
	int64_t major;       /* -1: any */
	int64_t minor;       /* -1: any */
	unsigned int access; /* a bit for each letter of "rwm" */
};

struct device_list {
	struct device_list_entry *items;
	size_t count;
	size_t room;
	bool open;
};

/* Adds a rule as the kernel does: one for the same device changes that one, and one for all devices starts afresh. -ENOMEM. */
int device_list_add(struct device_list *list, const struct spec_device_rule *rule) MUST_CHECK;

/* Reads the lines of devices.list. ERR_SYNTAX for what is none. */
int device_list_parse(struct device_list *list, const char *text) MUST_CHECK;

/* The kinds of access to the entry's very device, as bits, that stand in the list. */
unsigned int device_list_find(const struct device_list *list, const struct device_list_entry *entry);

/* An entry as the kernel reads it: "c 10:* rw". */
void device_list_format(const struct device_list_entry *entry, char *to, size_t size);

void device_list_done(struct device_list *list);

#endif
