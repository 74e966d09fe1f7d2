/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/disk/qcow2-file.h"

#define NAME_MAX_LENGTH 40
#define METADATA_MAX (64 * 1024)

struct HxImage {
    char *name;
    char *directory;
    char *disk;
    char *kernel;
    char *initrd;
    char *architecture;
    char *root;
    gboolean has_boot_loader;
    char *system;
    char *built_at;
    char *fetched_at;
    char *source;
    char *checksum;
    char *debian_version;
    char *kernel_version;
    char *recipe;
    guint64 virtual_size;
    guint64 size;
};

char *hx_image_directory(GError **error)
{
    g_autofree char *state = hx_state_directory(error);
    return state ? g_build_filename(state, "images", NULL) : NULL;
}

char *hx_image_create_directory(GError **error)
{
    g_autofree char *state = hx_create_state_directory(error);
    if (!state)
        return NULL;
    g_autofree char *path = g_build_filename(state, "images", NULL);
    if (mkdir(path, 0755) == 0) {
        /* Whatever the umask is: QEMU's user reads what is in it. */
        if (chmod(path, 0755) == 0)
            return g_steal_pointer(&path);
    } else if (errno == EEXIST) {
        return g_steal_pointer(&path);
    }
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", path);
    return NULL;
}

gboolean hx_image_check_name(const char *name, GError **error)
{
    size_t length = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._");
    if (length >= 1 && length <= NAME_MAX_LENGTH && good == length && g_ascii_isalnum(*name))
        return TRUE;
    g_set_error(
        error, HX_ERROR, HX_ERROR_USAGE,
        "\"%s\" cannot be an image's name: 1 to %d of a-z, 0-9, \"-\", \".\" and \"_\", the "
        "first a letter or digit",
        name, NAME_MAX_LENGTH);
    return FALSE;
}

gboolean hx_image_is_architecture(const char *name)
{
    return g_str_equal(name, "x86_64") || g_str_equal(name, "aarch64");
}

char *hx_image_path(const char *name, GError **error)
{
    if (!hx_image_check_name(name, error))
        return NULL;
    g_autofree char *directory = hx_image_directory(error);
    return directory ? g_build_filename(directory, name, NULL) : NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static gboolean damaged(const HxImage *image, const char *why, GError **error)
{
    g_set_error(
        error, HX_ERROR, HX_ERROR_CONFIG,
        "image \"%s\" is damaged (%s): remove it with `helixvm image remove %s` and make it "
        "again",
        image->name, why, image->name);
    return FALSE;
}

static gboolean add_file(HxImage *image, const char *name, char **ret_path, GError **error)
{
    struct stat file;
    *ret_path = g_build_filename(image->directory, name, NULL);
    if (lstat(*ret_path, &file) < 0 || !S_ISREG(file.st_mode) || file.st_size == 0) {
        g_autofree char *why = g_strdup_printf("its %s is missing", name);
        return damaged(image, why, error);
    }
    image->size += file.st_size;
    return TRUE;
}

/* What image.json says in words.  A built image has the first four, a fetched one the others. */
static gboolean read_texts(HxImage *image, JsonObject *object)
{
    struct {
        const char *member;
        char **value;
    } texts[] = {
        {"built_at", &image->built_at},
        {"debian_version", &image->debian_version},
        {"kernel_version", &image->kernel_version},
        {"recipe", &image->recipe},
        {"fetched_at", &image->fetched_at},
        {"root", &image->root},
        {"system", &image->system},
        {"source", &image->source},
        {"checksum", &image->checksum},
        {"architecture", &image->architecture},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        JsonNode *node = json_object_get_member(object, texts[i].member);
        if (node && json_node_get_value_type(node) != G_TYPE_STRING)
            return FALSE;
        *texts[i].value = node ? json_node_dup_string(node) : NULL;
    }
    gboolean built =
        image->built_at && image->debian_version && image->kernel_version && image->recipe;
    return built || (image->fetched_at && image->source);
}

/* The architecture, as the kernel's uname(2) and QEMU have it.  Images from before there were two
 * do not say it. */
static gboolean check_architecture(HxImage *image)
{
    if (!image->architecture)
        image->architecture = g_strdup("x86_64");
    return hx_image_is_architecture(image->architecture);
}

static gboolean read_metadata(HxImage *image, GError **error)
{
    g_autofree char *path = g_build_filename(image->directory, "image.json", NULL);
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(JsonObject) object = NULL;
    if (g_file_get_contents(path, &text, &length, NULL) && length <= METADATA_MAX)
        object = hx_json_parse_object(text, length);
    if (!object)
        return damaged(image, "its image.json cannot be read", error);
    image->virtual_size = hx_json_integer(object, "virtual_size");
    if (!read_texts(image, object) || image->virtual_size <= 0)
        return damaged(image, "its image.json is incomplete", error);
    if (!check_architecture(image))
        return damaged(image, "it is for an architecture that helixvm does not know", error);
    if (!image->root)
        image->root = g_strdup("/dev/vda");
    if (!image->system)
        image->system = g_strdup_printf("Debian %s", image->debian_version ?: "");
    image->has_boot_loader = g_strcmp0(hx_json_string(object, "boot"), "firmware") == 0;
    return TRUE;
}

/* The kernel and the initial ramdisk, which only firmware can do without: both or none. */
static gboolean add_kernel(HxImage *image, GError **error)
{
    g_autofree char *kernel = g_build_filename(image->directory, "kernel", NULL);
    if (image->has_boot_loader && !g_file_test(kernel, G_FILE_TEST_EXISTS))
        return TRUE;
    return add_file(image, "kernel", &image->kernel, error) &&
           add_file(image, "initrd", &image->initrd, error);
}

HxImage *hx_image_open(const char *name, GError **error)
{
    g_autofree char *path = hx_image_path(name, error);
    if (!path)
        return NULL;
    g_autoptr(HxImage) image = g_new0(HxImage, 1);
    image->name = g_strdup(name);
    image->directory = g_steal_pointer(&path);
    if (!g_file_test(image->directory, G_FILE_TEST_IS_DIR)) {
        gboolean is_default = g_str_equal(name, "default");
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "no image \"%s\": build it with `helixvm image build%s%s`%s", name,
                    is_default ? "" : " ", is_default ? "" : name,
                    is_default ? "" : ", or fetch one (`helixvm image list --available`)");
        return NULL;
    }
    if (!read_metadata(image, error) || !add_file(image, "disk.qcow2", &image->disk, error) ||
        !add_kernel(image, error))
        return NULL;
    return g_steal_pointer(&image);
}

static int by_name(const void *a, const void *b)
{
    const HxImage *const *first = a;
    const HxImage *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

GPtrArray *hx_image_list(GError **error)
{
    g_autofree char *path = hx_image_directory(error);
    if (!path)
        return NULL;
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)hx_image_free);
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) directory = g_dir_open(path, 0, &cause);
    if (!directory && !g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        HxImage *image = hx_image_check_name(name, NULL) ? hx_image_open(name, NULL) : NULL;
        if (image)
            g_ptr_array_add(images, image);
    }
    g_ptr_array_sort(images, by_name);
    return g_steal_pointer(&images);
}

void hx_image_free(HxImage *image)
{
    if (!image)
        return;
    g_free(image->name);
    g_free(image->directory);
    g_free(image->disk);
    g_free(image->kernel);
    g_free(image->initrd);
    g_free(image->architecture);
    g_free(image->root);
    g_free(image->system);
    g_free(image->built_at);
    g_free(image->fetched_at);
    g_free(image->source);
    g_free(image->checksum);
    g_free(image->debian_version);
    g_free(image->kernel_version);
    g_free(image->recipe);
    g_free(image);
}

#define DEFINE_GETTER(type, field)                                                                 \
    type hx_image_##field(const HxImage *image)                                                    \
    {                                                                                              \
        return image->field;                                                                       \
    }

DEFINE_GETTER(const char *, name)
DEFINE_GETTER(const char *, disk)
DEFINE_GETTER(const char *, kernel)
DEFINE_GETTER(const char *, initrd)
DEFINE_GETTER(const char *, architecture)
DEFINE_GETTER(const char *, root)
DEFINE_GETTER(gboolean, has_boot_loader)
DEFINE_GETTER(const char *, system)
DEFINE_GETTER(const char *, built_at)
DEFINE_GETTER(const char *, fetched_at)
DEFINE_GETTER(const char *, source)
DEFINE_GETTER(const char *, checksum)
DEFINE_GETTER(const char *, debian_version)
DEFINE_GETTER(const char *, kernel_version)
DEFINE_GETTER(const char *, recipe)
DEFINE_GETTER(guint64, virtual_size)
DEFINE_GETTER(guint64, size)

/* --- who uses it ----------------------------------------------------------------------------- */

static gboolean uses(const char *vm_directory, const char *disk)
{
    g_autoptr(GDir) directory = g_dir_open(vm_directory, 0, NULL);
    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        if (!g_str_has_suffix(name, ".qcow2"))
            continue;
        g_autofree char *path = g_build_filename(vm_directory, name, NULL);
        HxQcow2Header header;
        g_autofree char *base = NULL;
        struct stat of_base, of_image;
        /* Read here and not by qemu-img, which takes a lock that a running VM holds. */
        if (!hx_qcow2_read(path, &header, &base) || !base)
            continue;
        if (g_str_equal(base, disk))
            return TRUE;
        if (stat(base, &of_base) == 0 && stat(disk, &of_image) == 0 &&
            of_base.st_dev == of_image.st_dev && of_base.st_ino == of_image.st_ino)
            return TRUE;
    }
    return FALSE;
}

char **hx_image_users(const char *name, GError **error)
{
    g_autofree char *image = hx_image_path(name, error);
    if (!image)
        return NULL;
    g_autofree char *disk = g_build_filename(image, "disk.qcow2", NULL);
    g_autofree char *state = hx_state_directory(error);
    if (!state)
        return NULL;
    g_autoptr(GStrvBuilder) users = g_strv_builder_new();
    g_autofree char *vms = g_build_filename(state, "vms", NULL);
    g_autoptr(GDir) directory = g_dir_open(vms, 0, NULL);
    for (const char *vm; directory && (vm = g_dir_read_name(directory));) {
        g_autofree char *path = g_build_filename(vms, vm, NULL);
        /* A removal that was killed has left no VM. */
        if (vm[0] != '.' && uses(path, disk))
            g_strv_builder_add(users, vm);
    }
    return g_strv_builder_end(users);
}
