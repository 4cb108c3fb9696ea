/* A processor of another ABI: the loader must refuse it before it reads anything beyond these two numbers. */
#include <whippet/types.h>

extern WHIPPET_API const uint32_t whippet_processor_descriptor[2];
const uint32_t whippet_processor_descriptor[2] = {4711, 1u << 20};
