/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules as a program of version 2 control groups, which the kernel asks at every mknod and open of a device.
 * For each kind of access (read, write, mknod) the last rule that names the device and that access decides; what no rule
 * names is denied.
 */
#ifndef SANDBOX_DEVICE_BPF_H
#define SANDBOX_DEVICE_BPF_H

#include <linux/bpf.h>
#include <stddef.h>

#include "base/err.h"
#include "oci/spec.h"

struct device_bpf_program {
	struct bpf_insn *code;
	size_t count;
};

/* Compiles rules in their order. -ENOMEM. The caller ends with device_bpf_done. */
int device_bpf_compile(const struct spec_device_rule *rules, size_t count, struct device_bpf_program *ret) MUST_CHECK;
void device_bpf_done(struct device_bpf_program *program);

/* Puts the program in force for a group, and after that takes away what was in force for it before. Negative errno. */
int device_bpf_attach(const struct device_bpf_program *program, int group) MUST_CHECK;

#endif
