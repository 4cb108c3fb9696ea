/* whippet dead list: dead-letter queues, how many letters are in each, and of a sample why and since when. */
#include "dead.h"
#include "exit_codes.h"
#include "line.h"
#include "management_access.h"
#include "safe_print.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

enum {
    SAMPLE = 100,      /* letters looked at, unless told otherwise */
    REASONS_MAX = 8,   /* told apart */
    REASON_SIZE = 256, /* some are the names of exceptions' classes */
    QUEUE_NAME_MAX = 255,
    WIDTH_MAX = 60, /* columns of names; the line of a longer one is shifted */
};

struct reason {
    char name[REASON_SIZE];
    uint64_t count;
};

struct row {
    const char *queue;
    uint64_t messages;
    uint64_t looked_at;
    char oldest[CLOCK_TEXT_SIZE];
    struct reason reasons[REASONS_MAX];
    size_t reason_count;
    uint64_t others; /* with further reasons */
    bool missing;
    bool counted;                  /* `messages` is known */
    char error[FAILURE_TEXT_SIZE]; /* why it was not looked at to the end; "": it was */
};

struct listing {
    const struct dead_request *request;
    struct row *rows;
    size_t count;
    bool named; /* on the command line: one that is missing is an error */
};

/* --- Looking --------------------------------------------------------------------------------------------*/

static void count_reason(struct row *row, whippet_bytes reason)
{
    char name[REASON_SIZE];
    if (reason.data == NULL)
        reason = bytes_of_text(DEAD_REASON_UNKNOWN);
    snprintf(name, sizeof name, "%.*s", (int)(reason.len < sizeof name ? reason.len : sizeof name - 1),
             (const char *)reason.data);
    for (size_t i = 0; i < row->reason_count; i++) {
        if (strcmp(row->reasons[i].name, name) == 0) {
            row->reasons[i].count++;
            return;
        }
    }
    if (row->reason_count == REASONS_MAX) {
        row->others++;
        return;
    }
    memcpy(row->reasons[row->reason_count].name, name, sizeof name);
    row->reasons[row->reason_count++].count = 1;
}

/* Whether it begins as RFC 3339 does: strangers may write times as they like. */
static bool is_time(const char *text)
{
    static const char PATTERN[] = "0000-00-00T00:00:00";
    for (size_t i = 0; PATTERN[i] != '\0'; i++)
        if (PATTERN[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != PATTERN[i])
            return false;
    return true;
}

static enum dead_fate look_at(whippet_task *task, struct dead_pass *pass, const struct dead_letter *letter)
{
    struct row *row = pass->owner;
    const char *failed_at = letter->origin.failed_at;
    (void)task;
    count_reason(row, letter->origin.reason);
    /* RFC 3339 in UTC sorts as text does. */
    if (is_time(failed_at) && (row->oldest[0] == '\0' || strcmp(failed_at, row->oldest) < 0))
        memcpy(row->oldest, failed_at, sizeof row->oldest);
    return DEAD_STAYS;
}

static int look_into(whippet_task *task, struct broker_link *link, const struct listing *listing,
                     struct row *row)
{
    uint64_t sample = listing->request->limit > 0 ? listing->request->limit : SAMPLE;
    struct dead_pass pass = {
        .link = link,
        .queue = row->queue,
        .filter = listing->request->filter,
        .look = sample < DEAD_LOOK_MAX ? sample : DEAD_LOOK_MAX,
        .hands = 1,
        .handle = look_at,
        .owner = row,
    };
    int error = dead_pass_run(task, &pass);
    row->messages = pass.ready;
    row->looked_at = pass.met;
    row->missing = pass.missing;
    row->counted = pass.counted;
    snprintf(row->error, sizeof row->error, "%s", error != 0 ? pass.failure.text : "");
    dead_report_moved(listing->request, &pass);
    if (error == 0 || (pass.missing && !listing->named))
        return EXIT_DONE;
    return dead_report_failure(listing->request, &pass);
}

/* --- Printing -------------------------------------------------------------------------------------------*/

static void print_reasons(const struct row *row)
{
    const char *between = "";
    for (size_t i = 0; i < row->reason_count; i++) {
        fputs(between, stdout);
        safe_print(stdout, bytes_of_text(row->reasons[i].name), REASON_SIZE);
        printf(" %" PRIu64, row->reasons[i].count);
        between = ", ";
    }
    if (row->others > 0)
        printf(", others %" PRIu64, row->others);
    if (row->looked_at == 0 && row->error[0] != '\0')
        fputs("not looked at", stdout);
    else if (row->looked_at < row->messages)
        printf("  (of the first %" PRIu64 ")", row->looked_at);
}

static void print_row(const struct row *row, unsigned width)
{
    unsigned columns = line_columns(row->queue, false);
    safe_print(stdout, bytes_of_text(row->queue), QUEUE_NAME_MAX);
    printf("%*s", columns < width ? (int)(width - columns) + 2 : 2, "");
    if (row->missing) {
        printf("%8s  %-24s  there is no such queue", "-", "-");
    } else if (!row->counted) {
        printf("%8s  %-24s  not looked at", "-", "-");
    } else {
        printf("%8" PRIu64 "  ", row->messages);
        whippet_bytes oldest = bytes_of_text(row->oldest[0] != '\0' ? row->oldest : "-");
        safe_print(stdout, oldest, CLOCK_TEXT_SIZE);
        printf("%*s", oldest.len < 24 ? (int)(26 - oldest.len) : 2, "");
        print_reasons(row);
    }
    putchar('\n');
}

static void print_table(const struct listing *listing)
{
    unsigned width = (unsigned)strlen("QUEUE");
    setlocale(LC_CTYPE, "C.UTF-8"); /* for what a character takes */
    for (size_t i = 0; i < listing->count; i++) {
        unsigned columns = line_columns(listing->rows[i].queue, false);
        if (columns > width)
            width = columns < WIDTH_MAX ? columns : WIDTH_MAX;
    }
    printf("%-*s  %8s  %-24s  %s\n", (int)width, "QUEUE", "MESSAGES", "OLDEST", "REASONS");
    for (size_t i = 0; i < listing->count; i++)
        print_row(&listing->rows[i], width);
}

static void print_findings_json(const struct row *row)
{
    const char *between = "";
    printf(",\"messages\":%" PRIu64 ",\"looked_at\":%" PRIu64 ",\"oldest\":", row->messages, row->looked_at);
    if (row->oldest[0] != '\0')
        safe_print_json(stdout, bytes_of_text(row->oldest));
    else
        fputs("null", stdout);
    fputs(",\"reasons\":{", stdout);
    for (size_t i = 0; i < row->reason_count; i++) {
        fputs(between, stdout);
        safe_print_json(stdout, bytes_of_text(row->reasons[i].name));
        printf(":%" PRIu64, row->reasons[i].count);
        between = ",";
    }
    printf("},\"other_reasons\":%" PRIu64, row->others);
}

static void print_json(const struct row *row)
{
    fputs("{\"queue\":", stdout);
    safe_print_json(stdout, bytes_of_text(row->queue));
    if (row->missing)
        fputs(",\"missing\":true", stdout);
    else if (row->counted)
        print_findings_json(row);
    if (!row->missing && row->error[0] != '\0') {
        fputs(",\"error\":", stdout);
        safe_print_json(stdout, bytes_of_text(row->error));
    }
    puts("}");
}

/* A pass that is ended before it has counted fails only when it is not us who end it. */
static void note_unreached(const struct broker_link *link, struct row *row)
{
    if (!row->counted && !row->missing && row->error[0] == '\0')
        snprintf(row->error, sizeof row->error, "%s",
                 link->lost ? "the connection to the broker was lost" : "interrupted");
}

static int list_all(whippet_task *task, struct broker_link *link, void *arg)
{
    struct listing *listing = arg;
    int code = EXIT_DONE;
    for (size_t i = 0; i < listing->count && !link->interrupted && !link->lost; i++) {
        int one = look_into(task, link, listing, &listing->rows[i]);
        code = one != EXIT_DONE ? one : code;
    }
    for (size_t i = 0; i < listing->count; i++)
        note_unreached(link, &listing->rows[i]);
    for (size_t i = 0; listing->request->json && i < listing->count; i++)
        print_json(&listing->rows[i]);
    if (!listing->request->json)
        print_table(listing);
    return link->interrupted || link->lost ? EXIT_FAILED : code;
}

/* --- Which queues ---------------------------------------------------------------------------------------*/

static bool add(struct listing *listing, const char *queue)
{
    for (size_t i = 0; i < listing->count; i++)
        if (strcmp(listing->rows[i].queue, queue) == 0)
            return true;
    struct row *rows = memory_resize(listing->rows, (listing->count + 1) * sizeof *rows);
    if (rows == NULL)
        return false;
    listing->rows = rows;
    rows[listing->count++] = (struct row){.queue = queue};
    return true;
}

static bool add_configured(struct listing *listing, const struct config *config)
{
    for (size_t i = 0; i < config->queue_count; i++)
        if (config->queues[i].dead_letter != NULL && !add(listing, config->queues[i].dead_letter))
            return false;
    return true;
}

/* As people and frameworks name queues of dead letters. */
static bool is_dead_letter_queue(const char *name)
{
    static const char *const ENDINGS[] = {".dead", ".dlq", "_error", "_skipped"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        size_t length = strlen(name), ending = strlen(ENDINGS[i]);
        if (length > ending && strcmp(name + length - ending, ENDINGS[i]) == 0)
            return true;
    }
    return false;
}

static bool add_found(struct listing *listing, const cJSON *queues)
{
    const cJSON *queue;
    cJSON_ArrayForEach(queue, queues)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(queue, "name"));
        if (name != NULL && is_dead_letter_queue(name) && !add(listing, name))
            return false;
    }
    return true;
}

static int report(const char *text, int code)
{
    fprintf(stderr, "whippet dead list: %s\n", text);
    return code;
}

/* EXIT_DONE with the rows filled. `*found` is what their names may point into. */
static int find_queues(struct listing *listing, cJSON **found)
{
    const struct dead_request *request = listing->request;
    struct whippet_failure failure;
    bool added = true;
    for (size_t i = 0; i < request->queue_count && added; i++)
        added = add(listing, request->queues[i]);
    if (request->management != NULL) {
        struct management_access access =
            management_access_at(request->management, &request->brokers->endpoints[0]);
        *found = management_get(&access, "/api/queues/%s?columns=name", &failure);
        if (*found == NULL)
            return report(failure.text, failure.error == WHIPPET_E_UNAVAILABLE ? EXIT_BROKER : EXIT_FAILED);
        added = added && add_found(listing, *found);
    } else if (request->queue_count == 0) {
        added = added && add_configured(listing, request->config);
    }
    return added ? EXIT_DONE : report("out of memory", EXIT_INTERNAL);
}

int dead_list(const struct dead_request *request)
{
    struct listing listing = {.request = request, .named = request->queue_count > 0};
    cJSON *found = NULL;
    int code = find_queues(&listing, &found);
    if (code == EXIT_DONE && listing.count > 0)
        code = broker_link_run(request->command, request->brokers, list_all, &listing);
    else if (code == EXIT_DONE)
        fprintf(stderr, "whippet dead list: there are no dead-letter queues\n");
    memory_free(listing.rows);
    cJSON_Delete(found);
    return code;
}
