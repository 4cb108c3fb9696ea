/* Process 1 of a container. */
#ifndef CMD_INIT_H
#define CMD_INIT_H

/* As process 1, becomes the init that a container needs, and goes on as its child: signals are passed on,
 * orphans are reaped, and the exit status is the child's. Returns in that child; anywhere else at once. */
void init_when_first(void);

#endif
