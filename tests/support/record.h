/* Reads what the `record` processor (tests/plugins/record.c) wrote. */
#ifndef TESTS_SUPPORT_RECORD_H
#define TESTS_SUPPORT_RECORD_H

#include <stddef.h>

enum {
    RECORD_EVENT_SIZE = 8,
    RECORD_ID_SIZE = 64
};

struct record {
    char event[RECORD_EVENT_SIZE]; /* "begin", "end", or "cut" where an await was cut short; "gone"
                                      at teardown. With a 2 behind it from tests/plugins/record2.c */
    double at;                     /* seconds on the clock of patience_now */
    unsigned attempt;              /* as the worker counts it */
    unsigned running;              /* attempts inside process() at that moment, this one included */
    char id[RECORD_ID_SIZE];       /* the message's id; "-" when it has none */
    int process;                   /* that wrote the line; 0 where the processor does not say */
};

struct records {
    struct record *items;
    size_t count;
};

/* Attempts whose setting `hold` names that path go on until they are let go, however long that takes. */
void record_hold(const char *path);
void record_let_go(const char *path);

/* Everything written so far; empty when there is no file yet. */
struct records records_read(const char *path);
void records_destroy(struct records *records);

/* How many lines of this event there are so far, of message `id` or, when that is NULL, of all. */
size_t records_count(const char *path, const char *event, const char *id);

/* How many different messages with the ids "0" to `limit` - 1 have an "end". */
size_t records_ended_ids(const char *path, unsigned limit);

/* The most attempts that ran at once so far. */
unsigned records_most_running(const char *path);

/* The moment of the first line of an event, of message `id` or of any; fails the test when there is none. */
double records_first_at(const char *path, const char *event, const char *id);

/* The moment of the last one. */
double records_last_at(const char *path, const char *event, const char *id);

#endif
