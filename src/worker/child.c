/* A child process: it loads the plugin, and runs on its own loop whatever attempts its parent sends. It has
 * no connection to the broker; what a processor publishes goes to the parent. */
#include "frame_link.h"
#include "plugin_path.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <config/config.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <worker/background.h>
#include <worker/child.h>
#include <worker/message.h>
#include <worker/plugin.h>
#include <worker/publication.h>
#include <worker/publishing.h>

static const double RESULT_SECONDS = 0.001; /* the most that a result waits for the end of the turn */

struct attempt {
    struct child *child;
    struct whippet_message message;
    struct log_fields fields;
    struct task_label label;
    uint32_t slot;
    uint32_t serial;
    double started_at;
    double ended_at;
    whippet_task *task; /* NULL: none runs */
    whippet_verdict verdict;
    int struck;
    double retry_after;
    char *reason; /* owned; NULL: none */
};

/* A publication that the parent has in its hands. On its task's stack. */
struct publication {
    struct list link;
    uint32_t serial;
    struct waiter done;
};

struct child {
    struct setup_frame setup;
    char *texts; /* queue, processor and path; owned */
    const char *queue;
    const char *path;
    struct child_page *page;
    struct loop *loop;
    atomic_uint call_threads; /* that have a board in the page */
    struct task_quota spawned;
    struct frame_link link;
    struct processor processor;
    struct background background;
    struct log_fields background_fields;
    struct attempt *attempts; /* one for each slot; owned */
    unsigned running;
    struct list publications;
    uint32_t publication_serial;
    double sent_at; /* when results were last sent */
    bool draining;
    bool abandoned;
};

/* --- Attempts -------------------------------------------------------------------------------------------*/

/* Results are not kept from the parent while the next attempt blocks. */
static void send_result(struct attempt *attempt, const char *reason)
{
    struct child *child = attempt->child;
    double now = attempt->ended_at;
    struct ended_frame ended = {.verdict = attempt->verdict,
                                .struck = attempt->struck,
                                .duration = now - attempt->started_at,
                                .retry_after = attempt->retry_after};
    size_t length = strlen(reason);
    uint8_t *at = frame_link_begin(&child->link, FRAME_ENDED, attempt->slot, attempt->serial,
                                   sizeof ended + length, (whippet_bytes){0});
    if (at == NULL) {
        child->abandoned = true; /* no memory: the parent has the verdict in the page */
        loop_stop(child->loop);
        return;
    }
    memcpy(at, &ended, sizeof ended);
    memcpy(at + sizeof ended, reason, length);
    if (now - child->sent_at < RESULT_SECONDS)
        return;
    frame_link_flush(&child->link);
    child->sent_at = now;
}

/* In the page, for the parent of a child that dies. */
static void note(const struct attempt *attempt, int32_t verdict)
{
    atomic_store_explicit(&attempt->child->page->begun[attempt->slot],
                          child_page_verdict(attempt->serial, verdict), memory_order_relaxed);
}

static int perform(whippet_task *task, void *arg)
{
    struct attempt *attempt = arg;
    const struct processor *processor = &attempt->child->processor;
    task_set_label(task, &attempt->label);
    note(attempt, 0);
    task_set_message(task, &attempt->message);
    attempt->task = task;
    attempt->verdict = processor->plugin->descriptor.process(task, &attempt->message, processor->state);
    attempt->ended_at = clock_monotonic();
    if (attempt->verdict != WHIPPET_ACK) {
        attempt->reason = memory_copy_text(task_reason(task));
        attempt->struck = task_struck(task);
        attempt->retry_after = task_retry_after(task);
    }
    return 0;
}

static void leave_when_done(struct child *child)
{
    if (child->draining && child->running == 0)
        loop_stop(child->loop);
}

static void attempt_ended(void *arg, int ignored)
{
    struct attempt *attempt = arg;
    struct child *child = attempt->child;
    (void)ignored;
    attempt->task = NULL;
    note(attempt, (int32_t)attempt->verdict);
    send_result(attempt, attempt->reason != NULL ? attempt->reason : "");
    memory_free(attempt->reason);
    message_destroy(attempt->message.content);
    child->running--;
    leave_when_done(child);
}

/* NULL when memory is short, or the frame makes no sense. */
static struct message *read_message(const struct frame *frame, const struct deliver_frame *deliver,
                                    const uint8_t *at)
{
    uint64_t before_body =
        sizeof *deliver + (uint64_t)deliver->exchange + deliver->routing_key + deliver->properties;
    if (before_body > frame->length || frame->length - before_body != deliver->body)
        return NULL;
    whippet_bytes exchange = bytes_of(at, deliver->exchange);
    whippet_bytes routing_key = bytes_of(at + exchange.len, deliver->routing_key);
    whippet_bytes properties = bytes_of(at + exchange.len + routing_key.len, deliver->properties);
    struct message *message = message_create(exchange, routing_key, properties, deliver->body);
    if (message == NULL)
        return NULL;
    memcpy(message_body_storage(message), at + exchange.len + routing_key.len + properties.len,
           deliver->body);
    message->redelivered = deliver->redelivered != 0;
    return message;
}

static void on_deliver(struct child *child, const struct frame *frame, const uint8_t *payload)
{
    struct deliver_frame deliver;
    struct attempt *attempt = &child->attempts[frame->slot];
    memcpy(&deliver, payload, sizeof deliver);
    struct message *message = read_message(frame, &deliver, payload + sizeof deliver);
    double now = scheduler_moment(loop_scheduler(child->loop));
    bool started = false;
    *attempt = (struct attempt){
        .child = child,
        .message = {.content = message,
                    .queue = child->queue,
                    .is_retry = deliver.is_retry != 0,
                    .attempt = deliver.attempt,
                    .attempts = deliver.attempts,
                    .trace = deliver.trace},
        .fields = {.queue = child->queue,
                   .processor = child->queue + child->setup.queue,
                   .attempt = deliver.attempt},
        .slot = frame->slot,
        .serial = frame->serial,
        .started_at = now,
        .ended_at = now,
        .verdict = WHIPPET_RETRY,
    };
    child_label_write(&attempt->label, (struct child_label){.slot = frame->slot, .serial = frame->serial});
    child->running++;
    if (message != NULL) {
        attempt->fields.message_id = whippet_message_id(&attempt->message);
        task_start(loop_scheduler(child->loop), perform, attempt, now + child->setup.timeout,
                   &attempt->fields, attempt_ended, &started);
    }
    if (started)
        return;
    attempt->reason = memory_copy_text("the child process is out of memory");
    attempt_ended(attempt, 0);
}

static void on_cancel(struct child *child, const struct frame *frame)
{
    struct attempt *attempt = &child->attempts[frame->slot];
    if (attempt->task != NULL && attempt->serial == frame->serial)
        task_cancel(attempt->task);
}

/* --- Publishing -----------------------------------------------------------------------------------------*/

/* False when memory is short. */
static bool send_publication(struct child *child, const whippet_publication *publication,
                             const struct publish_span *span, whippet_bytes properties, double deadline,
                             uint32_t serial)
{
    whippet_bytes exchange = bytes_of_text(publication->exchange);
    whippet_bytes routing_key = bytes_of_text(publication->routing_key);
    struct publish_frame head = {
        .deadline = deadline,
        .body = publication->body.len,
        .exchange = (uint32_t)exchange.len,
        .routing_key = (uint32_t)routing_key.len,
        .properties = (uint32_t)properties.len,
        .span = *span,
    };
    const whippet_bytes parts[] = {bytes_of(&head, sizeof head), exchange, routing_key, properties,
                                   publication->body};
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        length += parts[i].len;
    if (length > FRAME_LENGTH_MAX)
        return false;
    uint8_t *at = frame_link_begin(&child->link, FRAME_PUBLISH, 0, serial, length, (whippet_bytes){0});
    for (size_t i = 0; at != NULL && i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    return at != NULL;
}

static int await_confirm(whippet_task *task, struct child *child, struct publication *publication)
{
    int error = waiter_wait(task, &publication->done, INFINITY, "publishing");
    if (publication->done.woken)
        return error;
    frame_link_send(&child->link, FRAME_RECALL, 0, publication->serial, NULL, 0);
    return error;
}

static int publish(void *owner, whippet_task *task, const whippet_publication *publication,
                   const struct publish_span *span)
{
    struct child *child = owner;
    struct publication entry = {.serial = ++child->publication_serial};
    struct buffer properties;
    int error = task_struck(task);
    if (error != 0)
        return error;
    buffer_init(&properties);
    waiter_init(&entry.done);
    error = publication_write_properties(publication, &properties);
    if (error == 0 && !send_publication(child, publication, span,
                                        bytes_of(buffer_begin(&properties), buffer_length(&properties)),
                                        task_deadline(task), entry.serial))
        error = WHIPPET_E_MEMORY;
    buffer_destroy(&properties);
    if (error != 0)
        return error;
    list_append(&child->publications, &entry.link);
    error = await_confirm(task, child, &entry);
    list_remove(&entry.link);
    return error;
}

static void on_published(struct child *child, const struct frame *frame, const uint8_t *payload)
{
    int32_t result;
    memcpy(&result, payload, sizeof result);
    list_each (link, &child->publications) {
        struct publication *publication = list_entry(link, struct publication, link);
        if (publication->serial == frame->serial) {
            waiter_wake(&publication->done, result);
            return;
        }
    }
}

static void configure_log(const struct log_frame *log)
{
    bool text =
        log->format == CONFIG_LOG_TEXT || (log->format == CONFIG_LOG_AUTO && isatty(STDERR_FILENO) == 1);
    log_configure(STDERR_FILENO, (enum whippet_log_level)log->level,
                  text ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
}

static void on_log(const uint8_t *payload)
{
    struct log_frame log;
    memcpy(&log, payload, sizeof log);
    configure_log(&log);
}

/* --- The parent's word ----------------------------------------------------------------------------------*/

static void on_closed(void *owner, int error)
{
    struct child *child = owner;
    (void)error;
    child->abandoned = true;
    loop_stop(child->loop);
}

static bool is_sound(const struct child *child, const struct frame *frame)
{
    switch (frame->kind) {
    case FRAME_DELIVER:
        return frame->slot < child->setup.slots && frame->length >= sizeof(struct deliver_frame);
    case FRAME_CANCEL: return frame->slot < child->setup.slots;
    case FRAME_PUBLISHED: return frame->length == sizeof(int32_t);
    case FRAME_LOG: return frame->length == sizeof(struct log_frame);
    default: return frame->kind == FRAME_DRAIN;
    }
}

static void on_frame(void *owner, const struct frame *frame, const uint8_t *payload)
{
    struct child *child = owner;
    if (!is_sound(child, frame)) {
        on_closed(child, WHIPPET_E_PROTOCOL);
        return;
    }
    switch (frame->kind) {
    case FRAME_DELIVER: on_deliver(child, frame, payload); break;
    case FRAME_CANCEL: on_cancel(child, frame); break;
    case FRAME_PUBLISHED: on_published(child, frame, payload); break;
    case FRAME_LOG: on_log(payload); break;
    default:
        child->draining = true;
        leave_when_done(child);
        break;
    }
}

static const struct frame_handlers HANDLERS = {.frame = on_frame, .closed = on_closed};

/* --- Its threads of whippet_offload ---------------------------------------------------------------------*/

static void *enter_thread(void *owner)
{
    struct child *child = owner;
    return &child->page->calls[atomic_fetch_add(&child->call_threads, 1)];
}

static void leave_thread(void *seat)
{
    (void)seat;
}

static void begin_call(void *seat, const whippet_task *task)
{
    const struct task_label *label = task_label(task);
    if (label != NULL)
        board_show(seat, label);
}

static void end_call(void *seat)
{
    board_clear(seat);
}

static const struct offload_observer CALLS = {
    .enter = enter_thread, .leave = leave_thread, .begin = begin_call, .end = end_call};

/* --- Setting up -----------------------------------------------------------------------------------------*/

static bool receive_whole(void *data, size_t length)
{
    ssize_t count;
    do
        count = recv(CHILD_SOCKET, data, length, MSG_WAITALL);
    while (count < 0 && errno == EINTR);
    return count == (ssize_t)length;
}

/* The first frame, which says what this child is for; the settings stay in it. False when there is none. */
static bool receive_setup(struct child *child, uint8_t **payload)
{
    struct frame frame;
    if (!receive_whole(&frame, sizeof frame) || frame.kind != FRAME_SETUP ||
        frame.length < sizeof child->setup || frame.length > FRAME_LENGTH_MAX)
        return false;
    *payload = memory_allocate(frame.length);
    if (*payload == NULL || !receive_whole(*payload, frame.length))
        return false;
    memcpy(&child->setup, *payload, sizeof child->setup);
    child->queue = (const char *)*payload + sizeof child->setup;
    child->path = child->queue + child->setup.queue + child->setup.processor;
    return true;
}

static void tell_failure(const struct whippet_failure *failure)
{
    struct frame frame = {.kind = FRAME_FAILED, .length = (uint32_t)strlen(failure->text)};
    if (send(CHILD_SOCKET, &frame, sizeof frame, MSG_NOSIGNAL | MSG_MORE) == sizeof frame)
        send(CHILD_SOCKET, failure->text, frame.length, MSG_NOSIGNAL);
}

static int set_up_processor(struct child *child, struct whippet_failure *failure)
{
    whippet_bytes settings = bytes_of(child->path + child->setup.path, child->setup.settings);
    struct plugin *plugin =
        plugin_load_inherited(child->setup.has_plugin != 0 ? CHILD_PLUGIN : -1, child->path, failure);
    if (plugin == NULL)
        return failure->error;
    whippet_settings *read = settings_read(plugin, settings);
    if (read == NULL)
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory for the settings");
    else if (processor_setup(&child->processor, plugin, read, failure) == 0)
        return 0;
    settings_destroy(read);
    plugin_unload(plugin);
    return failure->error;
}

static int make_loop(struct child *child, struct whippet_failure *failure)
{
    child->loop = loop_create(child->setup.stack_size, failure);
    if (child->loop == NULL)
        return failure->error;
    loop_scheduler(child->loop)->clock = clock_monotonic;
    child->spawned.most = child->setup.spawned;
    loop_scheduler(child->loop)->quota = &child->spawned;
    loop_scheduler(child->loop)->board = &child->page->board;
    loop_show_turns(child->loop, &child->page->turn_began);
    loop_observe_offload(child->loop, &CALLS, child);
    child->attempts = memory_allocate_zeroed(child->setup.slots * sizeof *child->attempts);
    if (child->attempts == NULL ||
        !frame_link_open(&child->link, child->loop, CHILD_SOCKET, &HANDLERS, child))
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    return 0;
}

static void background_ended(void *owner)
{
    const struct child *child = owner;
    loop_stop(child->loop);
}

static int start_background(struct child *child, struct whippet_failure *failure)
{
    child->background_fields =
        (struct log_fields){.queue = child->queue, .processor = child->queue + child->setup.queue};
    child->background.ended = background_ended;
    child->background.owner = child;
    publishing_install(publish, child);
    if (background_start(&child->background, loop_scheduler(child->loop), &child->processor,
                         &child->background_fields))
        return 0;
    return failure_set(failure, WHIPPET_E_MEMORY, "out of memory for a task");
}

/* False when the parent has gone meanwhile. */
static bool end_background(struct child *child)
{
    background_cancel(&child->background);
    while (background_runs(&child->background) && !child->abandoned)
        loop_run(child->loop);
    return !child->abandoned;
}

static int set_up(struct child *child, struct whippet_failure *failure)
{
    size_t size = sizeof *child->page + child->setup.slots * sizeof child->page->begun[0];
    child->page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_PAGE, 0);
    if (child->page == MAP_FAILED)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    close(CHILD_PAGE);
    configure_log(&child->setup.log);
    int error = set_up_processor(child, failure);
    if (error == 0)
        error = make_loop(child, failure);
    return error == 0 ? start_background(child, failure) : error;
}

/* Interrupts what blocks in the system, and does nothing else. */
static void on_term(int number)
{
    (void)number;
}

/* The worker is told to stop by signals, its children by the worker: whoever signals all of a group or a
 * service must not end the children before their work. SIGTERM alone gets a chance to end a system call that
 * blocks; the parent sends it before it kills. */
static void prepare_process(void)
{
    static const int ignored[] = {SIGINT, SIGHUP, SIGUSR1, SIGPIPE, SIGQUIT};
    struct sigaction interrupting = {.sa_handler = on_term};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    sigaction(SIGTERM, &interrupting, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "whippet-child");
}

static enum child_end run(struct child *child)
{
    frame_link_send(&child->link, FRAME_READY, 0, 0, NULL, 0);
    loop_run(child->loop);
    if (child->abandoned || !end_background(child))
        return CHILD_ABANDONED;
    frame_link_flush(&child->link);
    processor_teardown(&child->processor);
    frame_link_close(&child->link);
    if (loop_offloaded(child->loop) == 0) /* a lookup that hangs is not waited for */
        loop_destroy(child->loop);
    return CHILD_DONE;
}

/* Whatever of it was there already. */
static void give_up_setup(struct child *child)
{
    frame_link_close(&child->link);
    processor_teardown(&child->processor);
    if (child->loop != NULL)
        loop_destroy(child->loop);
}

enum child_end child_serve(pid_t parent)
{
    struct child child = {.link.descriptor = -1};
    struct whippet_failure failure = {0};
    uint8_t *payload = NULL;
    enum child_end end = CHILD_ABANDONED;
    list_init(&child.publications);
    prepare_process();
    if (getppid() != parent || !receive_setup(&child, &payload)) {
        memory_free(payload);
        return CHILD_ABANDONED;
    }
    if (set_up(&child, &failure) == 0) {
        end = run(&child);
    } else {
        tell_failure(&failure);
        give_up_setup(&child);
        end = CHILD_NOT_SET_UP;
    }
    if (end != CHILD_ABANDONED) {
        memory_free(child.attempts);
        memory_free(payload);
    }
    return end;
}
