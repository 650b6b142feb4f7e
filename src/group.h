/*
** group.h: task groups: children that end before the block that made them.
**
** The one idea: a group is a scope of its body's task in which the chains of
** its children hang, and a count of them. The body's call returns when the
** count is 0, so that no child outlives it; the first error cancels the
** scope, so that nobody waits for what cannot come.
**
** Leaving a group never raises a cancellation by itself: what arrives while
** it waits for its children reaches them through the tree, and the body at
** its next checkpoint.
*/
#ifndef SL_GROUP_H
#define SL_GROUP_H

#include "wait.h"

/* Sets task_group in the table on the top. */
void sl_group_open(lua_State *L, struct sl_loop *loop);

/* The scope that children of `group` (NULL: the run) hang on. */
struct sl_scope *sl_group_scope(struct sl_loop *loop,
                                struct sl_group *group);

/* A task was made whose owner is `group` (NULL: the run). */
void sl_group_adopt(struct sl_group *group);

/* Whether somebody waits for the end of the group. */
bool sl_group_awaited(const struct sl_group *group);

/* A child has failed: its error becomes the group's, or one of the others.
   `self` is where its userdata is. Throws: memory. */
void sl_group_child_failed(lua_State *L, struct sl_task *task, int self);

/* Whether the task is parked at the end of a group that was cancelled. */
bool sl_group_leaving_cancelled(const struct sl_task *task);

#endif
