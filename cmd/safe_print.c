#include "safe_print.h"
#include <base/bytes.h>
#include <base/utf8.h>

static const char INDENT[] = "    ";

/* Whether a terminal, or a reader's eye, could be led by it: C0, DEL, C1, line separators, direction marks.
 */
static bool is_control(unsigned code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c ||
           (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

bool safe_is_text(whippet_bytes bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.len, length; left > 0; at += length, left -= length) {
        length = utf8_sequence(at, left);
        if (length == 0 || *at == 0)
            return false;
    }
    return true;
}

/* --- For people -----------------------------------------------------------------------------------------*/

static void write_escape(char piece[SAFE_PIECE_SIZE], unsigned code)
{
    switch (code) {
    case '\n': strcpy(piece, "\\n"); break;
    case '\r': strcpy(piece, "\\r"); break;
    case '\t': strcpy(piece, "\\t"); break;
    default: snprintf(piece, SAFE_PIECE_SIZE, code < 0x80 ? "\\x%02x" : "\\u{%x}", code);
    }
}

size_t safe_piece(whippet_bytes text, char piece[SAFE_PIECE_SIZE])
{
    const uint8_t *at = text.data;
    size_t length = utf8_sequence(at, text.len);
    if (length == 0) {
        snprintf(piece, SAFE_PIECE_SIZE, "\\x%02x", *at);
        return 1;
    }
    unsigned code = utf8_code_point(at, length);
    if (is_control(code)) {
        write_escape(piece, code);
    } else {
        memcpy(piece, at, length);
        piece[length] = '\0';
    }
    return length;
}

/* `breaks`: what stands for a line break; NULL: its escape. */
static void print_text(FILE *stream, whippet_bytes text, const char *breaks)
{
    char piece[SAFE_PIECE_SIZE];
    const char *at = text.data;
    for (size_t left = text.len, length; left > 0; at += length, left -= length) {
        length = safe_piece(bytes_of(at, left), piece);
        if (breaks != NULL && *at == '\n')
            fputs(breaks, stream);
        else if (breaks != NULL && *at == '\t')
            fputc('\t', stream);
        else
            fputs(piece, stream);
    }
}

void safe_print(FILE *stream, whippet_bytes text, size_t limit)
{
    size_t shown = utf8_cut(text.data, text.len, limit);
    print_text(stream, bytes_of(text.data, shown), NULL);
    if (shown < text.len)
        fprintf(stream, "… (%zu bytes in all)", text.len);
}

static void print_dump(FILE *stream, whippet_bytes bytes)
{
    enum {
        ROW = 16
    };
    const uint8_t *data = bytes.data;
    for (size_t row = 0; row < bytes.len; row += ROW) {
        fprintf(stream, "%s%08zx ", INDENT, row);
        for (size_t i = row; i < row + ROW; i++)
            if (i < bytes.len)
                fprintf(stream, " %02x", data[i]);
            else
                fputs("   ", stream);
        fputs("  |", stream);
        for (size_t i = row; i < row + ROW && i < bytes.len; i++)
            fputc(data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '.', stream);
        fputs("|\n", stream);
    }
}

void safe_print_body(FILE *stream, whippet_bytes body, size_t limit)
{
    bool text = safe_is_text(body);
    size_t shown = text ? utf8_cut(body.data, body.len, limit) : body.len < limit ? body.len : limit;
    if (body.len == 0)
        return;
    if (text) {
        fputs(INDENT, stream);
        print_text(stream, bytes_of(body.data, shown), "\n    ");
        fputc('\n', stream);
    } else {
        print_dump(stream, bytes_of(body.data, shown));
    }
    if (shown < body.len)
        fprintf(stream, "%s… (%zu of %zu bytes; --bytes N shows more)\n", INDENT, shown, body.len);
}

/* --- For programs ---------------------------------------------------------------------------------------*/

static void print_json_escape(FILE *stream, unsigned code)
{
    if (code == '"' || code == '\\')
        fprintf(stream, "\\%c", (int)code);
    else
        fprintf(stream, "\\u%04x", code);
}

void safe_print_json(FILE *stream, whippet_bytes text)
{
    const uint8_t *at = text.data;
    fputc('"', stream);
    for (size_t left = text.len, length; left > 0; at += length, left -= length) {
        length = utf8_sequence(at, left);
        unsigned code = length > 0 ? utf8_code_point(at, length) : 0xfffd;
        if (length == 0) {
            fputs("\xef\xbf\xbd", stream);
            length = 1;
        } else if (is_control(code) || code == '"' || code == '\\') {
            print_json_escape(stream, code);
        } else {
            fwrite(at, 1, length, stream);
        }
    }
    fputc('"', stream);
}

void safe_print_document(FILE *stream, whippet_bytes json)
{
    const uint8_t *at = json.data;
    for (size_t left = json.len, length; left > 0; at += length, left -= length) {
        length = utf8_sequence(at, left);
        unsigned code = utf8_code_point(at, length);
        if (code < 0x20) /* between values: within strings it is escaped already */
            fputc(' ', stream);
        else if (is_control(code))
            fprintf(stream, "\\u%04x", code);
        else
            fwrite(at, 1, length, stream);
    }
}

void safe_print_base64(FILE *stream, whippet_bytes bytes)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *data = bytes.data;
    fputc('"', stream);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        unsigned group =
            (unsigned)data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        fputc(DIGITS[group >> 18], stream);
        fputc(DIGITS[group >> 12 & 63], stream);
        fputc(left > 1 ? DIGITS[group >> 6 & 63] : '=', stream);
        fputc(left > 2 ? DIGITS[group & 63] : '=', stream);
    }
    fputc('"', stream);
}
