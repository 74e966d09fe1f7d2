/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-init: /init of the image's initial ramdisk.  Loads the modules that the ramdisk carries,
 * mounts the root file system and becomes its init.
 *
 * Theory of operation.  The host gives the guest one disk, and the ramdisk holds exactly the
 * modules that reach it, uncompressed and in the order that their dependencies ask for: no udev, no
 * shell and no modprobe have to run, each of which costs an emulated CPU a good part of a second.
 * The disk appears while its driver's module is loaded, or, where the kernel probes it later, with
 * a uevent (kernel documentation, "sysfs rules"), which is waited for.  Follows the kernel's
 * "ramfs-rootfs-initramfs" document: the ramdisk cannot be unmounted, so its files are deleted and
 * the root is moved over it.
 *
 * A failure is told on the console and ends this process, which makes the kernel panic: the host
 * sees that (panic=, -no-reboot), and the message is the last in the console's log. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MODULES "/modules"
#define ROOT "/root"
#define DISK_TIMEOUT_S 60

static char command_line[4096];

static _Noreturn void fail(const char *what, const char *on)
{
    fprintf(stderr, "helixvm-init: cannot %s %s: %s\n", what, on, strerror(errno));
    /* The panic writes to the port past what still waits in the terminal. */
    tcdrain(STDERR_FILENO);
    exit(1);
}

/* The value of NAME= in the kernel's command line, the last one given, or @otherwise. */
static const char *parameter(const char *name, const char *otherwise)
{
    static char copy[sizeof command_line];
    size_t length = strlen(name);
    const char *value = otherwise;
    char *state = NULL;
    strcpy(copy, command_line);
    for (char *word = strtok_r(copy, " \n", &state); word; word = strtok_r(NULL, " \n", &state))
        if (strncmp(word, name, length) == 0 && word[length] == '=')
            value = word + length + 1;
    return value == otherwise ? otherwise : strdup(value);
}

static int has_word(const char *wanted)
{
    char copy[sizeof command_line];
    char *state = NULL;
    strcpy(copy, command_line);
    for (char *word = strtok_r(copy, " \n", &state); word; word = strtok_r(NULL, " \n", &state))
        if (strcmp(word, wanted) == 0)
            return 1;
    return 0;
}

static void read_command_line(void)
{
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, command_line, sizeof command_line - 1);
    if (size < 0)
        fail("read", "/proc/cmdline");
    command_line[size] = '\0';
    close(fd);
}

/* The files are named NNN-name.ko: alphabetical order is the order to load them in. */
static void load_modules(void)
{
    struct dirent **entries = NULL;
    int count = scandir(MODULES, &entries, NULL, alphasort);
    if (count < 0)
        fail("list", MODULES);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] == '.')
            continue;
        char path[sizeof MODULES + 1 + sizeof entries[i]->d_name];
        snprintf(path, sizeof path, MODULES "/%s", entries[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        /* One that does not load may be one that this machine does without, such as a driver for
         * another CPU; if the disk needs it, mounting will say so. */
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            fprintf(stderr, "helixvm-init: cannot load %s: %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
}

static int open_uevents(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("listen for", "uevents");
    return fd;
}

static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_for_disk(const char *disk, int uevents)
{
    long deadline = milliseconds() + DISK_TIMEOUT_S * 1000L;
    while (access(disk, F_OK) < 0) {
        struct pollfd events = {.fd = uevents, .events = POLLIN};
        long left = deadline - milliseconds();
        if (left <= 0 || (poll(&events, 1, left) < 0 && errno != EINTR)) {
            errno = ENXIO;
            fail("find the root file system's disk", disk);
        }
        char event[8192];
        while (recv(uevents, event, sizeof event, 0) >= 0) {
        }
    }
}

/* Delete the ramdisk's own files, which would otherwise keep their memory. */
static void empty_ramdisk(void)
{
    struct dirent **entries = NULL;
    int count = scandir(MODULES, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        char path[sizeof MODULES + 1 + sizeof entries[i]->d_name];
        snprintf(path, sizeof path, MODULES "/%s", entries[i]->d_name);
        unlink(path);
    }
    rmdir(MODULES);
    unlink("/init");
}

static void mount_root(int uevents)
{
    const char *disk = parameter("root", "/dev/vda");
    const char *type = parameter("rootfstype", "ext4");
    wait_for_disk(disk, uevents);
    unsigned long flags = has_word("ro") ? MS_RDONLY : 0;
    if (mount(disk, ROOT, type, flags, parameter("rootflags", NULL)) < 0)
        fail("mount the root file system", disk);
}

static void switch_root(void)
{
    static const char *const moved[] = {"/dev", "/proc", "/sys"};
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++) {
        char target[32];
        snprintf(target, sizeof target, ROOT "%s", moved[i]);
        if (mount(moved[i], target, NULL, MS_MOVE, NULL) < 0)
            fail("move", moved[i]);
    }
    empty_ramdisk();
    if (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
        fail("enter", ROOT);
}

static void mount_kernel_file_system(const char *type, const char *directory, unsigned long flags,
                                     const char *options)
{
    mkdir(directory, 0755);
    if (mount(type, directory, type, flags, options) < 0)
        fail("mount", directory);
}

int main(int argc, char **argv)
{
    /* The kernel opened /dev/console as 0, 1 and 2 where it could. */
    mount_kernel_file_system("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
    mount_kernel_file_system("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_kernel_file_system("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mkdir(ROOT, 0700);
    read_command_line();
    int uevents = open_uevents();
    load_modules();
    mount_root(uevents);
    close(uevents);
    switch_root();
    /* The kernel hands its unknown parameters to init as arguments. */
    static char default_init[] = "/sbin/init";
    const char *init = parameter("init", default_init);
    argv[0] = strdup(init);
    execv(init, argv);
    fail("start", init);
}
