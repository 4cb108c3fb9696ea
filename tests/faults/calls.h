/* System calls, and allocations, that fail when a test says so: the n-th of a kind, counted over all threads.
 */
#ifndef FAULTS_CALLS_H
#define FAULTS_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum effect {
    EFFECT_FAILS, /* with the error, as that call reports one */
    EFFECT_SHORT, /* one byte is read or written */
    EFFECT_ENDS,  /* as at the end of a file, or when the peer has closed */
};

struct fault {
    const char *call; /* "recv"; "memory": an allocation */
    enum effect effect;
    int error;        /* an errno; of getaddrinfo an EAI_… */
    const char *name; /* of the above, for people */
};

/* All there are; ends with one without a call. */
extern const struct fault FAULTS[];

/* From now on the fault strikes the calls from the `from`-th (counted from 1) on, `count` of them. NULL:
 * none. */
void calls_arm(const struct fault *fault, long from, long count);

/* Where it counts the calls of that kind, from 0 each time that one is armed. */
void calls_count_in(atomic_long *made);

/* NULL: there is none. */
const struct fault *fault_find(const char *call, const char *name);

/* What this thread calls until the other word is given is the test's own business: neither struck nor
 * counted. */
void calls_shield(bool shielded);

#endif
