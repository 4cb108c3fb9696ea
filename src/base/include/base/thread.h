/* Threads beside the loop's. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that the kernel never picks for a signal: those are for the loop's thread. `name`, 15 bytes
 * at most, is what `top -H` and a debugger show. 0, or pthread_create's error. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg);

#endif
