/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/traffic/traffic.h"

/* Where QEMU's user network has the host. */
#define USER_NETWORK_HOST "10.0.2.2"

typedef union {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_vm vm;
} Address;

/* Returns the address' size, or 0 where @text has another kind of address. */
static socklen_t parse(const char *text, const char **kind, Address *ret)
{
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    static const char *const kinds[] = {"vsock",      "vsock-listen", "tcp",
                                        "tcp-listen", "unix",         "unix-listen"};
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strlen(kinds[i]) != length || strncmp(kinds[i], text, length) != 0)
            continue;
        *kind = kinds[i];
        if (strncmp(*kind, "unix", 4) == 0) {
            ret->un.sun_family = AF_UNIX;
            if (strlen(colon + 1) >= sizeof ret->un.sun_path)
                return 0;
            strcpy(ret->un.sun_path, colon + 1);
            return sizeof ret->un;
        }
        if (strncmp(*kind, "vsock", 5) == 0) {
            ret->vm.svm_family = AF_VSOCK;
            ret->vm.svm_cid = strcmp(*kind, "vsock") == 0 ? VMADDR_CID_HOST : VMADDR_CID_ANY;
            ret->vm.svm_port = atoi(colon + 1);
            return sizeof ret->vm;
        }
        ret->in.sin_family = AF_INET;
        ret->in.sin_addr.s_addr =
            strcmp(*kind, "tcp") == 0 ? inet_addr(USER_NETWORK_HOST) : htonl(INADDR_LOOPBACK);
        ret->in.sin_port = htons(atoi(colon + 1));
        return sizeof ret->in;
    }
    return 0;
}

static int prepare(int fd, const Address *address)
{
    int one = 1;
    if (address->any.sa_family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int connect_to(const Address *address, socklen_t size, int type, int64_t deadline)
{
    int fd = socket(address->any.sa_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    while (connect(fd, &address->any, size) < 0) {
        int error = errno;
        if (error == EISCONN)
            break;
        if ((error == EINTR || error == EALREADY) && traffic_now() < deadline)
            continue;
        close(fd);
        return -error;
    }
    return prepare(fd, address);
}

static int listen_at(const Address *address, socklen_t size, int type)
{
    int one = 1;
    int listener = socket(address->any.sa_family, type | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return -errno;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->any.sa_family == AF_UNIX)
        unlink(address->un.sun_path);
    if (bind(listener, &address->any, size) < 0 || listen(listener, 1024) < 0) {
        int error = errno;
        close(listener);
        return -error;
    }
    printf("listening\n");
    fflush(stdout);
    return listener;
}

static int accept_at(const Address *address, socklen_t size, unsigned count, int64_t deadline,
                     int *ret_fds)
{
    int error = 0;
    int listener = listen_at(address, size, SOCK_STREAM);
    if (listener < 0)
        return listener;
    for (unsigned i = 0; i < count && !error;) {
        ret_fds[i] = accept(listener, NULL, NULL);
        if (ret_fds[i] >= 0)
            prepare(ret_fds[i++], address);
        else if (errno != EINTR || traffic_now() >= deadline)
            error = errno;
    }
    close(listener);
    return -error;
}

static int open_file(const char *pattern, int *ret_fd)
{
    glob_t found = {0};
    int error = ENOENT;
    if (glob(pattern, 0, NULL, &found) == 0) {
        *ret_fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
        error = *ret_fd < 0 ? errno : 0;
    }
    globfree(&found);
    return -error;
}

int traffic_open(const char *text, unsigned count, int64_t deadline, int *ret_fds)
{
    Address address;
    const char *kind = NULL;
    if (strncmp(text, "file:", 5) == 0)
        return open_file(text + 5, ret_fds);
    socklen_t size = parse(text, &kind, &address);
    if (size == 0)
        return -EINVAL;
    if (strstr(kind, "-listen"))
        return accept_at(&address, size, count, deadline, ret_fds);
    for (unsigned i = 0; i < count; i++) {
        ret_fds[i] = connect_to(&address, size, SOCK_STREAM, deadline);
        if (ret_fds[i] < 0)
            return ret_fds[i];
    }
    return 0;
}

int traffic_listen(const char *text, int type)
{
    Address address;
    const char *kind = NULL;
    socklen_t size = parse(text, &kind, &address);
    return size > 0 ? listen_at(&address, size, type) : -EINVAL;
}

/* The device's sockets want to be told a port, and answer. */
static int ask_for_port(int fd, const char *request)
{
    char answer[32], expected[32];
    int size = snprintf(expected, sizeof expected, "OK %s\n", request + strlen("CONNECT "));
    dprintf(fd, "%s\n", request);
    for (int got = 0; got < size;) {
        ssize_t n = read(fd, answer + got, size - got);
        if (n <= 0 || memcmp(answer + got, expected + got, n) != 0)
            return n < 0 ? -errno : -ECONNREFUSED;
        got += n;
    }
    return 0;
}

int traffic_connect(const char *text, int type, int64_t deadline)
{
    Address address;
    const char *kind = NULL;
    char request[32] = "", path[sizeof address.un.sun_path + 8];
    if (sscanf(text, "unix-vsock:%10[0-9]:", path) == 1) {
        snprintf(request, sizeof request, "CONNECT %.10s", path);
        snprintf(path, sizeof path, "unix:%s%s", strchr(strchr(text, ':') + 1, ':') + 1,
                 type == SOCK_SEQPACKET ? "_seqpacket" : "");
        text = path;
    }
    socklen_t size = parse(text, &kind, &address);
    int fd = size > 0 ? connect_to(&address, size, type, deadline) : -EINVAL;
    int r = fd >= 0 && *request ? ask_for_port(fd, request) : 0;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}
