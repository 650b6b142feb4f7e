/*
** store_op.c: see store_op.h.
*/
#include "store_op.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 512, KEPT_BLOCK = 4096 };

const struct sl_queue_settings sl_default_settings = {
    .maxsize = 0, .lease_ns = INT64_C(60000000000), .max_attempts = 25};

/* Memory is handed out from the newest block; a large piece has one of its
   own. */
struct sl_op_block {
  struct sl_op_block *next;
  size_t used; /* bytes after the head */
  size_t cap;
};

enum { HEAD = (sizeof(struct sl_op_block) + 15) / 16 * 16 };

void sl_op_init(struct sl_op *op, enum sl_verb verb) {
  memset(op, 0, sizeof *op);
  sl_link_init(&op->link);
  op->verb = verb;
  op->id = SL_UNSET;
  op->after_ns = SL_UNSET;
  op->retry_ns = INT64_MAX;
}

static void free_blocks(struct sl_op_block *block) {
  while (block != NULL) {
    struct sl_op_block *next = block->next;
    free(block);
    block = next;
  }
}

void sl_op_fini(struct sl_op *op) {
  free_blocks(op->blocks);
  op->blocks = NULL;
}

void sl_op_reset(struct sl_op *op, enum sl_verb verb) {
  struct sl_op_block *block = op->blocks;
  if (block != NULL && block->cap <= KEPT_BLOCK) {
    free_blocks(block->next);
    block->next = NULL;
    block->used = 0;
  } else {
    free_blocks(block);
    block = NULL;
  }
  sl_op_init(op, verb);
  op->blocks = block;
  op->size = block != NULL ? block->cap : 0;
}

/* Puts a new block with room for `need` first. */
static struct sl_op_block *add_block(struct sl_op *op, size_t need) {
  size_t cap = op->blocks == NULL ? FIRST_BLOCK : op->blocks->cap * 2;
  struct sl_op_block *block;
  if (cap < need) cap = need;
  if (cap > SIZE_MAX - HEAD) return NULL;
  block = malloc(HEAD + cap);
  if (block == NULL) return NULL;
  block->next = op->blocks;
  block->used = 0;
  block->cap = cap;
  op->blocks = block;
  op->size += cap;
  return block;
}

void *sl_op_alloc(struct sl_op *op, size_t size) {
  struct sl_op_block *block = op->blocks;
  void *at;
  if (size > SIZE_MAX / 2) return NULL;
  size = (size + 15) / 16 * 16;
  if (block == NULL || block->cap - block->used < size)
    block = add_block(op, size);
  if (block == NULL) return NULL;
  at = (char *)block + HEAD + block->used;
  block->used += size;
  return at;
}

struct sl_text sl_op_copy(struct sl_op *op, const char *data, size_t len) {
  struct sl_text text = {NULL, 0};
  char *at = sl_op_alloc(op, len + 1);
  if (at == NULL) return text;
  if (len > 0) memcpy(at, data, len);
  at[len] = '\0';
  text.data = at;
  text.len = len;
  return text;
}

bool sl_op_make_jobs(struct sl_op *op, size_t n) {
  struct sl_job *jobs;
  if (n > SIZE_MAX / 2 / sizeof *jobs) return false;
  jobs = sl_op_alloc(op, n * sizeof *jobs);
  if (jobs == NULL) return false;
  memset(jobs, 0, n * sizeof *jobs);
  op->jobs = jobs;
  op->njobs = n;
  return true;
}

void sl_op_fail(struct sl_op *op, enum sl_op_status status,
                const char *message) {
  op->status = status;
  op->message = message;
}

bool sl_verb_writes(enum sl_verb verb) {
  return verb != SL_OP_PEEK && verb != SL_OP_JOB && verb != SL_OP_STATS &&
         verb != SL_OP_QUEUES && verb != SL_OP_CHECK && verb != SL_OP_DRAIN;
}

bool sl_verb_waits(enum sl_verb verb) {
  return verb == SL_OP_RESERVE || verb == SL_OP_DRAIN;
}
