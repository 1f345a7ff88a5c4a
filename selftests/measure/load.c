// SPDX-License-Identifier: GPL-2.0
/*
 * Traffic for counting instructions: both ends of one flow, and a window around it.
 *
 * On an emulated machine whose time counts instructions (scripts/vm --icount, one CPU), the
 * instructions of a window are its nanoseconds. The CPU is not busy all the time: an interrupt
 * comes when the card's moderation timer says so. A second process of the idle scheduling class
 * soaks that time up in a loop of known length, and is subtracted, so what is left is every
 * instruction that was executed for the traffic: both ends' programs, stack, driver, interrupts.
 *
 * The window opens after a warm-up, in the middle of the flow, so that setting up costs nothing.
 *
 * usage: load KIND SIZE COUNT [PARAMETER=VALUE...]
 *   KIND   tcp-tx tcp-rx udp-tx udp-rx tcp-rr udp-rr
 *   SIZE   bytes of one message (payload)
 *   COUNT  messages in the window
 *   warm=N          messages before it (default COUNT / 10)
 *   peer=PATH       network namespace of the other end (default /run/netns/peer)
 *   local=, remote= IPv4 addresses of the ends (10.9.0.1, 10.9.0.2)
 *   soak=0          leaves the CPU idle: for elapsed time only
 *   flows=N         N flows at once in one window, the Kth between 10.9.K.1 and 10.9.K.2
 * prints: elapsed NS soaked N messages N; with flows= also first NS, when the first of them was through
 * Exit status: 1 something failed, 2 usage, 3 datagrams were lost (they are counted).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 5005
#define MAX_MESSAGE 65536
/* Longer than any flow may stall, in seconds of guest time. */
#define PATIENCE 5

static char message[MAX_MESSAGE];
static const char *peer = "/run/netns/peer", *local = "10.9.0.1", *remote = "10.9.0.2";
static volatile uint64_t *soaked;
static pid_t child, soaker;
/* With several flows: a flow says that it is warm, is told to go on, and says how much arrived. */
static int warm_pipe[2], go_pipe[2], done_pipe[2];
static unsigned int flows;
static pid_t flow_pids[64];

static void stop_children(void)
{
	if (soaker > 0)
		kill(soaker, SIGKILL);
	if (child > 0)
		kill(child, SIGKILL);
	for (unsigned int k = 0; k < flows; k++)
		if (flow_pids[k] > 0)
			kill(flow_pids[k], SIGKILL);
}

static void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	if (getpid() != child)
		stop_children();
	exit(1);
}

/* Two instructions an iteration: SOAK_LENGTH. */
#define SOAK_LENGTH 2
static __attribute__((noinline)) void soak(void)
{
	struct sched_param none = { 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &none))
		fail("SCHED_IDLE");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	asm volatile("1: incq (%0)\n\tjmp 1b" : : "r"(soaked) : "memory");
}

struct moment {
	uint64_t time, soaked;
};

/* Not inlined: a profile finds the window by its calls (bench/profile.sh). */
static __attribute__((noinline)) struct moment now(void)
{
	struct timespec t;
	struct moment m;

	clock_gettime(CLOCK_MONOTONIC, &t);
	m.time = t.tv_sec * 1000000000ull + t.tv_nsec;
	m.soaked = *soaked * SOAK_LENGTH;
	return m;
}

static int make_socket(int type)
{
	int fd = socket(AF_INET, type, 0), one = 1, room = 64 << 20;
	struct timeval patience = { PATIENCE, 0 };

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	/* A datagram socket takes whatever arrives before its reader gets the CPU. */
	if (type == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		fail("SO_RCVBUFFORCE");
	return fd;
}

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		fail(text);
	return a;
}

static void attach(int fd, const char *text, int connecting)
{
	struct sockaddr_in a = address(text);

	if (connecting ? connect(fd, (void *)&a, sizeof(a)) : bind(fd, (void *)&a, sizeof(a)))
		fail(text);
}

/* The end that the other one connects to, and the end that connects. */
static int accept_from(int type, const char *own, int ready)
{
	int fd = make_socket(type), one = 1, connection = fd;

	attach(fd, own, 0);
	if (type == SOCK_STREAM && listen(fd, 1))
		fail("listen");
	if (write(ready, "r", 1) != 1)
		fail("pipe");
	if (type == SOCK_STREAM) {
		connection = accept(fd, NULL, NULL);
		if (connection < 0)
			fail("accept");
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return connection;
}

static int connect_to(int type, const char *other)
{
	int fd = make_socket(type), one = 1;

	attach(fd, other, 1);
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void send_all(int fd, size_t size, uint64_t messages)
{
	while (messages--) {
		size_t done = 0;

		while (done < size) {
			ssize_t n = send(fd, message + done, size - done, MSG_NOSIGNAL);

			if (n < 0)
				fail("send");
			done += n;
		}
	}
}

/* Messages that came; fewer than asked for only if datagrams were lost. */
static uint64_t receive_all(int fd, int type, size_t size, uint64_t messages)
{
	uint64_t bytes = size * messages, done = 0;

	while (done < bytes) {
		size_t want = type == SOCK_DGRAM ? sizeof(message) : bytes - done;
		ssize_t n = recv(fd, message, want < sizeof(message) ? want : sizeof(message), 0);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && type == SOCK_DGRAM)
			break;
		if (n <= 0)
			fail("receive");
		done += n;
	}
	return done / size;
}

/* One transaction after the other: a message there, one back. */
static void transact(int fd, int type, size_t size, uint64_t count, int first)
{
	while (count--) {
		if (first)
			send_all(fd, size, 1);
		if (receive_all(fd, type, size, 1) != 1)
			fail("transaction");
		if (!first)
			send_all(fd, size, 1);
	}
}

static void tell(int fd, uint64_t value)
{
	if (write(fd, &value, sizeof(value)) != sizeof(value))
		fail("pipe");
}

static uint64_t hear(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) != sizeof(value))
		fail("the other end");
	return value;
}

struct load {
	int type, outgoing, echo;
	uint64_t size, count, warm;
};

/* The window opens for all flows at once, when the last of them is warm. */
static void wait_for_others(void)
{
	char c = 'w';

	if (write(warm_pipe[1], &c, 1) != 1 || read(go_pipe[0], &c, 1) != 1)
		fail("the other flows");
}

/* Both ends of one flow. Returns how many messages came in the window, which begins in its middle. */
static uint64_t run_flow(const struct load *load, struct moment *begin)
{
	int to_child[2], from_child[2], ready[2], fd, ns;
	uint64_t arrived = 0;
	char c;

	if (pipe(to_child) || pipe(from_child) || pipe(ready))
		fail("pipe");
	child = fork();
	if (child == 0) {
		/* The other end: it is told to begin each part, and tells how many came. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child = getpid();
		ns = open(peer, O_RDONLY);
		if (ns < 0 || setns(ns, CLONE_NEWNET))
			fail(peer);
		if (load->outgoing || load->echo) {
			fd = accept_from(load->type, remote, ready[1]);
		} else {
			if (read(ready[0], &c, 1) != 1)
				fail("pipe");
			fd = connect_to(load->type, local);
		}
		for (int part = 0; part < 2; part++) {
			uint64_t messages = hear(to_child[0]);

			if (load->echo) {
				struct sockaddr_in a;
				socklen_t length = sizeof(a);

				if (load->type == SOCK_DGRAM && part == 0 &&
				    (recvfrom(fd, &c, 1, MSG_PEEK, (void *)&a, &length) < 0 ||
				     connect(fd, (void *)&a, length)))
					fail("first datagram");
				transact(fd, load->type, load->size, messages, 0);
			} else if (load->outgoing) {
				messages = receive_all(fd, load->type, load->size, messages);
			} else {
				send_all(fd, load->size, messages);
			}
			tell(from_child[1], messages);
		}
		pause();
		exit(0);
	}
	close(to_child[0]);
	close(from_child[1]);
	if (load->outgoing || load->echo) {
		if (read(ready[0], &c, 1) != 1)
			fail("the other end");
		fd = connect_to(load->type, remote);
	} else {
		fd = accept_from(load->type, local, ready[1]);
	}
	*begin = now();
	for (int part = 0; part < 2; part++) {
		uint64_t messages = part ? load->count : load->warm;

		if (part && flows)
			wait_for_others();
		else if (part)
			*begin = now();
		tell(to_child[1], messages);
		if (load->echo)
			transact(fd, load->type, load->size, messages, 1);
		else if (load->outgoing)
			send_all(fd, load->size, messages);
		else
			arrived = receive_all(fd, load->type, load->size, messages);
		if (load->outgoing)
			arrived = hear(from_child[0]);
		else if (load->echo)
			arrived = messages, hear(from_child[0]);
		else
			hear(from_child[0]);
	}
	return arrived;
}

static void flow_ended(int signal)
{
	static const char text[] = "load: a flow ended early\n";

	(void)signal;
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(4);
	kill(soaker, SIGKILL);
	_exit(1);
}

/* All flows in one window. Returns how many messages came; sets when the first flow was through. */
static uint64_t side_by_side(const struct load *load, struct moment *begin, uint64_t *first)
{
	static char own[16], other[16];
	uint64_t arrived = 0;

	if (pipe(warm_pipe) || pipe(go_pipe) || pipe(done_pipe))
		fail("pipe");
	signal(SIGCHLD, flow_ended);
	for (unsigned int k = 0; k < flows; k++) {
		flow_pids[k] = fork();
		if (flow_pids[k] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			signal(SIGCHLD, SIG_DFL);
			memset(flow_pids, 0, sizeof(flow_pids));
			soaker = 0;
			snprintf(own, sizeof(own), "10.9.%u.1", k + 1);
			snprintf(other, sizeof(other), "10.9.%u.2", k + 1);
			local = own;
			remote = other;
			tell(done_pipe[1], run_flow(load, begin));
			/* An exit is no part of what is counted. */
			pause();
		}
	}
	for (unsigned int k = 0; k < flows; k++) {
		char c;

		if (read(warm_pipe[0], &c, 1) != 1)
			fail("pipe");
	}
	*begin = now();
	for (unsigned int k = 0; k < flows; k++)
		if (write(go_pipe[1], "g", 1) != 1)
			fail("pipe");
	for (unsigned int k = 0; k < flows; k++) {
		arrived += hear(done_pipe[0]);
		if (k == 0)
			*first = now().time - begin->time;
	}
	signal(SIGCHLD, SIG_DFL);
	return arrived;
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (!*text || *end || *text == '-') {
		fprintf(stderr, "load: %s is no number\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	uint64_t arrived, first = 0;
	struct load load;
	struct moment begin, end;
	const char *kind;
	int soaking = 1;

	if (argc < 4) {
		fprintf(stderr, "usage: load KIND SIZE COUNT [PARAMETER=VALUE...]\n");
		return 2;
	}
	kind = argv[1];
	load.size = number(argv[2]);
	load.count = number(argv[3]);
	load.warm = load.count / 10;
	for (int i = 4; i < argc; i++) {
		if (!strncmp(argv[i], "warm=", 5))
			load.warm = number(argv[i] + 5);
		else if (!strncmp(argv[i], "soak=", 5))
			soaking = number(argv[i] + 5);
		else if (!strncmp(argv[i], "peer=", 5))
			peer = argv[i] + 5;
		else if (!strncmp(argv[i], "flows=", 6))
			flows = number(argv[i] + 6);
		else if (!strncmp(argv[i], "local=", 6))
			local = argv[i] + 6;
		else if (!strncmp(argv[i], "remote=", 7))
			remote = argv[i] + 7;
		else {
			fprintf(stderr, "load: unknown parameter %s\n", argv[i]);
			return 2;
		}
	}
	load.type = !strncmp(kind, "tcp-", 4) ? SOCK_STREAM : SOCK_DGRAM;
	load.outgoing = strlen(kind) == 6 && !strcmp(kind + 4, "tx");
	load.echo = strlen(kind) == 6 && !strcmp(kind + 4, "rr");
	if ((strncmp(kind, "tcp-", 4) && strncmp(kind, "udp-", 4)) ||
	    !(load.outgoing || load.echo || !strcmp(kind + 4, "rx")) || !load.size ||
	    load.size > MAX_MESSAGE || !load.count || flows > sizeof(flow_pids) / sizeof(flow_pids[0])) {
		fprintf(stderr, "load: no such KIND, or SIZE, COUNT or flows out of range\n");
		return 2;
	}
	soaked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (soaked == MAP_FAILED)
		fail("mmap");
	*soaked = 0;
	memset(message, 's', sizeof(message));
	if (soaking) {
		soaker = fork();
		if (soaker == 0)
			soak();
	}

	if (flows)
		arrived = side_by_side(&load, &begin, &first);
	else
		arrived = run_flow(&load, &begin);
	end = now();
	stop_children();
	for (unsigned int k = 0; k < flows; k++)
		waitpid(flow_pids[k], NULL, 0);
	printf("elapsed %llu soaked %llu messages %llu", (unsigned long long)(end.time - begin.time),
	       (unsigned long long)(end.soaked - begin.soaked), (unsigned long long)arrived);
	if (flows)
		printf(" first %llu", (unsigned long long)first);
	printf("\n");
	return arrived == load.count * (flows ? flows : 1) ? 0 : 3;
}
