/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A snapshot is there if and only if its snapshot.json is; the disks carry it
 * under a tag with a prefix of ours, so that others' snapshots are left alone.  A VM may have
 * several disks and qemu-img changes one at a time: before the first is touched, the file .pending
 * tells what is about to be done, and it is removed after the last.  All steps can be done twice.
 * Who finds .pending undoes a creation that was not completed, and completes a removal or a
 * restoration. */
#include "launcher/vm/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/base/now.h"
#include "launcher/base/process.h"
#include "launcher/disk/qcow2-file.h"
#include "launcher/image/image.h"
#include "launcher/vm/disk-use.h"

#define NAME_MAX_LENGTH 40
#define DESCRIPTION_MAX 200
#define TAG_PREFIX "helixvm-"

void hx_snapshot_free(HxSnapshot *snapshot)
{
    if (!snapshot)
        return;
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot->time);
    g_strfreev(snapshot->disks);
    g_free(snapshot);
}

gboolean hx_snapshot_check_name(const char *name, GError **error)
{
    size_t length = strlen(name);
    if (length >= 1 && length <= NAME_MAX_LENGTH && g_ascii_isalnum(name[0]) &&
        strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._") == length)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "\"%s\" is no name for a snapshot: use 1 to %d characters of a-z, A-Z, 0-9, '-', "
                "'.' and '_', the first a letter or digit",
                name, NAME_MAX_LENGTH);
    return FALSE;
}

/* --- where things are ---------------------------------------------------------------------------
 */

static char *path_of(HxVm *vm, const char *name, const char *file)
{
    return g_build_filename(hx_vm_state_path(vm, "snapshots"), name, file, NULL);
}

static int compare_names(const void *a, const void *b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* The names of the files in the state directory that end with @suffix, sorted; for g_strfreev. */
static char **files_with(HxVm *vm, const char *suffix)
{
    GPtrArray *names = g_ptr_array_new();
    g_autoptr(GDir) directory = g_dir_open(hx_vm_state_path(vm, NULL), 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory)))
        if (g_str_has_suffix(name, suffix))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

/* --- the disks ----------------------------------------------------------------------------------
 */

/* Whether @path is the disk of an image of ours. */
static gboolean is_image(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(directory);
    g_autofree char *image = hx_image_path(name, NULL);
    g_autofree char *disk = image ? g_build_filename(image, "disk.qcow2", NULL) : NULL;
    return g_strcmp0(path, disk) == 0;
}

/* See that qemu-img opens nothing but @disk and the image that it lies on. */
static gboolean check_disk(HxVm *vm, const char *disk, GError **error)
{
    HxQcow2Header header;
    g_autofree char *backing = NULL;
    if (!hx_qcow2_read_own(hx_vm_state_path(vm, disk), &header, &backing, error))
        return FALSE;
    if (!backing || is_image(backing))
        return TRUE;
    g_autofree char *shown = g_strescape(backing, NULL);
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "the disk %s lies on %s, which is no image",
                hx_vm_state_path(vm, disk), shown);
    return FALSE;
}

static gboolean run_snapshot(HxVm *vm, const char *option, const char *name, const char *disk,
                             GError **error)
{
    if (!check_disk(vm, disk, error))
        return FALSE;
    g_autofree char *tag = g_strconcat(TAG_PREFIX, name, NULL);
    g_auto(GStrv) parts = g_strsplit(hx_vm_state_path(vm, disk), ",", -1);
    g_autofree char *path = g_strjoinv(",,", parts);
    g_autofree char *image =
        g_strconcat("driver=qcow2,file.driver=file,file.filename=", path, NULL);
    const char *const argv[] = {"qemu-img", "snapshot", "-q",  "--image-opts",
                                option,     tag,        image, NULL};
    return hx_process_run(argv, NULL, NULL, error);
}

/* Whether @disk has the tag of @name; also FALSE where that cannot be told. */
static gboolean has_tag(HxVm *vm, const char *name, const char *disk)
{
    g_autofree char *tag = g_strconcat(TAG_PREFIX, name, NULL);
    const char *const argv[] = {
        "qemu-img", "info", "-f", "qcow2", "--output=json", hx_vm_state_path(vm, disk), NULL};
    g_autofree char *text = NULL;
    if (!check_disk(vm, disk, NULL) || !hx_process_run(argv, &text, NULL, NULL))
        return FALSE;
    g_autoptr(JsonObject) info = hx_json_parse_object(text, -1);
    JsonArray *tags = hx_json_array(info, "snapshots");
    for (guint i = 0; tags && i < json_array_get_length(tags); i++)
        if (g_strcmp0(hx_json_string(json_array_get_object_element(tags, i), "name"), tag) == 0)
            return TRUE;
    return FALSE;
}

static gboolean remove_tags(HxVm *vm, const char *name, GError **error)
{
    g_auto(GStrv) disks = files_with(vm, ".qcow2");
    for (char **disk = disks; *disk; disk++)
        if (has_tag(vm, name, *disk) && !run_snapshot(vm, "-d", name, *disk, error))
            return FALSE;
    return TRUE;
}

/* A qemu-img that was killed may have taken clusters that nothing refers to.  A disk of which that
 * cannot be said is for the steps that follow to fail on. */
static void free_leaks(HxVm *vm)
{
    g_auto(GStrv) disks = files_with(vm, ".qcow2");
    for (char **disk = disks; *disk; disk++) {
        const char *const argv[] = {"qemu-img", "check", "-q",    "-f",
                                    "qcow2",    "-r",    "leaks", hx_vm_state_path(vm, *disk),
                                    NULL};
        if (check_disk(vm, *disk, NULL))
            hx_process_run(argv, NULL, NULL, NULL);
    }
}

/* --- what is kept beside the disks --------------------------------------------------------------
 */

/* Copy @from to @to; where there is no @from, there is no @to afterwards. */
static gboolean copy(const char *from, const char *to, GError **error)
{
    g_autofree char *contents = NULL;
    gsize size = 0;
    g_autoptr(GError) cause = NULL;
    if (g_file_get_contents(from, &contents, &size, &cause))
        return g_file_set_contents_full(to, contents, size, G_FILE_SET_CONTENTS_DURABLE, 0600,
                                        error);
    if (!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_unlink(to);
    return TRUE;
}

/* Copy the files that go with the disks: @save them in the snapshot, or bring them back. */
static gboolean copy_companions(HxVm *vm, const char *name, gboolean save, GError **error)
{
    /* Bringing back, those of the snapshot count: files_with() looks at what there is now. */
    static const char *const always[] = {"guest.json", "secrets/known_hosts"};
    g_auto(GStrv) variables = files_with(vm, ".fd");
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
        g_ptr_array_add(files, (void *)always[i]);
    for (char **file = variables; *file; file++)
        g_ptr_array_add(files, *file);
    for (guint i = 0; i < files->len; i++) {
        const char *here = hx_vm_state_path(vm, files->pdata[i]);
        g_autofree char *base = g_path_get_basename(here);
        g_autofree char *there = path_of(vm, name, base);
        if (save ? !copy(here, there, error) : !copy(there, here, error))
            return FALSE;
    }
    return TRUE;
}

/* --- the pending operation ----------------------------------------------------------------------
 */

static gboolean begin(HxVm *vm, const char *operation, const char *name, GError **error)
{
    const char *directory = hx_vm_state_path(vm, "snapshots");
    if (g_mkdir_with_parents(directory, 0700) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", directory);
        return FALSE;
    }
    g_autofree char *text = g_strdup_printf("%s %s\n", operation, name);
    return g_file_set_contents_full(hx_vm_state_path(vm, "snapshots/.pending"), text, -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                    0600, error);
}

static gboolean end(HxVm *vm, GError **error)
{
    const char *path = hx_vm_state_path(vm, "snapshots/.pending");
    if (g_unlink(path) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot remove %s", path);
    return FALSE;
}

static gboolean apply(HxVm *vm, const char *name, GError **error)
{
    g_autoptr(HxSnapshot) snapshot = hx_snapshot_open(vm, name, error);
    if (!snapshot)
        return FALSE;
    for (char **disk = snapshot->disks; *disk; disk++)
        if (!run_snapshot(vm, "-a", name, *disk, error))
            return FALSE;
    return copy_companions(vm, name, FALSE, error);
}

static gboolean drop(HxVm *vm, const char *name, GError **error)
{
    g_autofree char *directory = path_of(vm, name, NULL);
    return remove_tags(vm, name, error) && hx_delete_tree(directory, error);
}

static gboolean finish(HxVm *vm, const char *operation, const char *name, GError **error)
{
    g_autofree char *committed = path_of(vm, name, "snapshot.json");
    if (g_str_equal(operation, "restore"))
        return apply(vm, name, error);
    if (g_str_equal(operation, "create") && g_file_test(committed, G_FILE_TEST_EXISTS))
        return TRUE;
    return drop(vm, name, error);
}

gboolean hx_snapshot_recover(HxVm *vm, GError **error)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(hx_vm_state_path(vm, "snapshots/.pending"), &text, NULL, NULL))
        return TRUE;
    g_auto(GStrv) words = g_strsplit(g_strstrip(text), " ", -1);
    g_autoptr(GError) cause = NULL;
    if (g_strv_length(words) != 2 || !hx_snapshot_check_name(words[1], NULL))
        return end(vm, error); /* it was not yet written when its writer's machine went down */
    free_leaks(vm);
    if (finish(vm, words[0], words[1], &cause))
        return end(vm, error);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "VM \"%s\": \"snapshot %s\" of \"%s\" was interrupted, and cannot be finished: %s",
                hx_vm_name(vm), words[0], words[1], cause->message);
    return FALSE;
}

/* What was begun failed with @cause: leave the disks as they were before, or say that they are not.
 * Takes @cause. */
static gboolean give_up(HxVm *vm, GError *cause, GError **error)
{
    g_autoptr(GError) second = NULL;
    if (!hx_snapshot_recover(vm, &second))
        g_prefix_error(&cause, "%s; at first: ", second->message);
    g_propagate_error(error, cause);
    return FALSE;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static HxSnapshot *read_snapshot(HxVm *vm, const char *name)
{
    g_autofree char *path = path_of(vm, name, "snapshot.json");
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_autoptr(JsonObject) object = hx_json_parse_object(text, -1);
    JsonArray *disks = hx_json_array(object, "disks");
    if (!disks)
        return NULL;
    HxSnapshot *snapshot = g_new0(HxSnapshot, 1);
    snapshot->name = g_strdup(name);
    snapshot->description = g_strdup(hx_json_string(object, "description") ?: "");
    snapshot->time = g_strdup(hx_json_string(object, "time") ?: "");
    snapshot->disk_bytes = hx_json_integer(object, "disk_bytes");
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (guint i = 0; i < json_array_get_length(disks); i++)
        g_strv_builder_add(builder, json_array_get_string_element(disks, i));
    snapshot->disks = g_strv_builder_end(builder);
    return snapshot;
}

static int compare_snapshots(const void *a, const void *b)
{
    const HxSnapshot *first = *(HxSnapshot *const *)a;
    const HxSnapshot *second = *(HxSnapshot *const *)b;
    int order = g_strcmp0(first->time, second->time);
    return order ? order : g_strcmp0(first->name, second->name);
}

GPtrArray *hx_snapshot_list(HxVm *vm)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)hx_snapshot_free);
    g_autoptr(GDir) directory = g_dir_open(hx_vm_state_path(vm, "snapshots"), 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory))) {
        HxSnapshot *snapshot = hx_snapshot_check_name(name, NULL) ? read_snapshot(vm, name) : NULL;
        if (snapshot)
            g_ptr_array_add(all, snapshot);
    }
    g_ptr_array_sort(all, compare_snapshots);
    return all;
}

HxSnapshot *hx_snapshot_open(HxVm *vm, const char *name, GError **error)
{
    if (!hx_snapshot_check_name(name, error))
        return NULL;
    HxSnapshot *snapshot = read_snapshot(vm, name);
    if (!snapshot)
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "VM \"%s\" has no snapshot \"%s\": `helixvm snapshot list %s` lists them",
                    hx_vm_name(vm), name, hx_vm_name(vm));
    return snapshot;
}

/* --- create -------------------------------------------------------------------------------------
 */

static gboolean check_description(const char *description, GError **error)
{
    gboolean good =
        g_utf8_validate(description, -1, NULL) && g_utf8_strlen(description, -1) <= DESCRIPTION_MAX;
    for (const char *c = description; good && *c; c = g_utf8_next_char(c))
        good = g_unichar_isprint(g_utf8_get_char(c));
    if (!good)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "a description is one line of at most %d characters", DESCRIPTION_MAX);
    return good;
}

/* Write snapshot.json: with it the snapshot is there. */
static gboolean commit(HxVm *vm, const char *name, const char *description, char **disks,
                       GError **error)
{
    g_autofree char *time = hx_now_text();
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "description", description);
    hx_json_add_string(builder, "time", time);
    hx_json_add_integer(builder, "disk_bytes", hx_disk_use(vm));
    json_builder_set_member_name(builder, "disks");
    json_builder_begin_array(builder);
    for (char **disk = disks; *disk; disk++)
        json_builder_add_string_value(builder, *disk);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_autofree char *json = hx_json_text(builder, TRUE);
    g_autofree char *path = path_of(vm, name, "snapshot.json");
    return g_file_set_contents_full(
        path, json, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static gboolean take(HxVm *vm, const char *name, const char *description, char **disks,
                     GError **error)
{
    g_autofree char *directory = path_of(vm, name, NULL);
    if (g_mkdir_with_parents(directory, 0700) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", directory);
        return FALSE;
    }
    for (char **disk = disks; *disk; disk++)
        if (!run_snapshot(vm, "-c", name, *disk, error))
            return FALSE;
    return copy_companions(vm, name, TRUE, error) && commit(vm, name, description, disks, error);
}

gboolean hx_snapshot_create(HxVm *vm, const char *name, const char *description, GError **error)
{
    if (!hx_snapshot_check_name(name, error) || !check_description(description ?: "", error) ||
        !hx_snapshot_recover(vm, error))
        return FALSE;
    g_autoptr(HxSnapshot) there = hx_snapshot_open(vm, name, NULL);
    if (there) {
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                    "VM \"%s\" has a snapshot \"%s\" of %s: take another name, or remove it with "
                    "`helixvm snapshot delete %s %s`",
                    hx_vm_name(vm), name, there->time, hx_vm_name(vm), name);
        return FALSE;
    }
    g_auto(GStrv) disks = files_with(vm, ".qcow2");
    if (!*disks) {
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "VM \"%s\" has no disk yet: it gets one with `helixvm up %s`", hx_vm_name(vm),
                    hx_vm_name(vm));
        return FALSE;
    }
    GError *cause = NULL;
    if (!begin(vm, "create", name, error))
        return FALSE;
    if (take(vm, name, description ?: "", disks, &cause))
        return end(vm, error);
    return give_up(vm, cause, error);
}

/* --- restore and delete -------------------------------------------------------------------------
 */

static gboolean check_disks(HxVm *vm, const HxSnapshot *snapshot, GError **error)
{
    for (char **disk = snapshot->disks; *disk; disk++) {
        if (has_tag(vm, snapshot->name, *disk))
            continue;
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "the disk %s does not have the snapshot \"%s\" any more: it was removed or "
                    "made anew since %s",
                    hx_vm_state_path(vm, *disk), snapshot->name, snapshot->time);
        return FALSE;
    }
    return TRUE;
}

gboolean hx_snapshot_restore(HxVm *vm, const char *name, GError **error)
{
    if (!hx_snapshot_recover(vm, error))
        return FALSE;
    g_autoptr(HxSnapshot) snapshot = hx_snapshot_open(vm, name, error);
    if (!snapshot || !check_disks(vm, snapshot, error) || !begin(vm, "restore", name, error))
        return FALSE;
    GError *cause = NULL;
    if (apply(vm, name, &cause))
        return end(vm, error);
    return give_up(vm, cause, error);
}

gboolean hx_snapshot_delete(HxVm *vm, const char *name, GError **error)
{
    if (!hx_snapshot_recover(vm, error))
        return FALSE;
    g_autoptr(HxSnapshot) snapshot = hx_snapshot_open(vm, name, error);
    if (!snapshot || !begin(vm, "delete", name, error))
        return FALSE;
    GError *cause = NULL;
    if (drop(vm, name, &cause))
        return end(vm, error);
    return give_up(vm, cause, error);
}
