/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stand-in for the module in QEMU that can break its word; the real one is tested on its own. */
#pragma once

#include <glib.h>

typedef enum {
    FAKE_PATTERN,   /* resource N is picture N of the pattern, FAKE_WIDTH × FAKE_HEIGHT, RGBX */
    FAKE_NOT_FOUND, /* and the other status values */
    FAKE_UNREADABLE,
    FAKE_TOO_LARGE,
    FAKE_FAILED,
    FAKE_CLOSES,     /* closes the connection instead of an answer */
    FAKE_SILENT,     /* takes requests and does not answer */
    FAKE_WRONG_ID,   /* answers another request */
    FAKE_SHORT,      /* answers with half a packet */
    FAKE_BAD_STRIDE, /* lines shorter than their pixels */
    FAKE_BAD_SIZE,   /* more than a slot holds */
    FAKE_BAD_FORMAT,
    FAKE_NV12,        /* a format that no resource has */
    FAKE_NO_GREETING, /* does not answer HELLO */
    FAKE_OLD,         /* answers HELLO with another version */
    FAKE_PICTURES,    /* resource N is picture N - 1 of those that were given */
} FakeBehaviour;

#define FAKE_WIDTH 320
#define FAKE_HEIGHT 200

typedef struct FakeModule FakeModule;

/* Listen at @path, behave as @behaviour says. */
FakeModule *fake_module_start(const char *path, FakeBehaviour behaviour);
void fake_module_set(FakeModule *module, FakeBehaviour behaviour);

/* Pictures for FAKE_PICTURES, BGRX without gaps between their lines; they stay the caller's.  No
 * read may be under way. */
typedef struct {
    guint32 width, height;
    guint count;
    guint8 *const *pixels;
} FakePictures;
void fake_module_show(FakeModule *module, const FakePictures *pictures);

/* Close everything. */
void fake_module_stop(FakeModule *module);
