/* The ledger: what it knows after a death, and what it does with files that are not as they should be. */
#include "../../src/worker/ledger_format.h"
#include <amqp/properties.h>
#include <base/buffer.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char file[96];

static void set_up(void)
{
    strcpy(folder, "/tmp/whippet-ledger.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/whippet-2.ledger", folder);
    log_configure(open("/dev/null", O_WRONLY | O_CLOEXEC), WHIPPET_ERROR, LOG_FORMAT_TEXT);
}

static void tear_down(void)
{
    char command[100];
    ledger_fault = NULL;
    memory_permit = NULL;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(ledger, .init = set_up, .fini = tear_down, .timeout = 60);

/* --- Messages -------------------------------------------------------------------------------------------*/

static struct whippet_message message_of(const char *queue, const char *id, const void *body, size_t size)
{
    struct buffer properties;
    struct properties_draft draft = {.message_id = bytes_of_text(id)};
    buffer_init(&properties);
    cr_assert_eq(properties_write(&properties, &draft), 0);
    struct message *content =
        message_create(bytes_of_text("x"), bytes_of_text("key"),
                       bytes_of(buffer_begin(&properties), buffer_length(&properties)), size);
    memcpy(message_body_storage(content), body, size);
    content->headers = PROPERTIES_SOUND;
    buffer_destroy(&properties);
    return (struct whippet_message){.content = content, .queue = queue, .attempt = 1};
}

static struct task_label label_of_bytes(const char *queue, const char *id, const void *body, size_t size,
                                        bool thorough)
{
    struct task_label label;
    struct whippet_message message = message_of(queue, id, body, size);
    ledger_label_queue(&label, queue);
    ledger_label_message(&label, &message, whippet_message_id(&message), thorough);
    message_destroy(message.content);
    return label;
}

static struct task_label label_of(const char *queue, const char *id, const char *body)
{
    return label_of_bytes(queue, id, body, strlen(body), true);
}

static bool is_same(struct task_label a, struct task_label b)
{
    const struct ledger_mark *first = (const void *)a.bytes, *second = (const void *)b.bytes;
    return memcmp(first->identity, second->identity, sizeof first->identity) == 0;
}

Test(ledger, knows_a_message_by_queue_and_id)
{
    cr_expect(is_same(label_of("q", "1", "a"), label_of("q", "1", "b")));
    cr_expect(!is_same(label_of("q", "1", "a"), label_of("q", "2", "a")));
    cr_expect(!is_same(label_of("q", "1", "a"), label_of("r", "1", "a")));
}

Test(ledger, knows_a_message_without_an_id_by_queue_and_body)
{
    cr_expect(is_same(label_of("q", NULL, "a"), label_of("q", NULL, "a")));
    cr_expect(!is_same(label_of("q", NULL, "a"), label_of("q", NULL, "b")));
    cr_expect(!is_same(label_of("q", NULL, "a"), label_of("r", NULL, "a")));
    cr_expect(is_same(label_of("q", NULL, ""), label_of("q", "", "")), "an empty id is none");
}

Test(ledger, tells_large_messages_apart_that_differ_anywhere_once_it_is_thorough)
{
    enum {
        SIZE = 100000
    };
    static char first[SIZE], second[SIZE];
    second[777] = 1;
    cr_expect(is_same(label_of_bytes("q", NULL, first, SIZE, false),
                      label_of_bytes("q", NULL, second, SIZE, false)),
              "their samples are alike");
    cr_expect(!is_same(label_of_bytes("q", NULL, first, SIZE, true),
                       label_of_bytes("q", NULL, second, SIZE, true)));
    second[SIZE - 1] = 1;
    cr_expect(!is_same(label_of_bytes("q", NULL, first, SIZE, false),
                       label_of_bytes("q", NULL, second, SIZE, false)),
              "the last bytes are among the samples");
}

/* --- Deaths ---------------------------------------------------------------------------------------------*/

static struct ledger *open_kept(void)
{
    struct whippet_failure why;
    struct ledger *ledger = ledger_open(folder, &why);
    cr_assert_not_null(ledger);
    cr_assert(ledger_is_kept(ledger), "%s", why.text);
    return ledger;
}

/* What another process does with its ledger, and how it dies. */
typedef void deed(struct ledger *ledger, struct ledger_slot *slot, const struct task_label *label);

static void dies(deed *what, const struct task_label *label)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct whippet_failure why;
        struct ledger *ledger = ledger_open(folder, &why);
        what(ledger, ledger_slot_acquire(ledger), label);
        kill(getpid(), SIGKILL);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void while_it_runs(struct ledger *ledger, struct ledger_slot *slot, const struct task_label *label)
{
    (void)ledger;
    ledger_slot_mark(slot, label);
}

static void after_it_ran(struct ledger *ledger, struct ledger_slot *slot, const struct task_label *label)
{
    (void)ledger;
    ledger_slot_mark(slot, label);
    ledger_slot_clear(slot);
}

static void of_a_segfault(struct ledger *ledger, struct ledger_slot *slot, const struct task_label *label)
{
    struct task_label neighbour = label_of("q", "neighbour", "");
    ledger_slot_mark(ledger_slot_acquire(ledger), &neighbour);
    ledger_slot_mark(slot, label);
    ledger_note_crash(ledger, slot, SIGSEGV);
}

static void of_a_crash_in_another_thread(struct ledger *ledger, struct ledger_slot *slot,
                                         const struct task_label *label)
{
    ledger_slot_mark(slot, label);
    ledger_note_crash(ledger, NULL, SIGSEGV);
}

static void of_a_stall(struct ledger *ledger, struct ledger_slot *slot, const struct task_label *label)
{
    ledger_slot_mark(slot, label);
    ledger_note_stall(ledger, slot, 30.04);
}

static struct suspicion suspicion_of(struct ledger *ledger, struct task_label label)
{
    struct suspicion suspicion = {0};
    ledger_find_suspect(ledger, &label, &suspicion);
    return suspicion;
}

Test(ledger, charges_the_message_that_was_on_the_cpu_when_the_worker_was_killed)
{
    char words[SUSPICION_TEXT];
    struct task_label label = label_of("q", "1", "");
    dies(while_it_runs, &label);
    dies(while_it_runs, &label);
    struct ledger *ledger = open_kept();
    struct suspicion suspicion = suspicion_of(ledger, label);
    cr_expect_eq(suspicion.crashes, 2, "%u crashes", suspicion.crashes);
    suspicion_describe(&suspicion, words);
    cr_expect_eq(strncmp(words, "crashed the worker 2 times, the last time: killed (SIGKILL", 58), 0, "%s",
                 words);
    cr_expect_eq(suspicion_of(ledger, label_of("q", "2", "")).crashes, 0);
    ledger_close(ledger);
}

Test(ledger, charges_nobody_when_nothing_was_on_the_cpu)
{
    struct task_label label = label_of("q", "1", "");
    dies(after_it_ran, &label);
    struct ledger *ledger = open_kept();
    cr_expect_eq(ledger_suspects(ledger), 0);
    ledger_close(ledger);
}

Test(ledger, charges_the_executor_that_crashed_and_not_its_neighbours)
{
    char words[SUSPICION_TEXT];
    struct task_label label = label_of("q", "1", "");
    dies(of_a_segfault, &label);
    struct ledger *ledger = open_kept();
    struct suspicion suspicion = suspicion_of(ledger, label);
    suspicion_describe(&suspicion, words);
    cr_expect_eq(strncmp(words, "crashed the worker 1 time, once: SIGSEGV, found at 20", 53), 0, "%s", words);
    cr_expect_eq(ledger_suspects(ledger), 1, "the neighbour was charged");
    ledger_close(ledger);
}

Test(ledger, charges_nobody_for_a_crash_outside_of_every_executor)
{
    struct task_label label = label_of("q", "1", "");
    dies(of_a_crash_in_another_thread, &label);
    struct ledger *ledger = open_kept();
    cr_expect_eq(ledger_suspects(ledger), 0);
    ledger_close(ledger);
}

Test(ledger, tells_a_stall_from_a_crash)
{
    char words[SUSPICION_TEXT];
    struct task_label label = label_of("q", "1", "");
    dies(of_a_stall, &label);
    struct ledger *ledger = open_kept();
    struct suspicion suspicion = suspicion_of(ledger, label);
    suspicion_describe(&suspicion, words);
    cr_expect_eq(strncmp(words, "crashed the worker 1 time, once: blocked the loop for 30 s,", 59), 0, "%s",
                 words);
    ledger_close(ledger);
}

Test(ledger, charges_nobody_when_the_machine_went_down)
{
    struct task_label label = label_of("q", "1", "");
    dies(while_it_runs, &label);
    int descriptor = open(file, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(descriptor, "another boot", 12,
                        offsetof(struct ledger_image, regions) + offsetof(struct ledger_region, boot)),
                 12);
    close(descriptor);
    struct ledger *ledger = open_kept();
    cr_expect_eq(ledger_suspects(ledger), 0);
    ledger_close(ledger);
}

Test(ledger, forgets_what_was_settled)
{
    struct task_label label = label_of("q", "1", ""), other = label_of("q", "2", "");
    dies(while_it_runs, &label);
    dies(while_it_runs, &other);
    struct ledger *ledger = open_kept();
    ledger_forget(ledger, &label);
    ledger_forget(ledger, &label);
    cr_expect_eq(ledger_suspects(ledger), 1);
    cr_expect_eq(suspicion_of(ledger, label).crashes, 0);
    cr_expect_eq(suspicion_of(ledger, other).crashes, 1);
    ledger_close(ledger);
}

Test(ledger, knows_a_large_message_again_of_which_it_had_samples_only)
{
    enum {
        SIZE = 100000
    };
    static char body[SIZE], twin[SIZE];
    twin[777] = 1;
    struct task_label fresh = label_of_bytes("q", NULL, body, SIZE, false);
    struct task_label again = label_of_bytes("q", NULL, body, SIZE, true);
    dies(while_it_runs, &fresh);
    dies(while_it_runs, &again);
    struct ledger *ledger = open_kept();
    cr_expect_eq(suspicion_of(ledger, again).crashes, 1);
    ledger_forget(ledger, &again);
    cr_expect_eq(suspicion_of(ledger, again).crashes, 1, "the first crash, of which it had samples");
    cr_expect_eq(suspicion_of(ledger, label_of_bytes("q", NULL, twin, SIZE, true)).crashes, 0,
                 "from then on they are told apart");
    ledger_close(ledger);
}

/* --- Two workers ----------------------------------------------------------------------------------------*/

Test(ledger, leaves_alone_what_a_worker_that_lives_shows_and_charges_it_once_it_is_dead)
{
    int ready[2];
    char byte = 0;
    struct task_label label = label_of("q", "1", "");
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct whippet_failure why;
        struct ledger *theirs = ledger_open(folder, &why);
        ledger_slot_mark(ledger_slot_acquire(theirs), &label);
        byte = ledger_is_kept(theirs) ? 'k' : 'm';
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(byte, 'k');
    struct ledger *ledger = open_kept();
    cr_expect_eq(ledger->region, 1, "it took region %u", ledger->region);
    cr_expect_eq(suspicion_of(ledger, label).crashes, 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_expect_eq(suspicion_of(ledger, label).crashes, 1, "a dead neighbour's message comes to us");
    ledger_close(ledger);
}

Test(ledger, of_a_parent_is_not_held_by_a_child_that_was_forked)
{
    int lifeline[2];
    pid_t parent, child;
    cr_assert_eq(pipe(lifeline), 0);
    parent = fork();
    if (parent == 0) {
        struct whippet_failure why;
        struct task_label label = label_of("q", "1", "");
        ledger_slot_mark(ledger_slot_acquire(ledger_open(folder, &why)), &label);
        child = fork();
        if (child == 0) {
            char byte;
            close(lifeline[1]);
            _exit((int)read(lifeline[0], &byte, 1));
        }
        kill(getpid(), SIGKILL);
    }
    waitpid(parent, NULL, 0);
    struct ledger *ledger = open_kept();
    cr_expect_eq(ledger_suspects(ledger), 1);
    ledger_close(ledger);
    close(lifeline[1]);
}

/* --- Full -----------------------------------------------------------------------------------------------*/

Test(ledger, that_is_full_forgets_the_oldest)
{
    struct ledger *ledger = open_kept();
    for (unsigned i = 0; i < LEDGER_SUSPECTS + 2; i++) {
        char id[16];
        snprintf(id, sizeof id, "%u", i);
        struct task_label label = label_of("q", id, "");
        struct ledger_slot *slot = ledger_slot_acquire(ledger);
        ledger_slot_mark(slot, &label);
        cr_assert(ledger_charge_region(ledger, ledger->region));
    }
    cr_expect_eq(ledger_suspects(ledger), LEDGER_SUSPECTS);
    cr_expect_eq(suspicion_of(ledger, label_of("q", "0", "")).crashes, 0);
    cr_expect_eq(suspicion_of(ledger, label_of("q", "257", "")).crashes, 1);
    ledger_close(ledger);
}

Test(ledger, has_a_place_for_each_executor_until_there_are_no_more)
{
    struct ledger *ledger = open_kept();
    struct ledger_slot *slot = NULL;
    for (unsigned i = 0; i < LEDGER_SLOTS; i++)
        cr_assert_not_null(slot = ledger_slot_acquire(ledger));
    cr_expect_null(ledger_slot_acquire(ledger));
    ledger_slot_mark(NULL, NULL);
    ledger_slot_clear(NULL);
    ledger_slot_release(slot);
    cr_expect_not_null(ledger_slot_acquire(ledger));
    ledger_close(ledger);
}

/* Regions that no lock can be had for: as if each had a worker. */
Test(ledger, without_a_free_place_for_this_worker_is_one_in_memory)
{
    struct whippet_failure why;
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    ledger_close(open_kept());
    pid_t child = fork();
    if (child == 0) {
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = LEDGER_WORKERS};
        int descriptor = open(file, O_RDWR | O_CLOEXEC);
        if (fcntl(descriptor, F_SETLK, &all) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    struct ledger *ledger = ledger_open(folder, &why);
    cr_expect(!ledger_is_kept(ledger));
    cr_expect_not_null(strstr(why.text, "its 32 places for workers are taken"), "%s", why.text);
    ledger_close(ledger);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* --- Files that are not as they should be ---------------------------------------------------------------*/

static void write_file(const void *data, size_t size)
{
    FILE *stream = fopen(file, "we");
    cr_assert_not_null(stream);
    cr_assert_eq(fwrite(data, 1, size, stream), size);
    fclose(stream);
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

/* It can't be used, for the reason that `words` are part of; everything works all the same. */
static void assert_in_memory(const char *words)
{
    struct whippet_failure why;
    struct task_label label = label_of("q", "1", "");
    struct ledger *ledger = ledger_open(folder, &why);
    cr_assert_not_null(ledger);
    cr_expect(!ledger_is_kept(ledger));
    cr_expect_not_null(strstr(why.text, words), "\"%s\" does not say \"%s\"", why.text, words);
    struct ledger_slot *slot = ledger_slot_acquire(ledger);
    ledger_slot_mark(slot, &label);
    cr_expect_eq(suspicion_of(ledger, label).crashes, 0);
    ledger_forget(ledger, &label);
    ledger_note_crash(ledger, slot, SIGSEGV);
    ledger_close(ledger);
}

Test(ledger, that_is_somebody_elses_file_is_left_as_it_is)
{
    write_file("a letter", 8);
    assert_in_memory("is no ledger of Whippet's, and left as it is");
    cr_expect_eq(size_of(file), 8);
}

Test(ledger, of_another_version_is_left_as_it_is)
{
    struct ledger_header header;
    ledger_header_fill(&header);
    header.version = LEDGER_VERSION + 1;
    ledger_header_seal(&header);
    write_file(&header, sizeof header);
    assert_in_memory("is of another version (3); move it away");
    cr_expect_eq(size_of(file), (off_t)sizeof header);
}

Test(ledger, that_is_torn_is_set_aside_and_begun_anew)
{
    char aside[128];
    ledger_close(open_kept());
    cr_assert_eq(truncate(file, 5000), 0);
    struct ledger *ledger = open_kept();
    cr_expect_eq(size_of(file), (off_t)sizeof(struct ledger_image));
    snprintf(aside, sizeof aside, "%s.damaged", file);
    cr_expect_eq(size_of(aside), 5000);
    ledger_close(ledger);
}

Test(ledger, that_is_empty_is_begun_anew)
{
    write_file("", 0);
    ledger_close(open_kept());
    cr_expect_eq(size_of(file), (off_t)sizeof(struct ledger_image));
}

Test(ledger, drops_suspects_that_are_torn_or_a_week_old)
{
    struct task_label torn = label_of("q", "1", ""), old = label_of("q", "2", ""),
                      fine = label_of("q", "3", "");
    dies(while_it_runs, &torn);
    dies(while_it_runs, &old);
    dies(while_it_runs, &fine);
    struct ledger *ledger = open_kept();
    cr_assert_eq(ledger_suspects(ledger), 3);
    ledger->image->suspects[0].crashes = 99;
    ledger->image->suspects[1].at -= 8 * 86400;
    cr_expect_eq(suspicion_of(ledger, old).crashes, 0, "it is too old");
    ledger_close(ledger);
    ledger = open_kept();
    cr_expect_eq(ledger_suspects(ledger), 1);
    cr_expect_eq(suspicion_of(ledger, fine).crashes, 1);
    ledger_close(ledger);
}

Test(ledger, makes_its_folder)
{
    struct whippet_failure why;
    char inner[100];
    snprintf(inner, sizeof inner, "%s/state", folder);
    struct ledger *ledger = ledger_open(inner, &why);
    cr_expect(ledger_is_kept(ledger), "%s", why.text);
    ledger_close(ledger);
}

Test(ledger, without_a_folder_is_one_in_memory)
{
    struct whippet_failure why;
    struct ledger *ledger = ledger_open(NULL, &why);
    cr_expect(!ledger_is_kept(ledger));
    cr_expect_not_null(strstr(why.text, "state_dir is not set"), "%s", why.text);
    ledger_close(ledger);
}

/* --- Faults ---------------------------------------------------------------------------------------------*/

static const char *faulty_call;
static int faulty_error;

static int fault_call(const char *call)
{
    return strcmp(call, faulty_call) == 0 ? faulty_error : 0;
}

static void assert_survives(const char *call, int error, const char *words)
{
    faulty_call = call;
    faulty_error = error;
    ledger_fault = fault_call;
    assert_in_memory(words);
    ledger_fault = NULL;
}

Test(ledger, is_in_memory_where_any_system_call_fails_while_it_is_made)
{
    assert_survives("mkdir", EROFS, "cannot make the folder");
    assert_survives("create", EROFS,
                    "Read-only file system; set state_dir to a folder that this user can write to");
    assert_survives("create", EACCES, "Permission denied; set state_dir");
    assert_survives("fallocate", ENOSPC, "No space left on device; make room there");
    assert_survives("write", EDQUOT, "make room there");
    assert_survives("link", EPERM, "cannot make");
    cr_expect_eq(size_of(file), -1, "something was left");
    cr_expect_eq(rmdir(folder), 0, "a draft was left: %s", strerror(errno));
    cr_assert_eq(mkdir(folder, 0700), 0);
}

Test(ledger, is_in_memory_where_any_system_call_fails_while_it_is_opened)
{
    ledger_close(open_kept());
    assert_survives("open", EROFS, "Read-only file system; set state_dir");
    assert_survives("fstat", EIO, "cannot look at");
    assert_survives("read", EIO, "cannot read");
    assert_survives("mmap", ENODEV, "cannot map");
    assert_survives("lock", ENOLCK, "this file system has no locks");
    write_file("", 0);
    assert_survives("rename", EROFS, "is damaged");
    assert_survives("lock", ENOLCK, "is damaged");
    ledger_close(open_kept());
}

static unsigned allowed;

static bool permit_some(size_t size)
{
    (void)size;
    return allowed-- > 0;
}

Test(ledger, fails_cleanly_when_memory_is_short)
{
    struct whippet_failure why;
    allowed = 0;
    memory_permit = permit_some;
    cr_expect_null(ledger_open(folder, &why));
    allowed = 1;
    cr_expect_null(ledger_open(NULL, &why));
    memory_permit = NULL;
}

/* --- For people -----------------------------------------------------------------------------------------*/

Test(ledger, describes_itself_without_being_made)
{
    char text[1000];
    struct task_label label = label_of("orders", "abc", "");
    ledger_describe(NULL, text, sizeof text);
    cr_expect_eq(strncmp(text, "none: ", 6), 0, "%s", text);
    ledger_describe(folder, text, sizeof text);
    cr_expect_not_null(strstr(text, "which is not there yet"), "%s", text);
    cr_expect_eq(size_of(file), -1);
    dies(while_it_runs, &label);
    ledger_close(open_kept());
    ledger_describe(folder, text, sizeof text);
    cr_expect_not_null(
        strstr(text, "workers 0, suspects 1\n    orders, message abc: crashed the worker 1 time"), "%s",
        text);
    write_file("a letter", 8);
    ledger_describe(folder, text, sizeof text);
    cr_expect_not_null(strstr(text, "is no ledger"), "%s", text);
}
