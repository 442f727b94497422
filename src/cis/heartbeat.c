/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"

#define BEAT_MS UINT64_C(10000)
#define LEASE_SECONDS 40
#define BEATS_PER_STATUS 6
#define PODS_MOST 250

struct heartbeat {
	struct cis *cis;
	struct loop_source *timer;
	unsigned beats;
	int64_t since_ms;
	bool busy;
};

static json_t *lease_body(const struct heartbeat *heartbeat)
{
	char stamp[CLOCK_STAMP_SIZE];
	int64_t now = clock_wall_ms();

	clock_format(stamp, now);
	stamp[CLOCK_STAMP_SIZE - 2] = '\0'; /* the Z gives way to the fraction that a MicroTime has */
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:o}}", "apiVersion", "coordination.k8s.io/v1", "kind",
			 "Lease", "metadata", "name", heartbeat->cis->config.instance, "namespace", "kube-node-lease",
			 "spec", "holderIdentity", heartbeat->cis->config.instance, "leaseDurationSeconds",
			 LEASE_SECONDS, "renewTime", json_sprintf("%s.%06dZ", stamp, (int)(now % 1000) * 1000));
}

static void on_lease(void *user, int code)
{
	struct heartbeat *heartbeat = user;

	heartbeat->busy = false;
	if (code != ERR_NOT_FOUND)
		return;
	outbox_put(heartbeat->cis->outbox,
		   (struct outbox_call){.method = "POST",
					.path = str_format(
						"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
					.type = OUTBOX_JSON,
					.body = lease_body(heartbeat)});
}

static void read_line(const char *path, char *to, size_t size)
{
	CLEANUP_BUF struct buf text = buf_of(4096);
	struct err ignored = {0};

	to[0] = '\0';
	if (fdio_read_file(AT_FDCWD, path, &text, &ignored) < 0 || !text.data)
		return;
	(void)snprintf(to, size, "%.*s", (int)strcspn(text.data, "\n"), text.data);
}

/* PRETTY_NAME of os-release. */
static void os_name(char *to, size_t size)
{
	CLEANUP_BUF struct buf text = buf_of(65536);
	struct err ignored = {0};
	const char *at;

	(void)snprintf(to, size, "Linux");
	if (fdio_read_file(AT_FDCWD, "/etc/os-release", &text, &ignored) < 0 || !text.data)
		return;
	at = strstr(text.data, "PRETTY_NAME=\"");
	if (at) {
		at += strlen("PRETTY_NAME=\"");
		(void)snprintf(to, size, "%.*s", (int)strcspn(at, "\""), at);
	}
}

static json_t *node_info(void)
{
	char machine[64], boot[64], os[128];
	struct utsname name;

	(void)uname(&name);
	read_line("/etc/machine-id", machine, sizeof(machine));
	read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	os_name(os, sizeof(os));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "machineID", machine, "systemUUID",
			 machine, "bootID", boot, "kernelVersion", name.release, "osImage", os,
			 "containerRuntimeVersion", "bulkhead://" BULKHEAD_VERSION, "kubeletVersion",
			 "v" BULKHEAD_VERSION, "kubeProxyVersion", "", "operatingSystem", "linux", "architecture",
			 "amd64");
}

static json_t *condition(const struct heartbeat *heartbeat, const char *type, const char *status, const char *reason,
			 const char *message)
{
	char now[CLOCK_STAMP_SIZE], since[CLOCK_STAMP_SIZE];

	clock_format(now, clock_wall_ms());
	clock_format(since, heartbeat->since_ms);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", type, "status", status, "lastHeartbeatTime", now,
			 "lastTransitionTime", since, "reason", reason, "message", message);
}

static json_t *resources(void)
{
	struct sysinfo info;
	unsigned long long memory;

	(void)sysinfo(&info);
	memory = (unsigned long long)info.totalram * info.mem_unit;
	return json_pack("{s:o, s:o, s:o}", "cpu", json_sprintf("%d", get_nprocs()), "memory",
			 json_sprintf("%lluKi", memory / 1024), "pods", json_sprintf("%d", PODS_MOST));
}

static void send_status(struct heartbeat *heartbeat)
{
	const char *name = heartbeat->cis->config.instance;
	json_t *status = json_pack(
		"{s:o, s:o, s:[{s:s, s:s}, {s:s, s:s}], s:o, s:[o, o, o, o]}", "capacity", resources(), "allocatable",
		resources(), "addresses", "type", "InternalIP", "address", "127.0.0.1", "type", "Hostname", "address",
		name, "nodeInfo", node_info(), "conditions",
		condition(heartbeat, "MemoryPressure", "False", "InstanceHasSufficientMemory", "memory is available"),
		condition(heartbeat, "DiskPressure", "False", "InstanceHasNoDiskPressure", "disk space is available"),
		condition(heartbeat, "PIDPressure", "False", "InstanceHasSufficientPID", "process ids are available"),
		condition(heartbeat, "Ready", "True", "InstanceReady", "the instance service runs"));

	outbox_put(heartbeat->cis->outbox, (struct outbox_call){.method = "PATCH",
								.path = str_format("/api/v1/nodes/%s/status", name),
								.type = OUTBOX_MERGE_PATCH,
								.body = json_pack("{s:o}", "status", status)});
}

static void beat(void *user)
{
	struct heartbeat *heartbeat = user;

	loop_set_timer(heartbeat->timer, clock_monotonic_ns() + BEAT_MS * 1000000);
	if (heartbeat->busy)
		return;
	if (heartbeat->beats++ % BEATS_PER_STATUS == 0)
		send_status(heartbeat);
	heartbeat->busy = true;
	outbox_put(heartbeat->cis->outbox,
		   (struct outbox_call){
			   .method = "PUT",
			   .path = str_format("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%s",
					      heartbeat->cis->config.instance),
			   .type = OUTBOX_JSON,
			   .body = lease_body(heartbeat),
			   .done = on_lease,
			   .user = heartbeat});
}

int heartbeat_new(struct cis *cis, struct heartbeat **ret_heartbeat, struct err *err)
{
	struct heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));
	int r;

	if (!heartbeat)
		return err_sys(err, -ENOMEM, "cannot begin the heartbeat");
	heartbeat->cis = cis;
	heartbeat->since_ms = clock_wall_ms();
	r = loop_add_timer(cis->loop, clock_monotonic_ns() + 1, beat, heartbeat, &heartbeat->timer);
	if (r < 0) {
		free(heartbeat);
		return err_sys(err, r, "cannot begin the heartbeat");
	}
	*ret_heartbeat = heartbeat;
	return 0;
}

void heartbeat_free(struct heartbeat *heartbeat)
{
	if (!heartbeat)
		return;
	loop_remove(heartbeat->timer);
	free(heartbeat);
}
