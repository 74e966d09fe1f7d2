/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/catalogue.h"

#include <string.h>

#include "launcher/base/edit-distance.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/download/checksum.h"
#include "launcher/download/url.h"
#include "launcher/image/image.h"

static void entry_free(void *data)
{
    HxCatalogueEntry *entry = data;
    g_free(entry->name);
    g_free(entry->architecture);
    g_free(entry->title);
    g_free(entry->url);
    g_free(entry->checksums);
    g_free(entry->checksum);
    g_free(entry);
}

GPtrArray *hx_catalogue_new(void)
{
    return g_ptr_array_new_with_free_func(entry_free);
}

static int by_name(const void *a, const void *b)
{
    const HxCatalogueEntry *const *first = a;
    const HxCatalogueEntry *const *second = b;
    int order = strcmp((*first)->name, (*second)->name);
    return order ? order : strcmp((*first)->architecture, (*second)->architecture);
}

/* --- reading --------------------------------------------------------------------------------- */

static gboolean check_keys(GKeyFile *file, const char *group, GError **error)
{
    static const char *const known[] = {"title", "url", "checksums", "sha256", "sha512", NULL};
    g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, error);
    for (char **key = keys; key && *key; key++) {
        if (g_strv_contains(known, *key))
            continue;
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "unknown key \"%s\"; known are title, url, checksums, sha256 and sha512", *key);
        return FALSE;
    }
    return keys != NULL;
}

/* [NAME/ARCHITECTURE] */
static gboolean read_group_name(HxCatalogueEntry *entry, const char *group, GError **error)
{
    const char *slash = strrchr(group, '/');
    entry->name = g_strndup(group, slash ? slash - group : 0);
    entry->architecture = g_strdup(slash ? slash + 1 : "");
    if (hx_image_check_name(entry->name, NULL) && hx_image_is_architecture(entry->architecture))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "a group is called NAME/ARCHITECTURE: the name of an image, and x86_64 or aarch64");
    return FALSE;
}

static gboolean read_checksum(HxCatalogueEntry *entry, GKeyFile *file, const char *group,
                              GError **error)
{
    g_autofree char *sha256 = g_key_file_get_string(file, group, "sha256", NULL);
    g_autofree char *sha512 = g_key_file_get_string(file, group, "sha512", NULL);
    entry->checksums = g_key_file_get_string(file, group, "checksums", NULL);
    if (!!entry->checksums + !!sha256 + !!sha512 != 1) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "it needs one of checksums, sha256 and sha512");
        return FALSE;
    }
    if (entry->checksums) {
        if (!hx_url_check(entry->checksums, error))
            return FALSE;
        if (hx_url_has_scheme(entry->checksums, "https"))
            return TRUE;
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "checksums has to be an https URL: all trust rests on it");
        return FALSE;
    }
    entry->checksum =
        hx_checksum_new(sha512 ? G_CHECKSUM_SHA512 : G_CHECKSUM_SHA256, sha512 ?: sha256, error);
    return entry->checksum != NULL;
}

static gboolean read_entry(HxCatalogueEntry *entry, GKeyFile *file, const char *group,
                           GError **error)
{
    if (!read_group_name(entry, group, error) || !check_keys(file, group, error))
        return FALSE;
    entry->title = g_key_file_get_string(file, group, "title", NULL) ?: g_strdup(entry->name);
    entry->url = g_key_file_get_string(file, group, "url", NULL);
    if (!entry->url) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "it needs an url");
        return FALSE;
    }
    return hx_url_check(entry->url, error) && read_checksum(entry, file, group, error);
}

static void add(GPtrArray *entries, HxCatalogueEntry *entry)
{
    for (guint i = 0; i < entries->len; i++)
        if (by_name(&entries->pdata[i], &entry) == 0) {
            g_ptr_array_remove_index(entries, i);
            break;
        }
    g_ptr_array_add(entries, entry);
}

gboolean hx_catalogue_read(GPtrArray *entries, const char *path, const char *text, gsize length,
                           const char *kind, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) cause = NULL;
    if (!g_key_file_load_from_data(file, text, length, G_KEY_FILE_NONE, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s: %s", path, cause->message);
        return FALSE;
    }
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; *group; group++) {
        HxCatalogueEntry *entry = g_new0(HxCatalogueEntry, 1);
        entry->kind = kind;
        if (!read_entry(entry, file, *group, &cause)) {
            g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s: [%s]: %s", path, *group,
                        cause->message);
            entry_free(entry);
            return FALSE;
        }
        add(entries, entry);
    }
    return TRUE;
}

static gboolean read_file(GPtrArray *entries, const char *path, const char *kind, GError **error)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) cause = NULL;
    if (g_file_get_contents(path, &text, &length, &cause))
        return hx_catalogue_read(entries, path, text, length, kind, error);
    if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "cannot read the catalogue of images: %s",
                cause->message);
    return FALSE;
}

GPtrArray *hx_catalogue_load(GError **error)
{
    g_autofree char *built_in = hx_data_path("launcher/image/catalogue.conf", error);
    g_autofree char *user =
        g_build_filename(g_get_user_config_dir(), "helixvm", "images.conf", NULL);
    g_autoptr(GPtrArray) entries = hx_catalogue_new();
    if (!built_in || !read_file(entries, built_in, "built-in", error) ||
        !read_file(entries, "/etc/helixvm/images.conf", "host", error) ||
        !read_file(entries, user, "user", error))
        return NULL;
    g_ptr_array_sort(entries, by_name);
    return g_steal_pointer(&entries);
}

/* --- finding --------------------------------------------------------------------------------- */

static void set_not_found(const GPtrArray *entries, const char *name, const char *architecture,
                          GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < entries->len; i++)
        g_ptr_array_add(names, ((HxCatalogueEntry *)entries->pdata[i])->name);
    g_ptr_array_add(names, NULL);
    const char *nearest = hx_nearest_word(name, (const char *const *)names->pdata);
    if (nearest && g_str_equal(nearest, name))
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "the catalogue has image \"%s\", but not for %s: see `helixvm image list "
                    "--available`",
                    name, architecture);
    else
        g_set_error(
            error, HX_ERROR, HX_ERROR_NOT_FOUND,
            "the catalogue has no image \"%s\"%s%s%s (see `helixvm image list --available`; "
            "a file of your own is given as ./FILE)",
            name, nearest ? "; the nearest is \"" : "", nearest ?: "", nearest ? "\"" : "");
}

const HxCatalogueEntry *hx_catalogue_find(const GPtrArray *entries, const char *name,
                                          const char *architecture, GError **error)
{
    for (guint i = 0; i < entries->len; i++) {
        const HxCatalogueEntry *entry = entries->pdata[i];
        if (g_str_equal(entry->name, name) && g_str_equal(entry->architecture, architecture))
            return entry;
    }
    set_not_found(entries, name, architecture, error);
    return NULL;
}
