/*
** queue_info.c: making queues and looking at them; see queue.h.
**
** queue.maxsize is a field, yet methods are found in a plain table without a
** function in between: queues of one discipline and size share a metatable
** whose table of methods has the size in it. The metatables are kept in a
** weak table for as long as there is such a queue.
*/
#include "queue.h"
#include "queue_impl.h"

static const char variants_key; /* registry: "name:size" -> metatable */

SL_NORETURN void sl_queue_refuse(lua_State *L) {
  sl_type_error(L, 1, sl_queue_classes[SL_FIFO].name);
}

/* queue:qsize(), #queue: how many items it holds. */
static int qsize(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)sl_queue_check(L)->len);
  return 1;
}

/* queue:empty() */
static int empty(lua_State *L) {
  lua_pushboolean(L, sl_queue_check(L)->len == 0);
  return 1;
}

/* queue:full(): whether it holds maxsize items. */
static int full(lua_State *L) {
  struct sl_queue *queue = sl_queue_check(L);
  lua_pushboolean(L, queue->len >= queue->maxsize);
  return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* queue:stats(): puts, gets, size, high_water, getters and putters that
   wait, unfinished. */
static int stats(lua_State *L) {
  struct sl_queue *queue = sl_queue_check(L);
  lua_createtable(L, 0, 7);
  set_count(L, "puts", queue->puts);
  set_count(L, "gets", queue->gets);
  set_count(L, "size", queue->len);
  set_count(L, "high_water", queue->high_water);
  set_count(L, "getters", sl_list_count(&queue->getters));
  set_count(L, "putters", sl_list_count(&queue->putters));
  set_count(L, "unfinished", queue->unfinished);
  return 1;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

static int queue_tostring(lua_State *L) {
  struct sl_queue *queue = sl_queue_check(L);
  size_t getters = sl_list_count(&queue->getters);
  size_t putters = sl_list_count(&queue->putters);
  uint64_t shown =
      queue->maxsize == UINT64_MAX ? queue->len : queue->maxsize;
  if (queue->maxsize == UINT64_MAX)
    lua_pushfstring(L, "%I", (LUAI_UACINT)queue->len);
  else
    lua_pushfstring(L, "%I of %I", (LUAI_UACINT)queue->len,
                    (LUAI_UACINT)queue->maxsize);
  lua_pushfstring(L, "%s (%s item%s, %d getter%s, %d putter%s%s)",
                  queue->class->name, lua_tostring(L, -1),
                  plural((size_t)shown), (int)getters, plural(getters),
                  (int)putters, plural(putters),
                  queue->shut_down ? ", shut down" : "");
  return 1;
}

/* -- making queues -- */

/* Replaces the class's metatable on the top by a copy whose methods have
   `maxsize` among them. */
static void specialise(lua_State *L, lua_Integer maxsize) {
  int base = lua_gettop(L);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, base) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, base + 1);
  }
  lua_newtable(L);
  lua_getfield(L, base, "__index");
  lua_pushnil(L);
  while (lua_next(L, base + 3) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, base + 2);
  }
  lua_pop(L, 1);
  lua_pushinteger(L, maxsize);
  lua_setfield(L, base + 2, "maxsize");
  lua_setfield(L, base + 1, "__index");
  lua_replace(L, base);
}

/* Pushes the metatable of queues of this class and size. */
static void push_variant(lua_State *L, const struct sl_class *class,
                         lua_Integer maxsize) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &variants_key);
  lua_pushfstring(L, "%s:%I", class->name, (LUAI_UACINT)maxsize);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    lua_pop(L, 1);
    sl_class_push(L, class);
    specialise(L, maxsize);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static int create(lua_State *L, enum sl_discipline discipline) {
  lua_Integer maxsize = sl_opt_count(L, 1, 0);
  struct sl_queue *queue;
  if (maxsize < 0) maxsize = 0;
  queue = sl_object_new(L, &sl_queue_classes[discipline], SL_QUEUE_NUV);
  queue->loop = sl_loop_of(L);
  queue->discipline = discipline;
  queue->maxsize = maxsize == 0 ? UINT64_MAX : (uint64_t)maxsize;
  sl_link_init(&queue->getters);
  sl_link_init(&queue->putters);
  sl_link_init(&queue->joiners);
  if (discipline == SL_BY_PRIORITY) sl_prio_init(&queue->store.prio);
  push_variant(L, queue->class, maxsize);
  lua_setmetatable(L, -2);
  return 1;
}

/* sluice.Queue([maxsize]): first in, first out; nil, 0 and negative sizes:
   unbounded. */
static int new_fifo(lua_State *L) { return create(L, SL_FIFO); }

/* sluice.LifoQueue([maxsize]): last in, first out. */
static int new_lifo(lua_State *L) { return create(L, SL_LIFO); }

/* sluice.PriorityQueue([maxsize]): lowest priority first, equals in the
   order they were put. */
static int new_prio(lua_State *L) { return create(L, SL_BY_PRIORITY); }

static void make_class(lua_State *L, struct sl_loop *loop,
                       enum sl_discipline discipline) {
  static const luaL_Reg looking[] = {{"qsize", qsize}, {"empty", empty},
                                     {"full", full},   {"stats", stats},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__len", qsize},
                                  {"__tostring", queue_tostring},
                                  {NULL, NULL}};
  sl_class_new(L, &sl_queue_classes[discipline], loop, sl_queue_methods,
               meta);
  sl_setfuncs(L, loop, sl_queue_iterator);
  lua_getfield(L, -1, "__index");
  sl_setfuncs(L, loop, looking);
  lua_pop(L, 2);
}

void sl_queue_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Queue", new_fifo},
                                       {"LifoQueue", new_lifo},
                                       {"PriorityQueue", new_prio},
                                       {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  for (int i = 0; i < SL_NDISCIPLINES; i++)
    make_class(L, loop, (enum sl_discipline)i);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &variants_key);
}
