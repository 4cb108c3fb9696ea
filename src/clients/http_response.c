/* Reading a response. */
#include <base/bytes.h>
#include <strings.h>
#include <whippet/http.h>

/* Takes the first line off, without its end. False when there is none left. */
static bool take_line(whippet_bytes *text, whippet_bytes *line)
{
    if (text->len == 0)
        return false;
    const char *data = text->data;
    const char *newline = memchr(data, '\n', text->len);
    size_t length = newline != NULL ? (size_t)(newline - data) : text->len;
    size_t taken = newline != NULL ? length + 1 : length;
    *text = bytes_of(data + taken, text->len - taken);
    *line = bytes_of(data, length);
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static whippet_bytes without_space_around(whippet_bytes text)
{
    const char *data = text.data;
    while (text.len > 0 && is_space(data[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_space(*data)) {
        data++;
        text.len--;
    }
    return bytes_of(data, text.len);
}

whippet_bytes whippet_http_response_header(const whippet_http_response *response, const char *name)
{
    size_t length = strlen(name);
    whippet_bytes left = response->headers, line;
    while (take_line(&left, &line)) {
        const char *data = line.data;
        if (line.len > length && data[length] == ':' && strncasecmp(data, name, length) == 0)
            return without_space_around(bytes_of(data + length + 1, line.len - length - 1));
    }
    return (whippet_bytes){0};
}
