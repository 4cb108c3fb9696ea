/* A shared object that exports something, but no descriptor. */
#include <whippet/types.h>

WHIPPET_API int not_a_processor(void);

int not_a_processor(void)
{
    return 1;
}
