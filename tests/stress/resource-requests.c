/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks the module in QEMU for pictures of resources that may exist, and touches all of each that
 * comes.  usage: resource-requests SOCKET COUNT SEED ID; the guest counts ids up, and they are
 * asked for around the highest that was there, beginning with ID.  What is a blob is taken for a
 * picture of a random size, which may be more than it has.  Prints how many had which end, and the
 * sum of the pictures' bytes.  Exits 1 where the module went away. */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#include "encoder/service/module-client.h"

#define BEHIND 100
#define AHEAD 60
#define MISSES_MAX 100 /* in a row, before it goes on */
#define SIDE_MAX 256   /* pixels of a blob */

static guint32 sum_of(const HxModulePicture *picture)
{
    guint32 sum = 0;
    for (guint32 line = 0; line < picture->height; line++)
        for (guint32 x = 0; x < picture->width * 4; x++)
            sum += picture->pixels[(gsize)line * picture->stride + x];
    return sum;
}

int main(int argc, char **argv)
{
    static const struct {
        int result;
        const char *name;
    } ends[] = {{0, "read"},           {-ENOENT, "not found"}, {-EOPNOTSUPP, "no picture"},
                {-EFBIG, "too large"}, {-EIO, "failed"},       {-ENOTCONN, "lost"}};
    guint counts[G_N_ELEMENTS(ends)] = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: resource-requests SOCKET COUNT SEED ID\n");
        return 2;
    }
    HxModuleClient *client = hx_module_client_new(argv[1]);
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)strtoul(argv[3], NULL, 10));
    guint misses = 0;
    guint32 sum = 0, highest = (guint32)strtoul(argv[4], NULL, 10);
    for (gulong left = strtoul(argv[2], NULL, 10); left > 0; left--) {
        HxModulePicture picture;
        guint32 first = highest > BEHIND ? highest - BEHIND : 0;
        guint32 id = first + (guint32)g_rand_int_range(rand, 0, BEHIND + AHEAD);
        guint32 width = (guint32)g_rand_int_range(rand, 0, SIDE_MAX);
        const HxfrFrameRequest request = {.resource_id = id,
                                          .width = width,
                                          .height = (guint32)g_rand_int_range(rand, 0, SIDE_MAX),
                                          .format = HXFR_FORMAT_XR24,
                                          .stride = width * 4};
        int r = hx_module_client_read(client, &request, &picture);
        if (r != -ENOENT && r != -ENOTCONN) {
            highest = MAX(highest, id);
            misses = 0;
        } else if (++misses % MISSES_MAX == 0) {
            highest += AHEAD;
        }
        if (r == 0) {
            sum += sum_of(&picture);
            hx_module_client_release(client, &picture);
        }
        for (guint i = 0; i < G_N_ELEMENTS(ends); i++)
            counts[i] += ends[i].result == r;
    }
    for (guint i = 0; i < G_N_ELEMENTS(ends); i++)
        printf("%u %s%s", counts[i], ends[i].name, i + 1 < G_N_ELEMENTS(ends) ? ", " : "");
    printf("; sum %u\n", sum);
    hx_module_client_free(client);
    return counts[G_N_ELEMENTS(ends) - 1] > 0;
}
