/*
** sqlite_db.c: see sqlite_db.h.
*/
#include "sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sqlite_files.h"

enum {
  APPLICATION_ID = 0x736c4a62, /* "slJb" */
  VERSION = 1,                 /* of the tables: user_version */
  CHUNK = 1 << 20,     /* the file grows by that: a checkpoint seldom needs
                          space */
  WAL_LIMIT = 4 << 20, /* bytes that are kept of the log */
  BUSY_MS = 10000      /* somebody else than us has the file locked */
};

/*
** queue: last_id and last_ns are those of its last put and last change; that
** of the store is the greatest: a row of its own would be one more page that
** each put writes.
**
** job: one row a job. due: READY: 0; DELAYED: when it is due; LEASED: its
** deadline; DEAD: when it died. ttl: when it ends, or NULL. extra: what is
** elsewhere (SL_EXTRA_*): its key, a body too large for the row, which would
** be written anew by each change of the state. crc: of id, format and body.
*/
static const char schema[] =
    "CREATE TABLE root(id INTEGER PRIMARY KEY CHECK(id=0),"
    " last_owner INTEGER NOT NULL, boot TEXT NOT NULL,"
    " offset_ns INTEGER NOT NULL)STRICT;"
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " maxsize INTEGER NOT NULL, lease INTEGER NOT NULL,"
    " max_attempts INTEGER NOT NULL, paused INTEGER NOT NULL DEFAULT 0,"
    " ready INTEGER NOT NULL DEFAULT 0, delayed INTEGER NOT NULL DEFAULT 0,"
    " leased INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,"
    " puts INTEGER NOT NULL DEFAULT 0, acks INTEGER NOT NULL DEFAULT 0,"
    " retries INTEGER NOT NULL DEFAULT 0,"
    " expired INTEGER NOT NULL DEFAULT 0,"
    " cancelled INTEGER NOT NULL DEFAULT 0,"
    " last_id INTEGER NOT NULL DEFAULT 1000000000,"
    " last_ns INTEGER NOT NULL DEFAULT 0)STRICT;"
    "CREATE TABLE job(id INTEGER PRIMARY KEY, queue INTEGER NOT NULL,"
    " state INTEGER NOT NULL, priority REAL NOT NULL, due INTEGER NOT NULL,"
    " token INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " max_attempts INTEGER NOT NULL, created INTEGER NOT NULL,"
    " ttl INTEGER, lease INTEGER NOT NULL, owner INTEGER NOT NULL,"
    " format INTEGER NOT NULL, extra INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " key BLOB, error TEXT, body BLOB)STRICT;"
    "CREATE INDEX job_ready ON job(queue,priority) WHERE state=0;"
    "CREATE INDEX job_timed ON job(queue,state,due) WHERE state>0;"
    "CREATE INDEX job_mortal ON job(queue,ttl)"
    " WHERE ttl IS NOT NULL AND state<2;"
    "CREATE TABLE body(id INTEGER PRIMARY KEY, data BLOB NOT NULL)STRICT;"
    "CREATE TABLE unique_key(queue INTEGER NOT NULL, key BLOB NOT NULL,"
    " job INTEGER NOT NULL, until INTEGER NOT NULL,"
    " gone INTEGER NOT NULL, PRIMARY KEY(queue,key))STRICT,WITHOUT ROWID;"
    "CREATE INDEX key_gone ON unique_key(until) WHERE gone=1;"
    "CREATE TABLE owner(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL)STRICT;"
    "INSERT INTO root VALUES(0,0,'',0);";

#define TIMED SL_LITE_TIMED

/* The leased jobs of an owner: all leased ones are looked at, but no others,
   as the index begins with the queue. */
#define OWN \
  "queue IN(SELECT id FROM queue) AND state=2 AND " TIMED " AND owner=?1"

#define COLUMNS                                                       \
  "id,state,priority,due,token,attempts,max_attempts,created,lease,ttl," \
  "format,extra,crc,key,error,body"

static const char *const texts[SL_NSTATEMENTS] = {
    [SL_BEGIN] = "BEGIN IMMEDIATE",
    [SL_BEGIN_READ] = "BEGIN",
    [SL_COMMIT] = "COMMIT",
    [SL_ROLLBACK] = "ROLLBACK",
    [SL_SAVE] = "SAVEPOINT put",
    [SL_SAVED] = "RELEASE put",
    [SL_UNDO] = "ROLLBACK TO put",
    [SL_DATA_VERSION] = "PRAGMA data_version",
    [SL_ROOT_LOAD] =
        "SELECT coalesce(last.id,1000000000),ns,last_owner,offset_ns,boot,"
        "(SELECT count(*) FROM owner) FROM root,"
        "(SELECT max(last_id)id,max(last_ns)ns FROM queue)last",
    [SL_QUEUE_FIND] = "SELECT id FROM queue WHERE name=?1",
    [SL_QUEUE_ADD] = "INSERT INTO queue(name,maxsize,lease,max_attempts)"
                     "VALUES(?1,?2,?3,?4)",
    [SL_QUEUE_LOAD] =
        "SELECT maxsize,lease,max_attempts,paused,ready,delayed,leased,dead,"
        "puts,acks,retries,expired,cancelled,last_id FROM queue WHERE id=?1",
    [SL_QUEUE_SAVE] =
        "UPDATE queue SET maxsize=?2,lease=?3,max_attempts=?4,paused=?5,"
        "ready=?6,delayed=?7,leased=?8,dead=?9,puts=?10,acks=?11,"
        "retries=?12,expired=?13,cancelled=?14,last_id=?15,last_ns=?16"
        " WHERE id=?1",
    [SL_QUEUE_NAMES] = "SELECT name FROM queue",
    [SL_NEXT_DUE] =
        "SELECT(SELECT due FROM job WHERE queue=?1 AND state=1 AND " TIMED
        " ORDER BY due LIMIT 1),(SELECT due FROM job"
        " WHERE queue=?1 AND state=2 AND " TIMED " ORDER BY due LIMIT 1),"
        "(SELECT ttl FROM job WHERE queue=?1 AND ttl IS NOT NULL AND state<2"
        " ORDER BY ttl LIMIT 1)",
    [SL_PUT] =
        "INSERT INTO job VALUES(?1,?2,?3,?4,?5,0,0,?6,?7,?8,?9,0,?10,?11,"
        "?12,?13,NULL,?14)",
    [SL_PUT_BODY] = "INSERT INTO body VALUES(?1,?2)",
    [SL_BODY_LOAD] = "SELECT data FROM body WHERE id=?1",
    [SL_BODY_DROP] = "DELETE FROM body WHERE id=?1",
    [SL_KEY_FIND] =
        "SELECT job,until,gone FROM unique_key WHERE queue=?1 AND key=?2",
    [SL_KEY_SET] = "INSERT OR REPLACE INTO unique_key VALUES(?1,?2,?3,?4,0)",
    [SL_KEY_DROP] = "DELETE FROM unique_key WHERE queue=?1 AND key=?2"
                    " AND until<=?3",
    [SL_KEY_LEAVE] = "UPDATE unique_key SET gone=1"
                     " WHERE queue=?1 AND key=?2",
    [SL_FIRST_KEY] = "SELECT queue,key FROM unique_key"
                     " WHERE gone=1 AND until<=?1 ORDER BY until LIMIT 1",
    [SL_RESERVE] =
        "UPDATE job SET state=2,due=?1+lease,token=token+1,"
        "attempts=attempts+1,owner=?2 WHERE id IN(SELECT id FROM job WHERE"
        " queue=?3 AND state=0 ORDER BY priority,id LIMIT ?4)",
    [SL_ACK] = "DELETE FROM job WHERE id=?1 AND queue=?2 AND token=?3"
               " AND state=2 AND extra=0",
    [SL_LEASE_FIND] =
        "SELECT attempts,max_attempts,ttl,lease,extra,key FROM job"
        " WHERE id=?1 AND queue=?2 AND token=?3 AND state=2",
    [SL_MOVE] = "UPDATE job SET state=?2,due=?3,attempts=?4,"
                "error=coalesce(?5,error) WHERE id=?1",
    [SL_EXTEND] = "UPDATE job SET due=?2 WHERE id=?1",
    [SL_RENEW] = "UPDATE job SET due=?3 WHERE id=?1 AND token=?2"
                 " AND state=2",
    [SL_DROP] = "DELETE FROM job WHERE id=?1",
    [SL_FIND] = "SELECT " COLUMNS " FROM job WHERE id=?1 AND queue=?2",
    [SL_PEEK_READY] = "SELECT " COLUMNS " FROM job WHERE queue=?1 AND state=0"
                      " ORDER BY priority,id LIMIT ?2",
    [SL_PEEK_DELAYED] = "SELECT " COLUMNS " FROM job WHERE queue=?1"
                        " AND state=1 AND " TIMED " ORDER BY due,id LIMIT ?2",
    [SL_PEEK_LEASED] = "SELECT " COLUMNS " FROM job WHERE queue=?1"
                       " AND state=2 AND " TIMED " ORDER BY due,id LIMIT ?2",
    [SL_PEEK_DEAD] = "SELECT " COLUMNS " FROM job WHERE queue=?1"
                     " AND state=3 AND " TIMED " ORDER BY due,id LIMIT ?2",
    [SL_FIRST_DEAD] = "SELECT id,ttl,extra,key FROM job WHERE queue=?1"
                      " AND state=3 AND " TIMED " ORDER BY due,id LIMIT 1",
    [SL_FIRST_EXPIRED] =
        "SELECT id,attempts,max_attempts,ttl,extra,key FROM job"
        " WHERE queue=?1 AND state=2 AND " TIMED " AND due<=?2"
        " ORDER BY due LIMIT 1",
    [SL_FIRST_MORTAL] =
        "SELECT id,state,extra,key FROM job WHERE queue=?1"
        " AND ttl IS NOT NULL AND state<2 AND ttl<=?2 ORDER BY ttl LIMIT 1",
    [SL_PROMOTE] =
        "UPDATE job SET state=0,due=0 WHERE id IN(SELECT id FROM job"
        " WHERE queue=?1 AND state=1 AND " TIMED " AND due<=?2"
        " ORDER BY due LIMIT ?3)",
    [SL_OWNER_ADD] = "INSERT INTO owner VALUES(?1,?2)",
    [SL_OWNER_DROP] = "DELETE FROM owner WHERE id=?1",
    [SL_OWNERS] = "SELECT id FROM owner",
    [SL_ORPHAN] = "UPDATE job INDEXED BY job_timed SET due=0 WHERE " OWN,
    [SL_OWN_COUNT] = "SELECT queue,count(*) FROM job INDEXED BY job_timed"
                     " WHERE " OWN " GROUP BY queue",
    [SL_OWN_RELEASE] = "UPDATE job INDEXED BY job_timed SET state=0,due=0,"
                       "attempts=attempts-1 WHERE " OWN};

/* -- errors -- */

static const char *code_name(int code) {
  switch (code & 0xff) {
    case SQLITE_PERM:
    case SQLITE_AUTH: return "EACCES";
    case SQLITE_NOMEM: return "ENOMEM";
    case SQLITE_READONLY: return "EROFS";
    case SQLITE_FULL: return "ENOSPC";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "EBUSY";
    case SQLITE_ERROR: /* a table is missing */
    case SQLITE_CORRUPT: return "EILSEQ";
    case SQLITE_NOTADB: return "EFTYPE";
    case SQLITE_CANTOPEN: return "EACCES";
    default: return "EIO";
  }
}

void sl_lite_db_fail(struct sl_lite_db *db, struct sl_engine_error *error) {
  int code = db->error != 0 ? db->error : sqlite3_errcode(db->db);
  const char *text = db->db != NULL && db->error == 0
                         ? sqlite3_errmsg(db->db)
                         : sqlite3_errstr(code);
  int number = (code & 0xff) == SQLITE_CANTOPEN && db->db != NULL
                   ? sqlite3_system_errno(db->db)
                   : 0;
  if (number != 0) {
    sl_lite_fail_errno(error, text, number);
    return;
  }
  snprintf(error->code, sizeof error->code, "%s", code_name(code));
  snprintf(error->message, sizeof error->message, "%s", text);
}

static bool refuse(struct sl_engine_error *error, const char *code,
                   const char *message) {
  snprintf(error->code, sizeof error->code, "%s", code);
  snprintf(error->message, sizeof error->message, "%s", message);
  return false;
}

void sl_lite_note(struct sl_lite_db *db, int code) {
  if (db->error == 0) db->error = code;
}

/* -- running statements -- */

bool sl_lite_row(struct sl_lite_db *db, sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) sl_lite_note(db, code);
  sqlite3_reset(statement);
  return false;
}

int sl_lite_do(struct sl_lite_db *db, sqlite3_stmt *statement) {
  int code;
  do {
    code = sqlite3_step(statement);
  } while (code == SQLITE_ROW);
  sqlite3_reset(statement);
  if (code == SQLITE_DONE) return sqlite3_changes(db->db);
  sl_lite_note(db, code);
  return 0;
}

bool sl_lite_exec(struct sl_lite_db *db, const char *text) {
  int code = sqlite3_exec(db->db, text, NULL, NULL, NULL);
  if (code != SQLITE_OK) sl_lite_note(db, code);
  return code == SQLITE_OK;
}

int64_t sl_lite_ask(struct sl_lite_db *db, const char *text,
                    int64_t missing) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->db, text, -1, &statement, NULL);
  int64_t answer = missing;
  if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
    answer = sqlite3_column_int64(statement, 0);
  code = sqlite3_finalize(statement);
  if (code != SQLITE_OK) sl_lite_note(db, code);
  return answer;
}

void sl_lite_checkpoint(struct sl_lite_db *db) {
  int code = sqlite3_wal_checkpoint_v2(
      db->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  /* Not done now, it is done later; an error shows in the next commit. */
  if (code == SQLITE_OK) db->wal_frames = 0;
}

/* -- opening -- */

static int on_commit(void *arg, sqlite3 *connection, const char *name,
                     int frames) {
  struct sl_lite_db *db = arg;
  (void)connection, (void)name;
  db->wal_frames = frames;
  return SQLITE_OK;
}

/* Whether the file is one of ours, or empty. */
static bool is_ours(struct sl_lite_db *db, struct sl_engine_error *error) {
  int64_t id = sl_lite_ask(db, "PRAGMA application_id", 0);
  int64_t version = sl_lite_ask(db, "PRAGMA user_version", 0);
  int64_t tables = sl_lite_ask(db, "SELECT count(*) FROM sqlite_schema", 0);
  if (db->error != 0) {
    sl_lite_db_fail(db, error);
    return false;
  }
  if (id == 0 && version == 0 && tables == 0) return true;
  if (id != APPLICATION_ID)
    return refuse(error, "EFTYPE", "the database is not a job store");
  if (version > VERSION)
    return refuse(error, "ENOTSUP",
                  "the job store was made by a newer version of sluice");
  return true;
}

/* What does not touch the file. */
static bool set_up(struct sl_lite_db *db, bool durable) {
  int chunk = CHUNK;
  sqlite3_extended_result_codes(db->db, 1);
  sqlite3_busy_timeout(db->db, BUSY_MS);
  sqlite3_db_config(db->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(db->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_file_control(db->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  return sl_lite_exec(db, "PRAGMA mmap_size=0;PRAGMA cache_size=-16000;"
                          "PRAGMA temp_store=MEMORY;"
                          "PRAGMA cell_size_check=ON;"
                          "PRAGMA wal_autocheckpoint=0") &&
         sl_lite_exec(db, durable ? "PRAGMA synchronous=FULL"
                                  : "PRAGMA synchronous=NORMAL");
}

/* SQLite tells badly why a file cannot be opened. */
static void fail_open(struct sl_lite_db *db, const char *path,
                      struct sl_engine_error *error) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    sl_lite_fail_errno(error, "unable to open the file", errno);
    return;
  }
  close(fd);
  sl_lite_db_fail(db, error);
}

/* Devices and pipes: SQLite would make files beside them, or write to them.
   A directory it refuses by itself. */
static bool is_special(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && !S_ISREG(info.st_mode) &&
         !S_ISDIR(info.st_mode);
}

bool sl_lite_db_open(struct sl_lite_db *db, const char *path, bool durable,
                     struct sl_engine_error *error) {
  int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  memset(db, 0, sizeof *db);
  if (sqlite3_threadsafe() == 0)
    return refuse(error, "ENOTSUP", "SQLite was built for one thread only");
  if (is_special(path))
    return refuse(error, "EFTYPE", "not a regular file");
  sl_lite_note(db, sqlite3_open_v2(path, &db->db, flags, NULL));
  if ((db->error & 0xff) == SQLITE_CANTOPEN) {
    fail_open(db, path, error);
  } else if (db->error != 0 || !set_up(db, durable)) {
    sl_lite_db_fail(db, error);
  } else if (is_ours(db, error)) {
    if (!sqlite3_db_readonly(db->db, "main")) return true;
    refuse(error, "EROFS", "the job store cannot be written");
  }
  sl_lite_db_close(db);
  return false;
}

static bool create(struct sl_lite_db *db) {
  char version[100];
  snprintf(version, sizeof version,
           "PRAGMA application_id=%d;PRAGMA user_version=%d",
           (int)APPLICATION_ID, (int)VERSION);
  return sl_lite_exec(db, "BEGIN IMMEDIATE") && sl_lite_exec(db, schema) &&
         sl_lite_exec(db, version) && sl_lite_exec(db, "COMMIT");
}

static bool prepare_all(struct sl_lite_db *db) {
  for (int i = 0; i < SL_NSTATEMENTS; i++) {
    int code = sqlite3_prepare_v3(db->db, texts[i], -1,
                                  SQLITE_PREPARE_PERSISTENT,
                                  &db->statements[i], NULL);
    if (code == SQLITE_OK) continue;
    sl_lite_note(db, code);
    return false;
  }
  return true;
}

/* False: it cannot be; an error of SQLite is noted. */
static bool in_wal_mode(struct sl_lite_db *db) {
  sqlite3_stmt *set;
  int code = sqlite3_prepare_v2(db->db, "PRAGMA journal_mode=WAL", -1, &set,
                                NULL);
  bool is = code != SQLITE_OK || sqlite3_step(set) != SQLITE_ROW ||
            sqlite3_stricmp((const char *)sqlite3_column_text(set, 0),
                            "wal") == 0;
  code = sqlite3_finalize(set);
  if (code != SQLITE_OK) sl_lite_note(db, code);
  return is;
}

bool sl_lite_db_prepare(struct sl_lite_db *db,
                        struct sl_engine_error *error) {
  char limit[64];
  snprintf(limit, sizeof limit, "PRAGMA journal_size_limit=%d", WAL_LIMIT);
  /* Another process may have made it since it was opened. */
  if (!is_ours(db, error)) return false;
  if (!in_wal_mode(db))
    return refuse(error, "ENOTSUP",
                  "the file system has no shared memory for SQLite");
  if (db->error == 0 &&
      sl_lite_exec(db, limit) &&
      (sl_lite_ask(db, "PRAGMA user_version", 0) != 0 || create(db)) &&
      prepare_all(db)) {
    sqlite3_wal_hook(db->db, on_commit, db);
    return true;
  }
  sl_lite_db_fail(db, error);
  return false;
}

void sl_lite_db_close(struct sl_lite_db *db) {
  for (int i = 0; i < SL_NSTATEMENTS; i++)
    sqlite3_finalize(db->statements[i]);
  sqlite3_close(db->db);
  memset(db, 0, sizeof *db);
}

const char *sl_lite_db_path(const struct sl_lite_db *db) {
  return sqlite3_db_filename(db->db, "main");
}
