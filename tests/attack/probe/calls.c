/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel code that a container has no business in: each probe asks for the first thing an exploit would need. */
#include "probe.h"

#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define X32_BIT 0x40000000
#define NUMBER_GETPID_32 20

static int keyring(const struct facts *facts)
{
	long id = syscall(SYS_add_key, "user", "bulkhead-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING);

	return probe_result(id);
}

static int keyring_session(const struct facts *facts)
{
	return probe_result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0));
}

static int bpf_map(const struct facts *facts)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};

	return probe_result(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int io_uring(const struct facts *facts)
{
	struct io_uring_params params = {0};

	return probe_result(syscall(SYS_io_uring_setup, 1, &params));
}

/* Faults of the kernel's own, which exploits stop a system call at. */
static int userfault(const struct facts *facts)
{
	return probe_result(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int perf_event(const struct facts *facts)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_CPU_CLOCK,
				       .disabled = 1};

	return probe_result(syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0));
}

/* No segments: forgets a loaded kernel, of which there is none. */
static int kexec(const struct facts *facts)
{
	return probe_result(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

/* The kernel looks at the bytes only for those who may load modules, and these are none. */
static int module_load(const struct facts *facts)
{
	static const char bytes[64] = "no module";

	if (syscall(SYS_init_module, bytes, sizeof(bytes), "") < 0 && errno != ENOEXEC)
		return -errno;
	return 0;
}

static int module_unload(const struct facts *facts)
{
	if (syscall(SYS_delete_module, "bulkhead_probe", O_NONBLOCK) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int persona(const struct facts *facts)
{
	return probe_result(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC));
}

static int local_descriptor_table(const struct facts *facts)
{
	struct user_desc entry = {.entry_number = 1,
				  .base_addr = 0,
				  .limit = 0xfffff,
				  .seg_32bit = 1,
				  .limit_in_pages = 1,
				  .useable = 1};

	return probe_result(syscall(SYS_modify_ldt, 1, &entry, sizeof(entry)));
}

/* The other entry into the kernel, which a filter for this architecture alone would not see. */
static int calls_32bit(const struct facts *facts)
{
	long number = NUMBER_GETPID_32;

	__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	return number == getpid() ? 0 : -ENOSYS;
}

static int calls_x32(const struct facts *facts)
{
	return probe_result(syscall(SYS_getpid | X32_BIT));
}

static int io_ports(const struct facts *facts)
{
	return probe_result(iopl(3));
}

static int fanotify(const struct facts *facts)
{
	return probe_result(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
}

static int kernel_log(const struct facts *facts)
{
	char text[4096];

	return probe_result(klogctl(3, text, sizeof(text)));
}

static int clock_set(const struct facts *facts)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	return probe_result(clock_settime(CLOCK_REALTIME, &now));
}

/* Off is what accounting is. */
static int accounting(const struct facts *facts)
{
	return probe_result(acct(NULL));
}

static int power(const struct facts *facts)
{
	return probe_result(
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF, NULL));
}

static int swap(const struct facts *facts)
{
	if (syscall(SYS_swapoff, "/nowhere") < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

#define KERNEL "kernel"

static const struct probe probes[] = {
	{"keyring", KERNEL, "CVE-2026-46300", keyring},
	{"keyring_session", KERNEL, "CVE-2016-0728", keyring_session},
	{"bpf_map", KERNEL, "CVE-2021-3490", bpf_map},
	{"io_uring", KERNEL, "CVE-2022-29582", io_uring},
	{"userfault", KERNEL, "userfaultfd", userfault},
	{"perf_event", KERNEL, "CVE-2013-2094", perf_event},
	{"kexec", KERNEL, "kexec_load", kexec},
	{"module_load", KERNEL, "init_module", module_load},
	{"module_unload", KERNEL, "delete_module", module_unload},
	{"personality", KERNEL, "CVE-2009-1895", persona},
	{"modify_ldt", KERNEL, "CVE-2017-17053", local_descriptor_table},
	{"calls_32bit", KERNEL, "CVE-2010-3081", calls_32bit},
	{"calls_x32", KERNEL, "CVE-2014-0038", calls_x32},
	{"io_ports", KERNEL, "iopl", io_ports},
	{"fanotify", KERNEL, "fanotify_init", fanotify},
	{"kernel_log", KERNEL, "dmesg", kernel_log},
	{"clock_set", KERNEL, "clock_settime", clock_set},
	{"accounting", KERNEL, "acct", accounting},
	{"power", KERNEL, "reboot", power},
	{"swap", KERNEL, "swapoff", swap},
};

const struct probe_list probe_calls = {probes, sizeof(probes) / sizeof(probes[0])};
