/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/keys.h"

#include "launcher/base/edit-distance.h"
#include "launcher/base/printable.h"
#include "launcher/profile/extra-disk.h"
#include "launcher/profile/forward.h"
#include "launcher/profile/list.h"
#include "launcher/profile/share.h"

static const char *const architectures[] = {"auto", "x86_64", "aarch64", NULL};
static const char *const boot_modes[] = {"auto", "direct", "firmware", NULL};
static const char *const accelerators[] = {"hvf", "kvm", "tcg", NULL};
static const char *const displays[] = {"auto", "xvfb", "egl-headless", NULL};
static const char *const vsock_devices[] = {"auto", "kernel", "vhost-user", NULL};
static const char *const seeds[] = {"auto", "nocloud", "none", NULL};
static const char *const network_modes[] = {"user", "none", NULL};
static const char *const encoders[] = {"x264", "null", NULL};
static const char *const presets[] = {"ultrafast", "superfast", "veryfast", "faster", "fast", NULL};

static const HxProfileKey keys[] = {
    {"machine", "arch", HX_PROFILE_CHOICE, "auto", architectures, 0, 0,
     "The guest's architecture: auto for that of the image.  One that is not the host's is "
     "emulated."},
    {"machine", "cpus", HX_PROFILE_INTEGER, "2", NULL, 1, 64, "Virtual CPUs."},
    {"machine", "memory", HX_PROFILE_INTEGER, "2048", NULL, 256, 1 << 20, "Memory, MiB."},
    {"machine", "accelerators", HX_PROFILE_CHOICE_LIST, "hvf;kvm;tcg", accelerators, 0, 0,
     "Accelerators to try, in order.  One that fails to open, or ends or stops before "
     "the guest reports, is left for the next, and not tried again within the hour; one on which "
     "the guest falls silent for 30 s is left, too.  With tcg QEMU is "
     "started again, at most twice, where it crashes before the guest is ready; status says so."},
    {"boot", "mode", HX_PROFILE_CHOICE, "auto", boot_modes, 0, 0,
     "direct for the kernel and initial ramdisk beside the image, firmware for UEFI (OVMF, AAVMF) "
     "and the image's own boot loader, auto for direct where the image has a kernel beside it."},
    {"boot", "cmdline", HX_PROFILE_STRING, "quiet loglevel=5", NULL, 0, 0,
     "Arguments to the guest's kernel, after root=, console= and TERM=dumb, and with tcg "
     "mitigations=off and on x86_64 tsc=reliable and no_timer_check; the first two they may "
     "override.  Where the guest boots by firmware, its boot loader has to be systemd-boot for "
     "them to be heard."},
    {"boot", "seed", HX_PROFILE_CHOICE, "auto", seeds, 0, 0,
     "nocloud for a disk from which cloud-init in the guest learns at its first boot whom root "
     "admits, and sets up SSH on vsock and the word READY: for a guest whose systemd takes no "
     "credentials from the host.  auto gives one to images that were downloaded."},
    {"disk", "image", HX_PROFILE_STRING, "default", NULL, 0, 0,
     "The base image, as `helixvm image list` names it."},
    {"disk", "size", HX_PROFILE_INTEGER, "20", NULL, 1, 1 << 16,
     "The size of the VM's disk, GiB.  A disk that is there grows to it at the next start; none is "
     "ever shrunk."},
    {"disk", "extra", HX_PROFILE_DISKS, "", NULL, 0, 0,
     "Disks of the VM's own beside the first, at most 8.  They begin empty; the guest has them as "
     "/dev/disk/by-id/virtio-NAME.  They are kept from run to run, grow as the first does, and go "
     "with the VM; one that is no longer listed stays in the VM's folder."},
    {"gpu", "enabled", HX_PROFILE_BOOLEAN, "true", NULL, 0, 0,
     "A virtio-gpu-gl device: OpenGL through virgl."},
    {"gpu", "venus", HX_PROFILE_BOOLEAN, "true", NULL, 0, 0, "Vulkan through Venus."},
    {"gpu", "hostmem", HX_PROFILE_INTEGER, "256", NULL, 16, 1 << 16,
     "The window that maps host GPU memory into the guest, MiB."},
    {"gpu", "display", HX_PROFILE_CHOICE, "auto", displays, 0, 0,
     "Where QEMU has its GL context: egl-headless on a DRM render node, xvfb on a private X "
     "server, "
     "auto on the first of them that there is."},
    {"vsock", "device", HX_PROFILE_CHOICE, "auto", vsock_devices, 0, 0,
     "kernel for the kernel's vhost-vsock, vhost-user for helixvm's own device, auto for the first "
     "that works."},
    {"network", "mode", HX_PROFILE_CHOICE, "user", network_modes, 0, 0,
     "user for QEMU's own network stack, which opens no port on the host."},
    {"network", "forward", HX_PROFILE_FORWARDS, "", NULL, 0, 0,
     "Ports of the host's 127.0.0.1 that lead to ports of the guest.  One that is taken, or "
     "privileged, is refused before the VM starts.  With forwards the network is passt's and not "
     "QEMU's: the guest then has the host's own address."},
    {"share", "folders", HX_PROFILE_SHARES, "", NULL, 0, 0,
     "Folders of the host that the guest gets through virtiofs, at most 8; see SECURITY.  A guest "
     "with systemd 254 or newer mounts each at /mnt/TAG; elsewhere `mount -t virtiofs TAG /mnt` "
     "does."},
    {"encoder", "encoders", HX_PROFILE_CHOICE_LIST, "x264", encoders, 0, 0,
     "Encoders to try, in order, whenever a session's stream begins.  One that this host has not, "
     "that takes no frames of that size, or that fails, is left for the next; status names the one "
     "in use, and why the first one was left.  null encodes nothing: it is for measurements."},
    {"encoder", "preset", HX_PROFILE_CHOICE, "superfast", presets, 0, 0, "The x264 preset."},
    {"encoder", "bitrate", HX_PROFILE_INTEGER, "8000", NULL, 100, 200000,
     "The bit rate where the guest asks for none, kbit/s."},
    {"encoder", "keyframe-interval", HX_PROFILE_INTEGER, "120", NULL, 1, 10000,
     "Frames from one keyframe to the next at most."},
    {"encoder", "threads", HX_PROFILE_INTEGER, "1", NULL, 1, 16,
     "Threads that encode each session's frames, a slice each.  More of them shorten the time of a "
     "frame, and take the host's cores from the guest."},
    {"encoder", "max-sessions", HX_PROFILE_INTEGER, "8", NULL, 1, 64,
     "Streams that the VM's guest has encoded at once; one more is told so by an error."},
    {"encoder", "tcp", HX_PROFILE_BOOLEAN, "false", NULL, 0, 0,
     "The guest may also send its frames to encoder.tcp-port of its gateway, 10.0.2.2 on QEMU's "
     "network; see SECURITY for who else may."},
    {"encoder", "tcp-port", HX_PROFILE_INTEGER, "15937", NULL, 1024, 65535,
     "The TCP port of the host's 127.0.0.1 for that; one that is taken is refused before the VM "
     "starts."},
    {"encoder", "serial", HX_PROFILE_BOOLEAN, "false", NULL, 0, 0,
     "The guest may also send its frames to its virtio-serial port com.helix.frame-export, "
     "/dev/virtio-ports/com.helix.frame-export, which one client at a time can open."},
    {NULL, NULL, 0, NULL, NULL, 0, 0, NULL},
};

const HxProfileKey *hx_profile_keys(void)
{
    return keys;
}

guint hx_profile_key_count(void)
{
    return G_N_ELEMENTS(keys) - 1;
}

int hx_profile_key_find(const char *section, const char *key)
{
    for (int i = 0; keys[i].section; i++)
        if (g_str_equal(keys[i].section, section) && g_str_equal(keys[i].key, key))
            return i;
    return -1;
}

char *hx_profile_key_nearest(const char *section, const char *key)
{
    g_autofree char *wanted = g_strdup_printf("%s.%s", section, key);
    char *nearest = NULL;
    size_t least = G_MAXSIZE;
    for (int i = 0; keys[i].section; i++) {
        g_autofree char *known = g_strdup_printf("%s.%s", keys[i].section, keys[i].key);
        /* A key in the wrong section is near, however far the sections are apart. */
        size_t whole = hx_edit_distance(wanted, known);
        size_t alone = hx_edit_distance(key, keys[i].key);
        size_t distance = MIN(whole, alone + 1);
        /* Half of its letters wrong is another word. */
        gboolean is_near = whole <= strlen(wanted) / 2 || alone <= strlen(key) / 2;
        if (is_near && distance < least) {
            least = distance;
            g_free(nearest);
            nearest = g_steal_pointer(&known);
        }
    }
    return nearest;
}

/* --- values ---------------------------------------------------------------------------------- */

/* "one of auto, xvfb; the nearest is xvfb": what @wanted, none of @words, must be instead. */
static char *words_objection(const char *what, const char *const *words, const char *wanted,
                             const char *separated)
{
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    const char *nearest = hx_nearest_word(wanted, words);
    return g_strdup_printf("%s %s%s%s%s", what, all, separated, nearest ? "; the nearest is " : "",
                           nearest ? nearest : "");
}

static char *list_objection(const char *value, const char *const *words)
{
    g_auto(GStrv) given = hx_list_split(value);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (char **word = given; *word; word++) {
        if (!g_strv_contains(words, *word))
            return words_objection("a list of", words, *word, ", separated by ';'");
        if (!g_hash_table_add(seen, *word))
            return g_strdup_printf("a list of words that differ (\"%s\" is there twice)", *word);
    }
    return *given ? NULL : words_objection("a list of", words, "", ", separated by ';'");
}

static gboolean is_printable(const char *value)
{
    g_autofree char *printable = hx_printable(value);
    return g_str_equal(printable, value);
}

static char *items_objection(GPtrArray *(*parse)(const char *, char **), const char *value)
{
    char *objection = NULL;
    if (!is_printable(value))
        return g_strdup("printable text");
    g_autoptr(GPtrArray) items = parse(value, &objection);
    return items ? NULL : objection;
}

char *hx_profile_key_objection(const HxProfileKey *key, const char *value)
{
    gint64 number;
    switch (key->type) {
    case HX_PROFILE_STRING:
        return is_printable(value) ? NULL : g_strdup("printable text");
    case HX_PROFILE_INTEGER:
        if (g_ascii_string_to_signed(value, 10, key->min, key->max, &number, NULL))
            return NULL;
        return g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                               key->min, key->max);
    case HX_PROFILE_BOOLEAN:
        if (g_str_equal(value, "true") || g_str_equal(value, "false"))
            return NULL;
        return g_strdup("true or false");
    case HX_PROFILE_CHOICE:
        return g_strv_contains(key->values, value)
                   ? NULL
                   : words_objection("one of", key->values, value, "");
    case HX_PROFILE_CHOICE_LIST:
        return list_objection(value, key->values);
    case HX_PROFILE_DISKS:
        return items_objection(hx_extra_disks_parse, value);
    case HX_PROFILE_FORWARDS:
        return items_objection(hx_forwards_parse, value);
    case HX_PROFILE_SHARES:
        return items_objection(hx_shares_parse, value);
    }
    g_assert_not_reached();
}

char *hx_profile_key_allowed(const HxProfileKey *key)
{
    switch (key->type) {
    case HX_PROFILE_STRING:
        return NULL;
    case HX_PROFILE_INTEGER:
        return g_strdup_printf("%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, key->min, key->max);
    case HX_PROFILE_BOOLEAN:
        return g_strdup("true, false");
    case HX_PROFILE_CHOICE:
        return g_strjoinv(", ", (char **)key->values);
    case HX_PROFILE_CHOICE_LIST: {
        g_autofree char *words = g_strjoinv(", ", (char **)key->values);
        return g_strdup_printf("some of %s, each once, separated by ';'", words);
    }
    case HX_PROFILE_DISKS:
        return g_strdup("NAME:GIB, separated by ';'");
    case HX_PROFILE_FORWARDS:
        return g_strdup("tcp:HOST:GUEST or udp:HOST:GUEST, separated by ';'");
    case HX_PROFILE_SHARES:
        return g_strdup("TAG:/FOLDER or TAG:/FOLDER:ro, separated by ';'");
    }
    g_assert_not_reached();
}
