#include "session.h"
#include "jwt.h"
#include <math.h>
#include <pthread.h>
#include <secret_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* When a token is renewed: at this share of its life, and not before it is so many seconds old. */
static const double WORN = 0.9;
static const double YOUNG = 1;

struct session {
    struct token_source source;
    whippet_semaphore *turns; /* owned; one at a time asks for a token */

    pthread_mutex_t mutex;            /* for what follows; never held over an await */
    char *token;                      /* owned; NULL: there was none yet */
    unsigned number;                  /* of the token */
    double renewal;                   /* when it is due, by now(); INFINITY: it is not */
    unsigned tries;                   /* to get one that have ended, well or not */
    char problem[TOKEN_PROBLEM_SIZE]; /* why the last try failed; "": it did not */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- What all share -------------------------------------------------------------------------------------*/

enum standing {
    GOOD,
    WANTED,  /* another token */
    FAILED,  /* somebody else could not get it either */
    STARVED, /* of memory */
};

static const char *join(whippet_task *task, const char *first, const char *second)
{
    char *memory = whippet_alloc(task, strlen(first) + strlen(second) + 1);
    if (memory != NULL)
        stpcpy(stpcpy(memory, first), second);
    return memory;
}

/* With the mutex held. */
static enum standing give(whippet_task *task, const struct session *session, struct credential *credential)
{
    credential->number = session->number;
    credential->authorization = join(task, "Bearer ", session->token);
    return credential->authorization != NULL ? GOOD : STARVED;
}

/* Gives the token if it will do. `tries`: how many there were when the task came; others have ended since. */
static enum standing look(whippet_task *task, struct session *session, unsigned refused,
                          const unsigned *tries, struct credential *credential)
{
    enum standing standing = WANTED;
    pthread_mutex_lock(&session->mutex);
    if (session->token != NULL && session->number != refused && now() < session->renewal) {
        standing = give(task, session, credential);
    } else if (tries != NULL && session->tries != *tries && session->problem[0] != '\0') {
        standing = FAILED;
        credential->problem = join(task, "", session->problem);
    }
    pthread_mutex_unlock(&session->mutex);
    return standing;
}

static unsigned count_tries(struct session *session)
{
    pthread_mutex_lock(&session->mutex);
    unsigned tries = session->tries;
    pthread_mutex_unlock(&session->mutex);
    return tries;
}

/* --- Another token --------------------------------------------------------------------------------------*/

/* What is in a file is all there is, however old. */
static double renewal_of(const struct session *session, const char *token)
{
    if (session->source.origin.file != NULL)
        return INFINITY;
    return now() + fmax(WORN * jwt_lifetime(token, time(NULL)), YOUNG);
}

static enum standing replace(whippet_task *task, struct session *session, char *token,
                             struct credential *credential)
{
    pthread_mutex_lock(&session->mutex);
    secret_file_destroy(session->token);
    session->token = token;
    session->number++;
    session->renewal = renewal_of(session, token);
    session->tries++;
    session->problem[0] = '\0';
    enum standing standing = give(task, session, credential);
    pthread_mutex_unlock(&session->mutex);
    return standing;
}

static void note_failure(struct session *session, const char *problem)
{
    pthread_mutex_lock(&session->mutex);
    session->tries++;
    snprintf(session->problem, sizeof session->problem, "%s", problem);
    pthread_mutex_unlock(&session->mutex);
}

/* Whoever has the turn is the only one to change the token. */
static enum standing renew(whippet_task *task, struct session *session, struct credential *credential)
{
    char problem[TOKEN_PROBLEM_SIZE] = "", *token = NULL;
    int error = token_source_ask(task, &session->source, session->token, &token, problem);
    if (error == 0)
        return replace(task, session, token, credential);
    /* A try that this task's own end has cut short says nothing to the others. */
    if (error != WHIPPET_E_CANCELLED && whippet_time_left(task) > 0)
        note_failure(session, problem);
    credential->problem = join(task, "", problem);
    return FAILED;
}

static enum standing renew_in_turn(whippet_task *task, struct session *session, unsigned refused,
                                   struct credential *credential)
{
    unsigned tries = count_tries(session);
    int error = whippet_semaphore_acquire(task, session->turns);
    if (error != 0) {
        credential->problem = whippet_error_text(error);
        return FAILED;
    }
    enum standing standing = look(task, session, refused, &tries, credential);
    if (standing == WANTED)
        standing = renew(task, session, credential);
    whippet_semaphore_release(session->turns);
    return standing;
}

int session_authorize(whippet_task *task, struct session *session, unsigned refused,
                      struct credential *credential)
{
    *credential = (struct credential){.problem = NULL};
    enum standing standing = look(task, session, refused, NULL, credential);
    if (standing == WANTED)
        standing = renew_in_turn(task, session, refused, credential);
    if (standing == GOOD)
        return 0;
    if (credential->problem == NULL)
        credential->problem = "out of memory";
    return WHIPPET_E_UNAVAILABLE;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static bool take_file(struct session *session, whippet_failure *failure)
{
    const char *file = session->source.origin.file;
    session->token = secret_file_read("token_file", file, failure);
    session->number = 1;
    session->renewal = INFINITY;
    if (session->token == NULL || jwt_is_token(session->token))
        return session->token != NULL;
    whippet_fail(failure, "token_file: what %s holds is no token", file);
    return false;
}

struct session *session_create(const struct token_origin *origin, whippet_failure *failure)
{
    struct session *session = calloc(1, sizeof *session);
    whippet_semaphore *turns = whippet_semaphore_create(1);
    if (session == NULL || turns == NULL) {
        whippet_semaphore_destroy(turns);
        free(session);
        whippet_fail(failure, "out of memory");
        return NULL;
    }
    session->turns = turns;
    pthread_mutex_init(&session->mutex, NULL);
    if (token_source_init(&session->source, origin, failure) &&
        (origin->file == NULL || take_file(session, failure)))
        return session;
    session_destroy(session);
    return NULL;
}

void session_destroy(struct session *session)
{
    if (session == NULL)
        return;
    whippet_semaphore_destroy(session->turns);
    pthread_mutex_destroy(&session->mutex);
    token_source_destroy(&session->source);
    secret_file_destroy(session->token);
    free(session);
}
