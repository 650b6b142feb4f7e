/*
** scope.c: see scope.h.
*/
#include "scope.h"

#include <stddef.h>

void sl_scope_init(struct sl_scope *scope, struct sl_scope *parent,
                   struct sl_task *task, bool shield) {
  scope->parent = parent;
  scope->task = task;
  sl_link_init(&scope->link);
  sl_link_init(&scope->children);
  if (parent != NULL) sl_list_push(&parent->children, &scope->link);
  scope->error_ref = 0;
  scope->owns_ref = false;
  scope->cancelled = false;
  scope->shield = shield;
  scope->timed = false;
  scope->fixed = false;
  scope->group = false;
  scope->effective = parent != NULL && parent->effective && !shield;
}

void sl_scope_fini(struct sl_scope *scope) {
  while (!sl_list_empty(&scope->children)) {
    struct sl_link *link = sl_list_pop(&scope->children);
    struct sl_scope *child = sl_container(link, struct sl_scope, link);
    child->parent = scope->parent;
    if (scope->parent != NULL)
      sl_list_push(&scope->parent->children, &child->link);
  }
  sl_link_unlink(&scope->link);
}

static struct sl_scope *at(struct sl_link *link) {
  return sl_container(link, struct sl_scope, link);
}

struct sl_scope *sl_scope_following(struct sl_scope *scope,
                                    struct sl_scope *top, bool down) {
  if (down && !sl_list_empty(&scope->children))
    return at(scope->children.next);
  while (scope != top) {
    struct sl_scope *parent = scope->parent;
    if (scope->link.next != &parent->children) return at(scope->link.next);
    scope = parent;
  }
  return NULL;
}

bool sl_scope_cancel(struct sl_scope *scope,
                     void (*deliver)(struct sl_scope *)) {
  struct sl_scope *next = scope;
  if (scope->cancelled) return false;
  scope->cancelled = true;
  if (scope->effective) return true;
  while (next != NULL) {
    bool enters = !next->effective && (next == scope || !next->shield);
    if (enters) {
      next->effective = true;
      deliver(next);
    }
    next = sl_scope_following(next, scope, enters);
  }
  return true;
}

struct sl_scope *sl_scope_cause(struct sl_scope *scope) {
  struct sl_scope *cause = NULL;
  for (; scope != NULL; scope = scope->shield ? NULL : scope->parent)
    if (scope->cancelled) cause = scope;
  return cause;
}
