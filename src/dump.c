/*
** dump.c: see dump.h.
*/
#include "dump.h"

#include <string.h>

enum { MAX_INDENT = 20 };

static void add_place(lua_State *L, luaL_Buffer *out,
                      const struct sl_task *task) {
  const char *file =
      sl_place_file(&task->loop->tasks->places, task->place.file);
  if (file == NULL) return;
  lua_pushfstring(L, ", created at %s:%d", file, (int)task->place.line);
  luaL_addvalue(out);
}

static void add_name(lua_State *L, luaL_Buffer *out,
                     const struct sl_task *task) {
  sl_task_push_name(L, task, 0);
  luaL_addvalue(out);
}

/* "waits for Lock:acquire, held by Task-3" */
static void add_wait(lua_State *L, luaL_Buffer *out, struct sl_task *task) {
  struct sl_task *holder = NULL;
  if (task->kind->holder != NULL) holder = task->kind->holder(task);
  luaL_addstring(out, ", waits for ");
  luaL_addstring(out, task->kind->what);
  if (holder != NULL) {
    luaL_addstring(out, ", held by ");
    add_name(L, out, holder);
  }
  if (sl_deadline_armed(&task->deadline))
    luaL_addstring(out, " (with a deadline)");
}

static void add_state(lua_State *L, luaL_Buffer *out, struct sl_task *task) {
  switch ((enum sl_task_state)task->state) {
    case SL_NEW: luaL_addstring(out, ", not started"); break;
    case SL_READY:
    case SL_RUNNING:
      if (task->woken == SL_DEADLOCKED) /* it was told, and may be raising */
        add_wait(L, out, task);
      else
        luaL_addstring(out, task->state == SL_READY ? ", ready to run"
                                                    : ", running");
      break;
    case SL_PARKED: add_wait(L, out, task); break;
    case SL_ENDED: break;
  }
  if (task->root.cancelled) luaL_addstring(out, ", cancelled");
}

static void add_indent(luaL_Buffer *out, int depth) {
  for (int i = 0; i < depth && i < MAX_INDENT; i++)
    luaL_addstring(out, "  ");
}

/* The traceback's lines, without its head, indented. */
static void add_traceback(lua_State *L, luaL_Buffer *out,
                          struct sl_task *task, int depth) {
  const char *line, *end;
  if (task->coroutine.co == NULL) return;
  /* Kept at index 1: what lies above is the buffer's. */
  luaL_traceback(L, task->coroutine.co, NULL, task->coroutine.co == L ? 1 : 0);
  lua_replace(L, 1);
  line = strchr(lua_tostring(L, 1), '\n');
  while (line != NULL) {
    line++;
    while (*line == '\t') line++;
    end = strchr(line, '\n');
    add_indent(out, depth + 2);
    luaL_addlstring(out, line, end ? (size_t)(end - line) : strlen(line));
    luaL_addchar(out, '\n');
    line = end;
  }
}

static void add_task(lua_State *L, luaL_Buffer *out, struct sl_task *task,
                     int depth) {
  add_indent(out, depth);
  add_name(L, out, task);
  if (task == task->loop->tasks->main) luaL_addstring(out, " (main)");
  add_place(L, out, task);
  add_state(L, out, task);
  luaL_addchar(out, '\n');
  add_traceback(L, out, task, depth);
}

static struct sl_scope *scope_at(struct sl_link *link) {
  return sl_container(link, struct sl_scope, link);
}

/* Walks the tree of scopes below `top` without recursion; a scope that is
   some task's own root is that task's place in the tree. */
static void add_tree(lua_State *L, luaL_Buffer *out, struct sl_scope *top) {
  struct sl_scope *scope = top;
  int depth = -1;
  for (;;) {
    bool is_task = scope->task != NULL && scope == &scope->task->root;
    if (is_task) add_task(L, out, scope->task, ++depth);
    if (!sl_list_empty(&scope->children)) {
      scope = scope_at(scope->children.next);
      continue;
    }
    for (;;) {
      if (scope == top) return;
      if (scope->task != NULL && scope == &scope->task->root) depth--;
      if (scope->link.next != &scope->parent->children) break;
      scope = scope->parent;
    }
    scope = scope_at(scope->link.next);
  }
}

/* Leaves the dump in place of what is at index 1 of a fresh frame. */
static int build(lua_State *L) {
  struct sl_loop *loop = lua_touserdata(L, 1);
  luaL_Buffer out;
  lua_settop(L, 1);
  luaL_buffinit(L, &out);
  loop->tasks->walked = true;
  if (loop->tasks->live == 0)
    luaL_addstring(&out, "no tasks\n");
  else
    add_tree(L, &out, &loop->tasks->root);
  loop->tasks->walked = false;
  luaL_pushresult(&out);
  return 1;
}

void sl_dump_push(lua_State *L, struct sl_loop *loop) {
  luaL_checkstack(L, 4, NULL);
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, loop);
  lua_call(L, 1, 1);
}

/* sluice.dump(): the tree of tasks as text. Never waits. */
static int dump(lua_State *L) {
  sl_dump_push(L, sl_loop_of(L));
  return 1;
}

static void push_deadlock(lua_State *L, struct sl_task *task) {
  lua_pushliteral(L,
                  "deadlock: every task waits and nothing can wake one\n");
  sl_dump_push(L, task->loop);
  lua_concat(L, 2);
}

void sl_dump_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"dump", dump}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  loop->tasks->hooks.push_deadlock = push_deadlock;
}
