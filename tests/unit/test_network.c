/* SPDX-License-Identifier: Apache-2.0 */
/* NET-1, NET-2, ISO-10: real packets between network namespaces, in a network namespace of the test's own. Needs root. */
#include "network/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"

#define NETWORK_BASE 0x0a580000u /* 10.88.0.0/24 */
#define HOST (NETWORK_BASE + 1)
#define ADDRESS(n) (NETWORK_BASE + 2 + (uint32_t)(n))
#define PODS 3
#define QUIET_MS 150
#define SOON_MS 3000

static struct {
	int host_ns;
	pid_t pids[PODS];
	char paths[PODS][64];
	struct network *network;
} world;

static const struct network_config config = {.bridge = "bh0", .network = NETWORK_BASE, .prefix = 24};

/* A process that does nothing but hold a network namespace. */
static void hold_namespace(size_t n)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	world.pids[n] = fork();
	if (world.pids[n] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "1", 1) != 1)
			_exit(1);
		while (true)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)snprintf(world.paths[n], sizeof(world.paths[n]), "/proc/%d/ns/net", (int)world.pids[n]);
}

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	if (geteuid() != 0)
		return 0;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	world.host_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(world.host_ns >= 0);
	for (size_t n = 0; n < PODS; n++)
		hold_namespace(n);
	if (network_open(&config, NULL, 0, &world.network, &err) < 0)
		fail_msg("%s", err.msg);
	return 0;
}

static int teardown(void **state)
{
	struct err err = {0};

	(void)state;
	if (geteuid() != 0)
		return 0;
	for (size_t n = 0; n < PODS; n++)
		assert_int_equal(network_detach(world.network, ADDRESS(n), &err), 0);
	for (size_t n = 0; n < PODS; n++) {
		(void)kill(world.pids[n], SIGKILL);
		(void)waitpid(world.pids[n], NULL, 0);
	}
	assert_int_equal(network_remove(world.network, &err), 0);
	network_free(world.network);
	(void)close(world.host_ns);
	return 0;
}

static void attach(size_t n, const char *domain, const struct network_opening *openings, size_t count)
{
	struct network_pod pod = {.address = ADDRESS(n),
				  .domain = domain,
				  .openings = openings,
				  .opening_count = count};
	struct err err = {0};

	if (network_attach(world.network, &pod, world.paths[n], &err) < 0)
		fail_msg("%s", err.msg);
}

/* A socket that lives in a pod's namespace (or the host's, -1), bound to an address and port. */
static int open_socket(int n, int family, int type, int protocol)
{
	int fd, ns = n < 0 ? -1 : open(world.paths[n], O_RDONLY | O_CLOEXEC);

	if (n >= 0)
		assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	assert_true(fd >= 0);
	assert_int_equal(setns(world.host_ns, CLONE_NEWNET), 0);
	if (ns >= 0)
		(void)close(ns);
	return fd;
}

static struct sockaddr_in endpoint(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
}

static int bound(int n, int type, uint32_t address, uint16_t port)
{
	struct sockaddr_in at = endpoint(address, port);
	int one = 1, fd = open_socket(n, AF_INET, type, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	/* Lets the test send from an address that is not the pod's own. */
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static bool arrives(int fd, int within_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char bytes[64];

	return poll(&poll_fd, 1, within_ms) == 1 && recv(fd, bytes, sizeof(bytes), 0) > 0;
}

/* Sends datagrams and says whether one got there. */
static bool reaches(int from, uint32_t source, size_t to, uint16_t port, bool expected)
{
	int receiver = bound((int)to, SOCK_DGRAM, ADDRESS(to), port);
	int sender = bound(from, SOCK_DGRAM, source, 0);
	struct sockaddr_in at = endpoint(ADDRESS(to), port);
	bool got = false;

	/* A blocked output is told to the sender as EPERM; to the test that is the same as a drop. */
	(void)sendto(sender, "x", 1, 0, (struct sockaddr *)&at, sizeof(at));
	got = arrives(receiver, expected ? SOON_MS : QUIET_MS);
	(void)close(sender);
	(void)close(receiver);
	return got;
}

static bool pod_reaches(size_t from, size_t to, uint16_t port, bool expected)
{
	return reaches((int)from, ADDRESS(from), to, port, expected);
}

static void detach_all(void)
{
	struct err err = {0};

	for (size_t n = 0; n < PODS; n++)
		assert_int_equal(network_detach(world.network, ADDRESS(n), &err), 0);
}

#define NEED_ROOT()             \
	do {                    \
		(void)state;    \
		if (geteuid())  \
			skip(); \
	} while (0)

static void test_domains(void **state)
{
	const struct network_opening openings[] = {
		{.domain = "ims", .protocol = IPPROTO_UDP, .port = 5060},
		{.domain = "ims", .protocol = IPPROTO_UDP, .port = 5060},
	};

	NEED_ROOT();
	attach(0, "ims", NULL, 0);
	attach(1, "ims", NULL, 0);
	attach(2, "hss", openings, ARRAY_SIZE(openings));
	assert_true(pod_reaches(0, 1, 9, true));
	assert_true(pod_reaches(1, 0, 9, true));
	assert_true(pod_reaches(0, 2, 5060, true));
	assert_false(pod_reaches(0, 2, 5061, false));
	assert_false(pod_reaches(2, 0, 5060, false));
	assert_false(reaches(-1, HOST, 0, 9, false));
	assert_false(reaches(-1, HOST, 2, 5060, false));
	detach_all();
}

static void test_networks(void **state)
{
	const struct network_opening openings[] = {
		{.network = HOST, .prefix = 32, .protocol = IPPROTO_UDP, .port = 5060},
		{.network = 0, .prefix = 0, .protocol = IPPROTO_UDP, .port = 5060},
		{.network = NETWORK_BASE, .prefix = 24, .protocol = IPPROTO_UDP, .port = 5060},
		{.network = NETWORK_BASE, .prefix = 24, .protocol = IPPROTO_TCP, .port = 5060},
	};

	NEED_ROOT();
	attach(0, "ims", openings, ARRAY_SIZE(openings));
	attach(1, "other", NULL, 0);
	assert_true(reaches(-1, HOST, 0, 5060, true));
	assert_false(reaches(-1, HOST, 0, 5061, false));
	/* A network, even one that holds the pods, never lets other domains' pods in. */
	assert_false(pod_reaches(1, 0, 5060, false));
	detach_all();
}

static void test_answers_pass(void **state)
{
	const struct network_opening opening = {.domain = "ims", .protocol = IPPROTO_TCP, .port = 80};
	struct sockaddr_in at = endpoint(ADDRESS(1), 80);
	struct network_pod pods[] =
		{{.address = ADDRESS(0), .domain = "ims"},
		 {.address = ADDRESS(1), .domain = "hss", .openings = &opening, .opening_count = 1}};
	struct err err = {0};
	int listener, client, server;

	NEED_ROOT();
	attach(0, "ims", NULL, 0);
	attach(1, "hss", &opening, 1);
	listener = bound(1, SOCK_STREAM, ADDRESS(1), 80);
	assert_int_equal(listen(listener, 1), 0);
	client = open_socket(0, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
	server = accept(listener, NULL, NULL);
	assert_int_equal(send(server, "y", 1, 0), 1);
	assert_true(arrives(client, SOON_MS));
	/* A restart of the service replaces the rules and disturbs nothing that runs. */
	network_free(world.network);
	if (network_open(&config, pods, 2, &world.network, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(send(server, "z", 1, 0), 1);
	assert_true(arrives(client, SOON_MS));
	assert_true(pod_reaches(0, 0, 7, true));
	assert_false(pod_reaches(0, 1, 7, false));
	(void)close(server);
	(void)close(client);
	(void)close(listener);
	detach_all();
}

static void test_spoofed_source(void **state)
{
	NEED_ROOT();
	attach(0, "ims", NULL, 0);
	attach(1, "ims", NULL, 0);
	attach(2, "other", NULL, 0);
	assert_true(reaches(0, ADDRESS(0), 1, 9, true));
	assert_false(reaches(2, ADDRESS(0), 1, 9, false));
	assert_false(reaches(0, HOST, 1, 9, false));
	detach_all();
}

/* Frames put on the wire by hand, to the other pod's own MAC and to everybody, do not get across the bridge. */
static void test_no_shared_segment(void **state)
{
	static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	/* To 10.88.0.3's MAC from 10.88.0.2's, an ethertype for experiments. */
	uint8_t frame[64] = {0x02, 0x62, 0x0a, 0x58, 0x00, 0x03, 0x02, 0x62, 0x0a, 0x58, 0x00, 0x02, 0x88, 0xb5};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_halen = ETH_ALEN, .sll_ifindex = 2};
	int sender, receiver, ns;

	NEED_ROOT();
	attach(0, "ims", NULL, 0);
	attach(1, "ims", NULL, 0);
	sender = open_socket(0, AF_PACKET, SOCK_RAW, 0);
	receiver = open_socket(1, AF_PACKET, SOCK_RAW, htons(0x88b5));
	ns = open(world.paths[0], O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	(void)close(ns);
	at.sll_ifindex = (int)if_nametoindex("eth0");
	assert_int_equal(setns(world.host_ns, CLONE_NEWNET), 0);
	assert_true(at.sll_ifindex > 0);
	assert_int_equal(sendto(sender, frame, sizeof(frame), 0, (struct sockaddr *)&at, sizeof(at)), sizeof(frame));
	memcpy(frame, everybody, ETH_ALEN);
	assert_int_equal(sendto(sender, frame, sizeof(frame), 0, (struct sockaddr *)&at, sizeof(at)), sizeof(frame));
	assert_false(arrives(receiver, QUIET_MS));
	(void)close(sender);
	(void)close(receiver);
	detach_all();
}

/* A pod that sends from before its first moment on a network reaches nothing before, while or after its rules come. */
static void test_enforced_before_first_packet(void **state)
{
	int receiver;
	pid_t flood;

	NEED_ROOT();
	attach(1, "hss", NULL, 0);
	receiver = bound(1, SOCK_DGRAM, ADDRESS(1), 9);
	flood = fork();
	if (flood == 0) {
		struct sockaddr_in at = endpoint(ADDRESS(1), 9);
		int fd;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open_socket(0, AF_INET, SOCK_DGRAM, 0);
		while (true)
			(void)sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof(at));
	}
	for (int round = 0; round < 20; round++) {
		struct err err = {0};

		attach(0, "ims", NULL, 0);
		assert_int_equal(network_detach(world.network, ADDRESS(0), &err), 0);
	}
	assert_false(arrives(receiver, QUIET_MS));
	/* The flood is real: in the same domain it arrives. */
	attach(0, "hss", NULL, 0);
	assert_true(arrives(receiver, SOON_MS));
	(void)kill(flood, SIGKILL);
	(void)waitpid(flood, NULL, 0);
	(void)close(receiver);
	detach_all();
}

/* A connection of the last owner of an address is nothing to the next one. */
static void test_no_connection_survives(void **state)
{
	struct sockaddr_in at = endpoint(ADDRESS(1), 9);
	int first, second;

	NEED_ROOT();
	attach(0, "ims", NULL, 0);
	attach(1, "ims", NULL, 0);
	first = bound(0, SOCK_DGRAM, ADDRESS(0), 7);
	second = bound(1, SOCK_DGRAM, ADDRESS(1), 9);
	assert_int_equal(sendto(first, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)), 1);
	assert_true(arrives(second, SOON_MS));
	at = endpoint(ADDRESS(0), 7);
	assert_int_equal(sendto(second, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)), 1);
	assert_true(arrives(first, SOON_MS));
	assert_int_equal(network_detach(world.network, ADDRESS(1), &(struct err){0}), 0);
	attach(1, "other", NULL, 0);
	assert_int_equal(sendto(second, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)), 1);
	assert_false(arrives(first, QUIET_MS));
	(void)close(first);
	(void)close(second);
	detach_all();
}

static void test_addresses(void **state)
{
	uint32_t network, first = 0, next = 0;
	uint8_t prefix;
	char text[NETWORK_ADDRESS_SIZE];
	struct err err = {0};

	(void)state;
	assert_int_equal(network_parse("10.88.0.0/24", &network, &prefix, &err), 0);
	assert_int_equal(network, NETWORK_BASE);
	assert_int_equal(prefix, 24);
	assert_int_equal(network_parse("10.88.0.1/24", &network, &prefix, &err), ERR_INVALID);
	assert_string_equal(err.msg, "'10.88.0.1/24' is not a network: it has host bits");
	assert_int_equal(network_parse("10.88.0.0", &network, &prefix, &err), ERR_INVALID);
	assert_int_equal(network_parse("10.88.0.0/33", &network, &prefix, &err), ERR_INVALID);
	assert_int_equal(network_parse("0.0.0.0/0", &network, &prefix, &err), 0);
	network_format(text, ADDRESS(3));
	assert_string_equal(text, "10.88.0.5");
	NEED_ROOT();
	assert_int_equal(network_pick(world.network, &first, &err), 0);
	assert_int_equal(network_pick(world.network, &next, &err), 0);
	assert_int_not_equal(first, next);
}

static void test_refusals(void **state)
{
	struct network_pod pod = {.address = HOST, .domain = "ims"};
	struct network_opening bad = {.domain = "hss", .protocol = IPPROTO_UDP};
	struct err err = {0};

	NEED_ROOT();
	assert_int_equal(network_attach(world.network, &pod, world.paths[0], &err), ERR_INVALID);
	assert_string_equal(err.msg, "address 10.88.0.1 is not one for pods");
	pod.address = ADDRESS(0);
	pod.domain = "";
	assert_int_equal(network_attach(world.network, &pod, world.paths[0], &err), ERR_INVALID);
	assert_string_equal(err.msg, "the pod at 10.88.0.2 has no trust domain");
	pod.domain = "ims";
	pod.openings = &bad;
	pod.opening_count = 1;
	assert_int_equal(network_attach(world.network, &pod, world.paths[0], &err), ERR_INVALID);
	assert_string_equal(err.msg, "the pod at 10.88.0.2 has an opening without protocol or port");
	pod.opening_count = 0;
	assert_int_equal(network_attach(world.network, &pod, "/dev/null", &err), -EINVAL);
	assert_string_equal(err.msg, "cannot enter the network namespace of a pod: Invalid argument");
	attach(0, "ims", NULL, 0);
	assert_int_equal(network_attach(world.network, &pod, world.paths[0], &err), ERR_EXISTS);
	assert_string_equal(err.msg, "address 10.88.0.2 belongs to another pod");
	detach_all();
}

/* Removal leaves neither tables nor links; what another owner put into the namespace stays. */
static void test_remove_leaves_nothing(void **state)
{
	struct err err = {0};

	NEED_ROOT();
	attach(0, "ims", NULL, 0);
	assert_int_not_equal(if_nametoindex("bh0"), 0);
	assert_int_not_equal(if_nametoindex("bv0a580002"), 0);
	assert_int_equal(system("nft list ruleset | grep -q 10.88.0.2"), 0);
	assert_int_equal(network_detach(world.network, ADDRESS(0), &err), 0);
	assert_int_equal(system("nft list ruleset | grep -q elements"), 256);
	assert_int_equal(network_remove(world.network, &err), 0);
	assert_int_equal(if_nametoindex("bh0"), 0);
	assert_int_equal(if_nametoindex("bv0a580002"), 0);
	assert_int_equal(system("nft list ruleset | grep -q ."), 256);
	network_free(world.network);
	assert_int_equal(network_open(&config, NULL, 0, &world.network, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_answers_pass),
		cmocka_unit_test(test_spoofed_source),
		cmocka_unit_test(test_no_shared_segment),
		cmocka_unit_test(test_enforced_before_first_packet),
		cmocka_unit_test(test_no_connection_survives),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_remove_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
