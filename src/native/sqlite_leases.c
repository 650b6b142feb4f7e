/*
** sqlite_leases.c: whose leases are renewed, and who has died; see
** sqlite_engine.h.
**
** Renewing is done here, in the store's thread, so that a handler that
** computes for long keeps its job. A process that is killed drops the lock
** of its byte: whoever notices ends its leases.
*/
#include <stdlib.h>
#include <unistd.h>

#include "sqlite_engine.h"

enum { RENEWALS = 3 }; /* in the time of a lease */

/* -- keeping -- */

static bool has_id(void *ctx, uint32_t ref, const void *key) {
  const struct sl_engine *engine = ctx;
  return engine->kept[ref].id == *(const int64_t *)key;
}

static uint32_t find_kept(struct sl_engine *engine, int64_t id) {
  return sl_hash_find(&engine->kept_by_id, sl_hash_number((uint64_t)id),
                      has_id, engine, &id);
}

static bool grow_kept(struct sl_engine *engine) {
  uint32_t cap = engine->kept_cap == 0 ? 16 : engine->kept_cap * 2;
  struct sl_lite_kept *kept;
  if (!sl_hash_reserve(&engine->kept_by_id, 1)) return false;
  if (engine->nkept < engine->kept_cap) return true;
  kept = realloc(engine->kept, cap * sizeof *kept);
  if (kept == NULL) return false;
  engine->kept = kept;
  engine->kept_cap = cap;
  return true;
}

static void plan(struct sl_engine *engine, struct sl_lite_kept *kept) {
  kept->renew_ns = sl_lite_after(engine, kept->lease_ns / RENEWALS);
  if (kept->renew_ns < engine->renew_ns) engine->renew_ns = kept->renew_ns;
}

bool sl_lite_keep(struct sl_engine *engine, int64_t id, int64_t token,
                  int64_t lease_ns) {
  struct sl_lite_kept *kept;
  sl_lite_let_go(engine, id);
  if (!grow_kept(engine)) return false;
  kept = &engine->kept[engine->nkept];
  kept->id = id;
  kept->token = token;
  kept->lease_ns = lease_ns;
  plan(engine, kept);
  sl_hash_add(&engine->kept_by_id, sl_hash_number((uint64_t)id),
              engine->nkept++);
  return true;
}

/* The last one takes the place that is left. */
void sl_lite_let_go(struct sl_engine *engine, int64_t id) {
  uint32_t at = engine->nkept > 0 ? find_kept(engine, id) : SL_HASH_NONE;
  uint32_t last = engine->nkept - 1;
  if (at == SL_HASH_NONE) return;
  sl_hash_remove(&engine->kept_by_id, sl_hash_number((uint64_t)id), at);
  if (at != last) {
    uint32_t hash = sl_hash_number((uint64_t)engine->kept[last].id);
    sl_hash_remove(&engine->kept_by_id, hash, last);
    engine->kept[at] = engine->kept[last];
    sl_hash_add(&engine->kept_by_id, hash, at);
  }
  if (--engine->nkept == 0) engine->renew_ns = INT64_MAX;
}

/* Returns whether the lease still was ours. */
static bool renew(struct sl_engine *engine, struct sl_lite_kept *kept) {
  sqlite3_stmt *update = sl_lite_get(&engine->db, SL_RENEW);
  sqlite3_bind_int64(update, 1, kept->id);
  sqlite3_bind_int64(update, 2, kept->token);
  sqlite3_bind_int64(update, 3, sl_lite_after(engine, kept->lease_ns));
  return sl_lite_do(&engine->db, update) > 0 || engine->db.error != 0;
}

void sl_lite_renew(struct sl_engine *engine) {
  if (engine->renew_ns > engine->now_ns) return;
  engine->renew_ns = INT64_MAX;
  for (uint32_t i = 0; i < engine->nkept;) {
    struct sl_lite_kept *kept = &engine->kept[i];
    if (kept->renew_ns > engine->now_ns) {
      if (kept->renew_ns < engine->renew_ns)
        engine->renew_ns = kept->renew_ns;
      i++;
    } else if (renew(engine, kept)) {
      plan(engine, kept);
      i++;
    } else {
      sl_lite_let_go(engine, kept->id);
    }
  }
}

/* -- owners -- */

void sl_lite_enrol(struct sl_engine *engine) {
  sqlite3_stmt *add = sl_lite_get(&engine->db, SL_OWNER_ADD);
  sqlite3_bind_int64(add, 1, engine->owner);
  sqlite3_bind_int64(add, 2, (int64_t)getpid());
  sl_lite_do(&engine->db, add);
}

static void drop_owner(struct sl_engine *engine, int64_t owner) {
  sqlite3_stmt *drop = sl_lite_get(&engine->db, SL_OWNER_DROP);
  sqlite3_bind_int64(drop, 1, owner);
  sl_lite_do(&engine->db, drop);
}

/* Moves the counters of what SL_OWN_RELEASE will make ready. */
static void count_released(struct sl_engine *engine) {
  sqlite3_stmt *count = sl_lite_get(&engine->db, SL_OWN_COUNT);
  sqlite3_bind_int64(count, 1, engine->owner);
  while (sl_lite_row(&engine->db, count)) {
    int64_t n = sqlite3_column_int64(count, 1);
    struct sl_lite_queue *queue =
        sl_lite_queue(engine, sqlite3_column_int64(count, 0));
    if (queue == NULL) continue;
    queue->stats.jobs[SL_LEASED] -= n;
    queue->stats.jobs[SL_READY_JOB] += n;
    queue->dirty = true;
  }
}

void sl_lite_resign(struct sl_engine *engine) {
  sqlite3_stmt *release = sl_lite_get(&engine->db, SL_OWN_RELEASE);
  count_released(engine);
  sqlite3_bind_int64(release, 1, engine->owner);
  if (sl_lite_do(&engine->db, release) > 0) engine->tell = true;
  drop_owner(engine, engine->owner);
}

/* The leases of a dead owner are over. They are settled with their queues,
   which are loaded anew for that. */
static void end_leases(struct sl_engine *engine, int64_t owner) {
  sqlite3_stmt *orphan = sl_lite_get(&engine->db, SL_ORPHAN);
  sqlite3_bind_int64(orphan, 1, owner);
  if (sl_lite_do(&engine->db, orphan) > 0) {
    sl_lite_save(engine);
    sl_lite_forget(engine);
    engine->tell = true;
  }
  drop_owner(engine, owner);
}

void sl_lite_rescue(struct sl_engine *engine) {
  sqlite3_stmt *owners = sl_lite_get(&engine->db, SL_OWNERS);
  int64_t dead[64];
  int ndead = 0;
  while (ndead < 64 && sl_lite_row(&engine->db, owners)) {
    int64_t owner = sqlite3_column_int64(owners, 0);
    if (!sl_lite_lives(&engine->files, owner)) dead[ndead++] = owner;
  }
  sqlite3_reset(owners);
  engine->deaths = ndead == 64; /* then there may be more */
  for (int i = 0; i < ndead; i++) end_leases(engine, dead[i]);
}
