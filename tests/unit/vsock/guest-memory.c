/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory mapped, lost and unmapped: what lies beside it is left alone. */
#include "launcher/vsock/guest-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/fd.h"

#define SIZE 0x10000

static int make_file(void)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    return fd;
}

static HxGuestMemory map_file(int fd)
{
    HxGuestMemory memory = {0};
    const HxRegionDescription region = {.guest_address = 0x1000, .size = SIZE, .user_address = 0};
    g_assert_cmpint(hx_guest_memory_map(&memory, &region, 1, &fd), ==, 0);
    return memory;
}

static void test_lost(void)
{
    hx_autofd int fd = make_file();
    HxGuestMemory memory = map_file(fd);
    g_assert_cmpint(hx_guest_memory_survive(&memory), ==, 0);
    volatile char *first = hx_guest_memory_from_user(&memory, 0, SIZE), *last = first + SIZE - 1;
    *first = *last = 'x';
    g_assert_cmpint(ftruncate(fd, 0x8000), ==, 0);
    g_assert_cmpint(*first, ==, 'x');
    g_assert_false(memory.lost);
    g_assert_cmpint(*last, ==, 0);
    g_assert_true(memory.lost);
    *first = 'y'; /* of our own by now */
    char byte = 0;
    g_assert_cmpint(pread(fd, &byte, 1, 0), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    hx_guest_memory_clear(&memory);
    g_assert_false(memory.lost);
}

/* A bus error elsewhere ends the process, as without the handler. */
static void test_lost_elsewhere(void)
{
    if (g_test_subprocess()) {
        hx_autofd int fd = make_file(), other = make_file();
        HxGuestMemory memory = map_file(fd);
        g_assert_cmpint(hx_guest_memory_survive(&memory), ==, 0);
        volatile char *foreign = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, other, 0);
        g_assert_cmpint(ftruncate(other, 0), ==, 0);
        _exit(*foreign);
    }
    g_test_trap_subprocess(NULL, 20 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
}

/* A file system whose block size is more than a page, in a mount namespace of our own. */
static bool make_large_blocks(const char *directory)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return mount("tmpfs", directory, "tmpfs", 0, "huge=always,size=8m") == 0;
}

/* Only as much is unmapped as was mapped. */
static void test_neighbour(void)
{
    g_autofree char *directory = g_dir_make_tmp("guest-memory-XXXXXX", NULL);
    if (!make_large_blocks(directory)) {
        g_test_skip("no tmpfs with huge pages here");
        rmdir(directory);
        return;
    }
    g_autofree char *path = g_build_filename(directory, "memory", NULL);
    hx_autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    g_assert_cmpint(fstat(fd, &status), ==, 0);
    g_assert_cmpint(status.st_blksize, >, SIZE);

    HxGuestMemory memory = map_file(fd);
    char *end = (char *)hx_guest_memory_from_user(&memory, 0, SIZE) + SIZE;
    char *neighbour = mmap(end, 4096, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (neighbour == MAP_FAILED)
        g_assert_cmpint(errno, ==, EEXIST); /* somebody else is the neighbour */
    hx_guest_memory_clear(&memory);
    g_assert_cmpint(msync(end, 4096, MS_ASYNC), ==, 0);
    hx_close(&fd);
    g_assert_cmpint(umount(directory), ==, 0);
    g_assert_cmpint(rmdir(directory), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/guest-memory/lost", test_lost);
    g_test_add_func("/vsock/guest-memory/lost-elsewhere", test_lost_elsewhere);
    g_test_add_func("/vsock/guest-memory/neighbour", test_neighbour);
    return g_test_run();
}
