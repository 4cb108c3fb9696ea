#include "stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_SIZE = 320,
    TEXTS = 1024
};

static struct {
    struct broker *broker;
    struct client *client;
    char folder[TEXT_SIZE];
    char suffix[16]; /* of names */
    char texts[TEXTS][TEXT_SIZE];
    unsigned text_count;
} stage;

static void make_folder(void)
{
    snprintf(stage.folder, sizeof(stage.folder), "%s/test.XXXXXX", stage.broker->folder);
    cr_assert_not_null(mkdtemp(stage.folder), "mkdtemp %s: %s", stage.folder, strerror(errno));
}

void stage_open(void)
{
    stage.broker = broker_shared();
    stage.client = client_open(stage.broker->url);
    make_folder();
    /* The folder's six letters: process numbers come again while the broker is there. */
    snprintf(stage.suffix, sizeof(stage.suffix), "%s", strrchr(stage.folder, '.') + 1);
}

void stage_open_alone(void)
{
    stage.broker = broker_create();
    snprintf(stage.suffix, sizeof(stage.suffix), "%d", getpid());
}

void stage_start_broker(void)
{
    broker_start(stage.broker);
    if (stage.client) {
        client_close(stage.client);
    }
    stage.client = client_open(stage.broker->url);
    if (!stage.folder[0]) {
        make_folder();
    }
}

void stage_close(void)
{
    workers_end();
    if (stage.client) {
        client_close(stage.client);
    }
    if (stage.broker) {
        broker_destroy(stage.broker);
    }
}

struct broker *stage_broker(void)
{
    return stage.broker;
}

struct client *stage_client(void)
{
    return stage.client;
}

/* The stage's copy of a text. */
static const char *keep(const char *text)
{
    for (unsigned i = 0; i < stage.text_count; i++) {
        if (strcmp(stage.texts[i], text) == 0) {
            return stage.texts[i];
        }
    }
    cr_assert_lt(stage.text_count, TEXTS, "a test with more than %d names", TEXTS);
    return strcpy(stage.texts[stage.text_count++], text);
}

const char *stage_name(const char *word)
{
    char text[TEXT_SIZE];

    snprintf(text, sizeof(text), "%s-%s", word, stage.suffix);
    return keep(text);
}

const char *stage_path(const char *word)
{
    char text[2 * TEXT_SIZE];

    cr_assert_lt(snprintf(text, sizeof(text), "%s/%s", stage.folder, word), TEXT_SIZE,
                 "a path is too long: %s", text);
    return keep(text);
}
