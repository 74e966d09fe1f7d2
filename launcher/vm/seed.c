/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/seed.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/profile/share.h"

/* By which cloud-init knows the file system. */
#define VOLUME "CIDATA"

gboolean hx_seed_is_wanted(const HxProfile *profile, const HxImage *image)
{
    const char *seed = hx_profile_string(profile, "boot.seed");
    return g_str_equal(seed, "nocloud") || (g_str_equal(seed, "auto") && hx_image_source(image));
}

/* --- contents ------------------------------------------------------------------------------------
 */

static void add(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

/* The list [@value] as member @name. */
static void add_list_of_one(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    json_builder_add_string_value(builder, value);
    json_builder_end_array(builder);
}

static char *text_of(JsonBuilder *builder)
{
    return hx_json_text(builder, TRUE);
}

char *hx_seed_meta_data(const HxSeed *seed)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    add(builder, "instance-id", seed->uuid);
    add(builder, "local-hostname", seed->name);
    json_builder_end_object(builder);
    return text_of(builder);
}

static void add_root(JsonBuilder *builder, const HxSeed *seed)
{
    json_builder_set_member_name(builder, "users");
    json_builder_begin_array(builder);
    json_builder_add_string_value(builder, "default");
    json_builder_begin_object(builder);
    add(builder, "name", "root");
    /* Keys alone admit root; whether it has a password stays the image's affair. */
    json_builder_set_member_name(builder, "lock_passwd");
    json_builder_add_boolean_value(builder, FALSE);
    add_list_of_one(builder, "ssh_authorized_keys", seed->public_key);
    json_builder_end_object(builder);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "disable_root");
    json_builder_add_boolean_value(builder, FALSE);
    add_list_of_one(builder, "ssh_authorized_keys", seed->public_key); /* the default user's */
    add_list_of_one(builder, "ssh_genkeytypes", "ed25519");
}

/* The files of guest-provision/seed, at their places in the guest. */
static gboolean add_files(JsonBuilder *builder, const char *directory, GError **error)
{
    static const struct {
        const char *name, *directory;
    } files[] = {
        {"guest", "/usr/local/lib/helixvm"},
        {"helixvm-guest.service", "/etc/systemd/system"},
        {"helixvm-ssh.socket", "/etc/systemd/system"},
        {"helixvm-ssh@.service", "/etc/systemd/system"},
    };
    json_builder_set_member_name(builder, "write_files");
    json_builder_begin_array(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *source = g_build_filename(directory, files[i].name, NULL);
        g_autofree char *contents = NULL;
        if (!g_file_get_contents(source, &contents, NULL, error))
            return FALSE;
        g_autofree char *path = g_build_filename(files[i].directory, files[i].name, NULL);
        json_builder_begin_object(builder);
        add(builder, "path", path);
        add(builder, "permissions", "0644");
        add(builder, "content", contents);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    return TRUE;
}

static void add_commands(JsonBuilder *builder)
{
    static const char *const commands[][6] = {
        {"systemctl", "daemon-reload"},
        /* The job that runs this is one that what is started may wait for. */
        {"systemctl", "enable", "--now", "--no-block", "helixvm-ssh.socket",
         "helixvm-guest.service"},
    };
    json_builder_set_member_name(builder, "runcmd");
    json_builder_begin_array(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        json_builder_begin_array(builder);
        for (size_t j = 0; j < G_N_ELEMENTS(commands[i]) && commands[i][j]; j++)
            json_builder_add_string_value(builder, commands[i][j]);
        json_builder_end_array(builder);
    }
    json_builder_end_array(builder);
}

gboolean hx_seed_user_data(const HxSeed *seed, char **ret_user_data, GError **error)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    add_root(builder, seed);
    if (!add_files(builder, seed->files, error))
        return FALSE;
    add_commands(builder);
    json_builder_end_object(builder);
    g_autofree char *text = text_of(builder);
    *ret_user_data = g_strconcat("#cloud-config\n", text, "\n", NULL);
    return TRUE;
}

char *hx_seed_boot_data(const HxSeed *seed, const HxProfile *profile)
{
    g_autoptr(GPtrArray) shares = hx_profile_shares(profile);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "notify_port");
    json_builder_add_int_value(builder, seed->notify_port);
    json_builder_set_member_name(builder, "shares");
    json_builder_begin_array(builder);
    for (guint i = 0; i < shares->len; i++) {
        const HxShare *share = shares->pdata[i];
        json_builder_begin_object(builder);
        add(builder, "tag", share->tag);
        add(builder, "options", hx_share_mount_options(share));
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    return text_of(builder);
}

/* --- the image -----------------------------------------------------------------------------------
 */

static gboolean add_file(struct archive *image, const char *name, const char *contents)
{
    size_t size = strlen(contents);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0400);
    archive_entry_set_size(entry, size);
    gboolean done = archive_write_header(image, entry) == ARCHIVE_OK &&
                    archive_write_data(image, contents, size) == (la_ssize_t)size;
    archive_entry_free(entry);
    return done;
}

static gboolean write_image(int fd, const char *const (*files)[2], size_t n_files, GError **error)
{
    struct archive *image = archive_write_new();
    gboolean done =
        archive_write_set_format_iso9660(image) == ARCHIVE_OK &&
        archive_write_set_format_option(image, "iso9660", "volume-id", VOLUME) == ARCHIVE_OK &&
        archive_write_open_fd(image, fd) == ARCHIVE_OK;
    for (size_t i = 0; done && i < n_files; i++)
        done = add_file(image, files[i][0], files[i][1]);
    done = done && archive_write_close(image) == ARCHIVE_OK;
    if (!done)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "libarchive cannot write the VM's seed: %s",
                    archive_error_string(image));
    archive_write_free(image);
    return done;
}

gboolean hx_seed_write(const HxSeed *seed, const HxProfile *profile, const char *path, uid_t owner,
                       GError **error)
{
    g_autofree char *meta_data = hx_seed_meta_data(seed);
    g_autofree char *boot_data = hx_seed_boot_data(seed, profile);
    g_autofree char *user_data = NULL;
    if (!hx_seed_user_data(seed, &user_data, error))
        return FALSE;
    const char *const files[][2] = {
        {"meta-data", meta_data}, {"user-data", user_data}, {"helixvm.json", boot_data}};
    g_autofree char *partial = g_strconcat(path, ".partial", NULL);
    g_unlink(partial);
    hx_autofd int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && !write_image(fd, files, G_N_ELEMENTS(files), error)) {
        g_unlink(partial);
        return FALSE;
    }
    if (fd >= 0 && fchown(fd, owner, -1) == 0 && g_rename(partial, path) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write the VM's seed %s", path);
    g_unlink(partial);
    return FALSE;
}
