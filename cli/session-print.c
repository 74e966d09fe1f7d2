/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/session-print.h"

#include <string.h>

#include "launcher/base/json.h"
#include "launcher/base/printable.h"

/* --- JSON ---------------------------------------------------------------------------------------
 */

/* null where the number is not known. */
static void add_number(JsonBuilder *builder, const char *name, gboolean known, gint64 number)
{
    json_builder_set_member_name(builder, name);
    if (known)
        json_builder_add_int_value(builder, number);
    else
        json_builder_add_null_value(builder);
}

static void add_command(JsonBuilder *builder, char **words)
{
    json_builder_set_member_name(builder, "command");
    json_builder_begin_array(builder);
    for (; words && *words; words++)
        json_builder_add_string_value(builder, *words);
    json_builder_end_array(builder);
}

static const char *reason_of(const HxGuestSession *session)
{
    return session->mistake ? session->mistake : session->reason;
}

void hx_session_print_build(const HxSessionRow *row, JsonBuilder *builder)
{
    const HxGuestSession *session = row->session;
    const SessionConfig *config = &session->config;
    gboolean known = session->mistake == NULL;
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "name", session->name);
    hx_json_add_string(builder, "state", session->state);
    hx_json_add_string(builder, "reason", reason_of(session));
    hx_json_add_boolean(builder, "enabled", session->enabled);
    hx_json_add_integer(builder, "restarts", session->restarts);
    add_number(builder, "width", known, config->width);
    add_number(builder, "height", known, config->height);
    add_number(builder, "fps", known, config->fps);
    add_command(builder, config->command);
    add_number(builder, "port", session->port != 0, session->port);
    hx_json_add_string(builder, "source", hx_json_string(row->told, "source"));
    hx_json_add_string(builder, "encoder", hx_json_string(row->told, "encoder"));
    add_number(builder, "viewers", row->told != NULL, hx_json_integer(row->told, "viewers"));
    json_builder_end_object(builder);
}

/* --- a table ------------------------------------------------------------------------------------
 */

enum { NAME, STATE, SIZE, FPS, BOOT, SOURCE, VIEWERS, REASON, COLUMNS };

static char **cells_of(const HxSessionRow *row)
{
    const HxGuestSession *session = row->session;
    const SessionConfig *config = &session->config;
    const char *source = hx_json_string(row->told, "source");
    char **cells = g_new0(char *, COLUMNS + 1);
    cells[NAME] = g_strdup(session->name);
    cells[STATE] = g_strdup(session->state);
    cells[SIZE] =
        session->mistake ? g_strdup("-") : g_strdup_printf("%dx%d", config->width, config->height);
    cells[FPS] = session->mistake ? g_strdup("-") : g_strdup_printf("%d", config->fps);
    cells[BOOT] = g_strdup(session->enabled ? "yes" : "no");
    cells[SOURCE] = hx_printable(source ? source : "-");
    cells[VIEWERS] =
        row->told ? g_strdup_printf("%" G_GINT64_FORMAT, hx_json_integer(row->told, "viewers"))
                  : g_strdup("-");
    cells[REASON] = hx_printable(reason_of(session) ? reason_of(session) : "");
    return cells;
}

static void append_line(GString *text, const int *widths, char **cells)
{
    g_autoptr(GString) line = g_string_new(NULL);
    for (int i = 0; i < COLUMNS; i++)
        g_string_append_printf(line, "%-*s%s", widths[i], cells[i], i + 1 < COLUMNS ? "  " : "");
    g_string_append_printf(text, "%s\n", g_strchomp(line->str));
}

char *hx_session_print_table(const HxSessionRow *rows, guint n)
{
    static char *const titles[] = {"NAME", "STATE",  "SIZE",    "FPS",
                                   "BOOT", "SOURCE", "VIEWERS", "REASON"};
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    int widths[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        widths[i] = (int)strlen(titles[i]);
    for (guint row = 0; row < n; row++) {
        char **cells = cells_of(&rows[row]);
        g_ptr_array_add(lines, cells);
        for (int i = 0; i < REASON; i++)
            widths[i] = MAX(widths[i], (int)strlen(cells[i]));
    }
    g_autoptr(GString) text = g_string_new(NULL);
    append_line(text, widths, (char **)titles);
    for (guint row = 0; row < n; row++)
        append_line(text, widths, lines->pdata[row]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
