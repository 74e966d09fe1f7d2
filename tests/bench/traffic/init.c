/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that is nothing but this program, in the initial ramdisk, behind the modules that the
 * image's own ramdisk carries. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "tests/bench/traffic/traffic.h"

#define MODULES "/modules"
#define CONTROL "/dev/ttyS1"

/* Their names begin with numbers, in the order to load them in.  Not all find what they want here:
 * those are not needed. */
static void load_modules(void)
{
    struct dirent **entries = NULL;
    int count = scandir(MODULES, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[sizeof MODULES + sizeof entries[i]->d_name];
        snprintf(path, sizeof path, MODULES "/%s", entries[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            syscall(SYS_finit_module, fd, "", 0);
        close(fd);
    }
}

static void set_up(int fd, const char *name, const char *address)
{
    struct ifreq request = {.ifr_flags = 0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)};
    strcpy(request.ifr_name, name);
    memcpy(&request.ifr_addr, &in, sizeof in);
    if (ioctl(fd, SIOCSIFADDR, &request) < 0)
        perror(name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        perror(name);
}

static void serve_control(void)
{
    int fd = open(CONTROL, O_RDWR | O_NOCTTY);
    struct termios settings;
    if (fd < 0 || tcgetattr(fd, &settings) < 0) {
        perror(CONTROL);
        exit(1);
    }
    cfmakeraw(&settings);
    tcsetattr(fd, TCSANOW, &settings);
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    close(fd);
}

void traffic_become_init(void)
{
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL); /* where the kernel has not done it */
    load_modules();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    set_up(fd, "lo", "127.0.0.1");
    set_up(fd, "eth0", "10.0.2.15");
    close(fd);
    serve_control();
}
