#include "record.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void record_hold(const char *path)
{
    FILE *file = fopen(path, "we");

    cr_assert_not_null(file, "cannot write %s", path);
    fclose(file);
}

void record_let_go(const char *path)
{
    cr_assert_eq(unlink(path), 0, "nothing is held by %s", path);
}

struct records records_read(const char *path)
{
    struct records records = {0};
    size_t room = 0;
    char line[256];
    FILE *file = fopen(path, "re");

    while (file && fgets(line, sizeof(line), file) && strchr(line, '\n')) {
        if (records.count == room) {
            room = room ? 2 * room : 64;
            records.items = realloc(records.items, room * sizeof(*records.items));
        }
        struct record *record = &records.items[records.count++];
        record->process = 0;
        int fields = sscanf(line, "%7s %lf %u %u %63s %d", record->event, &record->at, &record->attempt,
                            &record->running, record->id, &record->process);
        cr_assert_geq(fields, 5, "%s: line %zu is not a record: %s", path, records.count, line);
    }
    if (file) {
        fclose(file);
    }
    return records;
}

void records_destroy(struct records *records)
{
    free(records->items);
    *records = (struct records){0};
}

static bool matches(const struct record *record, const char *event, const char *id)
{
    return strcmp(record->event, event) == 0 && (!id || strcmp(record->id, id) == 0);
}

size_t records_count(const char *path, const char *event, const char *id)
{
    struct records records = records_read(path);
    size_t count = 0;

    for (size_t i = 0; i < records.count; i++) {
        count += matches(&records.items[i], event, id);
    }
    records_destroy(&records);
    return count;
}

size_t records_ended_ids(const char *path, unsigned limit)
{
    struct records records = records_read(path);
    bool *seen = calloc(limit, sizeof(*seen));
    size_t count = 0;

    for (size_t i = 0; i < records.count; i++) {
        unsigned long id = strtoul(records.items[i].id, NULL, 10);
        if (matches(&records.items[i], "end", NULL) && id < limit && !seen[id]) {
            seen[id] = true;
            count++;
        }
    }
    free(seen);
    records_destroy(&records);
    return count;
}

unsigned records_most_running(const char *path)
{
    struct records records = records_read(path);
    unsigned most = 0;

    for (size_t i = 0; i < records.count; i++) {
        most = records.items[i].running > most ? records.items[i].running : most;
    }
    records_destroy(&records);
    return most;
}

static double moment(const char *path, const char *event, const char *id, bool last)
{
    struct records records = records_read(path);
    double at = -1;

    for (size_t i = 0; i < records.count && (last || at < 0); i++) {
        if (matches(&records.items[i], event, id)) {
            at = records.items[i].at;
        }
    }
    records_destroy(&records);
    cr_assert_geq(at, 0, "%s has no \"%s\" of message %s", path, event, id ? id : "(any)");
    return at;
}

double records_first_at(const char *path, const char *event, const char *id)
{
    return moment(path, event, id, false);
}

double records_last_at(const char *path, const char *event, const char *id)
{
    return moment(path, event, id, true);
}
