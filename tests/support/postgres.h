/* A private PostgreSQL (scripts/postgres). */
#ifndef TESTS_SUPPORT_POSTGRES_H
#define TESTS_SUPPORT_POSTGRES_H

enum {
    POSTGRES_TEXT_SIZE = 256
};

/* One of this test's own, which it may end as it likes. */
struct postgres {
    char folder[POSTGRES_TEXT_SIZE];
    char socket[POSTGRES_TEXT_SIZE]; /* the folder of its socket */
    char port[8];
    char url[2 * POSTGRES_TEXT_SIZE]; /* by its socket */
    int lifeline;                     /* its guard clears up when this is closed; -1: a shared one */
};

/* The one that the tests of this program share; it must be left running. */
struct postgres postgres_shared(void);

/* Makes one and starts it. It is cleared up also where the test dies. */
struct postgres postgres_create(void);
void postgres_destroy(const struct postgres *postgres);

/* Starts one that was ended: in good order, or as by a power cut. */
void postgres_start(const struct postgres *postgres);
void postgres_stop(const struct postgres *postgres);
void postgres_kill(const struct postgres *postgres);

/* Runs a statement with psql; what it returned, the first line, is valid until the next call. Fails the test
 * when it fails. */
const char *postgres_ask(const struct postgres *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, but NULL when it fails, for servers that come and go. */
const char *postgres_try(const struct postgres *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
