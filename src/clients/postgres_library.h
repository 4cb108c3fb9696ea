/* libpq, loaded when the first pool is opened: with it come Kerberos and LDAP, twenty libraries that most
 * workers never need. */
#ifndef CLIENTS_POSTGRES_LIBRARY_H
#define CLIENTS_POSTGRES_LIBRARY_H

#include <base/failure.h>
#include <libpq-fe.h>

/* What is used of it. X(result, name, parameters): PQNAME. */
#define POSTGRES_FUNCTIONS(X)                                                                                \
    X(PQconninfoOption *, conndefaults, (void))                                                              \
    X(PQconninfoOption *, conninfoParse, (const char *, char **))                                            \
    X(void, conninfoFree, (PQconninfoOption *))                                                              \
    X(void, freemem, (void *))                                                                               \
    X(PGconn *, connectStartParams, (const char *const *, const char *const *, int))                         \
    X(PostgresPollingStatusType, connectPoll, (PGconn *))                                                    \
    X(ConnStatusType, status, (const PGconn *))                                                              \
    X(PGTransactionStatusType, transactionStatus, (const PGconn *))                                          \
    X(int, socket, (const PGconn *))                                                                         \
    X(char *, host, (const PGconn *))                                                                        \
    X(char *, hostaddr, (const PGconn *))                                                                    \
    X(char *, port, (const PGconn *))                                                                        \
    X(char *, errorMessage, (const PGconn *))                                                                \
    X(PGVerbosity, setErrorVerbosity, (PGconn *, PGVerbosity))                                               \
    X(PQnoticeReceiver, setNoticeReceiver, (PGconn *, PQnoticeReceiver, void *))                             \
    X(int, setnonblocking, (PGconn *, int))                                                                  \
    X(void, finish, (PGconn *))                                                                              \
    X(int, sendQuery, (PGconn *, const char *))                                                              \
    X(int, sendQueryParams,                                                                                  \
      (PGconn *, const char *, int, const Oid *, const char *const *, const int *, const int *, int))        \
    X(int, sendPrepare, (PGconn *, const char *, const char *, int, const Oid *))                            \
    X(int, sendQueryPrepared,                                                                                \
      (PGconn *, const char *, int, const char *const *, const int *, const int *, int))                     \
    X(int, flush, (PGconn *))                                                                                \
    X(int, consumeInput, (PGconn *))                                                                         \
    X(int, isBusy, (PGconn *))                                                                               \
    X(PGresult *, getResult, (PGconn *))                                                                     \
    X(ExecStatusType, resultStatus, (const PGresult *))                                                      \
    X(char *, resultErrorField, (const PGresult *, int))                                                     \
    X(char *, resultErrorMessage, (const PGresult *))                                                        \
    X(char *, cmdTuples, (PGresult *))                                                                       \
    X(int, ntuples, (const PGresult *))                                                                      \
    X(int, nfields, (const PGresult *))                                                                      \
    X(char *, fname, (const PGresult *, int))                                                                \
    X(int, getisnull, (const PGresult *, int, int))                                                          \
    X(int, getlength, (const PGresult *, int, int))                                                          \
    X(char *, getvalue, (const PGresult *, int, int))                                                        \
    X(void, clear, (PGresult *))                                                                             \
    X(PGcancel *, getCancel, (PGconn *))                                                                     \
    X(int, cancel, (PGcancel *, char *, int))                                                                \
    X(void, freeCancel, (PGcancel *))

struct postgres_library {
#define POSTGRES_MEMBER(result, name, parameters) result(*name) parameters;
    POSTGRES_FUNCTIONS(POSTGRES_MEMBER)
#undef POSTGRES_MEMBER
};

/* NULL with the failure filled where it is not installed. Static, and never unloaded. From any thread. */
const struct postgres_library *postgres_library_load(struct whippet_failure *failure);

#endif
