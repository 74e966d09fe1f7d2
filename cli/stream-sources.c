/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-sources.h"

#include "launcher/base/printable.h"

static void told_free(void *data)
{
    HxStreamSourceTold *told = data;
    g_free(told->source);
    g_free(told->encoder);
    g_free(told->reason);
    g_free(told);
}

void hx_stream_sources_init(HxStreamSources *sources)
{
    sources->told = g_ptr_array_new_with_free_func(told_free);
}

void hx_stream_sources_clear(HxStreamSources *sources)
{
    g_clear_pointer(&sources->told, g_ptr_array_unref);
}

const HxStreamSourceTold *hx_stream_sources_last(const HxStreamSources *sources)
{
    guint count = sources->told->len;
    return count ? sources->told->pdata[count - 1] : NULL;
}

gboolean hx_stream_sources_add(HxStreamSources *sources, const HxStreamSource *source, gint64 now)
{
    const HxStreamSourceTold *last = hx_stream_sources_last(sources);
    g_autofree char *name = hx_printable(source->source);
    g_autofree char *encoder = hx_printable(source->encoder);
    if (last && g_str_equal(last->source, name) && g_str_equal(last->encoder, encoder))
        return FALSE;
    if (sources->told->len > HX_STREAM_SOURCES_MAX)
        return FALSE;
    HxStreamSourceTold *told = g_new0(HxStreamSourceTold, 1);
    told->at = now;
    told->source = g_steal_pointer(&name);
    told->encoder = g_steal_pointer(&encoder);
    told->reason = source->reason ? hx_printable(source->reason) : NULL;
    g_ptr_array_add(sources->told, told);
    return last != NULL;
}

guint hx_stream_sources_changes(const HxStreamSources *sources)
{
    return sources->told->len ? sources->told->len - 1 : 0;
}

const HxStreamSourceTold *hx_stream_sources_change(const HxStreamSources *sources, guint index)
{
    return sources->told->pdata[index + 1];
}
