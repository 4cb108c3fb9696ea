#include "journal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t *grow(uint32_t *counts, unsigned from, unsigned to)
{
    uint32_t *grown = realloc(counts, to * sizeof(*grown));

    cr_assert_not_null(grown, "out of memory");
    memset(grown + from, 0, (to - from) * sizeof(*grown));
    return grown;
}

void journal_expect(struct journal *journal, unsigned limit)
{
    journal->processed = grow(journal->processed, journal->limit, limit);
    journal->rejected = grow(journal->rejected, journal->limit, limit);
    journal->limit = limit;
}

static void take_line(struct journal *journal, const char *verdict, unsigned long number)
{
    if (strcmp(verdict, "damaged") == 0) {
        journal->damaged_lines++;
        return;
    }
    cr_assert_lt(number, journal->limit, "a message %lu was %s that was never published", number, verdict);
    journal->handled += journal->processed[number] + journal->rejected[number] == 0;
    if (strcmp(verdict, "processed") == 0) {
        journal->processed[number]++;
        journal->processed_lines++;
    } else {
        journal->rejected[number]++;
        journal->rejected_lines++;
    }
}

void journal_read(struct journal *journal)
{
    FILE *file = fopen(journal->path, "re");
    char *line = NULL, verdict[16];
    size_t size = 0;
    long number;

    if (!file) {
        return;
    }
    fseek(file, journal->offset, SEEK_SET);
    for (ssize_t length; (length = getline(&line, &size, file)) > 0 && line[length - 1] == '\n';) {
        journal->offset += length;
        cr_assert_eq(sscanf(line, "%15s %ld", verdict, &number), 2, "%s holds \"%s\"", journal->path, line);
        take_line(journal, verdict, (unsigned long)number);
    }
    free(line);
    fclose(file);
}

void journal_destroy(struct journal *journal)
{
    free(journal->processed);
    free(journal->rejected);
}
