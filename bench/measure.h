/* What every consumer in this folder reports about itself, taken the same way: from its first message to its
 * last one, as one line of JSON. Only libc, so that plugins may use it as well. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct measure {
    uint64_t messages;
    uint64_t bytes;   /* of their bodies */
    double first;     /* moment of the first message, in seconds of the monotonic clock */
    double first_cpu; /* seconds of CPU the process had used by then */
};

static inline uint64_t measure_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double measure_now(void)
{
    return (double)measure_nanoseconds() / 1e9;
}

/* Seconds of CPU, user and system, that all threads of this process have used. */
static inline double measure_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The most memory this process had resident, in KiB. Not ru_maxrss: that one starts at the size of whoever
 * forked us. */
static inline long measure_peak(void)
{
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL)
        return 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    }
    fclose(status);
    return peak;
}

static inline void measure_message(struct measure *measure, size_t bytes)
{
    if (measure->messages++ == 0) {
        measure->first = measure_now();
        measure->first_cpu = measure_cpu();
    }
    measure->bytes += bytes;
}

/* `more`: further members of the object, each led by a comma; "" for none. */
static inline void measure_print(const struct measure *measure, const char *more, FILE *stream)
{
    double seconds = measure_now() - measure->first;
    double cpu = measure_cpu() - measure->first_cpu;
    fprintf(stream,
            "{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"first\": %.6f, \"seconds\": %.6f, "
            "\"cpu\": %.6f, \"peak_kib\": %ld%s}\n",
            measure->messages, measure->bytes, measure->first, seconds, cpu, measure_peak(), more);
    fflush(stream);
}

/* --- Latency: a message's body begins with the moment it was published, in nanoseconds of the monotonic
 * clock ----- */

struct latencies {
    uint64_t *nanoseconds; /* one for each message */
    size_t count;
    size_t capacity;
};

static inline void latencies_init(struct latencies *latencies, size_t capacity)
{
    latencies->nanoseconds = calloc(capacity, sizeof *latencies->nanoseconds);
    latencies->count = 0;
    latencies->capacity = latencies->nanoseconds == NULL ? 0 : capacity;
}

static inline void latencies_add(struct latencies *latencies, const void *body, size_t length)
{
    uint64_t published;
    if (length < sizeof published || latencies->count == latencies->capacity)
        return;
    memcpy(&published, body, sizeof published);
    latencies->nanoseconds[latencies->count++] = measure_nanoseconds() - published;
}

static inline int latencies_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Writes members for measure_print, in microseconds, and frees what was collected. */
static inline void latencies_finish(struct latencies *latencies, char *text, size_t size)
{
    size_t count = latencies->count;
    text[0] = '\0';
    if (count > 0) {
        qsort(latencies->nanoseconds, count, sizeof *latencies->nanoseconds, latencies_compare);
        snprintf(text, size, ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"most_us\": %.1f",
                 (double)latencies->nanoseconds[count / 2] / 1e3,
                 (double)latencies->nanoseconds[count * 99 / 100] / 1e3,
                 (double)latencies->nanoseconds[count - 1] / 1e3);
    }
    free(latencies->nanoseconds);
}

#endif
