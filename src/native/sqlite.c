/*
** sqlite.c: the module sluice.native.sqlite, an engine of job stores over
** libsqlite3: opening, and batches; see sqlite_engine.h.
**
**   enter   takes the lock of writers
**   run     BEGIN IMMEDIATE, each operation in its order, COMMIT; if anything
**           fails, all is rolled back and each operation is done again in a
**           transaction of its own, so that none fails for another's sake
**   leave   tells other processes, gives the lock back
**
** A full disk fails even a delete. Then the ballast is given up and the log
** is carried over into the file, so that its space is used again: puts are
** refused, everything else goes on, until there is room for the ballast, or
** jobs that went have left some in the file.
*/
#include <lauxlib.h>
#include <lua.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sqlite_crc.h"
#include "sqlite_engine.h"

enum {
  CHECKPOINT_FRAMES = 1000,
  FREE_PAGES = 1000 /* in the file, so that puts need no room on the disk */
};

static const int64_t SECOND = INT64_C(1000000000);
static const int64_t LOOK_NS = INT64_C(100000000); /* without a watch */
static const int64_t DEATH_NS = INT64_C(50000000); /* until it is over */

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_sluice_native_sqlite(lua_State *L);

/* -- time -- */

static int64_t read_clock(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

/* Counts from the machine's start, also while it sleeps. */
static int64_t boot_clock(void) {
#if defined(CLOCK_BOOTTIME)
  return read_clock(CLOCK_BOOTTIME);
#else
  return read_clock(CLOCK_MONOTONIC);
#endif
}

int64_t sl_lite_time(const struct sl_engine *engine) {
  return boot_clock() + engine->offset_ns;
}

/* Reads both clocks for a batch. That they run apart a little is no matter;
   if the machine's was set, times are told by that. */
static void read_time(struct sl_engine *engine) {
  engine->now_ns = sl_lite_time(engine);
  engine->skew_ns = read_clock(CLOCK_REALTIME) - engine->now_ns;
  if (engine->skew_ns > -SECOND && engine->skew_ns < SECOND)
    engine->skew_ns = 0;
}

/* What changes with each start of the machine; may be empty. */
static void read_boot_id(char *id, size_t size) {
  FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
  id[0] = '\0';
  if (file == NULL) return;
  if (fgets(id, (int)size, file) == NULL) id[0] = '\0';
  id[strcspn(id, "\n")] = '\0';
  fclose(file);
}

/* -- root -- */

/* The time of the store goes on where it was as long as the machine runs,
   whatever is done to its clock; then it begins anew at that clock, not
   before what it was. */
static void set_clock(struct sl_engine *engine, int64_t offset_ns,
                      const char *stored_boot, const char *boot,
                      int64_t last_ns) {
  if (boot[0] == '\0' || strcmp(stored_boot, boot) != 0)
    offset_ns = read_clock(CLOCK_REALTIME) - boot_clock();
  engine->offset_ns = offset_ns;
  engine->now_ns = sl_lite_time(engine);
  if (engine->now_ns >= last_ns) return;
  engine->offset_ns += last_ns - engine->now_ns;
  engine->now_ns = last_ns;
}

/* Becomes one of those who have the store open. */
static void join(struct sl_engine *engine) {
  struct sl_lite_db *db = &engine->db;
  sqlite3_stmt *load = sl_lite_get(db, SL_ROOT_LOAD);
  char boot[64], text[256];
  read_boot_id(boot, sizeof boot);
  if (!sl_lite_row(db, load)) {
    sl_lite_note(db, SQLITE_CORRUPT);
    return;
  }
  engine->owner = sqlite3_column_int64(load, 2) + 1;
  set_clock(engine, sqlite3_column_int64(load, 3),
            (const char *)sqlite3_column_text(load, 4), boot,
            sqlite3_column_int64(load, 1));
  sqlite3_reset(load);
  sqlite3_snprintf((int)sizeof text, text,
                   "UPDATE root SET last_owner=%lld,offset_ns=%lld,boot=%Q",
                   (long long)engine->owner, (long long)engine->offset_ns,
                   boot);
  sl_lite_exec(db, text);
  if (sl_lite_claim(&engine->files, engine->owner)) {
    sl_lite_enrol(engine);
  } else {
    engine->refused = errno;
    sl_lite_note(db, SQLITE_IOERR_LOCK);
  }
}

static void load_root(struct sl_engine *engine) {
  sqlite3_stmt *load = sl_lite_get(&engine->db, SL_ROOT_LOAD);
  if (!sl_lite_row(&engine->db, load)) {
    sl_lite_note(&engine->db, SQLITE_CORRUPT);
    return;
  }
  engine->last_id = sqlite3_column_int64(load, 0);
  engine->others = sqlite3_column_int64(load, 5) - 1;
  sqlite3_reset(load);
}

/* Forgets what may not be true any more: others have committed. */
static void refresh(struct sl_engine *engine) {
  sqlite3_stmt *ask = sl_lite_get(&engine->db, SL_DATA_VERSION);
  int64_t version = 0;
  if (!sl_lite_row(&engine->db, ask)) return;
  version = sqlite3_column_int64(ask, 0);
  sqlite3_reset(ask);
  if (version == engine->data_version) return;
  sl_lite_forget(engine);
  load_root(engine);
  engine->data_version = version;
}

/* -- transactions -- */

static void roll_back(struct sl_lite_db *db) {
  if (!sqlite3_get_autocommit(db->db))
    sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

/* A commit that failed, when it was synced say, may stand in the log: who
   reads that after a crash takes it for one. Another is written over it. */
static void end_doubt(struct sl_engine *engine) {
  struct sl_lite_db *db = &engine->db;
  if (!engine->doubt || !engine->locked) return;
  sl_lite_simply(db, SL_BEGIN);
  if (db->error == 0) sl_lite_exec(db, "UPDATE root SET boot=boot");
  if (db->error == 0) sl_lite_simply(db, SL_COMMIT);
  engine->doubt = db->error != 0;
  roll_back(db);
}

static void begin(struct sl_engine *engine) {
  engine->db.error = 0;
  engine->late = false;
  read_time(engine);
  end_doubt(engine);
  if (engine->db.error == 0)
    sl_lite_simply(&engine->db, engine->locked ? SL_BEGIN : SL_BEGIN_READ);
  if (engine->db.error == 0) refresh(engine);
  if (!engine->locked || engine->db.error != 0) return;
  if (engine->deaths) sl_lite_rescue(engine);
  if (engine->nkept > 0) sl_lite_renew(engine);
}

/* Returns whether all is committed; else nothing is that this process sees,
   and nothing is known. *doubt: it may be seen after a crash. */
static bool commit(struct sl_engine *engine, bool *doubt) {
  struct sl_lite_db *db = &engine->db;
  bool reached = false;
  *doubt = false;
  if (db->error == 0) sl_lite_save(engine);
  if (db->error == 0) {
    reached = true;
    sl_lite_simply(db, SL_COMMIT);
  }
  if (db->error == 0) return true;
  roll_back(db);
  sl_lite_forget(engine);
  engine->data_version = -1;
  engine->deaths = true; /* whoever was rescued is not */
  /* When there is no room, the end of the commit was not written. */
  *doubt = reached && (db->error & 0xff) != SQLITE_FULL;
  engine->doubt = engine->doubt || *doubt;
  return false;
}

static struct sl_op *op_of(struct sl_link *link) {
  return sl_container(link, struct sl_op, link);
}

static void apply_all(struct sl_engine *engine, struct sl_link *ops) {
  for (struct sl_link *at = ops->next;
       at != ops && engine->db.error == 0; at = at->next)
    sl_lite_apply(engine, op_of(at));
}

/* All of both lists in one transaction. */
static bool attempt(struct sl_engine *engine, struct sl_link *ops,
                    struct sl_link *waiting, bool *doubt) {
  begin(engine);
  apply_all(engine, ops);
  if (engine->locked) apply_all(engine, waiting);
  return commit(engine, doubt);
}

/* -- when it fails -- */

static enum sl_op_status status_of(const struct sl_op *op, int error,
                                   bool doubt) {
  int code = error & 0xff;
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) return SL_OP_DAMAGED;
  if (doubt) return SL_OP_UNKNOWN;
  /* A table is missing, a row is none that was written here. */
  if (code == SQLITE_ERROR || code == SQLITE_CONSTRAINT) return SL_OP_DAMAGED;
  if (code == SQLITE_NOMEM) return SL_OP_NO_MEMORY;
  if (code == SQLITE_FULL && op->verb == SL_OP_PUT) return SL_OP_DISK_FULL;
  return SL_OP_UNAVAILABLE;
}

/* As long as the doubt about the attempt of all is not ended, it is not known
   of any whether it is done. */
static void do_singly(struct sl_engine *engine, struct sl_link *ops,
                      bool *doubt) {
  for (struct sl_link *at = ops->next; at != ops; at = at->next) {
    struct sl_op *op = op_of(at);
    bool own;
    begin(engine);
    *doubt = *doubt && engine->doubt;
    if (engine->db.error == 0) sl_lite_apply(engine, op);
    if (commit(engine, &own)) continue;
    sl_op_fail(op, status_of(op, engine->db.error, own || *doubt),
               sqlite3_errstr(engine->db.error));
  }
}

static bool is_full(const struct sl_engine *engine) {
  return (engine->db.error & 0xff) == SQLITE_FULL;
}

/* Gives up the ballast, and has the log's space used again. */
static void go_full(struct sl_engine *engine) {
  engine->full = true;
  engine->cramped = true;
  sl_lite_ballast_drop(&engine->files);
  sl_lite_checkpoint(&engine->db);
}

static void recover(struct sl_engine *engine, struct sl_link *ops,
                    struct sl_link *waiting, bool doubt) {
  if (is_full(engine) && engine->locked && !engine->full) {
    go_full(engine);
    if (attempt(engine, ops, waiting, &doubt)) return;
  }
  do_singly(engine, ops, &doubt);
  if (engine->locked) do_singly(engine, waiting, &doubt);
}

/* -- batches -- */

static bool enter(struct sl_engine *engine, bool writes,
                  const char **message) {
  engine->locked = writes && sl_lite_lock(&engine->files);
  if (!writes || engine->locked) return true;
  *message = strerror(errno);
  return false;
}

/* Whether the operation ends its leases, or was the last that tries to: what
   may succeed a little later is called again, with the lease renewed so long;
   who gives a job back goes. */
static bool parts(const struct sl_op *op) {
  switch (op->verb) {
    case SL_OP_RELEASE: return true;
    case SL_OP_ACK:
    case SL_OP_NACK:
    case SL_OP_BURY:
      return op->status != SL_OP_UNAVAILABLE &&
             op->status != SL_OP_UNKNOWN && op->status != SL_OP_NO_MEMORY;
    default: return false;
  }
}

static void let_go(struct sl_engine *engine, const struct sl_op *op) {
  if (engine->nkept == 0 || !parts(op)) return;
  for (size_t i = 0; i < op->njobs; i++)
    sl_lite_let_go(engine, op->jobs[i].id);
}

/* Moves from one list to the other what does, or does not, wait. */
static void move(struct sl_link *from, struct sl_link *to, bool waits) {
  struct sl_link *next;
  for (struct sl_link *at = from->next; at != from; at = next) {
    next = at->next;
    if ((op_of(at)->status == SL_OP_WAITING) != waits) continue;
    sl_link_unlink(at);
    sl_list_push(to, at);
  }
}

/* What other processes have told. The kernel tells of a death before it drops
   the lock that says that the process lives: it is looked for twice. */
static void heard(struct sl_engine *engine) {
  struct sl_lite_news news = sl_lite_heard(&engine->files);
  engine->news = engine->news || news.commit;
  engine->deaths = engine->deaths || news.death;
  if (news.death && engine->files.watch >= 0)
    engine->death_ns = read_clock(CLOCK_MONOTONIC) + DEATH_NS;
}

/* What was told until a batch began. One that writes tries those who wait. */
static void catch_up(struct sl_engine *engine) {
  if (engine->others > 0 && (engine->locked || engine->files.watch >= 0))
    heard(engine);
  if (!engine->locked) return;
  engine->news = false;
  if (engine->death_ns > engine->host_ns) return;
  engine->deaths = true;
  engine->death_ns = INT64_MAX;
}

static void tidy_log(struct sl_engine *engine) {
  bool idle = engine->idle_ns <= engine->host_ns;
  if (!engine->locked || engine->db.wal_frames == 0) return;
  if (idle || engine->full || engine->db.wal_frames >= CHECKPOINT_FRAMES)
    sl_lite_checkpoint(&engine->db);
}

/* Looks whether there is room again. If another process has given the ballast
   up, its room is for what that process needs to go on, not for puts. */
static void look_for_room(struct sl_engine *engine) {
  if (!engine->locked) return;
  if (!engine->full && sl_lite_ballast_is_there(&engine->files)) return;
  engine->full = !sl_lite_ballast_make(&engine->files);
  engine->cramped = sl_lite_ask(&engine->db, "PRAGMA freelist_count", 0) <
                    FREE_PAGES;
}

/* Who only looks takes no lock, but is to see what is due put right. If
   somebody has the lock now, he sees it as it was: he could not be cancelled
   while he waits. */
static bool look_again(struct sl_engine *engine) {
  if (!engine->late || !sl_lite_try_lock(&engine->files)) return false;
  engine->locked = true;
  return true;
}

/* Notices go by the order of the lock: one that came later than it would be
   written over that of who had the lock next, whom then nobody hears. */
static void leave(struct sl_engine *engine) {
  if (!engine->locked) return;
  if (engine->tell && engine->others > 0) sl_lite_notify(&engine->files);
  engine->tell = false;
  engine->locked = false;
  sl_lite_unlock(&engine->files);
}

bool sl_lite_breathe(struct sl_engine *engine) {
  const char *message;
  bool doubt;
  if (engine->renew_ns == INT64_MAX ||
      engine->renew_ns > sl_lite_time(engine))
    return true;
  engine->db.error = SQLITE_IOERR_LOCK;
  if (!enter(engine, true, &message)) return false;
  begin(engine);
  commit(engine, &doubt);
  leave(engine);
  return engine->db.error == 0;
}

/* What takes long is done when the others are committed and let in. */
static void check_all(struct sl_engine *engine, struct sl_link *ops) {
  for (struct sl_link *at = ops->next; at != ops; at = at->next) {
    struct sl_op *op = op_of(at);
    if (op->verb != SL_OP_CHECK || op->status != SL_OP_DONE) continue;
    leave(engine);
    sl_lite_check(engine, op);
  }
}

static void run(struct sl_engine *engine, struct sl_link *ops,
                struct sl_link *waiting, int64_t now_ns) {
  struct sl_link done;
  bool doubt, good;
  engine->host_ns = now_ns;
  catch_up(engine);
  tidy_log(engine);
  look_for_room(engine);
  good = attempt(engine, ops, waiting, &doubt);
  if (look_again(engine)) good = attempt(engine, ops, waiting, &doubt);
  if (!good) recover(engine, ops, waiting, doubt);
  sl_link_init(&done);
  move(waiting, &done, false);
  move(ops, waiting, true);
  while (!sl_list_empty(&done)) sl_list_push(ops, sl_list_pop(&done));
  for (struct sl_link *at = ops->next; at != ops; at = at->next)
    let_go(engine, op_of(at));
  check_all(engine, ops);
  engine->idle_ns =
      engine->db.wal_frames > 0 ? now_ns + SECOND : INT64_MAX;
}

/* -- waking up -- */

static bool ripe(struct sl_engine *engine, struct sl_link *waiting,
                 int64_t now_ns) {
  engine->awaited = !sl_list_empty(waiting);
  if (engine->awaited && engine->files.watch < 0 &&
      sl_lite_look(&engine->files))
    engine->news = true;
  if (engine->idle_ns <= now_ns) return true;
  if (engine->renew_ns != INT64_MAX &&
      engine->renew_ns <= sl_lite_time(engine))
    return true;
  return engine->awaited && (engine->news || engine->deaths ||
                             engine->death_ns <= now_ns);
}

static int64_t wake_ns(struct sl_engine *engine) {
  int64_t wake = engine->idle_ns, look, renew;
  if (engine->awaited && engine->files.watch < 0) {
    look = read_clock(CLOCK_MONOTONIC) + LOOK_NS;
    if (look < wake) wake = look;
  }
  if (engine->awaited && engine->death_ns < wake) wake = engine->death_ns;
  if (engine->renew_ns == INT64_MAX) return wake;
  renew = read_clock(CLOCK_MONOTONIC) +
          (engine->renew_ns - sl_lite_time(engine));
  return renew < wake ? renew : wake;
}

static int fd(struct sl_engine *engine) { return engine->files.watch; }

/* -- opening and closing -- */

static bool begin_work(struct sl_engine *engine) {
  struct sl_lite_db *db = &engine->db;
  bool doubt;
  db->error = 0;
  sl_lite_simply(db, SL_BEGIN);
  if (db->error == 0) join(engine);
  if (db->error == 0) load_root(engine);
  if (db->error == 0) sl_lite_rescue(engine);
  return commit(engine, &doubt);
}

static bool start(struct sl_engine *engine, struct sl_engine_error *error) {
  if (!sl_lite_db_prepare(&engine->db, error)) return false;
  if (begin_work(engine)) return true;
  if (is_full(engine)) {
    go_full(engine);
    if (begin_work(engine)) return true;
  }
  if (engine->refused != 0)
    sl_lite_fail_errno(error, "the notify file", engine->refused);
  else
    sl_lite_db_fail(&engine->db, error);
  return false;
}

static void free_engine(struct sl_engine *engine) {
  sl_lite_db_close(&engine->db);
  sl_lite_files_close(&engine->files);
  sl_hash_fini(&engine->kept_by_id);
  free(engine->kept);
  free(engine->queues);
  free(engine);
}

static bool open_in(struct sl_engine *engine,
                    const struct sl_engine_config *config,
                    struct sl_engine_error *error) {
  bool started;
  if (!sl_lite_db_open(&engine->db, config->path, config->durable, error))
    return false;
  if (!sl_lite_files_open(&engine->files, sl_lite_db_path(&engine->db),
                          error))
    return false;
  if (!sl_lite_lock(&engine->files)) {
    sl_lite_fail_errno(error, "the lock file", errno);
    return false;
  }
  started = start(engine, error);
  sl_lite_unlock(&engine->files);
  return started &&
         (!config->durable ||
          sl_lite_sync_directory(sl_lite_db_path(&engine->db), error));
}

static struct sl_engine *open_engine(const struct sl_engine_config *config,
                                     struct sl_engine_error *error) {
  struct sl_engine *engine = calloc(1, sizeof *engine);
  if (engine == NULL) {
    sl_lite_fail_errno(error, config->path, ENOMEM);
    return NULL;
  }
  engine->files.lock = engine->files.notify = engine->files.watch = -1;
  engine->renew_ns = INT64_MAX;
  engine->idle_ns = INT64_MAX;
  engine->death_ns = INT64_MAX;
  engine->data_version = -1;
  sl_hash_init(&engine->kept_by_id);
  if (open_in(engine, config, error)) {
    if (!engine->full) engine->full = !sl_lite_ballast_make(&engine->files);
    return engine;
  }
  free_engine(engine);
  return NULL;
}

/* What is still leased goes back; it is no use to wait for it. */
static void close_engine(struct sl_engine *engine) {
  const char *message;
  bool doubt;
  if (enter(engine, true, &message)) {
    engine->nkept = 0;
    begin(engine);
    if (engine->db.error == 0) sl_lite_resign(engine);
    commit(engine, &doubt);
    leave(engine);
  }
  free_engine(engine);
}

/* The clock of the machine, which is what `at` is meant by. */
static int64_t now(struct sl_engine *engine, int64_t now_ns) {
  (void)engine, (void)now_ns;
  return read_clock(CLOCK_REALTIME);
}

static const struct sl_engine_class engine_class = {
    .version = SL_ENGINE_VERSION,
    .name = "sqlite",
    .threaded = true,
    .open = open_engine,
    .close = close_engine,
    .enter = enter,
    .run = run,
    .leave = leave,
    .ripe = ripe,
    .wake_ns = wake_ns,
    .fd = fd,
    .heard = heard,
    .now = now};

/* -- the module -- */

int luaopen_sluice_native_sqlite(lua_State *L) {
  const struct sl_engine_class **class;
  sl_crc32c_init();
  /* Counting memory takes a lock at each allocation. Ignored if somebody else
     has SQLite in use already. */
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  lua_createtable(L, 0, 2);
  class = lua_newuserdatauv(L, sizeof *class, 0);
  *class = &engine_class;
  luaL_newmetatable(L, SL_ENGINE_TYPE);
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "engine");
  lua_pushstring(L, sqlite3_libversion());
  lua_setfield(L, -2, "version");
  return 1;
}
