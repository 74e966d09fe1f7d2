/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Plain blocking reads and writes, as most programs make them.  A timer that fires again and again
 * interrupts one that does not return, so that a transport which hangs is told and not waited for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/traffic/traffic.h"

#define BUFFER_SIZE (256 * 1024)
#define ROUNDS_MAX 200000
#define NEVER INT64_MAX
#define LAST 1 /* last byte of the last message */

static uint8_t buffer[BUFFER_SIZE];
static int64_t rounds[ROUNDS_MAX];

int64_t traffic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* As read() and write(), until @end; marks the result where nothing happens for TRAFFIC_STALL. */
static ssize_t attempt(int fd, int writing, uint8_t *data, size_t size, int64_t end,
                       TrafficResult *result)
{
    int64_t give_up = traffic_now() + TRAFFIC_STALL, now;
    ssize_t n;
    do {
        n = writing ? write(fd, data, size) : read(fd, data, size);
        if (n >= 0 || errno != EINTR)
            return n;
        now = traffic_now();
    } while (now < give_up && now < end);
    if (now >= give_up)
        result->stalled = writing ? "write" : "read";
    return n;
}

/* Returns whether all @size bytes went through before @end. */
static int transfer(int fd, int writing, uint8_t *data, size_t size, int64_t end,
                    TrafficResult *result)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = attempt(fd, writing, data + done, size - done, end, result);
        if (n <= 0)
            return 0;
        done += n;
    }
    result->bytes += size;
    return 1;
}

void traffic_send(int fd, uint32_t size, int64_t duration, TrafficResult *ret)
{
    int64_t begin = traffic_now();
    int64_t end = begin + duration;
    memset(buffer, 0, size);
    while (traffic_now() < end && transfer(fd, 1, buffer, size, end, ret))
        ;
    ret->took = traffic_now() - begin;
}

void traffic_receive(int fd, int64_t duration, TrafficResult *ret)
{
    int64_t begin = 0, now = 0;
    do {
        ssize_t n = attempt(fd, 0, buffer, sizeof buffer, NEVER, ret);
        now = traffic_now();
        if (n <= 0)
            break;
        /* What the first read found was under way before the clock started. */
        if (begin == 0)
            begin = now;
        else
            ret->bytes += n;
    } while (now - begin < duration);
    ret->took = begin ? now - begin : 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void traffic_ping(int fd, uint32_t size, int64_t duration, TrafficResult *ret)
{
    int64_t begin = traffic_now(), before = begin, after;
    memset(buffer, 0, size);
    do {
        if (!transfer(fd, 1, buffer, size, NEVER, ret) ||
            !transfer(fd, 0, buffer, size, NEVER, ret))
            break;
        after = traffic_now();
        rounds[ret->rounds++] = after - before;
        before = after;
    } while (after - begin < duration && ret->rounds < ROUNDS_MAX);
    ret->took = traffic_now() - begin;
    buffer[size - 1] = LAST;
    if (!ret->stalled && transfer(fd, 1, buffer, size, NEVER, ret))
        transfer(fd, 0, buffer, size, NEVER, ret);
    if (ret->rounds == 0)
        return;
    qsort(rounds, ret->rounds, sizeof *rounds, compare);
    ret->median = rounds[ret->rounds / 2];
    ret->p99 = rounds[ret->rounds * 99 / 100];
    ret->least = rounds[0];
}

void traffic_echo(int fd, TrafficResult *ret)
{
    ssize_t n;
    do {
        n = attempt(fd, 0, buffer, sizeof buffer, NEVER, ret);
    } while (n > 0 && transfer(fd, 1, buffer, n, NEVER, ret) && buffer[n - 1] != LAST);
}
