/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/profile/list.h"

/* What a socket that waits for the first packet has in the tables' column "st": the kernel's
 * include/net/tcp_states.h. */
#define STATE_TCP_LISTEN 0x0a
#define STATE_UDP_BOUND 0x07

static const char *protocol(const HxForward *forward)
{
    return forward->udp ? "udp" : "tcp";
}

/* --- what was asked for --------------------------------------------------------------------------
 */

static gboolean parse_port(const char *text, guint16 *ret_port)
{
    guint64 port;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &port, NULL))
        return FALSE;
    *ret_port = port;
    return TRUE;
}

/* One "PROTOCOL:HOST:GUEST". */
static gboolean parse_forward(const char *text, HxForward *forward)
{
    g_auto(GStrv) fields = g_strsplit(text, ":", -1);
    if (g_strv_length(fields) != 3)
        return FALSE;
    forward->udp = g_str_equal(fields[0], "udp");
    return (forward->udp || g_str_equal(fields[0], "tcp")) &&
           parse_port(fields[1], &forward->host_port) &&
           parse_port(fields[2], &forward->guest_port);
}

static gboolean has_port(const GPtrArray *forwards, const HxForward *wanted)
{
    for (guint i = 0; i < forwards->len; i++) {
        const HxForward *forward = forwards->pdata[i];
        if (forward->udp == wanted->udp && forward->host_port == wanted->host_port)
            return TRUE;
    }
    return FALSE;
}

GPtrArray *hx_forwards_parse(const char *value, char **ret_objection)
{
    g_autoptr(GPtrArray) forwards = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) items = hx_list_split(value);
    for (char **item = items; *item; item++) {
        const char *text = g_strstrip(*item);
        HxForward forward;
        if (!parse_forward(text, &forward)) {
            *ret_objection = g_strdup_printf("a list of tcp:HOST-PORT:GUEST-PORT or "
                                             "udp:HOST-PORT:GUEST-PORT, separated by ';', with "
                                             "ports from 1 to 65535 (\"%s\" is not)",
                                             text);
            return NULL;
        }
        if (has_port(forwards, &forward)) {
            *ret_objection = g_strdup_printf("a list that leads each port of the host to one of "
                                             "the guest (%s port %u is there twice)",
                                             protocol(&forward), forward.host_port);
            return NULL;
        }
        g_ptr_array_add(forwards, g_memdup2(&forward, sizeof forward));
    }
    return g_steal_pointer(&forwards);
}

/* --- what is taken -------------------------------------------------------------------------------
 */

guint64 hx_forward_listener(const char *table, gboolean udp, guint16 port)
{
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        unsigned local_port, state;
        guint64 inode;
        /* sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode */
        if (sscanf(*line,
                   " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u "
                   "%" G_GUINT64_FORMAT,
                   &local_port, &state, &inode) == 3 &&
            local_port == port && state == (udp ? STATE_UDP_BOUND : STATE_TCP_LISTEN))
            return inode;
    }
    return 0;
}

static guint64 find_listener(const HxForward *forward)
{
    static const char *const tables[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
                                             {"/proc/net/udp", "/proc/net/udp6"}};
    for (size_t i = 0; i < 2; i++) {
        g_autofree char *table = NULL;
        if (!g_file_get_contents(tables[forward->udp][i], &table, NULL, NULL))
            continue;
        guint64 inode = hx_forward_listener(table, forward->udp, forward->host_port);
        if (inode)
            return inode;
    }
    return 0;
}

/* Whether process @pid has a descriptor that leads to @target; of others' processes nobody but root
 * gets to know. */
static gboolean has_descriptor(const char *pid, const char *target)
{
    g_autofree char *path = g_build_filename("/proc", pid, "fd", NULL);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        g_autofree char *descriptor = g_build_filename(path, name, NULL);
        g_autofree char *leads_to = g_file_read_link(descriptor, NULL);
        if (g_strcmp0(leads_to, target) == 0)
            return TRUE;
    }
    return FALSE;
}

/* The process that has the port of @forward, as text for g_free; NULL where it is not known. */
static char *describe_owner(const HxForward *forward)
{
    guint64 inode = find_listener(forward);
    g_autofree char *target = g_strdup_printf("socket:[%" G_GUINT64_FORMAT "]", inode);
    g_autoptr(GDir) processes = inode ? g_dir_open("/proc", 0, NULL) : NULL;
    for (const char *pid; processes && (pid = g_dir_read_name(processes));) {
        if (!g_ascii_isdigit(*pid) || !has_descriptor(pid, target))
            continue;
        g_autofree char *path = g_build_filename("/proc", pid, "comm", NULL);
        g_autofree char *name = NULL;
        if (!g_file_get_contents(path, &name, NULL, NULL))
            return g_strdup_printf("process %s", pid);
        /* A process may call itself what it likes. */
        g_autofree char *printable = g_strescape(g_strchomp(name), NULL);
        return g_strdup_printf("process %s (%s)", pid, printable);
    }
    return NULL;
}

/* The first port that a process without privileges may listen on: ip(7). */
static guint16 first_port(void)
{
    g_autofree char *text = NULL;
    return g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start", &text, NULL, NULL)
               ? g_ascii_strtoull(text, NULL, 10)
               : 1024;
}

/* 0 where the port could be bound, or a negative errno. */
static int try_port(const HxForward *forward)
{
    /* Whoever starts the VM, the process that listens has no privileges. */
    if (forward->host_port < first_port())
        return -EACCES;
    hx_autofd int fd = socket(AF_INET, (forward->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A connection that has just ended keeps nobody from listening; see tcp(7). */
    int on = 1;
    if (!forward->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(forward->host_port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    return bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

gboolean hx_forwards_check(const GPtrArray *forwards, GError **error)
{
    for (guint i = 0; i < forwards->len; i++) {
        const HxForward *forward = forwards->pdata[i];
        int r = try_port(forward);
        if (r == 0)
            continue;
        g_autofree char *owner = r == -EADDRINUSE ? describe_owner(forward) : NULL;
        g_autofree char *why =
            r == -EADDRINUSE ? g_strdup_printf("%s has it", owner ? owner : "another process")
            : r == -EACCES   ? g_strdup_printf("ports below %u are privileged", first_port())
                             : g_strdup(g_strerror(-r));
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "cannot forward %s port %u of 127.0.0.1 to the guest's %u: %s: choose another "
                    "port of the host in network.forward",
                    protocol(forward), forward->host_port, forward->guest_port, why);
        return FALSE;
    }
    return TRUE;
}
