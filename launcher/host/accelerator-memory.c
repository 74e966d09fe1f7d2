/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/host/accelerator-memory.h"

#include <sys/stat.h>

#include "launcher/base/directories.h"

/* No VM can have this name. */
#define FILE_NAME ".accelerators"

static char *file_path(void)
{
    g_autofree char *runtime = hx_runtime_directory(NULL);
    return runtime ? g_build_filename(runtime, FILE_NAME, NULL) : NULL;
}

char *hx_accelerator_conditions(const char *accelerator, unsigned long qemu_version)
{
    g_autofree char *boot = NULL;
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
        boot = g_strdup("");
    g_autofree char *device = g_strdup_printf("/dev/%s", accelerator);
    struct stat status = {0};
    stat(device, &status);
    return g_strdup_printf("%s %lu %o %u:%u", g_strstrip(boot), qemu_version, status.st_mode,
                           status.st_uid, status.st_gid);
}

char *hx_accelerator_recall(const char *accelerator, const char *conditions, gint64 now,
                            gint64 *ret_age)
{
    g_autofree char *path = file_path();
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!path || !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return NULL;
    g_autofree char *then = g_key_file_get_string(file, accelerator, "conditions", NULL);
    *ret_age = now - g_key_file_get_int64(file, accelerator, "time", NULL);
    if (g_strcmp0(then, conditions) != 0 || *ret_age < 0 || *ret_age >= HX_ACCELERATOR_MEMORY_S)
        return NULL;
    return g_key_file_get_string(file, accelerator, "reason", NULL);
}

void hx_accelerator_remember(const char *accelerator, const char *conditions, gint64 now,
                             const char *reason)
{
    g_autofree char *path = file_path();
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!path)
        return;
    g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
    g_key_file_set_string(file, accelerator, "conditions", conditions);
    g_key_file_set_int64(file, accelerator, "time", now);
    g_key_file_set_string(file, accelerator, "reason", reason);
    g_key_file_save_to_file(file, path, NULL);
}
