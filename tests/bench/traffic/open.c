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
    static const char *const kinds[] = {"vsock", "tcp", "tcp-listen", "unix", "unix-listen"};
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
        if (strcmp(*kind, "vsock") == 0) {
            ret->vm.svm_family = AF_VSOCK;
            ret->vm.svm_cid = VMADDR_CID_HOST;
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

static int connect_to(const Address *address, socklen_t size, int64_t deadline)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
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

static int accept_at(const Address *address, socklen_t size, unsigned count, int64_t deadline,
                     int *ret_fds)
{
    int one = 1, error = 0;
    int listener = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return -errno;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->any.sa_family == AF_UNIX)
        unlink(address->un.sun_path);
    if (bind(listener, &address->any, size) < 0 || listen(listener, 1024) < 0)
        error = errno;
    else
        printf("listening\n");
    fflush(stdout);
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
        ret_fds[i] = connect_to(&address, size, deadline);
        if (ret_fds[i] < 0)
            return ret_fds[i];
    }
    return 0;
}
