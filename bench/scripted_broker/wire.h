/* AMQP 0-9-1's bytes, both ways: numbers, strings and frames. What cannot be understood ends the program. */
#ifndef SCRIPTED_BROKER_WIRE_H
#define SCRIPTED_BROKER_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_METHOD = 1,
    FRAME_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8,
    FRAME_END = 0xCE,
    FRAME_OVERHEAD = 8,
    FRAME_MAX = 131072,
    NAME_SIZE = 256,
};

/* Says why on standard error, and ends the program with status 1. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Writes into memory that is large enough: the caller sees to it. */
struct writer {
    unsigned char *at;
    unsigned char *payload; /* of the frame being written */
};

void put_bytes(struct writer *writer, const void *data, size_t length);
void put_number(struct writer *writer, uint64_t value, unsigned octets);
void put_short_string(struct writer *writer, const char *text);
void put_long_string(struct writer *writer, const char *text);
void frame_begin(struct writer *writer, unsigned type, unsigned channel);
void frame_end(struct writer *writer);

struct reader {
    const unsigned char *at;
    const unsigned char *end;
};

uint64_t take_number(struct reader *reader, unsigned octets);
void take_short_string(struct reader *reader, char text[NAME_SIZE]);

#endif
