/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/profile/list.h"

/* A tag has 36 bytes: the virtio specification, 5.11.4. */
#define TAG_MAX_LENGTH 36

void hx_share_free(HxShare *share)
{
    if (!share)
        return;
    g_free(share->tag);
    g_free(share->path);
    g_free(share);
}

/* A tag is also a folder's name and a word of the guest's fstab. */
static gboolean is_tag(const char *tag)
{
    size_t length = strlen(tag);
    return length >= 1 && length <= TAG_MAX_LENGTH && g_ascii_isalnum(*tag) &&
           strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
               length;
}

/* One "TAG:/PATH", "TAG:/PATH:ro" or "TAG:/PATH:rw"; NULL where it is none. */
static HxShare *parse_share(const char *text)
{
    const char *colon = strchr(text, ':');
    g_autofree char *tag = colon ? g_strndup(text, colon - text) : NULL;
    if (!tag || !is_tag(tag) || colon[1] != '/')
        return NULL;
    HxShare *share = g_new0(HxShare, 1);
    share->tag = g_steal_pointer(&tag);
    share->read_only = g_str_has_suffix(colon, ":ro");
    gboolean has_mode = share->read_only || g_str_has_suffix(colon, ":rw");
    share->path = g_strndup(colon + 1, strlen(colon + 1) - (has_mode ? strlen(":ro") : 0));
    return share;
}

static gboolean has_tag(const GPtrArray *shares, const char *tag)
{
    for (guint i = 0; i < shares->len; i++)
        if (g_str_equal(((HxShare *)shares->pdata[i])->tag, tag))
            return TRUE;
    return FALSE;
}

GPtrArray *hx_shares_parse(const char *value, char **ret_objection)
{
    g_autoptr(GPtrArray) shares = g_ptr_array_new_with_free_func((GDestroyNotify)hx_share_free);
    g_auto(GStrv) items = hx_list_split(value);
    for (char **item = items; *item; item++) {
        const char *text = g_strstrip(*item);
        HxShare *share = parse_share(text);
        if (!share) {
            *ret_objection = g_strdup_printf(
                "a list of TAG:/FOLDER or TAG:/FOLDER:ro, separated by ';', each TAG 1 to %d "
                "letters, digits, '-' and '_', each FOLDER an absolute path (\"%s\" is not)",
                TAG_MAX_LENGTH, text);
            return NULL;
        }
        gboolean is_second = has_tag(shares, share->tag);
        g_ptr_array_add(shares, share);
        if (is_second) {
            *ret_objection = g_strdup_printf("a list of folders that differ in their tags (\"%s\" "
                                             "is there twice)",
                                             share->tag);
            return NULL;
        }
    }
    if (shares->len <= HX_SHARES_MAX)
        return g_steal_pointer(&shares);
    *ret_objection = g_strdup_printf("a list of at most %d folders", HX_SHARES_MAX);
    return NULL;
}

/* Whether @inner is @outer or lies below it; both are what realpath(3) returns. */
static gboolean is_below(const char *inner, const char *outer)
{
    size_t length = g_str_equal(outer, "/") ? 0 : strlen(outer);
    return strncmp(inner, outer, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}

static gboolean resolve_folder(HxShare *share, const char *state, GError **error)
{
    g_autofree char *folder = realpath(share->path, NULL);
    if (!folder || !g_file_test(folder, G_FILE_TEST_IS_DIR) || access(folder, R_OK | X_OK) < 0) {
        hx_set_error_errno(error, HX_ERROR_CONFIG,
                           folder && !g_file_test(folder, G_FILE_TEST_IS_DIR) ? ENOTDIR : errno,
                           "cannot share %s as \"%s\" (share.folders)", share->path, share->tag);
        return FALSE;
    }
    g_autofree char *own = realpath(state, NULL);
    if (!own || (!is_below(own, folder) && !is_below(folder, own))) {
        g_free(share->path);
        share->path = g_strdup(folder);
        return TRUE;
    }
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "cannot share %s as \"%s\" (share.folders): it would give the guest helixvm's own "
                "files in %s, with the disks and keys of all VMs: share another folder",
                share->path, share->tag, own);
    return FALSE;
}

/* libvirt reads the same descriptions to find it: "vhost-user back-ends" of QEMU's manual. */
char *hx_virtiofsd(GError **error)
{
    static const char *const programs[] = {"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd",
                                           "/usr/lib/virtiofsd", "/usr/local/libexec/virtiofsd"};
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
        if (access(programs[i], X_OK) == 0)
            return g_strdup(programs[i]);
    g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST,
                        "share.folders needs virtiofsd, which this host does not have: install it "
                        "(Debian's package is virtiofsd)");
    return NULL;
}

gboolean hx_shares_resolve(GPtrArray *shares, const char *state, GError **error)
{
    for (guint i = 0; i < shares->len; i++)
        if (!resolve_folder(shares->pdata[i], state, error))
            return FALSE;
    g_autofree char *program = shares->len > 0 ? hx_virtiofsd(error) : NULL;
    return shares->len == 0 || program;
}

const char *hx_share_mount_options(const HxShare *share)
{
    /* What the guest finds there was made by others: no program of theirs becomes root's. */
    return share->read_only ? "ro,nosuid,nodev" : "rw,nosuid,nodev";
}

char *hx_shares_fstab(const GPtrArray *shares)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    for (guint i = 0; i < shares->len; i++) {
        const HxShare *share = shares->pdata[i];
        g_string_append_printf(lines, "%s /mnt/%s virtiofs %s,nofail 0 0\n", share->tag, share->tag,
                               hx_share_mount_options(share));
    }
    return g_string_free(g_steal_pointer(&lines), FALSE);
}
