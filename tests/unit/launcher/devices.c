/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a profile says of disks, ports and folders, and what the host must have for them. */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/port.h"
#include "launcher/profile/extra-disk.h"
#include "launcher/profile/forward.h"
#include "launcher/profile/share.h"
#include "launcher/vm/room.h"

#define GIB (G_GUINT64_CONSTANT(1) << 30)

/* Each of @values, ended by NULL, is refused with a reason. */
static void assert_refused(GPtrArray *(*parse)(const char *, char **), const char *const *values)
{
    for (; *values; values++) {
        g_autofree char *objection = NULL;
        g_test_message("%s", *values);
        g_assert_null(parse(*values, &objection));
        g_assert_nonnull(objection);
        g_test_message("%s", objection);
    }
}

static void test_extra_disks(void)
{
    char *objection = NULL;
    g_autoptr(GPtrArray) none = hx_extra_disks_parse("", &objection);
    g_assert_cmpuint(none->len, ==, 0);
    g_autoptr(GPtrArray) disks = hx_extra_disks_parse("data:10; logs-2:1;", &objection);
    g_assert_null(objection);
    g_assert_cmpuint(disks->len, ==, 2);
    const HxExtraDisk *second = disks->pdata[1];
    g_assert_cmpstr(second->name, ==, "logs-2");
    g_assert_cmpint(second->gib, ==, 1);
    assert_refused(hx_extra_disks_parse,
                   (const char *const[]){"data", "data:", "data:0", "data:x", "data:1:2", ":1",
                                         "../x:1", "Data:1", "-a:1", "data:65537", "a:1;;b:1", ";",
                                         "a:1;a:2", "a23456789012345678901:1",
                                         "a:1;b:1;c:1;d:1;e:1;f:1;g:1;h:1;i:1", NULL});
}

static void test_forwards(void)
{
    char *objection = NULL;
    g_autoptr(GPtrArray) forwards = hx_forwards_parse("tcp:8080:80;udp:8080:53", &objection);
    g_assert_null(objection);
    g_assert_cmpuint(forwards->len, ==, 2);
    const HxForward *second = forwards->pdata[1];
    g_assert_true(second->udp);
    g_assert_cmpuint(second->host_port, ==, 8080);
    g_assert_cmpuint(second->guest_port, ==, 53);
    assert_refused(hx_forwards_parse,
                   (const char *const[]){"8080:80", "tcp:80", "tcp:0:80", "tcp:80:65536",
                                         "sctp:1:1", "tcp:-1:80", "tcp:80:80:80",
                                         "tcp:1:1;;tcp:2:2", "tcp:80:80;tcp:80:81",
                                         "tcp:127.0.0.1:80", NULL});
}

static void test_shares(void)
{
    char *objection = NULL;
    g_autoptr(GPtrArray) shares =
        hx_shares_parse("work:/home/a b;docs:/usr/doc:ro;odd:/a:b:rw", &objection);
    g_assert_null(objection);
    g_assert_cmpuint(shares->len, ==, 3);
    const HxShare *share = shares->pdata[0];
    g_assert_cmpstr(share->path, ==, "/home/a b");
    g_assert_false(share->read_only);
    share = shares->pdata[1];
    g_assert_cmpstr(share->tag, ==, "docs");
    g_assert_cmpstr(share->path, ==, "/usr/doc");
    g_assert_true(share->read_only);
    share = shares->pdata[2];
    g_assert_cmpstr(share->path, ==, "/a:b");
    assert_refused(hx_shares_parse,
                   (const char *const[]){"/home", "work", "work:", "work:home", ":/home",
                                         "a b:/home", "../x:/home", "a:/b;a:/c", "a:/b;;c:/d",
                                         "a:~/b", NULL});
    g_autofree char *fstab = hx_shares_fstab(shares);
    g_assert_nonnull(strstr(fstab, "work /mnt/work virtiofs rw,nosuid,nodev,nofail"));
    g_assert_nonnull(strstr(fstab, "\ndocs /mnt/docs virtiofs ro,nosuid,nodev,nofail"));
}

static void assert_folder_refused(const char *value, const char *state, const char *word)
{
    g_autoptr(GPtrArray) shares = hx_shares_parse(value, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_shares_resolve(shares, state, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, word));
}

static void test_folders(void)
{
    g_autofree char *state = g_dir_make_tmp("helixvm-devices-XXXXXX", NULL);
    g_autofree char *link = g_strconcat(state, "-link", NULL);
    g_assert_cmpint(symlink(state, link), ==, 0);
    g_autofree char *inside = g_strconcat("a:", link, NULL);
    g_autoptr(GPtrArray) good = hx_shares_parse("a:/usr;b:/var/tmp:ro", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_shares_resolve(good, state, &error));
    g_assert_no_error(error);
    /* What was looked at is shared, and not what a link leads to by then. */
    g_assert_cmpint(g_unlink(link), ==, 0);
    g_assert_cmpint(symlink("/usr/bin", link), ==, 0);
    g_autoptr(GPtrArray) linked = hx_shares_parse(inside, NULL);
    g_assert_true(hx_shares_resolve(linked, state, &error));
    g_autofree char *resolved = realpath("/usr/bin", NULL);
    g_assert_cmpstr(((HxShare *)linked->pdata[0])->path, ==, resolved);
    g_assert_cmpint(g_unlink(link), ==, 0);
    g_assert_cmpint(symlink(state, link), ==, 0);
    assert_folder_refused("a:/nonexistent", state, "No such file");
    assert_folder_refused("a:/etc/passwd", state, "Not a directory");
    assert_folder_refused("a:/usr;b:/", state, "helixvm's own");
    assert_folder_refused("a:/tmp", state, "helixvm's own");
    assert_folder_refused(inside, state, "helixvm's own");
    g_unlink(link);
    g_rmdir(state);
}

/* A socket of @type on a free port of the loopback, or of all addresses. */
static int listen_somewhere(int type, guint32 address, guint16 *ret_port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, size), ==, 0);
    if (type == SOCK_STREAM)
        g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &size), ==, 0);
    *ret_port = ntohs(name.sin_port);
    return fd;
}

static void test_taken_ports(void)
{
    static const struct {
        int type;
        guint32 address;
        const char *protocol;
    } cases[] = {{SOCK_STREAM, INADDR_LOOPBACK, "tcp"},
                 {SOCK_STREAM, INADDR_ANY, "tcp"},
                 {SOCK_DGRAM, INADDR_LOOPBACK, "udp"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint16 port;
        hx_autofd int fd = listen_somewhere(cases[i].type, cases[i].address, &port);
        g_autofree char *value = g_strdup_printf("%s:%u:80", cases[i].protocol, port);
        g_autoptr(GPtrArray) forwards = hx_forwards_parse(value, NULL);
        g_autoptr(GError) error = NULL;
        g_assert_false(hx_forwards_check(forwards, &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
        g_test_message("%s", error->message);
        g_autofree char *name = g_strdup_printf("%s port %u", cases[i].protocol, port);
        g_autofree char *self = g_strdup_printf("process %d (devices)", getpid());
        g_assert_nonnull(strstr(error->message, name));
        g_assert_nonnull(strstr(error->message, self));
        hx_close(&fd);
        g_assert_true(hx_forwards_check(forwards, NULL));
    }
}

static void test_listener_in_table(void)
{
    static const char table[] =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
        "timeout "
        "inode\n"
        "   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        "
        "0 "
        "111 1 0\n"
        "   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A "
        "00000000:00000000 00:00000000 00000000  1000        0 222 1 0\n";
    g_assert_cmpuint(hx_port_listener(table, FALSE, 8080), ==, 222);
    g_assert_cmpuint(hx_port_listener(table, FALSE, 8081), ==, 0);
    g_assert_cmpuint(hx_port_listener(table, TRUE, 8080), ==, 0);
    g_assert_cmpuint(hx_port_listener("nonsense\n", TRUE, 8080), ==, 0);
}

static void test_memory(void)
{
    g_autoptr(GError) error = NULL;
    guint64 available = hx_room_available_memory("MemTotal: 9000000 kB\nMemFree: 1 kB\n"
                                                 "MemAvailable:    4194304 kB\nBuffers: 1 kB\n");
    g_assert_cmpuint(available, ==, 4 * GIB);
    g_assert_cmpuint(hx_room_available_memory("MemTotal: 9000000 kB\n"), ==, 0);
    g_assert_true(hx_room_check_memory(3840, available, &error));
    g_assert_false(hx_room_check_memory(3841, available, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_assert_nonnull(strstr(error->message, "3841 MiB"));
    g_assert_nonnull(strstr(error->message, "4096 MiB available"));
}

static void test_disk_room(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_room_check_disk(0, 0, "/state", &error));
    g_assert_true(hx_room_check_disk(GIB / 2, GIB / 2, "/state", &error));
    g_assert_true(hx_room_check_disk(20 * GIB, 11 * GIB, "/state", &error));
    g_assert_false(hx_room_check_disk(20 * GIB, 11 * GIB - 1, "/state", &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "20.0 GiB"));
    g_assert_nonnull(strstr(error->message, "/state has 11.0 GiB"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/devices/extra-disks", test_extra_disks);
    g_test_add_func("/devices/forwards", test_forwards);
    g_test_add_func("/devices/shares", test_shares);
    g_test_add_func("/devices/folders", test_folders);
    g_test_add_func("/devices/taken-ports", test_taken_ports);
    g_test_add_func("/devices/listener-in-table", test_listener_in_table);
    g_test_add_func("/devices/memory", test_memory);
    g_test_add_func("/devices/disk-room", test_disk_room);
    return g_test_run();
}
