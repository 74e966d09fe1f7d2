/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A libvirglrenderer.so.1 of before Venus and its callbacks of version 3, that reads no resources.
 */
#include <virgl/virglrenderer.h>

__attribute__((visibility("default"))) int
virgl_renderer_init(void *cookie, int flags, struct virgl_renderer_callbacks *callbacks)
{
    return callbacks->version > 2 ? -1 : 0;
}

__attribute__((visibility("default"))) void virgl_renderer_cleanup(void *cookie)
{
}
