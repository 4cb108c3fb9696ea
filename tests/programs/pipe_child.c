/* A child of the processor `pipe` that does what a message's body says, and is started within a millisecond:
 *
 *   ack            and so for every other body
 *   retry, reject  with the rest of the body as the reason
 *   odd            answers with a verdict that is none
 *   bare           rejects with a reason that is no text
 *   late MS        answers that much later, and takes other messages meanwhile
 *   busy MS        answers that much later, and takes no other message until then
 *   hold           is answered when the next message comes, before that one
 *   hang           is never answered, nor is anything after it
 *   die SIGNAL     kills itself; "die 0" ends with status 3, with a last word on standard error
 *   close          closes its standard output, and stays
 *   garbage TEXT   writes the text instead of an answer
 *   unknown        answers an id that nobody has
 *   twice          answers twice
 *   endless        writes a line without an end
 *   deep N         answers with N brackets, one in the other, in the place of a reason
 *   say N          writes N lines to standard error before it answers
 *   properties     rejects with its own request as the reason, the quotes made single
 *   last           is answered, and then it ends with status 0
 *   deaf           is answered, and then nothing is read any more
 *
 * With an argument it appends "begin PID" to that file at its start, and "done PID BODY" before each "ack".
 * With a second one, "stay", it does not end when its standard input is closed. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_SIZE = 4 << 20
};

static FILE *notes;
static char held[32]; /* an id; "": none */

static void pause_for(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void answer(const char *id, const char *verdict, const char *reason)
{
    printf("{\"id\":%s,\"verdict\":\"%s\",\"reason\":\"%s\"}\n", id, verdict, reason);
    fflush(stdout);
}

static void note(const char *word, const char *body)
{
    if (notes == NULL)
        return;
    fprintf(notes, "%s %ld %s\n", word, (long)getpid(), body);
    fflush(notes);
}

static void acknowledge(const char *id, const char *body)
{
    note("done", body);
    printf("{\"id\":%s,\"verdict\":\"ack\"}\n", id);
    fflush(stdout);
}

static void answer_later(const char *id, const char *body, long milliseconds)
{
    if (fork() != 0)
        return;
    pause_for(milliseconds);
    acknowledge(id, body);
    _exit(0);
}

static void die(int signal_number)
{
    if (signal_number != 0)
        raise(signal_number);
    fprintf(stderr, "the last word\n");
    exit(3);
}

static void go_on_for_ever(void)
{
    for (;;)
        pause_for(1000);
}

static void answer_deeply(const char *id, long depth)
{
    printf("{\"id\":%s,\"verdict\":\"ack\",\"reason\":", id);
    for (long i = 0; i < depth; i++)
        putchar('[');
    for (long i = 0; i < depth; i++)
        putchar(']');
    puts("}");
    fflush(stdout);
}

static void answer_with_request(const char *id, char *line)
{
    for (char *at = line; *at != '\0'; at++)
        *at = *at == '"' || *at == '\\' ? '\'' : *at;
    answer(id, "reject", line);
}

static void say(long count)
{
    for (long i = 0; i < count; i++)
        fprintf(stderr, "line %ld\n", i);
}

static bool is(const char *body, const char *word)
{
    size_t length = strlen(word);
    return strncmp(body, word, length) == 0 && (body[length] == ' ' || body[length] == '\0');
}

/* Misbehaves as a whole; false when it is to answer. */
static bool misbehave(const char *id, const char *body, const char *rest)
{
    if (is(body, "hang"))
        go_on_for_ever();
    else if (is(body, "die"))
        die(atoi(rest));
    else if (is(body, "close"))
        close(STDOUT_FILENO);
    else if (is(body, "garbage"))
        printf("%s\n", rest);
    else if (is(body, "unknown"))
        answer("123456789", "ack", "");
    else if (is(body, "twice"))
        printf("{\"id\":%s,\"verdict\":\"ack\"}\n{\"id\":%s,\"verdict\":\"ack\"}\n", id, id);
    else if (is(body, "endless"))
        for (;;)
            putchar('x');
    else
        return false;
    fflush(stdout);
    return true;
}

static void serve(const char *id, const char *body, const char *rest, char *line)
{
    if (misbehave(id, body, rest))
        return;
    if (is(body, "retry") || is(body, "reject"))
        answer(id, is(body, "retry") ? "retry" : "reject", rest);
    else if (is(body, "odd"))
        answer(id, "maybe", "");
    else if (is(body, "bare"))
        printf("{\"id\":%s,\"verdict\":\"reject\",\"reason\":{\"code\":5}}\n", id);
    else if (is(body, "late"))
        answer_later(id, body, atol(rest));
    else if (is(body, "busy"))
        pause_for(atol(rest)), acknowledge(id, body);
    else if (is(body, "hold"))
        snprintf(held, sizeof held, "%s", id);
    else if (is(body, "deep"))
        answer_deeply(id, atol(rest));
    else if (is(body, "properties"))
        answer_with_request(id, line);
    else if (is(body, "say"))
        say(atol(rest)), acknowledge(id, body);
    else
        acknowledge(id, body);
    fflush(stdout);
    if (is(body, "last"))
        exit(0);
    if (is(body, "deaf"))
        go_on_for_ever();
}

int main(int argc, char **argv)
{
    static char line[LINE_SIZE], copy[LINE_SIZE];
    signal(SIGCHLD, SIG_IGN);
    notes = argc > 1 ? fopen(argv[1], "a") : NULL;
    note("begin", "-");
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char id[32] = "", before[32], body[256] = "", empty[] = "", *rest = strcpy(copy, line);
        sscanf(line, "{\"id\":%31[0-9],\"body\":\"%255[^\"]", id, body);
        snprintf(before, sizeof before, "%s", held);
        held[0] = '\0';
        rest = strchr(body, ' ');
        serve(id, body, rest != NULL ? rest + 1 : empty, copy);
        if (before[0] != '\0')
            acknowledge(before, "hold");
    }
    if (argc > 2 && strcmp(argv[2], "stay") == 0)
        go_on_for_ever();
    return 0;
}
