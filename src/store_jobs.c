/*
** store_jobs.c: see store_jobs.h.
*/
#include "store_jobs.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 16, MAX_CAP = 1 << 30 };

/* -- memory -- */

static struct sl_text copy_text(struct sl_text text) {
  struct sl_text copy = {NULL, 0};
  char *data;
  if (text.data == NULL) return copy;
  data = malloc(text.len + 1);
  if (data == NULL) return copy;
  memcpy(data, text.data, text.len);
  data[text.len] = '\0';
  copy.data = data;
  copy.len = text.len;
  return copy;
}

static void free_text(struct sl_text *text) {
  free((void *)text->data);
  text->data = NULL;
  text->len = 0;
}


static uint32_t next_cap(uint32_t cap) {
  return cap == 0 ? FIRST_CAP : cap < MAX_CAP ? cap * 2 : 0;
}

/* -- heaps -- */

static bool before(void *ctx, const struct sl_heap_entry *a,
                   const struct sl_heap_entry *b) {
  const struct sl_mem *mem = ctx;
  if (a->key != b->key) return a->key < b->key;
  return mem->jobs[sl_heap_ref(a)].id < mem->jobs[sl_heap_ref(b)].id;
}

static void init_heap(struct sl_mem *mem, struct sl_heap *heap,
                      uint32_t *pos) {
  sl_heap_init(heap);
  heap->less = before;
  heap->ctx = mem;
  heap->pos = pos;
}

/* The heap puts its entries somewhere in the memory that it is given; right
   before them stands the address of the block, to be freed. */
static void *heap_block(const struct sl_heap *heap) {
  void *block;
  if (heap->cap == 0) return NULL;
  memcpy(&block, (char *)heap->at - sizeof block, sizeof block);
  return block;
}

/* Makes room for one more entry, or for `want` in all. */
static bool grow_heap(struct sl_heap *heap, uint32_t want) {
  uint32_t cap = heap->cap;
  void *old = heap_block(heap);
  char *block;
  while (cap < want) {
    cap = next_cap(cap);
    if (cap == 0) return false;
  }
  if (cap == heap->cap) return true;
  block = malloc(sizeof block + sl_heap_bytes(cap));
  if (block == NULL) return false;
  sl_heap_rebase(heap, block + sizeof block, cap);
  memcpy((char *)heap->at - sizeof block, &block, sizeof block);
  free(old);
  return true;
}

static void free_heap(struct sl_heap *heap) { free(heap_block(heap)); }

/* -- opening -- */

static bool has_id(void *ctx, uint32_t row, const void *key) {
  const struct sl_mem *mem = ctx;
  return mem->jobs[row].id == *(const int64_t *)key;
}

void sl_mem_init(struct sl_mem *mem) {
  memset(mem, 0, sizeof *mem);
  mem->free_job = SL_NO_JOB;
  mem->free_key = SL_NO_JOB;
  mem->last_id = SL_FIRST_ID - 1;
  sl_hash_init(&mem->by_id);
  sl_hash_init(&mem->by_key);
}

static void free_queue(struct sl_mem_queue *queue) {
  for (int state = 0; state < SL_NSTATES; state++)
    free_heap(&queue->heaps[state]);
  free_heap(&queue->mortal);
  free(queue->name);
  free(queue);
}

void sl_mem_fini(struct sl_mem *mem) {
  for (uint32_t row = 0; row < mem->njobs; row++) {
    free_text(&mem->jobs[row].body);
    free_text(&mem->jobs[row].error);
  }
  for (uint32_t row = 0; row < mem->nkeys; row++)
    free_text(&mem->keys[row].text);
  for (uint32_t i = 0; i < mem->nqueues; i++) free_queue(mem->queues[i]);
  free(mem->queues);
  free(mem->jobs);
  free(mem->keys);
  free(mem->pos);
  free(mem->mortal_pos);
  sl_hash_fini(&mem->by_id);
  sl_hash_fini(&mem->by_key);
}

/* -- queues -- */

static bool grow_queues(struct sl_mem *mem) {
  size_t size = (mem->nqueues + 1) * sizeof *mem->queues;
  struct sl_mem_queue **queues = realloc(mem->queues, size);
  if (queues == NULL) return false;
  mem->queues = queues;
  return true;
}

static struct sl_mem_queue *new_queue(struct sl_mem *mem, const char *name) {
  struct sl_mem_queue *queue = calloc(1, sizeof *queue);
  struct sl_text text = {name, strlen(name)};
  if (queue == NULL) return NULL;
  queue->name = (char *)copy_text(text).data;
  if (queue->name == NULL || !grow_queues(mem)) {
    free(queue->name);
    free(queue);
    return NULL;
  }
  for (int state = 0; state < SL_NSTATES; state++)
    init_heap(mem, &queue->heaps[state], mem->pos);
  init_heap(mem, &queue->mortal, mem->mortal_pos);
  mem->queues[mem->nqueues++] = queue;
  return queue;
}

struct sl_mem_queue *sl_mem_queue(struct sl_mem *mem, const char *name,
                                  uint32_t *number) {
  for (*number = 0; *number < mem->nqueues; ++*number)
    if (strcmp(mem->queues[*number]->name, name) == 0)
      return mem->queues[*number];
  return new_queue(mem, name);
}

/* -- rows -- */

static void rebase_positions(struct sl_mem *mem) {
  for (uint32_t i = 0; i < mem->nqueues; i++) {
    for (int state = 0; state < SL_NSTATES; state++)
      mem->queues[i]->heaps[state].pos = mem->pos;
    mem->queues[i]->mortal.pos = mem->mortal_pos;
  }
}

/* Resizes an array of positions; false without memory. */
static bool grow_positions(uint32_t **pos, uint32_t cap) {
  uint32_t *memory = realloc(*pos, cap * sizeof *memory);
  if (memory == NULL) return false;
  *pos = memory;
  return true;
}

/* Makes room for one more row of jobs. */
static bool grow_jobs(struct sl_mem *mem) {
  uint32_t cap = next_cap(mem->jobs_cap);
  struct sl_mem_job *jobs;
  bool grown;
  if (mem->free_job != SL_NO_JOB || mem->njobs < mem->jobs_cap) return true;
  if (cap == 0) return false;
  grown = grow_positions(&mem->pos, cap) &&
          grow_positions(&mem->mortal_pos, cap);
  rebase_positions(mem); /* what has grown may have moved */
  if (!grown) return false;
  jobs = realloc(mem->jobs, cap * sizeof *jobs);
  if (jobs == NULL) return false;
  mem->jobs = jobs;
  mem->jobs_cap = cap;
  return true;
}

static uint32_t take_job_row(struct sl_mem *mem) {
  uint32_t row = mem->free_job;
  if (row == SL_NO_JOB) return mem->njobs++;
  mem->free_job = mem->jobs[row].key;
  return row;
}

static bool grow_keys(struct sl_mem *mem) {
  uint32_t cap = next_cap(mem->keys_cap);
  struct sl_mem_key *keys;
  if (!sl_hash_reserve(&mem->by_key, 1)) return false;
  if (mem->free_key != SL_NO_JOB || mem->nkeys < mem->keys_cap) return true;
  keys = cap > 0 ? realloc(mem->keys, cap * sizeof *keys) : NULL;
  if (keys == NULL) return false;
  mem->keys = keys;
  mem->keys_cap = cap;
  return true;
}

static uint32_t take_key_row(struct sl_mem *mem) {
  uint32_t row = mem->free_key;
  if (row == SL_NO_JOB) return mem->nkeys++;
  mem->free_key = mem->keys[row].hash;
  return row;
}

/* -- unique keys -- */

struct key_sought {
  uint32_t queue;
  struct sl_text text;
};

static bool has_key(void *ctx, uint32_t row, const void *key) {
  const struct sl_mem_key *have = &((const struct sl_mem *)ctx)->keys[row];
  const struct key_sought *want = key;
  return have->queue == want->queue && have->text.len == want->text.len &&
         memcmp(have->text.data, want->text.data, want->text.len) == 0;
}

static uint32_t hash_key(uint32_t queue, struct sl_text text) {
  return sl_hash_bytes(text.data, text.len) ^ sl_hash_number(queue);
}

static void drop_key(struct sl_mem *mem, uint32_t row) {
  struct sl_mem_key *key = &mem->keys[row];
  sl_hash_remove(&mem->by_key, key->hash, row);
  free_text(&key->text);
  key->hash = mem->free_key;
  mem->free_key = row;
}

uint32_t sl_mem_find_key(struct sl_mem *mem, uint32_t queue,
                         struct sl_text text, int64_t now_ns) {
  struct key_sought want = {queue, text};
  uint32_t row = sl_hash_find(&mem->by_key, hash_key(queue, text), has_key,
                              mem, &want);
  if (row == SL_HASH_NONE) return SL_NO_JOB;
  if (mem->keys[row].there || mem->keys[row].until_ns > now_ns) return row;
  drop_key(mem, row);
  return SL_NO_JOB;
}

/* Keys whose job is gone and whose time is over are dropped when the table
   would grow, so that there are never more of them than of others. */
static void drop_stale_keys(struct sl_mem *mem, int64_t now_ns) {
  if (mem->free_key != SL_NO_JOB || mem->nkeys < mem->keys_cap) return;
  for (uint32_t row = 0; row < mem->nkeys; row++) {
    const struct sl_mem_key *key = &mem->keys[row];
    if (key->text.data != NULL && !key->there && key->until_ns <= now_ns)
      drop_key(mem, row);
  }
}

static void add_key(struct sl_mem *mem, uint32_t job, struct sl_text text,
                    int64_t until_ns) {
  uint32_t row = take_key_row(mem);
  struct sl_mem_key *key = &mem->keys[row];
  key->text = text;
  key->id = mem->jobs[job].id;
  key->until_ns = until_ns;
  key->queue = mem->jobs[job].queue;
  key->hash = hash_key(key->queue, text);
  key->there = true;
  mem->jobs[job].key = row;
  sl_hash_add(&mem->by_key, key->hash, row);
}

/* -- jobs -- */

uint32_t sl_mem_find(const struct sl_mem *mem, uint32_t queue, int64_t id) {
  uint32_t row = sl_hash_find(&mem->by_id, sl_hash_number((uint64_t)id),
                              has_id, (void *)mem, &id);
  if (row == SL_HASH_NONE || mem->jobs[row].queue != queue)
    return SL_NO_JOB;
  return row;
}

/* What the heap of its state orders a job by. */
static uint64_t heap_key(const struct sl_mem_job *job,
                         enum sl_job_state state, int64_t at_ns) {
  if (state == SL_READY_JOB) return sl_heap_number_key(job->priority);
  return (uint64_t)at_ns;
}

/* A job is in `mortal` while its ttl may end it. There is room. */
static void track_ttl(struct sl_mem *mem, uint32_t row) {
  struct sl_mem_job *job = &mem->jobs[row];
  struct sl_heap *mortal = &mem->queues[job->queue]->mortal;
  bool may_end = job->ttl_ns != INT64_MAX &&
                 (job->state == SL_READY_JOB || job->state == SL_DELAYED);
  bool tracked = mem->mortal_pos[row] != SL_HEAP_NONE;
  if (may_end && !tracked) {
    sl_heap_push(mortal, (uint64_t)job->ttl_ns, row);
  } else if (!may_end && tracked) {
    sl_heap_remove(mortal, mem->mortal_pos[row]);
    mem->mortal_pos[row] = SL_HEAP_NONE;
  }
}

/* Makes room wherever a new job will need some. */
static bool make_room(struct sl_mem *mem, struct sl_mem_queue *queue,
                      const struct sl_job *job, enum sl_job_state state) {
  struct sl_heap *heap = &queue->heaps[state];
  return grow_jobs(mem) && sl_hash_reserve(&mem->by_id, 1) &&
         grow_heap(heap, heap->len + 1) &&
         (job->ttl_ns == SL_UNSET ||
          grow_heap(&queue->mortal, queue->nmortal + 1)) &&
         (job->unique.data == NULL || grow_keys(mem));
}

static int64_t after(int64_t now_ns, int64_t ns) {
  return ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + ns;
}

static void fill(struct sl_mem *mem, uint32_t row, uint32_t queue,
                 const struct sl_job *from, int64_t now_ns) {
  const struct sl_queue_settings *own = &mem->queues[queue]->settings;
  struct sl_mem_job *job = &mem->jobs[row];
  memset(job, 0, sizeof *job);
  job->id = ++mem->last_id;
  job->created_ns = now_ns;
  job->at_ns = after(now_ns, from->due_ns);
  job->ttl_ns =
      from->ttl_ns == SL_UNSET ? INT64_MAX : after(now_ns, from->ttl_ns);
  job->lease_ns =
      from->lease_ns == SL_UNSET ? own->lease_ns : from->lease_ns;
  job->max_attempts = from->max_attempts == SL_UNSET ? own->max_attempts
                                                     : from->max_attempts;
  job->priority = from->priority;
  job->queue = queue;
  job->key = SL_NO_JOB;
  job->format = from->format;
}

uint32_t sl_mem_add(struct sl_mem *mem, uint32_t number,
                    const struct sl_job *from, int64_t now_ns) {
  struct sl_mem_queue *queue = mem->queues[number];
  enum sl_job_state state = from->due_ns > 0 ? SL_DELAYED : SL_READY_JOB;
  struct sl_text body = copy_text(from->body);
  struct sl_text unique = copy_text(from->unique);
  struct sl_mem_job *job;
  uint32_t row;
  if (from->unique.data != NULL) drop_stale_keys(mem, now_ns);
  if (body.data == NULL ||
      (from->unique.data != NULL && unique.data == NULL) ||
      !make_room(mem, queue, from, state)) {
    free_text(&body);
    free_text(&unique);
    return SL_NO_JOB;
  }
  row = take_job_row(mem);
  fill(mem, row, number, from, now_ns);
  job = &mem->jobs[row];
  job->body = body;
  job->state = (uint8_t)state;
  sl_hash_add(&mem->by_id, sl_hash_number((uint64_t)job->id), row);
  sl_heap_push(&queue->heaps[state], heap_key(job, state, job->at_ns), row);
  mem->mortal_pos[row] = SL_HEAP_NONE;
  if (job->ttl_ns != INT64_MAX) queue->nmortal++;
  track_ttl(mem, row);
  if (unique.data != NULL)
    add_key(mem, row, unique, after(now_ns, from->unique_ns));
  return row;
}

bool sl_mem_move(struct sl_mem *mem, uint32_t row, enum sl_job_state state,
                 int64_t at_ns) {
  struct sl_mem_job *job = &mem->jobs[row];
  struct sl_mem_queue *queue = mem->queues[job->queue];
  struct sl_heap *to = &queue->heaps[state];
  if (!grow_heap(to, to->len + 1)) return false;
  sl_heap_remove(&queue->heaps[job->state], mem->pos[row]);
  job->state = (uint8_t)state;
  job->at_ns = at_ns;
  sl_heap_push(to, heap_key(job, state, at_ns), row);
  track_ttl(mem, row);
  return true;
}

void sl_mem_extend(struct sl_mem *mem, uint32_t row, int64_t deadline_ns) {
  struct sl_mem_job *job = &mem->jobs[row];
  struct sl_heap *heap = &mem->queues[job->queue]->heaps[SL_LEASED];
  sl_heap_remove(heap, mem->pos[row]);
  job->at_ns = deadline_ns;
  sl_heap_push(heap, (uint64_t)deadline_ns, row);
}

void sl_mem_remove(struct sl_mem *mem, uint32_t row, int64_t now_ns) {
  struct sl_mem_job *job = &mem->jobs[row];
  struct sl_mem_queue *queue = mem->queues[job->queue];
  sl_heap_remove(&queue->heaps[job->state], mem->pos[row]);
  job->state = SL_DEAD; /* which no ttl ends */
  track_ttl(mem, row);
  if (job->ttl_ns != INT64_MAX) queue->nmortal--;
  if (job->key != SL_NO_JOB) {
    mem->keys[job->key].there = false;
    if (mem->keys[job->key].until_ns <= now_ns) drop_key(mem, job->key);
  }
  sl_hash_remove(&mem->by_id, sl_hash_number((uint64_t)job->id), row);
  free_text(&job->body);
  free_text(&job->error);
  job->id = 0;
  job->key = mem->free_job;
  mem->free_job = row;
}

void sl_mem_set_error(struct sl_mem *mem, uint32_t row,
                      struct sl_text text) {
  free_text(&mem->jobs[row].error);
  mem->jobs[row].error = copy_text(text);
}

/* -- looking -- */

static uint32_t first_of(const struct sl_heap *heap) {
  return heap->len > 0 ? sl_heap_ref(&heap->at[0]) : SL_NO_JOB;
}

uint32_t sl_mem_first(const struct sl_mem_queue *queue,
                      enum sl_job_state state) {
  return first_of(&queue->heaps[state]);
}

uint32_t sl_mem_first_mortal(const struct sl_mem_queue *queue) {
  return first_of(&queue->mortal);
}

static bool sound_heap(const struct sl_mem *mem, uint32_t queue,
                       const struct sl_heap *heap, int state) {
  for (uint32_t i = 0; i < heap->len; i++) {
    uint32_t row = sl_heap_ref(&heap->at[i]);
    const struct sl_mem_job *job = &mem->jobs[row];
    if (job->queue != queue || job->state != state || mem->pos[row] != i ||
        sl_mem_find(mem, queue, job->id) != row)
      return false;
  }
  return sl_heap_ordered(heap);
}

bool sl_mem_sound(const struct sl_mem *mem) {
  uint64_t held = 0;
  for (uint32_t i = 0; i < mem->nqueues; i++)
    for (int state = 0; state < SL_NSTATES; state++) {
      const struct sl_heap *heap = &mem->queues[i]->heaps[state];
      if (!sound_heap(mem, i, heap, state)) return false;
      held += heap->len;
    }
  return held == mem->by_id.len;
}
