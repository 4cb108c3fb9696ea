#include "wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("scripted_broker: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void put_bytes(struct writer *writer, const void *data, size_t length)
{
    memcpy(writer->at, data, length);
    writer->at += length;
}

void put_number(struct writer *writer, uint64_t value, unsigned octets)
{
    while (octets-- > 0)
        *writer->at++ = (unsigned char)(value >> (8 * octets));
}

void put_short_string(struct writer *writer, const char *text)
{
    put_number(writer, strlen(text), 1);
    put_bytes(writer, text, strlen(text));
}

void put_long_string(struct writer *writer, const char *text)
{
    put_number(writer, strlen(text), 4);
    put_bytes(writer, text, strlen(text));
}

void frame_begin(struct writer *writer, unsigned type, unsigned channel)
{
    put_number(writer, type, 1);
    put_number(writer, channel, 2);
    put_number(writer, 0, 4);
    writer->payload = writer->at;
}

void frame_end(struct writer *writer)
{
    struct writer size = {.at = writer->payload - 4};
    put_number(&size, (uint64_t)(writer->at - writer->payload), 4);
    put_number(writer, FRAME_END, 1);
}

uint64_t take_number(struct reader *reader, unsigned octets)
{
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->at) < octets)
        fail("a method ends early");
    while (octets-- > 0)
        value = value << 8 | *reader->at++;
    return value;
}

void take_short_string(struct reader *reader, char text[NAME_SIZE])
{
    size_t length = take_number(reader, 1);
    if ((size_t)(reader->end - reader->at) < length)
        fail("a string ends early");
    memcpy(text, reader->at, length);
    text[length] = '\0';
    reader->at += length;
}
