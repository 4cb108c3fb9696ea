/* Linked into a second whippet with --wrap=loop_set_gather: the same program, but for its never letting reads
 * gather. bench/run shows with it what gathering is worth, and that a small window or a lone message does not
 * pay for it. */
#include <async/loop.h>

void __wrap_loop_set_gather(struct loop *loop, double seconds);

void __wrap_loop_set_gather(struct loop *loop, double seconds)
{
    (void)loop;
    (void)seconds;
}
