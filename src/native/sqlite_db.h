/*
** sqlite_db.h: the database of a store: its tables, and the statements over
** them, prepared once.
**
** The one idea: a statement is named by a constant, whose text stands in one
** table in sqlite_db.c; an error of SQLite is noted in the struct and ends
** the batch, so that what runs statements need not tell of each.
**
** States are literals in the texts, and some say TIMED beside: a partial index
** is used only where the WHERE of the statement has that of the index.
**
** Owns the connection. Knows no operations.
*/
#ifndef SL_SQLITE_DB_H
#define SL_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "../store_engine.h"

/* What the index of those with a time wants to hear, beside `state=2`. The
   planner has no figures: it takes a plain state>0 for narrower than state=2,
   and would sort all that is delayed, leased or dead to find the first. */
#define SL_LITE_TIMED "likelihood(state>0,1.0)"

enum sl_lite_stmt {
  SL_BEGIN,
  SL_BEGIN_READ,
  SL_COMMIT,
  SL_ROLLBACK,
  SL_SAVE,
  SL_SAVED,
  SL_UNDO,
  SL_DATA_VERSION,
  SL_ROOT_LOAD,
  SL_QUEUE_FIND,
  SL_QUEUE_ADD,
  SL_QUEUE_LOAD,
  SL_QUEUE_SAVE,
  SL_QUEUE_NAMES,
  SL_NEXT_DUE,
  SL_PUT,
  SL_PUT_BODY,
  SL_BODY_LOAD,
  SL_BODY_DROP,
  SL_KEY_FIND,
  SL_KEY_SET,
  SL_KEY_DROP,
  SL_KEY_LEAVE,
  SL_FIRST_KEY,
  SL_RESERVE,
  SL_ACK,
  SL_LEASE_FIND,
  SL_MOVE,
  SL_EXTEND,
  SL_RENEW,
  SL_DROP,
  SL_FIND,
  SL_PEEK_READY, /* these four in the order of the states */
  SL_PEEK_DELAYED,
  SL_PEEK_LEASED,
  SL_PEEK_DEAD,
  SL_FIRST_DEAD,
  SL_FIRST_EXPIRED,
  SL_FIRST_MORTAL,
  SL_PROMOTE,
  SL_OWNER_ADD,
  SL_OWNER_DROP,
  SL_OWNERS,
  SL_ORPHAN,
  SL_OWN_COUNT,
  SL_OWN_RELEASE,
  SL_NSTATEMENTS
};

/* The columns of SL_FIND and SL_PEEK_*. */
enum sl_lite_column {
  SL_COL_ID,
  SL_COL_STATE,
  SL_COL_PRIORITY,
  SL_COL_DUE,
  SL_COL_TOKEN,
  SL_COL_ATTEMPTS,
  SL_COL_MAX_ATTEMPTS,
  SL_COL_CREATED,
  SL_COL_LEASE,
  SL_COL_TTL,
  SL_COL_FORMAT,
  SL_COL_EXTRA,
  SL_COL_CRC,
  SL_COL_KEY,
  SL_COL_ERROR,
  SL_COL_BODY
};

/* What a job has outside its row: bits of `extra`. */
enum { SL_EXTRA_KEY = 1, SL_EXTRA_BODY = 2 };

struct sl_lite_db {
  sqlite3 *db;
  sqlite3_stmt *statements[SL_NSTATEMENTS];
  int error;      /* SQLite's code of the first failure, or 0 */
  int wal_frames; /* in the write-ahead log after the last commit */
};

/* Opens the file, which is made if it is not there, and refuses what is no
   store of ours. Changes nothing. False: `error`. */
bool sl_lite_db_open(struct sl_lite_db *db, const char *path, bool durable,
                     struct sl_engine_error *error);

/* The tables, made if the file is empty. Within the lock of writers. */
bool sl_lite_db_prepare(struct sl_lite_db *db,
                        struct sl_engine_error *error);
void sl_lite_db_close(struct sl_lite_db *db);

/* The path of the file, links resolved. */
const char *sl_lite_db_path(const struct sl_lite_db *db);

/* Says what SQLite's last failure was. */
void sl_lite_db_fail(struct sl_lite_db *db, struct sl_engine_error *error);

/* Notes an error of SQLite; the first is kept. */
void sl_lite_note(struct sl_lite_db *db, int code);

/* A statement, to be bound. */
static inline sqlite3_stmt *sl_lite_get(struct sl_lite_db *db,
                                        enum sl_lite_stmt which) {
  return db->statements[which];
}

/* Steps to the next row. False: there is none, or an error; the statement is
   reset then. */
bool sl_lite_row(struct sl_lite_db *db, sqlite3_stmt *statement);

/* Runs a statement that returns no rows, or whose rows do not matter.
   Returns how many rows it changed, 0 after an error. */
int sl_lite_do(struct sl_lite_db *db, sqlite3_stmt *statement);

/* Runs a statement that nothing is bound to. */
static inline void sl_lite_simply(struct sl_lite_db *db,
                                  enum sl_lite_stmt which) {
  sl_lite_do(db, sl_lite_get(db, which));
}

/* Runs a text. For what is rare. */
bool sl_lite_exec(struct sl_lite_db *db, const char *text);

/* The first column of the first row of a text as a number, or `missing`. */
int64_t sl_lite_ask(struct sl_lite_db *db, const char *text,
                    int64_t missing);

/* Carries what is in the log over into the file, as far as nobody reads it.
   Within the lock of writers. */
void sl_lite_checkpoint(struct sl_lite_db *db);

#endif
