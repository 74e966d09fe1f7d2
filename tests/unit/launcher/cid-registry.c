/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CIDs that processes take at the same moment. */
#include "launcher/host/cid-registry.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/fd.h"

#define PROCESSES 8
#define CIDS_EACH 16

typedef struct {
    char *directory;
} Fixture;

static void set_up(Fixture *fixture, const void *data)
{
    fixture->directory = g_dir_make_tmp("helixvm-cid-XXXXXX", NULL);
    g_setenv("HELIXVM_RUNTIME_DIR", fixture->directory, TRUE);
}

static void tear_down(Fixture *fixture, const void *data)
{
    g_autofree char *folder = g_build_filename(fixture->directory, ".cids", NULL);
    g_autoptr(GDir) files = g_dir_open(folder, 0, NULL);
    const char *name;
    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_assert_cmpint(g_rmdir(fixture->directory), ==, 0);
    g_free(fixture->directory);
}

static int take(guint32 *ret_cid)
{
    g_autoptr(GError) error = NULL;
    int fd = hx_cid_take(ret_cid, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    return fd;
}

/* In a process: wait for the start, take and give back and take, tell them, hold them for ever. */
static void take_many(int start, int result)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where the test fails */
    g_assert_cmpint(read(start, &byte, 1), ==, 0);
    guint32 cids[CIDS_EACH];
    for (int i = 0; i < CIDS_EACH; i++) {
        int fd = take(&cids[i]);
        hx_cid_release(cids[i], &fd);
        take(&cids[i]);
    }
    g_assert_cmpint(hx_write_all(result, cids, sizeof cids), ==, 0);
    pause();
}

static void test_processes(Fixture *fixture, const void *data)
{
    int start[2], result[2];
    g_assert_cmpint(pipe(start), ==, 0);
    g_assert_cmpint(pipe(result), ==, 0);
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(start[1]);
            take_many(start[0], result[1]);
            _exit(1);
        }
    }
    close(start[1]); /* now, all at once */
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    for (int i = 0; i < PROCESSES * CIDS_EACH; i++) {
        guint32 cid;
        g_assert_cmpint(hx_read_all(result[0], &cid, sizeof cid), ==, 0);
        g_assert_cmpuint(cid, >=, HX_CID_FIRST);
        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(cid)));
    }
    for (int i = 0; i < PROCESSES; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    /* What the killed ones held is free again. */
    guint32 cid;
    int fd = take(&cid);
    g_assert_cmpuint(cid, ==, HX_CID_FIRST);
    hx_cid_release(cid, &fd);
    g_assert_cmpint(fd, ==, -1);
    close(start[0]);
    close(result[0]);
    close(result[1]);
}

static void test_lowest(Fixture *fixture, const void *data)
{
    guint32 first, second, again;
    int a = take(&first);
    int b = take(&second);
    g_assert_cmpuint(first, ==, HX_CID_FIRST);
    g_assert_cmpuint(second, ==, HX_CID_FIRST + 1);
    hx_cid_release(first, &a);
    int c = take(&again);
    g_assert_cmpuint(again, ==, first);
    hx_cid_release(second, &b);
    hx_cid_release(again, &c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/cid-registry/processes", Fixture, NULL, set_up, test_processes, tear_down);
    g_test_add("/cid-registry/lowest", Fixture, NULL, set_up, test_lowest, tear_down);
    return g_test_run();
}
