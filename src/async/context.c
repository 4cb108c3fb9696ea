#include "context_backend.h"
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

/* --- AddressSanitizer: which stack the thread is on, and which shadow is stale --------------------------*/

#ifdef WITH_ASAN

/* Whoever arrives is told the bounds of the stack it came from: that is how home's become known. */
static _Thread_local struct context *asan_departed;

static void asan_depart(struct context *from, struct context *to, bool finished)
{
    asan_departed = from;
    __sanitizer_start_switch_fiber(finished ? NULL : &from->fake_stack, to->low,
                                   (size_t)(to->high - to->low));
}

static void asan_arrive(struct context *self)
{
    const void *low = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(self->fake_stack, &low, &size);
    if (asan_departed->entry == NULL) {
        asan_departed->low = (char *)(uintptr_t)low;
        asan_departed->high = asan_departed->low + size;
    }
}

/* Frames between here and the entry never return, so nobody else clears their red zones before the stack's
 * next user. */
static void asan_clear_frames(struct context *self)
{
    enum {
        BELOW = 4096
    }; /* what the switch itself takes */
    char *here = __builtin_frame_address(0);
    char *low = here - self->low > BELOW ? here - BELOW : self->low;
    __asan_unpoison_memory_region(low, (size_t)(self->high - low));
}

#else

static void asan_depart(struct context *from, struct context *to, bool finished)
{
    (void)from, (void)to, (void)finished;
}

static void asan_arrive(struct context *self)
{
    (void)self;
}

static void asan_clear_frames(struct context *self)
{
    (void)self;
}

#endif

/* --- ThreadSanitizer: one fiber a context ---------------------------------------------------------------*/

#ifdef WITH_TSAN

static void tsan_init(struct context *context)
{
    context->fiber = __tsan_create_fiber(0);
}

static void tsan_destroy(struct context *context)
{
    __tsan_destroy_fiber(context->fiber);
}

/* A home's fiber is that of the thread that leaves it, which need not be the one that made it. Inlined, so
 * that no function is entered on one fiber's books and left on another's. */
static inline __attribute__((always_inline)) void tsan_depart(struct context *from, struct context *to)
{
    if (from->entry == NULL)
        from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
}

#else

static void tsan_init(struct context *context)
{
    (void)context;
}

static void tsan_destroy(struct context *context)
{
    (void)context;
}

static void tsan_depart(struct context *from, struct context *to)
{
    (void)from, (void)to;
}

#endif

/* --- Valgrind: every stack, for as long as it is mapped -------------------------------------------------*/

unsigned context_announce_stack(void *low, void *high)
{
#ifdef VALGRIND_STACK_REGISTER
    return VALGRIND_STACK_REGISTER(low, (char *)high - 1);
#else
    (void)low, (void)high;
    return 0;
#endif
}

void context_retract_stack(unsigned number)
{
#ifdef VALGRIND_STACK_DEREGISTER
    VALGRIND_STACK_DEREGISTER(number);
#else
    (void)number;
#endif
}

/* --- Contexts -------------------------------------------------------------------------------------------*/

bool context_init_home(struct context *home)
{
    *home = (struct context){0};
    return backend_init_home(home);
}

void context_destroy_home(struct context *home)
{
    backend_destroy_home(home);
}

void context_init(struct context *context, void *low, void *high, context_entry *entry, void *argument)
{
    *context = (struct context){.low = low, .high = high, .entry = entry, .argument = argument};
    tsan_init(context);
    backend_init(context);
}

void context_destroy(struct context *context)
{
    tsan_destroy(context);
}

void context_switch(struct context *from, struct context *to)
{
    asan_depart(from, to, false);
    tsan_depart(from, to);
    backend_switch(from, to);
    asan_arrive(from);
}

void context_finish(struct context *from, struct context *to)
{
    asan_clear_frames(from);
    asan_depart(from, to, true);
    tsan_depart(from, to);
    backend_switch(from, to);
    __builtin_unreachable();
}

void context_begin(struct context *context)
{
    asan_arrive(context);
    context->entry(context->argument);
    __builtin_unreachable();
}
