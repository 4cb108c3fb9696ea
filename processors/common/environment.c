#include "environment.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool name_is_valid(const char *name, whippet_failure *failure)
{
    if (*name == '\0' || strchr(name, '=') != NULL)
        whippet_fail(failure, "environment: \"%s\" cannot be the name of a variable", name);
    else if (strncmp(name, "WHIPPET_", strlen("WHIPPET_")) == 0)
        whippet_fail(failure,
                     "environment: \"%s\" is taken: names that begin with WHIPPET_ tell of the message",
                     name);
    else
        return true;
    return false;
}

/* NULL with the failure filled when memory is short. */
static char *join(const char *name, const char *value, whippet_failure *failure)
{
    char *variable = NULL;
    if (asprintf(&variable, "%s=%s", name, value) >= 0)
        return variable;
    whippet_fail(failure, "out of memory");
    return NULL;
}

char **environment_create(const char *const *pairs, whippet_failure *failure)
{
    size_t count = 0;
    while (pairs[2 * count] != NULL)
        count++;
    char **environment = calloc(count + 1, sizeof *environment);
    bool complete = environment != NULL;
    if (!complete)
        whippet_fail(failure, "out of memory");
    for (size_t i = 0; complete && i < count; i++) {
        complete = name_is_valid(pairs[2 * i], failure);
        if (complete)
            environment[i] = join(pairs[2 * i], pairs[2 * i + 1], failure);
        complete = environment[i] != NULL;
    }
    if (complete)
        return environment;
    environment_destroy(environment);
    return NULL;
}

void environment_destroy(char **environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        free(environment[i]);
    free(environment);
}
