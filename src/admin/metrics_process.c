#include "metrics_process.h"
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* In bytes; false where /proc does not tell. */
static bool read_memory(uint64_t *resident, uint64_t *address_space)
{
    unsigned long size_pages, resident_pages;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return false;
    bool read = fscanf(file, "%lu %lu", &size_pages, &resident_pages) == 2;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    fclose(file);
    *resident = read ? resident_pages * page : 0;
    *address_space = read ? size_pages * page : 0;
    return read;
}

/* How many descriptors are open, without the one that it takes to look. */
static bool count_descriptors(uint64_t *count)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return false;
    uint64_t entries = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        entries += entry->d_name[0] != '.';
    closedir(folder);
    *count = entries - 1;
    return true;
}

void metrics_write_process(struct metrics *metrics, double started)
{
    struct rusage usage;
    struct rlimit limit;
    uint64_t resident, address_space, descriptors;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        metrics_begin(metrics, "process_cpu_seconds", "counter",
                      "User and system CPU time spent, in seconds.");
        metrics_double(metrics, "_total", "", NULL, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    }
    if (read_memory(&resident, &address_space)) {
        metrics_begin(metrics, "process_resident_memory_bytes", "gauge", "Resident memory, in bytes.");
        metrics_unsigned(metrics, "", "", NULL, resident);
        metrics_begin(metrics, "process_virtual_memory_bytes", "gauge", "Address space, in bytes.");
        metrics_unsigned(metrics, "", "", NULL, address_space);
    }
    if (count_descriptors(&descriptors)) {
        metrics_begin(metrics, "process_open_fds", "gauge", "Open file descriptors.");
        metrics_unsigned(metrics, "", "", NULL, descriptors);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metrics_begin(metrics, "process_max_fds", "gauge", "The most file descriptors that may be open.");
        metrics_unsigned(metrics, "", "", NULL, limit.rlim_cur);
    }
    metrics_begin(metrics, "process_start_time_seconds", "gauge",
                  "When the process began, in seconds since 1970.");
    metrics_double(metrics, "", "", NULL, started);
}
