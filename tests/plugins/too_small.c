/* A descriptor of this ABI that ends before what every processor has. */
#include <whippet/processor.h>

extern WHIPPET_API const uint32_t whippet_processor_descriptor[2];
const uint32_t whippet_processor_descriptor[2] = {WHIPPET_ABI, 16};
