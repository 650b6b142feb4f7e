/*
** scope.h: where a cancellation holds: a tree of scopes.
**
** The one idea: each task runs in a chain of scopes (its own, and one for
** every group, deadline and shield it has entered); the chains of all tasks
** form a tree, since a child's chain hangs on its group's scope. Cancelling
** a scope marks everything below it, down to the shields, at once, so that
** "am I cancelled?" is one look at the innermost scope, for ever: a pcall
** cannot swallow what is not an event but a state.
**
** A scope absorbs a cancellation at its edge if it was cancelled itself and
** its parent's is not visible from there.
**
** Owns nothing: scopes are embedded in tasks, groups and deadlines. Cannot
** fail, touches no Lua.
*/
#ifndef SL_SCOPE_H
#define SL_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

struct sl_task;

struct sl_scope {
  bool effective;          /* cancelled itself, or from above with no shield
                              between: what each checkpoint looks at */
  bool cancelled;          /* itself */
  bool shield;             /* nothing from above comes in */
  /* One byte: with it a task is five lines of the cache, not six. */
  bool owns_ref : 1;       /* error_ref is released with the scope */
  bool fixed : 1;          /* only the C call that entered it leaves it */
  bool group : 1;          /* a group's: left by group.c */
  bool timed : 1;          /* it has a deadline: it will end by itself */
  int error_ref;           /* which error it raises; see cancel.c */
  struct sl_scope *parent; /* NULL: the root of the run */
  struct sl_task *task;    /* that runs in it; NULL: the root of the run */
  struct sl_link link;     /* among the parent's children */
  struct sl_link children;
};

/* Enters the tree below `parent`, which may be NULL. */
void sl_scope_init(struct sl_scope *scope, struct sl_scope *parent,
                   struct sl_task *task, bool shield);

/* Leaves the tree; what still hangs below is handed to the parent. */
void sl_scope_fini(struct sl_scope *scope);

/* Cancels the scope; `deliver` is told of each scope that became effective,
   parents before children. Returns false if it was cancelled before. */
bool sl_scope_cancel(struct sl_scope *scope,
                     void (*deliver)(struct sl_scope *));

/* The scope after `scope` in the tree below `top`, parents first, without
   what is below `scope` unless `down`; NULL at the end. Walks by the links
   alone: a tree may be deeper than C's stack. */
struct sl_scope *sl_scope_following(struct sl_scope *scope,
                                    struct sl_scope *top, bool down);

/* The outermost scope that is cancelled itself and reaches `scope`, which
   must be effective: an inner deadline does not hide a cancellation from
   outside. */
struct sl_scope *sl_scope_cause(struct sl_scope *scope);

/* Whether a cancellation that reached the edge of `scope` ends there. */
static inline bool sl_scope_absorbs(const struct sl_scope *scope) {
  return scope->cancelled &&
         (scope->shield || scope->parent == NULL ||
          !scope->parent->effective);
}

#endif
