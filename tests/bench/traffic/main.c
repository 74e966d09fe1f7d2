/* SPDX-License-Identifier: GPL-2.0-or-later */
/* traffic: takes commands from standard input, a line each, and answers each with a line:
 *
 *   send ADDRESS SIZE SECONDS      receive ADDRESS 0 SECONDS
 *   ping ADDRESS SIZE SECONDS      echo ADDRESS 0 SECONDS
 *   hold ADDRESS COUNT SECONDS     says "holding" once all connections are there
 *   cid - 0 0                      of the guest's vsock device
 *   mixed TYPE ADDRESS COUNT BYTES SEED
 *                                  TYPE stream or seqpacket; who listens learns the rest
 *
 * "done bytes=… ns=… rounds=… median=… p99=… least=…", "stalled …" with the same behind it, or
 * "error …"; of mixed "done bytes=… ns=… connections=… cut=…", bytes being those received.  A
 * command that listens says "listening" first. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "tests/bench/traffic/traffic.h"

#define CONNECTIONS_MAX 1000
#define OPEN_TIMEOUT 10000000000ll /* ns */

static void interrupt(int number)
{
}

/* The CID of the device that the guest's driver has, or VMADDR_CID_ANY. */
static unsigned local_cid(void)
{
    unsigned cid = VMADDR_CID_ANY;
    int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid);
    close(fd);
    return cid;
}

/* SIGALRM twice a second, or never. */
static void set_timer(int on)
{
    struct timeval interval = {.tv_usec = on ? 500000 : 0};
    struct itimerval timer = {interval, interval};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void hold(int64_t duration)
{
    printf("holding\n");
    fflush(stdout);
    set_timer(0);
    usleep(duration / 1000);
}

static int run(const char *verb, int fd, uint32_t size, int64_t duration, TrafficResult *ret)
{
    if (strcmp(verb, "send") == 0)
        traffic_send(fd, size, duration, ret);
    else if (strcmp(verb, "receive") == 0)
        traffic_receive(fd, duration, ret);
    else if (strcmp(verb, "ping") == 0)
        traffic_ping(fd, size, duration, ret);
    else if (strcmp(verb, "echo") == 0)
        traffic_echo(fd, ret);
    else if (strcmp(verb, "hold") == 0)
        hold(duration);
    else
        return 0;
    return 1;
}

static int obey_mixed(const char *line)
{
    char type[16], address[256];
    TrafficMixed mixed = {.address = address};
    if (sscanf(line, "mixed %15s %255s %u %" SCNu64 " %" SCNu64, type, address, &mixed.count,
               &mixed.bytes, &mixed.seed) != 5)
        return 0;
    mixed.type = strcmp(type, "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
    traffic_mixed(&mixed);
    if (*mixed.failure)
        printf("error mixed %s %s: %s\n", type, address, mixed.failure);
    else
        printf("done bytes=%" PRIu64 " ns=%" PRId64 " connections=%u cut=%u\n", mixed.received,
               mixed.took, mixed.connections, mixed.cut);
    return 1;
}

static void obey(const char *line)
{
    if (obey_mixed(line))
        return;
    char verb[16], address[256];
    uint32_t size = 0;
    double seconds = 0;
    if (sscanf(line, "%15s %255s %" SCNu32 " %lf", verb, address, &size, &seconds) != 4 ||
        size > 256 * 1024) {
        printf("error not a command\n");
        return;
    }
    if (strcmp(verb, "cid") == 0) {
        printf("done cid=%u\n", local_cid());
        return;
    }
    int fds[CONNECTIONS_MAX];
    unsigned count = 1;
    if (strcmp(verb, "hold") == 0)
        count = size < CONNECTIONS_MAX ? size : CONNECTIONS_MAX;
    memset(fds, -1, sizeof fds);
    set_timer(1);
    TrafficResult result = {0};
    int r = traffic_open(address, count, traffic_now() + OPEN_TIMEOUT, fds);
    if (r == 0 && !run(verb, fds[0], size, seconds * 1e9, &result))
        r = -1;
    set_timer(0);
    for (unsigned i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (r < 0)
        printf("error %s %s: %s\n", verb, address, strerror(-r));
    else
        printf("%s%s bytes=%" PRIu64 " ns=%" PRId64 " rounds=%" PRIu64 " median=%" PRId64
               " p99=%" PRId64 " least=%" PRId64 "\n",
               result.stalled ? "stalled " : "done", result.stalled ? result.stalled : "",
               result.bytes, result.took, result.rounds, result.median, result.p99, result.least);
}

int main(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGALRM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int init = getpid() == 1;
    if (init)
        traffic_become_init();
    printf("ready\n");
    fflush(stdout);
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        obey(line);
        fflush(stdout);
    }
    while (init)
        pause();
    return 0;
}
