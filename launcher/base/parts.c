/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/parts.h"

#include "launcher/base/error.h"

/* How far above the program a build directory's source tree may be: build/asan/helixvm. */
#define SOURCE_LEVELS 3

static char *program_directory(GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *program = g_file_read_link("/proc/self/exe", &cause);
    if (!program) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot find the running program: %s",
                    cause->message);
        return NULL;
    }
    return g_path_get_dirname(program);
}

static char *existing(char *path)
{
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return path;
    g_free(path);
    return NULL;
}

static char *not_found(const char *name, const char *directory, GError **error)
{
    g_set_error(
        error, HX_ERROR, HX_ERROR_HOST,
        "%s, a part of helixvm, is neither beside %s nor installed: build all of it (make), "
        "or install it (make install)",
        name, directory);
    return NULL;
}

char *hx_part_path(const char *name, GError **error)
{
    g_autofree char *directory = program_directory(error);
    if (!directory)
        return NULL;
    char *path = existing(g_build_filename(directory, name, NULL));
    if (!path)
        path = existing(g_build_filename(directory, "..", "libexec", "helixvm", name, NULL));
    return path ? path : not_found(name, directory, error);
}

char *hx_data_path(const char *name, GError **error)
{
    g_autofree char *directory = program_directory(error);
    if (!directory)
        return NULL;
    g_autofree char *above = g_path_get_dirname(directory);
    for (int level = 0; level < SOURCE_LEVELS; level++) {
        char *path = existing(g_build_filename(above, name, NULL));
        if (path)
            return path;
        char *next = g_path_get_dirname(above);
        g_free(above);
        above = next;
    }
    char *path = existing(g_build_filename(directory, "..", "share", "helixvm", name, NULL));
    return path ? path : not_found(name, directory, error);
}
