/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/host/kernel-vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

int hx_kernel_vsock_listen(guint32 port, GError **error)
{
    hx_autofd int device = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
    if (device < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "/dev/vhost-vsock");
        return -1;
    }
    hx_autofd int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "vsock port %u of the host", port);
        return -1;
    }
    return hx_steal_fd(&fd);
}
