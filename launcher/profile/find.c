/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/find.h"

#include <string.h>

#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/profile/text.h"

#define SUFFIX ".conf"
#define SUMMARY_MAX 200

typedef struct {
    const char *kind;
    char *path;
} Directory;

enum { USER, HOST, BUILT_IN, N_DIRECTORIES };

static void clear_directories(Directory *directories)
{
    for (size_t i = 0; i < N_DIRECTORIES; i++)
        g_clear_pointer(&directories[i].path, g_free);
}

static gboolean find_directories(Directory *directories, GError **error)
{
    directories[USER] =
        (Directory){"user", g_build_filename(g_get_user_config_dir(), "helixvm", "profiles", NULL)};
    directories[HOST] = (Directory){"host", g_strdup("/etc/helixvm/profiles")};
    directories[BUILT_IN] = (Directory){"built-in", hx_data_path("qemu-profiles", error)};
    if (directories[BUILT_IN].path)
        return TRUE;
    clear_directories(directories);
    return FALSE;
}

static gboolean is_name(const char *name)
{
    return g_ascii_isalnum(*name) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               strlen(name);
}

static char *find(const char *name, int first, GError **error)
{
    Directory directories[N_DIRECTORIES] = {0};
    char *found = NULL;
    if (!is_name(name)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "\"%s\" is no name for a profile: use letters, digits, '-', '_' and '.', the "
                    "first a letter or digit; for a file give its path with a '/'",
                    name);
        return NULL;
    }
    if (!find_directories(directories, error))
        return NULL;
    g_autofree char *file = g_strconcat(name, SUFFIX, NULL);
    for (int i = first; i < N_DIRECTORIES && !found; i++) {
        char *path = g_build_filename(directories[i].path, file, NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            found = path;
        else
            g_free(path);
    }
    if (!found)
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "no profile \"%s\": `helixvm profile list` shows all; your own go to %s", name,
                    directories[USER].path);
    clear_directories(directories);
    return found;
}

char *hx_profile_find(const char *name, GError **error)
{
    return find(name, USER, error);
}

char *hx_profile_find_built_in(const char *name, GError **error)
{
    return find(name, BUILT_IN, error);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void file_free(void *data)
{
    HxProfileFile *file = data;
    g_free(file->name);
    g_free(file->path);
    g_free(file->summary);
    g_free(file);
}

/* The comment of the first line, without its "#"; a licence is none. */
static char *read_summary(const char *path)
{
    gsize length = 0;
    g_autofree char *text = hx_profile_text_read(path, &length, NULL);
    if (!text || *text != '#')
        return g_strdup("");
    text[MIN(strcspn(text, "\r\n"), SUMMARY_MAX)] = '\0';
    g_autofree char *valid = g_utf8_make_valid(g_strstrip(text + 1), -1);
    return g_strescape(valid, NULL);
}

static gboolean has_name(const GPtrArray *files, const char *name)
{
    for (guint i = 0; i < files->len; i++)
        if (g_str_equal(((const HxProfileFile *)files->pdata[i])->name, name))
            return TRUE;
    return FALSE;
}

static void add_directory(GPtrArray *files, const Directory *directory)
{
    g_autoptr(GDir) opened = g_dir_open(directory->path, 0, NULL);
    for (const char *entry; opened && (entry = g_dir_read_name(opened));) {
        if (!g_str_has_suffix(entry, SUFFIX))
            continue;
        g_autofree char *name = g_strndup(entry, strlen(entry) - strlen(SUFFIX));
        if (!is_name(name) || has_name(files, name))
            continue;
        HxProfileFile *file = g_new0(HxProfileFile, 1);
        file->path = g_build_filename(directory->path, entry, NULL);
        file->name = g_steal_pointer(&name);
        file->kind = directory->kind;
        file->summary = read_summary(file->path);
        g_ptr_array_add(files, file);
    }
}

static int by_name(const void *a, const void *b)
{
    const HxProfileFile *const *first = a;
    const HxProfileFile *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

GPtrArray *hx_profile_list_files(GError **error)
{
    Directory directories[N_DIRECTORIES] = {0};
    if (!find_directories(directories, error))
        return NULL;
    GPtrArray *files = g_ptr_array_new_with_free_func(file_free);
    for (int i = 0; i < N_DIRECTORIES; i++)
        add_directory(files, &directories[i]);
    clear_directories(directories);
    g_ptr_array_sort(files, by_name);
    return files;
}
