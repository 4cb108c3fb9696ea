#include "identifier.h"
#include <string.h>

enum {
    LENGTH_MOST = 63, /* bytes; PostgreSQL cuts what is longer, and then it may be another's name */
};

bool identifier_check(const char *option, const char *name, bool qualified, whippet_failure *failure)
{
    const char *dot = qualified ? strchr(name, '.') : NULL;
    size_t first = dot != NULL ? (size_t)(dot - name) : strlen(name);
    size_t second = dot != NULL ? strlen(dot + 1) : 1;
    if (first == 0 || second == 0)
        whippet_fail(failure, "%s: \"%s\" is no name%s", option, name,
                     qualified ? ": expected \"table\" or \"schema.table\"" : "");
    else if (first > LENGTH_MOST || second > LENGTH_MOST)
        whippet_fail(failure, "%s: \"%s\" is longer than PostgreSQL's names are, %d bytes", option, name,
                     LENGTH_MOST);
    else
        return true;
    return false;
}

static void write_quoted(FILE *text, const char *name, size_t length)
{
    fputc('"', text);
    for (size_t i = 0; i < length; i++) {
        if (name[i] == '"')
            fputc('"', text);
        fputc(name[i], text);
    }
    fputc('"', text);
}

void identifier_write(FILE *text, const char *name)
{
    write_quoted(text, name, strlen(name));
}

void identifier_write_table(FILE *text, const char *name)
{
    const char *dot = strchr(name, '.');
    if (dot != NULL) {
        write_quoted(text, name, (size_t)(dot - name));
        fputc('.', text);
        name = dot + 1;
    }
    identifier_write(text, name);
}
