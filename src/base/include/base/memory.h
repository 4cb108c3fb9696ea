/* Allocation behind one replaceable function, so that tests can make any allocation fail. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Each returns NULL when memory is short; what they return is given back with memory_free. */
void *memory_allocate(size_t size);
void *memory_allocate_zeroed(size_t size);
void *memory_resize(void *memory, size_t size);
char *memory_copy_text(const char *text);
char *memory_copy_span(const void *data, size_t length); /* with a NUL added */
void memory_free(void *memory);

/* For tests: when set, is asked before every allocation, and a false answer makes it fail. NULL: never fail.
 */
extern _Bool (*memory_permit)(size_t size);

#endif
