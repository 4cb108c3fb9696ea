#include <async/context.h>
#include <async/stack.h>
#include <base/memory.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    SLAB_SIZE = 16 << 20,      /* bytes mapped at a time */
    SMALLEST_STACK = 16384,    /* bytes */
    MAPPINGS_OF_OTHERS = 1024, /* left to the program, its libraries and malloc */
    MAPPINGS_BY_DEFAULT = 65530,
};

/* One mapping, cut into stacks. */
struct slab {
    struct slab *next;
    char *memory;
    size_t count;       /* of stacks; fewer than asked for where the machine ran out of mappings */
    unsigned numbers[]; /* Valgrind's, of each */
};

struct stack_pool {
    size_t size; /* of a stack, its guard included */
    size_t page;
    size_t per_slab;
    enum stack_guard guard;
    bool measured;
    size_t deepest; /* bytes; the most that a stack was used since measuring began */
    struct slab *slabs;
    size_t total; /* stacks in all slabs */

    /* The unused ones by their lowest usable address, the one released last at the end. The array has room
     * for all. */
    char **unused;
    size_t unused_count;
    size_t clean_count;  /* the first ones, which hold no memory */
    size_t unused_least; /* the fewest that were unused at any time since they were last looked through */
};

/* --- Guards ---------------------------------------------------------------------------------------------*/

static bool guard_install(char *page, size_t size, enum stack_guard guard)
{
    if (guard == STACK_GUARD_MADVISE)
        return madvise(page, size, MADV_GUARD_INSTALL) == 0;
    return mprotect(page, size, PROT_NONE) == 0;
}

/* Asks the kernel to read the page: of a system call that is wrong in every way, a bad address is what it
 * sees first. */
static bool page_is_readable(const void *page)
{
    enum {
        NO_SUCH_OPERATION = -1,
        SIGNAL_SET_SIZE = 8
    };
    return syscall(SYS_rt_sigprocmask, NO_SUCH_OPERATION, page, NULL, SIGNAL_SET_SIZE) == 0 ||
           errno != EFAULT;
}

/* Not only asked but tried: emulators are known to accept any advice and to do nothing. */
static bool guard_works(size_t page, enum stack_guard guard)
{
    char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    bool works =
        guard_install(memory, page, guard) && (guard == STACK_GUARD_MPROTECT || !page_is_readable(memory));
    munmap(memory, page);
    return works;
}

/* --- Slabs ----------------------------------------------------------------------------------------------*/

static char *slab_map(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    /* A huge page would make a stack of which one page is touched cost 2 MiB. */
    madvise(memory, size, MADV_NOHUGEPAGE);
    return memory;
}

static bool reserve_unused(struct stack_pool *pool, size_t count)
{
    char **unused = memory_resize(pool->unused, count * sizeof *unused);
    if (unused == NULL)
        return false;
    pool->unused = unused;
    return true;
}

/* Maps one slab more and puts its stacks among the unused ones, of which there are none. */
static bool pool_grow(struct stack_pool *pool)
{
    struct slab *slab = memory_allocate(sizeof *slab + pool->per_slab * sizeof slab->numbers[0]);
    if (slab == NULL || !reserve_unused(pool, pool->total + pool->per_slab) ||
        (slab->memory = slab_map(pool->per_slab * pool->size)) == NULL) {
        memory_free(slab);
        return false;
    }
    slab->count = 0;
    while (slab->count < pool->per_slab) {
        char *guard = slab->memory + slab->count * pool->size;
        if (!guard_install(guard, pool->page, pool->guard))
            break;
        char *low = guard + pool->page;
        slab->numbers[slab->count++] = context_announce_stack(low, guard + pool->size);
        pool->unused[pool->unused_count++] = low;
    }
    size_t left = (pool->per_slab - slab->count) * pool->size;
    if (left > 0)
        munmap(slab->memory + slab->count * pool->size, left);
    if (slab->count == 0) {
        memory_free(slab);
        return false;
    }
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->total += slab->count;
    pool->clean_count = pool->unused_count;
    return true;
}

static void slab_destroy(struct slab *slab, size_t stack_size)
{
    for (size_t i = 0; i < slab->count; i++)
        context_retract_stack(slab->numbers[i]);
    munmap(slab->memory, slab->count * stack_size);
    memory_free(slab);
}

/* --- The pool -------------------------------------------------------------------------------------------*/

bool stack_size_valid(size_t size)
{
    return size >= SMALLEST_STACK && size % (size_t)sysconf(_SC_PAGESIZE) == 0 && size <= SIZE_MAX / 2;
}

struct stack_pool *stack_pool_create_guarded(size_t size, enum stack_guard guard)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!stack_size_valid(size) || !guard_works(page, guard))
        return NULL;
    struct stack_pool *pool = memory_allocate_zeroed(sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->size = size;
    pool->page = page;
    pool->per_slab = size < SLAB_SIZE ? SLAB_SIZE / size : 1;
    pool->guard = guard;
    return pool;
}

struct stack_pool *stack_pool_create(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bool best = guard_works(page, STACK_GUARD_MADVISE);
    return stack_pool_create_guarded(size, best ? STACK_GUARD_MADVISE : STACK_GUARD_MPROTECT);
}

void stack_pool_destroy(struct stack_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->slabs != NULL) {
        struct slab *slab = pool->slabs;
        pool->slabs = slab->next;
        slab_destroy(slab, pool->size);
    }
    memory_free(pool->unused);
    memory_free(pool);
}

bool stack_acquire(struct stack_pool *pool, struct stack *stack)
{
    if (pool->unused_count == 0 && !pool_grow(pool))
        return false;
    char *low = pool->unused[--pool->unused_count];
    if (pool->clean_count > pool->unused_count)
        pool->clean_count = pool->unused_count;
    if (pool->unused_least > pool->unused_count)
        pool->unused_least = pool->unused_count;
    *stack = (struct stack){.low = low, .high = low + pool->size - pool->page};
    return true;
}

void stack_release(struct stack_pool *pool, struct stack stack)
{
    pool->unused[pool->unused_count++] = stack.low;
    if (!pool->measured)
        return;
    size_t used = stack_used(stack);
    if (used > pool->deepest)
        pool->deepest = used;
    stack_pool_trim(pool, 0);
}

bool stack_guards(const struct stack_pool *pool, struct stack stack, const void *address)
{
    uintptr_t low = (uintptr_t)stack.low;
    uintptr_t at = (uintptr_t)address;
    return at < low && at >= low - pool->page;
}

/* --- Giving memory back ---------------------------------------------------------------------------------*/

/* The guard's advice outlives this one, and is left out anyway. */
static void clean_up_to(struct stack_pool *pool, size_t count)
{
    while (pool->clean_count < count)
        madvise(pool->unused[pool->clean_count++], pool->size - pool->page, MADV_DONTNEED);
}

void stack_pool_trim(struct stack_pool *pool, size_t keep)
{
    if (pool->unused_count > keep)
        clean_up_to(pool, pool->unused_count - keep);
}

size_t stack_pool_idle(const struct stack_pool *pool)
{
    return pool->unused_count - pool->clean_count;
}

bool stack_pool_trim_idle(struct stack_pool *pool, size_t keep, size_t most)
{
    size_t goal = pool->unused_least > keep ? pool->unused_least - keep : 0;
    if (goal > pool->clean_count + most) {
        clean_up_to(pool, pool->clean_count + most);
        return true;
    }
    clean_up_to(pool, goal);
    pool->unused_least = pool->unused_count;
    return false;
}

/* --- Numbers --------------------------------------------------------------------------------------------*/

size_t stack_pool_in_use(const struct stack_pool *pool)
{
    return pool->total - pool->unused_count;
}

size_t stack_pool_size(const struct stack_pool *pool)
{
    return pool->size;
}

enum stack_guard stack_pool_guard(const struct stack_pool *pool)
{
    return pool->guard;
}

static size_t read_most_mappings(void)
{
    size_t most = MAPPINGS_BY_DEFAULT;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file == NULL)
        return most;
    if (fscanf(file, "%zu", &most) != 1)
        most = MAPPINGS_BY_DEFAULT;
    fclose(file);
    return most;
}

size_t stack_pool_limit(const struct stack_pool *pool)
{
    if (pool->guard == STACK_GUARD_MADVISE)
        return SIZE_MAX;
    size_t most = read_most_mappings();
    return most > MAPPINGS_OF_OTHERS ? (most - MAPPINGS_OF_OTHERS) / 2 : 0;
}

void stack_pool_measure(struct stack_pool *pool)
{
    pool->measured = true;
    pool->deepest = 0;
    stack_pool_trim(pool, 0);
}

size_t stack_pool_deepest(const struct stack_pool *pool)
{
    return pool->deepest;
}

size_t stack_used(struct stack stack)
{
    enum {
        AT_ONCE = 256
    };
    unsigned char resident[AT_ONCE];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (char *at = stack.low; at < stack.high; at += AT_ONCE * page) {
        size_t left = (size_t)(stack.high - at) / page;
        size_t count = left < AT_ONCE ? left : AT_ONCE;
        if (mincore(at, count * page, resident) != 0)
            return 0;
        for (size_t i = 0; i < count; i++) {
            if ((resident[i] & 1) != 0)
                return (size_t)(stack.high - at) - i * page;
        }
    }
    return 0;
}
