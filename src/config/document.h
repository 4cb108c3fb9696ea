/* A configuration file as text and as a tree. */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include <config/config.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    DOCUMENT_MOST_BYTES = 16 << 20
};

struct document {
    char *text; /* owned; NUL-terminated */
    size_t length;
    struct cJSON *root; /* owned; an object */
};

/* Reads the whole file. False with an error. */
bool document_read(struct document *document, const char *file, struct config_errors *errors);

/* Copies a text instead. */
bool document_copy(struct document *document, const char *text, struct config_errors *errors);

/* Checks the text and makes the tree of it. False with an error. */
bool document_parse(struct document *document, struct config_errors *errors);

void document_close(struct document *document);

#endif
