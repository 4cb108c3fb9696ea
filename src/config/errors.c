#include "errors.h"
#include "arena.h"
#include "place.h"
#include <base/memory.h>
#include <base/utf8.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Never freed, as it stands for the lack of memory to make another. */
static char no_path[] = "";
static char out_of_memory_text[] =
    "there is not enough memory to read the configuration; give the worker more";
static struct config_error out_of_memory = {.path = no_path, .text = out_of_memory_text};

static void free_items(struct config_errors *errors)
{
    if (errors->items == &out_of_memory)
        return;
    for (size_t i = 0; i < errors->count; i++) {
        memory_free(errors->items[i].path);
        memory_free(errors->items[i].text);
    }
    memory_free(errors->items);
}

bool errors_are_full(const struct config_errors *errors)
{
    return errors->items == &out_of_memory || errors->count > ERRORS_MOST;
}

void errors_out_of_memory(struct config_errors *errors)
{
    free_items(errors);
    *errors = (struct config_errors){.items = &out_of_memory, .count = 1};
}

/* Takes path and text over when it succeeds. */
static bool insert(struct config_errors *errors, struct config_error error)
{
    struct config_error *items = memory_resize(errors->items, (errors->count + 1) * sizeof *items);
    if (items == NULL)
        return false;
    errors->items = items;
    size_t position = errors->count;
    while (position > 0 && items[position - 1].line > error.line)
        position--;
    memmove(&items[position + 1], &items[position], (errors->count - position) * sizeof *items);
    items[position] = error;
    errors->count++;
    return true;
}

/* Freed with memory_free; NULL when memory is short. */
__attribute__((format(printf, 1, 0))) static char *format_text(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length >= 0 ? memory_allocate((size_t)length + 1) : NULL;
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

void errors_add_v(struct config_errors *errors, int line, const char *path, const char *format,
                  va_list arguments)
{
    if (errors_are_full(errors))
        return;
    if (errors->count == ERRORS_MOST) {
        line = 0;
        path = "";
    }
    struct config_error error = {.line = line, .path = memory_copy_text(path)};
    error.text = errors->count == ERRORS_MOST ? memory_copy_text("there are more errors than are shown here")
                                              : format_text(format, arguments);
    if (error.path == NULL || error.text == NULL || !insert(errors, error)) {
        memory_free(error.path);
        memory_free(error.text);
        errors_out_of_memory(errors);
    }
}

void errors_add(struct config_errors *errors, int line, const char *path, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    errors_add_v(errors, line, path, format, arguments);
    va_end(arguments);
}

void config_errors_add(struct config_errors *errors, const struct config *config, const char *path,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    errors_add_v(errors, place_line(&config->arena->document, path), path, format, arguments);
    va_end(arguments);
}

/* Keys and values may hold anything: control characters never reach the terminal, long keys are cut. */
static void print_safely(const char *text, size_t limit, FILE *stream)
{
    size_t length = strlen(text);
    size_t shown = utf8_cut(text, length, limit);
    for (size_t i = 0; i < shown; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool is_c1_control = byte == 0xc2 && i + 1 < shown && (unsigned char)text[i + 1] < 0xa0;
        if (byte < 0x20 || byte == 0x7f || is_c1_control)
            fputc('?', stream);
        else
            fputc(byte, stream);
        if (is_c1_control)
            i++;
    }
    if (shown < length)
        fputs("…", stream);
}

void config_errors_print(const struct config_errors *errors, const char *file, void *stream)
{
    enum {
        LONGEST_PATH = 300,
        LONGEST_TEXT = 2000
    };
    if (file == NULL)
        file = config_default_file();
    for (size_t i = 0; i < errors->count; i++) {
        const struct config_error *error = &errors->items[i];
        fputs(file, stream);
        if (error->line > 0)
            fprintf(stream, ":%d", error->line);
        fputs(": ", stream);
        print_safely(error->path, LONGEST_PATH, stream);
        if (error->path[0] != '\0')
            fputs(": ", stream);
        print_safely(error->text, LONGEST_TEXT, stream);
        fputc('\n', stream);
    }
}

void config_errors_destroy(struct config_errors *errors)
{
    free_items(errors);
    *errors = (struct config_errors){0};
}
