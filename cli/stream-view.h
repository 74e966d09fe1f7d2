/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session's stream as `helixvm stream` views it: counted, shown while it goes on, kept in files,
 * and reported at its end, whoever gives it. */
#pragma once

#include "cli/stream-client.h"
#include "cli/stream-files.h"
#include "cli/stream-told.h"

/* Who gives the session. */
typedef struct {
    const char *of; /* behind "session NAME of", for people: "VM \"work\"" */
    /* As hx_stream_client_new. */
    HxStreamClient *(*open)(const HxStreamRequest *request, GCancellable *cancel, void *data,
                            GError **error);
    HxStreamConnect connect; /* for GET /statistics; NULL: it has none */
    /* Why no frame came, for g_free: @opened, there was a viewer; @answered, and the session has
     * told its size.  NULL: how the stream ended says it all. */
    char *(*examine)(gboolean opened, gboolean answered, void *data);
    /* helixvm-encoder's statistics, for json_object_unref; NULL where they are not known. */
    JsonObject *(*encoder)(void *data);
    const char *size; /* why the desktop is as large as it is, for people */
    void *data;       /* the functions' */
} HxStreamGiver;

typedef enum { HX_STREAM_TEXT, HX_STREAM_JSON, HX_STREAM_JSON_LINES } HxStreamStyle;

typedef struct {
    HxStreamRequest request; /* session_id, too; all of it borrowed */
    double duration;         /* seconds from the first frame; 0: until interrupted */
    HxStreamStyle style;     /* of the result */
    gboolean restart;        /* a VM's session that runs otherwise than asked for is made anew */
    gboolean quiet;          /* nothing while it goes on */
    double benchmark;        /* frames per second that are to be reached; 0: none */
} HxStreamWish;

/* View what @giver gives, keep it in @files, which are complete then, and print the result.  FALSE
 * where the stream does not end well: with what hx_stream_client_new and hx_stream_watch fail with,
 * HX_ERROR_NO_FRAMES, HX_ERROR_HOST for the files, or HX_ERROR_TOO_SLOW for a benchmark whose rate
 * is not reached: it leaves out the first 3 s, measures for the duration, and says what limits the
 * rate.  Main thread. */
gboolean hx_stream_view(const HxStreamGiver *giver, const HxStreamWish *wish, HxStreamFiles *files,
                        GCancellable *cancel, GError **error);
