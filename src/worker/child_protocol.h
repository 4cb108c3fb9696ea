/* What a worker and its child processes say to each other. Both are the same program, so numbers and structs
 * go as they are in memory; each struct is followed by the parts whose lengths it names. */
#ifndef WORKER_CHILD_PROTOCOL_H
#define WORKER_CHILD_PROTOCOL_H

#include <async/loop.h>
#include <stdatomic.h>
#include <stdint.h>
#include <worker/publishing.h>

/* The descriptors that a child finds open beside the standard three. */
enum child_descriptor {
    CHILD_SOCKET = 3, /* frames, both ways */
    CHILD_PAGE,       /* struct child_page */
    CHILD_PLUGIN,     /* the plugin's file, where the parent holds a copy of it */
    CHILD_DESCRIPTOR_END
};

enum frame_kind {
    /* To the child. */
    FRAME_SETUP = 1, /* struct setup_frame: the first */
    FRAME_DELIVER,   /* struct deliver_frame: begin an attempt in this slot */
    FRAME_CANCEL,    /* the attempt in this slot */
    FRAME_PUBLISHED, /* int32_t: what became of the publication with this serial */
    FRAME_DRAIN,     /* nothing more comes: end */

    /* To the parent. */
    FRAME_READY,   /* setup() has succeeded */
    FRAME_FAILED,  /* a text: why it did not come to that; the child ends */
    FRAME_ENDED,   /* struct ended_frame: the attempt in this slot */
    FRAME_PUBLISH, /* struct publish_frame */
    FRAME_RECALL,  /* nobody awaits the publication with this serial any more */

    /* To the child again. */
    FRAME_LOG, /* struct log_frame: how it is to log from now on */
    FRAME_KINDS,
};

struct frame {
    uint32_t length; /* bytes that follow */
    uint32_t kind;
    uint32_t slot;   /* from 0; below setup_frame.slots */
    uint32_t serial; /* tells one use of a slot, or one publication, from all others of this child */
};

/* A body of AMQP has at most 512 MiB here, and what goes before it at most a frame of AMQP. */
#define FRAME_LENGTH_MAX ((512u << 20) + (1u << 20))

/* As in struct config. */
struct log_frame {
    int32_t level;
    int32_t format;
};

struct setup_frame {
    struct log_frame log;
    uint64_t stack_size;
    uint64_t spawned; /* tasks that processors may spawn at once */
    double timeout;
    uint32_t slots;
    uint32_t queue, processor, path; /* lengths of the texts that follow, each with its NUL */
    uint32_t settings;               /* of what settings_write wrote */
    uint32_t has_plugin;             /* CHILD_PLUGIN is open */
};

struct deliver_frame {
    uint64_t body;
    uint32_t exchange, routing_key, properties;
    uint32_t attempt;
    uint32_t attempts;
    uint16_t redelivered;
    uint16_t is_retry;
    struct trace_context trace;
};

struct ended_frame {
    int32_t verdict;
    int32_t struck;
    double duration;    /* seconds */
    double retry_after; /* seconds; 0: not asked for */
    /* then the reason, without a NUL */
};

struct publish_frame {
    double deadline; /* a moment of CLOCK_MONOTONIC, which processes share */
    uint64_t body;
    uint32_t exchange, routing_key, properties;
    uint32_t unused;
    struct publish_span span;
};

/* The label of an attempt in a child. */
struct child_label {
    uint32_t slot;
    uint32_t serial; /* 0: of none */
};

static inline void child_label_write(struct task_label *label, struct child_label content)
{
    memcpy(label->bytes, &content, sizeof content);
}

static inline struct child_label child_label_read(const struct task_label *label)
{
    struct child_label content;
    memcpy(&content, label->bytes, sizeof content);
    return content;
}

/* Shared memory, one for each child: what its parent reads when it has died. */
struct child_page {
    _Atomic double turn_began; /* the moment that its loop began the turn it is in; 0: it waits */
    struct task_board board;   /* of its loop; the labels are struct child_label */
    struct task_board calls[LOOP_OFFLOAD_THREADS]; /* of the threads of its whippet_offload */
    /* For each slot the attempt that has begun there last: its serial in the upper half, and in the lower its
     * verdict once it has ended, in case the frame that says so did not come through. */
    _Atomic uint64_t begun[];
};

static inline uint64_t child_page_verdict(uint32_t serial, int32_t verdict)
{
    return (uint64_t)serial << 32 | (uint32_t)verdict;
}

#endif
