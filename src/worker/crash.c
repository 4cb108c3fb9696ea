/* Everything from the handler down is async-signal-safe: no allocation, no lock, no stdio. */
#include <async/task.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <worker/crash.h>

enum {
    SIGNAL_STACK = 64 * 1024,
    FRAMES = 40,
    TEXT_SIZE = 512,
};

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static const char *const NAMES[] = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"};

enum {
    SIGNAL_COUNT = sizeof SIGNALS / sizeof SIGNALS[0]
};

static struct sigaction before[SIGNAL_COUNT];
static struct ledger *told; /* NULL: the handlers are not installed */
static atomic_flag at_work = ATOMIC_FLAG_INIT;

/* In the program itself, so that reading it in a handler allocates nothing. */
static _Thread_local struct crash_site *here __attribute__((tls_model("initial-exec")));

/* --- Words ----------------------------------------------------------------------------------------------*/

struct words {
    char text[TEXT_SIZE];
    size_t length;
};

static void say(struct words *words, const char *text)
{
    size_t length = strlen(text);
    size_t room = sizeof words->text - 1 - words->length;
    length = length < room ? length : room;
    memcpy(words->text + words->length, text, length);
    words->length += length;
    words->text[words->length] = '\0';
}

static void say_number(struct words *words, uint64_t number, unsigned base)
{
    char digits[24];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    say(words, at);
}

static void say_address(struct words *words, uintptr_t address)
{
    say(words, "0x");
    say_number(words, address, 16);
}

/* --- The stack ------------------------------------------------------------------------------------------*/

static void say_frame(struct words *words, unsigned number, void *address)
{
    Dl_info info = {0};
    say(words, "  #");
    say_number(words, number, 10);
    say(words, " ");
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL) {
        say_address(words, (uintptr_t)address);
        return;
    }
    say(words, info.dli_fname);
    say(words, "+");
    say_address(words, (uintptr_t)address - (uintptr_t)info.dli_fbase);
    if (info.dli_sname == NULL)
        return;
    say(words, " ");
    say(words, info.dli_sname);
    say(words, "+");
    say_address(words, (uintptr_t)address - (uintptr_t)info.dli_saddr);
}

void crash_log_stack(const struct log_fields *fields)
{
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    for (int i = 0; i < count; i++) {
        struct words words = {.length = 0};
        say_frame(&words, (unsigned)i, frames[i]);
        log_event_from_signal(fields, words.text);
    }
}

/* --- The report -----------------------------------------------------------------------------------------*/

static const whippet_task *running_task(const struct crash_site *site)
{
    return site != NULL && site->scheduler != NULL ? site->scheduler->running : NULL;
}

const struct log_fields *crash_here(void)
{
    const struct crash_site *site = here;
    const whippet_task *task = running_task(site);
    if (task != NULL)
        return task_log_fields(task);
    return site != NULL ? site->fields : NULL;
}

static void say_overflow(struct words *words, const struct log_fields *fields, size_t stack_size)
{
    say(words, "stack overflow in ");
    say(words, fields != NULL && fields->processor != NULL ? "processor " : "a task of the worker itself");
    say(words, fields != NULL && fields->processor != NULL ? fields->processor : "");
    say(words, ": raise stack_size (now ");
    say_number(words, stack_size / 1024, 10);
    say(words, "KiB), recurse less, or keep large data on the heap (whippet_alloc); ");
}

static const char *signal_name(int number)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        if (SIGNALS[i] == number)
            return NAMES[i];
    return "a signal";
}

static void report(int number, const siginfo_t *info)
{
    const struct crash_site *site = here;
    const struct log_fields *fields = crash_here();
    const whippet_task *task = running_task(site);
    struct words words = {.length = 0};
    bool is_fault = info->si_code > 0; /* and not sent by somebody */
    if (task != NULL && is_fault && number == SIGSEGV && task_stack_overflowed(task, info->si_addr))
        say_overflow(&words, fields, stack_pool_size(site->scheduler->stacks));
    say(&words, "crashed: ");
    say(&words, signal_name(number));
    if (is_fault && number != SIGABRT) {
        say(&words, " at address ");
        say_address(&words, (uintptr_t)info->si_addr);
    } else if (number != SIGABRT) {
        say(&words, ", sent by process ");
        say_number(&words, (uint64_t)info->si_pid, 10);
    }
    say(&words, fields == NULL ? ", in no message's code; the process ends" : "; the process ends");
    log_event_from_signal(fields, words.text);
    crash_log_stack(fields);
}

static void restore(void)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(SIGNALS[i], &before[i], NULL);
}

/* A fault comes again when the instruction is repeated, and then with the registers that a debugger wants to
 * see; what was sent has to be sent again. A second crash, in here or in another thread meanwhile, meets
 * whoever was there before us. */
static void handle(int number, siginfo_t *info, void *context)
{
    (void)context;
    bool is_first = !atomic_flag_test_and_set(&at_work);
    restore();
    if (is_first) {
        ledger_note_crash(told, here != NULL ? here->slot : NULL, number);
        report(number, info);
    }
    if (info->si_code <= 0)
        raise(number);
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

void crash_install(struct ledger *ledger)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    void *frame;
    /* The first call loads the unwinder, which allocates. */
    backtrace(&frame, 1);
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigdelset(&action.sa_mask, SIGNALS[i]);
    told = ledger;
    atomic_flag_clear(&at_work);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(SIGNALS[i], &action, &before[i]);
}

void crash_uninstall(void)
{
    if (told == NULL)
        return;
    restore();
    told = NULL;
}

/* The lowest page is a guard: an overflow of this stack must not write into something else. */
bool crash_enter(struct crash_site *site)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    sigset_t faults;
    sigemptyset(&faults);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaddset(&faults, SIGNALS[i]);
    /* A fault whose signal is blocked kills without a word. */
    pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
    here = site;
    site->memory = NULL;
    char *memory =
        mmap(NULL, guard + SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    mprotect(memory, guard, PROT_NONE);
    stack_t stack = {.ss_sp = memory + guard, .ss_size = SIGNAL_STACK};
    if (sigaltstack(&stack, &site->stack_before) != 0) {
        munmap(memory, guard + SIGNAL_STACK);
        return false;
    }
    site->memory = memory;
    return true;
}

void crash_leave(struct crash_site *site)
{
    here = NULL;
    if (site->memory == NULL)
        return;
    sigaltstack(&site->stack_before, NULL);
    munmap(site->memory, (size_t)sysconf(_SC_PAGESIZE) + SIGNAL_STACK);
    site->memory = NULL;
}
