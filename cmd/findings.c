#include "findings.h"
#include "safe_print.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    TEXT_MAX = 1024
};

void findings_add(struct findings *findings, enum finding_level level, const char *queue, const char *fix,
                  const char *format, ...)
{
    va_list arguments;
    struct finding *items = memory_resize(findings->items, (findings->count + 1) * sizeof *findings->items);
    if (items == NULL) {
        findings->short_of_memory = true;
        return;
    }
    findings->items = items;
    struct finding *finding = &items[findings->count++];
    *finding = (struct finding){.level = level, .queue = queue, .fix = fix};
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
    if (level == FINDING_PROBLEM)
        findings->problems++;
}

static const char *level_name(enum finding_level level)
{
    static const char *const NAMES[] = {"problem", "note", "not checked"};
    return NAMES[level];
}

static void print_words(const struct finding *finding)
{
    printf("  %-12s ", level_name(finding->level));
    if (finding->queue != NULL) {
        safe_print(stdout, bytes_of_text(finding->queue), TEXT_MAX);
        fputs(": ", stdout);
    }
    safe_print(stdout, bytes_of_text(finding->text), TEXT_MAX);
    fputs("\n               ", stdout);
    safe_print(stdout, bytes_of_text(finding->fix), TEXT_MAX);
    putchar('\n');
}

static void print_json(const struct finding *finding)
{
    printf("{\"level\":\"%s\",\"queue\":", level_name(finding->level));
    if (finding->queue != NULL)
        safe_print_json(stdout, bytes_of_text(finding->queue));
    else
        fputs("null", stdout);
    fputs(",\"text\":", stdout);
    safe_print_json(stdout, bytes_of_text(finding->text));
    fputs(",\"fix\":", stdout);
    safe_print_json(stdout, bytes_of_text(finding->fix));
    puts("}");
}

void findings_print(const struct findings *findings, bool json)
{
    for (size_t i = 0; i < findings->count; i++)
        if (json)
            print_json(&findings->items[i]);
        else
            print_words(&findings->items[i]);
}

void findings_destroy(struct findings *findings)
{
    memory_free(findings->items);
    *findings = (struct findings){0};
}
