/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is kept of a log: the run before, and no more than its bound. */
#include "launcher/vm/log-file.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

typedef struct {
    char *directory, *path, *before;
} Fixture;

static void set_up(Fixture *f, const void *data)
{
    f->directory = g_dir_make_tmp("helixvm-log-XXXXXX", NULL);
    f->path = g_build_filename(f->directory, "x.log", NULL);
    f->before = g_strconcat(f->path, ".1", NULL);
}

static void tear_down(Fixture *f, const void *data)
{
    g_unlink(f->path);
    g_unlink(f->before);
    g_rmdir(f->directory);
    g_free(f->directory);
    g_free(f->path);
    g_free(f->before);
}

static void log_run(Fixture *f, gboolean anew, const char *text)
{
    g_autoptr(GError) error = NULL;
    int fd = hx_log_file_open(f->path, anew, &error);
    g_assert_no_error(error);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    close(fd);
}

static void assert_content(const char *path, const char *expected)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
}

static void test_runs(Fixture *f, const void *data)
{
    log_run(f, TRUE, "first\n");
    g_assert_false(g_file_test(f->before, G_FILE_TEST_EXISTS));
    log_run(f, FALSE, "restarted\n");
    assert_content(f->path, "first\nrestarted\n");
    log_run(f, TRUE, "second\n");
    assert_content(f->path, "second\n");
    assert_content(f->before, "first\nrestarted\n");
    GStatBuf status;
    g_assert_cmpint(g_stat(f->path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    /* A run that said nothing does not cost the one before. */
    log_run(f, TRUE, "");
    log_run(f, TRUE, "");
    assert_content(f->before, "second\n");
}

static void test_bound(Fixture *f, const void *data)
{
    g_autoptr(GString) text = g_string_new(NULL);
    while (text->len <= HX_LOG_FILE_MAX + 1000)
        g_string_append_printf(text, "%zu\n", text->len);
    g_autoptr(GError) error = NULL;
    int fd = hx_log_file_open(f->path, TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(write(fd, "short\n", 6), ==, 6);
    hx_log_file_bound(f->path);
    assert_content(f->path, "short\n");
    g_assert_cmpint(write(fd, text->str, text->len), ==, text->len);
    hx_log_file_bound(f->path);
    assert_content(f->path, "");
    g_assert_cmpint(write(fd, "goes on\n", 8), ==, 8);
    assert_content(f->path, "goes on\n");
    close(fd);
    /* Whole lines, up to the last one. */
    g_autofree char *before = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(f->before, &before, &size, NULL));
    g_assert_cmpuint(size, <=, HX_LOG_FILE_MAX);
    g_assert_cmpuint(size, >, HX_LOG_FILE_MAX - 100);
    g_assert_true(g_str_has_suffix(text->str, before));
    g_assert_cmpint(text->str[text->len - size - 1], ==, '\n');
}

/* The end of a log that cannot be kept stays in the log, up to a limit. */
static void test_full_disk(Fixture *f, const void *data)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("log", f->directory, "tmpfs", 0, "size=16M") < 0) {
        g_test_skip("only root can mount");
        return;
    }
    g_autofree char *filler = g_build_filename(f->directory, "filler", NULL);
    g_autofree char *text = g_strnfill(HX_LOG_FILE_MAX + 4096, 'x');
    int other = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    log_run(f, TRUE, "begin\n");
    log_run(f, FALSE, text);
    while (write(other, text, 4096) > 0) {
    }
    hx_log_file_bound(f->path);
    g_autofree char *kept = NULL;
    g_assert_true(g_file_get_contents(f->path, &kept, NULL, NULL));
    g_assert_true(g_str_has_prefix(kept, "begin\nx"));
    /* Room again. */
    g_assert_cmpint(ftruncate(other, 0), ==, 0);
    hx_log_file_bound(f->path);
    assert_content(f->path, "");
    g_assert_true(g_file_test(f->before, G_FILE_TEST_EXISTS));

    for (gsize size = 0; size <= HX_LOG_FILE_FULL; size += HX_LOG_FILE_MAX)
        log_run(f, FALSE, text);
    while (write(other, text, 4096) > 0) {
    }
    hx_log_file_bound(f->path);
    g_autofree char *cut = NULL;
    g_assert_true(g_file_get_contents(f->path, &cut, NULL, NULL));
    g_assert_true(g_str_has_suffix(cut, ".1: No space left on device\n"));
    g_assert_nonnull(strstr(cut, " bytes of this log are lost: "));
    close(other);
    umount2(f->directory, MNT_DETACH);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/log-file/runs", Fixture, NULL, set_up, test_runs, tear_down);
    g_test_add("/log-file/bound", Fixture, NULL, set_up, test_bound, tear_down);
    g_test_add("/log-file/full-disk", Fixture, NULL, set_up, test_full_disk, tear_down);
    return g_test_run();
}
