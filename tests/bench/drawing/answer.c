/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "tests/bench/drawing/drawing.h"

int answer_clock(unsigned port)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int listening = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listening, 1) < 0) {
        perror("drawing: vsock");
        return 1;
    }
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        char asked;
        while (fd >= 0 && read(fd, &asked, 1) == 1) {
            uint64_t now = htole64(clock_us());
            if (write(fd, &now, sizeof now) != sizeof now)
                break;
        }
        if (fd >= 0)
            close(fd);
    }
}
