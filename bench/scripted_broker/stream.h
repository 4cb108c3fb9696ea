/* The one stream of deliveries: the same message again and again, as fast as the prefetch window allows. */
#ifndef SCRIPTED_BROKER_STREAM_H
#define SCRIPTED_BROKER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    uint64_t count;     /* messages there are */
    size_t size;        /* of a body */
    uint64_t prefetch;  /* 0: no limit */
    uint64_t delivered; /* tags 1 … delivered are out */
    uint64_t settled;   /* how many of them are settled */
    uint64_t low;       /* tags 1 … low are all settled */
    uint64_t ahead;     /* settled tags above low */
    bool *is_settled;   /* by tag, above low */
    uint64_t acks;      /* basic.ack methods received */
    uint64_t returned;  /* tags settled by reject or nack */
    double subscribed;  /* moment of consume-ok; 0: not yet */
    double first;       /* moment of the first delivery */
    double last;        /* moment of the last settlement; 0: not yet */

    unsigned char *batch; /* equal deliveries, ready but for their tags */
    size_t batch_count;
    size_t delivery_size;
    size_t tag_offset; /* of the delivery tag within a delivery */
    size_t pending;    /* bytes of the batch that are still to be written; they end at pending_end */
    size_t pending_end;
};

void stream_init(struct stream *stream, uint64_t count, size_t size);
void stream_destroy(struct stream *stream);

/* There is a consumer now: makes the deliveries for it. */
void stream_begin(struct stream *stream, unsigned channel, const char *tag, const char *queue);

/* Makes as many deliveries pending as the window allows and one write takes. False: none. */
bool stream_prepare(struct stream *stream);

/* Ends the program for a tag that was not delivered or is settled already. */
void stream_settle(struct stream *stream, uint64_t tag, bool multiple);

#endif
