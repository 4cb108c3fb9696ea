/* The record processor in its second version: the events it writes are "begin2", "end2", "cut2" and "gone2".
 */
#define RECORD_VERSION "2"
#include "record.c"
