/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The seed, read as cloud-init does: by its volume's name, its files and what is in them. */
#include "launcher/vm/seed.h"

#include <archive.h>
#include <archive_entry.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/json.h"

static const HxSeed seed = {
    .name = "golden",
    .uuid = "6a1b9f2e-4c58-4b0e-9d5b-6f4c1a1f0d11",
    .public_key = "ssh-ed25519 AAAA \"quoted\": \\ end",
    .files = "guest-provision/seed",
    .notify_port = 5009,
};

/* What file @name of the ISO image @path has in it; NULL where it has none of that name. */
static char *read_file(const char *path, const char *name)
{
    struct archive *image = archive_read_new();
    archive_read_support_format_iso9660(image);
    g_assert_cmpint(archive_read_open_filename(image, path, 4096), ==, ARCHIVE_OK);
    struct archive_entry *entry;
    char *contents = NULL;
    while (!contents && archive_read_next_header(image, &entry) == ARCHIVE_OK) {
        if (!g_str_equal(archive_entry_pathname(entry), name))
            continue;
        gsize size = archive_entry_size(entry);
        contents = g_malloc0(size + 1);
        g_assert_cmpint(archive_read_data(image, contents, size), ==, size);
    }
    archive_read_free(image);
    return contents;
}

static JsonObject *parse(const char *text)
{
    g_assert_nonnull(text);
    JsonObject *object = hx_json_parse_object(text, -1);
    g_assert_nonnull(object);
    return object;
}

static void assert_image(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpuint(size, >, 17 * 2048);
    /* The volume's name: ECMA-119, 8.4.7. */
    g_assert_cmpint(memcmp(bytes + 16 * 2048 + 1, "CD001", 5), ==, 0);
    g_assert_cmpint(memcmp(bytes + 16 * 2048 + 40, "CIDATA ", 7), ==, 0);
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, 0600);
}

static void assert_user_data(const char *text)
{
    g_assert_true(g_str_has_prefix(text, "#cloud-config\n"));
    g_autoptr(JsonObject) user = parse(strchr(text, '\n'));
    JsonArray *users = json_object_get_array_member(user, "users");
    JsonObject *root = json_array_get_object_element(users, 1);
    g_assert_cmpstr(json_object_get_string_member(root, "name"), ==, "root");
    JsonArray *keys = json_object_get_array_member(root, "ssh_authorized_keys");
    g_assert_cmpstr(json_array_get_string_element(keys, 0), ==, seed.public_key);
    g_assert_false(json_object_get_boolean_member(user, "disable_root"));
    JsonArray *files = json_object_get_array_member(user, "write_files");
    g_assert_cmpuint(json_array_get_length(files), ==, 4);
    for (guint i = 0; i < 4; i++) {
        JsonObject *file = json_array_get_object_element(files, i);
        g_assert_true(*json_object_get_string_member(file, "path") == '/');
        g_assert_nonnull(strstr(json_object_get_string_member(file, "content"), "SPDX"));
    }
}

static void test_write(void)
{
    g_autofree char *directory = g_dir_make_tmp("helixvm-seed-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "seed.iso", NULL);
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_profile_merge_setting(profile, "share.folders=work:/srv:ro", NULL));
    hx_seed_write(&seed, profile, path, geteuid(), &error);
    g_assert_no_error(error);
    g_assert_true(hx_seed_write(&seed, profile, path, geteuid(), &error)); /* in its place */
    g_assert_no_error(error);
    assert_image(path);

    g_autofree char *meta_text = read_file(path, "meta-data");
    g_autoptr(JsonObject) meta = parse(meta_text);
    g_assert_cmpstr(json_object_get_string_member(meta, "instance-id"), ==, seed.uuid);
    g_assert_cmpstr(json_object_get_string_member(meta, "local-hostname"), ==, "golden");
    g_autofree char *user_text = read_file(path, "user-data");
    assert_user_data(user_text);
    g_autofree char *boot_text = read_file(path, "helixvm.json");
    g_autoptr(JsonObject) boot = parse(boot_text);
    g_assert_cmpint(json_object_get_int_member(boot, "notify_port"), ==, 5009);
    JsonObject *share =
        json_array_get_object_element(json_object_get_array_member(boot, "shares"), 0);
    g_assert_cmpstr(json_object_get_string_member(share, "tag"), ==, "work");
    g_assert_cmpstr(json_object_get_string_member(share, "options"), ==, "ro,nosuid,nodev");
    g_unlink(path);
    g_assert_cmpint(g_rmdir(directory), ==, 0); /* nothing else was left in it */
}

static void test_no_room(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_seed_write(&seed, profile, "/nonexistent/seed.iso", geteuid(), &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/seed.iso"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/seed/write", test_write);
    g_test_add_func("/seed/no-room", test_no_room);
    return g_test_run();
}
