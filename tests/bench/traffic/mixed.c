/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Two threads for each connection, one to send and one to receive, so that both directions are full
 * at once.  Who connects says in the first 32 bytes what the connection is to be; all else follows
 * from its key: what each byte is, by its place, and the sizes of the writes.  So the receiver
 * knows each byte before it comes, and says where the first wrong one is.
 *
 * Each side shuts its sending side down behind its last byte, and the other expects the end there.
 * Some connections are cut instead: who connected closes with data on its way in both directions.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/bench/traffic/traffic.h"

#define WRITE_BITS 17  /* writes have less than 1 << 17 bytes */
#define STREAM_BITS 22 /* each direction of a connection less than 1 << 22 */
#define STALL 30       /* s without progress, of one read or write */
#define CUT_EACH 8     /* of so many connections one is cut */
#define SLOW_EACH 5    /* of so many one is read slowly at first */
#define SLOW_READS 50
#define SLOW_US 1000

/* Who connects sends it first; in the order of bytes that both sides have. */
typedef struct {
    uint64_t key;
    uint32_t sizes[2]; /* of what who connected sends, and receives */
    uint32_t number;   /* of the connection */
    uint32_t cut;      /* closed by who connected when it has received this much, or 0 */
    uint64_t last;     /* no connection: there will be no more */
} Plan;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    TrafficMixed *mixed;
    uint64_t planned; /* bytes */
    unsigned begun;   /* connections */
    unsigned running; /* threads, of who listens */
} Work;

/* One direction of a connection. */
typedef struct {
    Work *work;
    Plan plan;
    int fd;
    unsigned direction; /* index into Plan.sizes */
    bool accepted;
} Stream;

static uint64_t word(uint64_t key, uint64_t index)
{
    uint64_t x = (key + index) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

/* The key of what else is to be random about @key. */
static uint64_t other_key(uint64_t key, unsigned n)
{
    return word(word(key, n), n) ^ word(n, key);
}

static uint64_t stream_key(const Stream *stream)
{
    return other_key(stream->plan.key, stream->direction);
}

/* All orders of magnitude alike: 1 to (1 << @bits) - 1. */
static uint32_t size_of(uint64_t random, unsigned bits)
{
    uint32_t least = 1u << random % bits;
    return least + (random >> 32) % least;
}

static void fill(uint64_t key, uint64_t offset, uint8_t *data, size_t size)
{
    while (size > 0) {
        uint64_t value = word(key, offset / 8);
        size_t skip = offset % 8, part = 8 - skip < size ? 8 - skip : size;
        memcpy(data, (uint8_t *)&value + skip, part);
        data += part;
        offset += part;
        size -= part;
        if (size < 8)
            continue;
        for (uint64_t index = offset / 8; size >= 8; index++, data += 8, offset += 8, size -= 8) {
            value = word(key, index);
            memcpy(data, &value, 8);
        }
    }
}

static bool failed(Work *work)
{
    pthread_mutex_lock(&work->lock);
    bool so = *work->mixed->failure;
    pthread_mutex_unlock(&work->lock);
    return so;
}

static void fail(const Stream *stream, uint64_t at, const char *what)
{
    Work *work = stream->work;
    pthread_mutex_lock(&work->lock);
    if (!*work->mixed->failure)
        snprintf(work->mixed->failure, sizeof work->mixed->failure,
                 "connection %u, byte %" PRIu64 " of %u: %s", stream->plan.number, at,
                 stream->plan.sizes[stream->direction], what);
    pthread_mutex_unlock(&work->lock);
    shutdown(stream->fd, SHUT_RDWR);
}

/* Where there is a timeout, also the signal to go on after a stop interrupts: signal(7). */
static ssize_t receive(int fd, void *data, size_t size, int flags)
{
    ssize_t n;
    do
        n = recv(fd, data, size, flags);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t send_part(int fd, const void *data, size_t size)
{
    ssize_t n;
    do
        n = send(fd, data, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Who connected sends no more than about half where it cuts, so that the other waits for more. */
static void *send_stream(void *data)
{
    Stream *stream = data;
    uint64_t key = stream_key(stream), size = stream->plan.sizes[stream->direction];
    uint64_t stop = stream->plan.cut && !stream->accepted ? size / 2 : size;
    uint8_t *buffer = malloc(1 << WRITE_BITS);
    ssize_t n = 1;
    for (uint64_t at = 0, i = 0; at < stop; at += n, i++) {
        size_t part = size_of(word(~key, i), WRITE_BITS);
        if (part > size - at)
            part = size - at;
        fill(key, at, buffer, part);
        n = send_part(stream->fd, buffer, part);
        if (n == (ssize_t)part || (n > 0 && stream->work->mixed->type == SOCK_STREAM))
            continue;
        if (!stream->plan.cut)
            fail(stream, at, n < 0 ? strerror(errno) : "a message was cut");
        break;
    }
    if (n > 0 && !(stream->plan.cut && !stream->accepted))
        shutdown(stream->fd, SHUT_WR);
    free(buffer);
    return NULL;
}

/* What is wrong with the @n bytes that came at @at, or NULL; @n is 0 for the end, -1 with errno. */
static const char *wrong(const Stream *stream, uint64_t at, const uint8_t *got, ssize_t n,
                         uint8_t *expected, size_t message, uint64_t *ret_at)
{
    static __thread char text[64];
    uint64_t size = stream->plan.sizes[stream->direction];
    *ret_at = at;
    if (n < 0)
        return strerror(errno);
    if (n == 0)
        return at < size ? "the end comes too early" : NULL;
    if ((uint64_t)n > size - at)
        return "more comes behind the end";
    fill(stream_key(stream), at, expected, n);
    if (memcmp(got, expected, n) != 0) {
        while (got[*ret_at - at] == expected[*ret_at - at])
            ++*ret_at;
        snprintf(text, sizeof text, "0x%02x comes in place of 0x%02x", got[*ret_at - at],
                 expected[*ret_at - at]);
        return text;
    }
    if (message == 0 || (size_t)n == message)
        return NULL;
    snprintf(text, sizeof text, "a message of %zd bytes comes in place of %zu", n, message);
    return text;
}

/* Returns the bytes that came, up to the end or until it is cut. */
static uint64_t receive_stream(Stream *stream)
{
    uint64_t key = stream_key(stream), size = stream->plan.sizes[stream->direction];
    uint64_t at = 0, where;
    bool messages = stream->work->mixed->type == SOCK_SEQPACKET;
    uint8_t *got = malloc(1 << WRITE_BITS), *expected = malloc(1 << WRITE_BITS);
    for (uint64_t i = 0;; i++) {
        if (stream->plan.cut && !stream->accepted && at >= stream->plan.cut)
            break;
        if (stream->plan.number % SLOW_EACH == 0 && i < SLOW_READS)
            usleep(SLOW_US);
        size_t message = size_of(word(~key, i), WRITE_BITS);
        if (message > size - at)
            message = size - at;
        /* A stream is read in parts that are not those of its writes. */
        size_t room = messages ? 1 << WRITE_BITS : size_of(word(key, i), WRITE_BITS);
        ssize_t n = receive(stream->fd, got, room, 0);
        if (stream->plan.cut && stream->accepted && (n == 0 || (n < 0 && errno != EAGAIN)))
            break;
        const char *what =
            wrong(stream, at, got, n, expected, messages && n > 0 ? message : 0, &where);
        if (what)
            fail(stream, where, what);
        if (what || n == 0)
            break;
        at += n;
    }
    free(got);
    free(expected);
    return at;
}

/* Both directions, to the end; takes over @fd. */
static void carry(Work *work, const Plan *plan, int fd, bool accepted)
{
    Stream out = {work, *plan, fd, accepted, accepted};
    Stream in = {work, *plan, fd, !accepted, accepted};
    pthread_t sender;
    uint64_t received = 0;
    int error = pthread_create(&sender, NULL, send_stream, &out);
    if (error) {
        fail(&out, 0, strerror(error));
    } else {
        received = receive_stream(&in);
        /* What is not read any more is not to keep the sender of a cut connection. */
        if (plan->cut)
            shutdown(fd, SHUT_RDWR);
        pthread_join(sender, NULL);
    }
    close(fd);
    pthread_mutex_lock(&work->lock);
    work->mixed->received += received;
    work->mixed->connections++;
    work->mixed->cut += plan->cut != 0;
    pthread_mutex_unlock(&work->lock);
}

static void set_timeout(int fd)
{
    struct timeval timeout = {.tv_sec = STALL};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

/* --- who connects ------------------------------------------------------------------------------
 */

static int connect_with(Work *work, const Plan *plan)
{
    int fd = traffic_connect(work->mixed->address, work->mixed->type,
                             traffic_now() + STALL * 1000000000ll);
    if (fd >= 0)
        set_timeout(fd);
    if (fd >= 0 && send_part(fd, plan, sizeof *plan) == sizeof *plan)
        return fd;
    int error = fd < 0 ? -fd : errno;
    Stream none = {work, *plan, fd, 0, false};
    char text[64];
    snprintf(text, sizeof text, "connect: %s", strerror(error));
    fail(&none, 0, text);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Returns false where all bytes are in connections already. */
static bool next_plan(Work *work, Plan *ret)
{
    pthread_mutex_lock(&work->lock);
    bool more = work->planned < work->mixed->bytes && !*work->mixed->failure;
    unsigned number = more ? work->begun++ : 0;
    uint64_t key = other_key(work->mixed->seed, number);
    *ret = (Plan){.key = key, .number = number};
    for (unsigned i = 0; i < 2; i++)
        ret->sizes[i] = size_of(other_key(key, 2 + i), STREAM_BITS);
    if (number % CUT_EACH == CUT_EACH - 1)
        ret->cut = (ret->sizes[1] + 1) / 2;
    else if (more)
        work->planned += ret->sizes[0] + ret->sizes[1];
    pthread_mutex_unlock(&work->lock);
    return more;
}

static void *connect_again_and_again(void *data)
{
    Work *work = data;
    Plan plan;
    while (next_plan(work, &plan)) {
        int fd = connect_with(work, &plan);
        if (fd >= 0)
            carry(work, &plan, fd, false);
    }
    return NULL;
}

static void connect_all(Work *work)
{
    pthread_t *threads = calloc(work->mixed->count, sizeof *threads);
    unsigned started = 0;
    while (started < work->mixed->count &&
           pthread_create(&threads[started], NULL, connect_again_and_again, work) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    int fd = connect_with(work, &(Plan){.last = 1});
    if (fd >= 0)
        close(fd);
}

/* --- who listens -------------------------------------------------------------------------------
 */

typedef struct {
    Work *work;
    Plan plan;
    int fd;
} Accepted;

static void *serve(void *data)
{
    Accepted *accepted = data;
    Work *work = accepted->work;
    carry(work, &accepted->plan, accepted->fd, true);
    free(accepted);
    pthread_mutex_lock(&work->lock);
    work->running--;
    pthread_cond_signal(&work->ended);
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* Returns false where it was the last one, or none. */
static bool accept_one(Work *work, int listener)
{
    Accepted *accepted = calloc(1, sizeof *accepted);
    pthread_t thread;
    accepted->work = work;
    do
        accepted->fd = accept(listener, NULL, NULL);
    while (accepted->fd < 0 && errno == EINTR);
    if (accepted->fd >= 0)
        set_timeout(accepted->fd);
    Stream none = {work, accepted->plan, accepted->fd, 0, true};
    if (accepted->fd < 0 || receive(accepted->fd, &accepted->plan, sizeof accepted->plan,
                                    MSG_WAITALL) != sizeof accepted->plan)
        fail(&none, 0, "no connection comes");
    if (!failed(work) && !accepted->plan.last) {
        pthread_mutex_lock(&work->lock);
        work->running++;
        pthread_mutex_unlock(&work->lock);
        if (pthread_create(&thread, NULL, serve, accepted) == 0) {
            pthread_detach(thread);
            return true;
        }
        fail(&none, 0, "no thread");
    }
    if (accepted->fd >= 0)
        close(accepted->fd);
    free(accepted);
    return false;
}

static void accept_all(Work *work)
{
    int listener = traffic_listen(work->mixed->address, work->mixed->type);
    if (listener < 0) {
        snprintf(work->mixed->failure, sizeof work->mixed->failure, "listen: %s",
                 strerror(-listener));
        return;
    }
    set_timeout(listener);
    while (accept_one(work, listener))
        ;
    close(listener);
    pthread_mutex_lock(&work->lock);
    while (work->running > 0)
        pthread_cond_wait(&work->ended, &work->lock);
    pthread_mutex_unlock(&work->lock);
}

void traffic_mixed(TrafficMixed *mixed)
{
    Work work = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, mixed, 0, 0, 0};
    int64_t begin = traffic_now();
    if (strstr(mixed->address, "-listen:"))
        accept_all(&work);
    else
        connect_all(&work);
    mixed->took = traffic_now() - begin;
}
