/*
** lx.h: the glue between C and Lua that every room shares.
**
** The one idea: each userdata of ours begins with the address of its class,
** a static of this library, so that a type check is a size and a comparison,
** and nothing that a script does to metatables can fool it.
**
** Also here: arguments checked as the contract wants them (numbers in
** strings are not numbers, no NaN), failures returned as `nil, reason`, and
** what differs between the versions of Lua. Owns nothing.
*/
#ifndef SL_LX_H
#define SL_LX_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define sl_likely(x) __builtin_expect(!!(x), 1)
#define sl_unlikely(x) __builtin_expect(!!(x), 0)
#define sl_prefetch(p) __builtin_prefetch(p)
#define SL_COLD __attribute__((cold, noinline))
#define SL_NORETURN __attribute__((noreturn))
#else
#define sl_likely(x) (x)
#define sl_unlikely(x) (x)
#define sl_prefetch(p) ((void)(p))
#define SL_COLD
#define SL_NORETURN
#endif

struct sl_loop;

struct sl_class {
  const char *name; /* as in error messages: "sluice.Queue" */
  size_t size;      /* of the userdata, at the least */
};

/* Makes the metatable of `class`: `methods` in a plain table at __index,
   `meta` in the metatable itself, each function with the loop as its first
   upvalue. Leaves the metatable on the stack. Throws: memory. */
void sl_class_new(lua_State *L, const struct sl_class *class,
                  struct sl_loop *loop, const luaL_Reg *methods,
                  const luaL_Reg *meta);

/* Pushes the metatable of `class`. */
void sl_class_push(lua_State *L, const struct sl_class *class);

/* Pushes a new zeroed userdata of `class`. Throws: memory. */
void *sl_object_new(lua_State *L, const struct sl_class *class, int nuvalue);

/* Sets functions with the loop as upvalue in the table on the top. */
void sl_setfuncs(lua_State *L, struct sl_loop *loop, const luaL_Reg *list);

/* The loop of the running C function. */
static inline struct sl_loop *sl_loop_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* The object of `class` at `arg`, or NULL. */
static inline void *sl_test(lua_State *L, int arg,
                            const struct sl_class *class) {
  void *object = lua_touserdata(L, arg);
  if (sl_likely(object != NULL && lua_rawlen(L, arg) >= class->size &&
                *(const struct sl_class **)object == class))
    return object;
  return NULL;
}

SL_NORETURN void sl_type_error(lua_State *L, int arg, const char *expected);

/* The object of `class` at `arg`; throws an argument error. */
static inline void *sl_check(lua_State *L, int arg,
                             const struct sl_class *class) {
  void *object = sl_test(L, arg, class);
  if (sl_unlikely(object == NULL)) sl_type_error(L, arg, class->name);
  return object;
}

/* A duration in seconds at `arg`, in nanoseconds rounded up, UINT64_MAX if
   it is longer than 292 years. Throws if it is no number, negative, NaN. */
uint64_t sl_check_seconds(lua_State *L, int arg);

/* A timeout: as a duration, UINT64_MAX (for ever) when nil or absent. */
static inline uint64_t sl_opt_timeout(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return UINT64_MAX;
  return sl_check_seconds(L, arg);
}

/* Seconds to nanoseconds, rounded up, saturating; seconds >= 0. */
uint64_t sl_seconds_ns(lua_Number seconds);
lua_Number sl_ns_seconds(uint64_t ns);

/* A whole number at `arg`, `fallback` when nil or absent. Throws if it is
   not a number or has a fraction. */
lua_Integer sl_opt_count(lua_State *L, int arg, lua_Integer fallback);
lua_Integer sl_check_count(lua_State *L, int arg);

/* A function or a value with __call at `arg`; throws otherwise. */
void sl_check_callable(lua_State *L, int arg);

/* Leaves nil and `reason`; returns 2. */
int sl_fail(lua_State *L, const char *reason);

/* Reallocation by the state's own allocator, so that its limits and its
   failures hold for us too. NULL without memory; size 0 frees. */
void *sl_realloc(lua_State *L, void *memory, size_t old_size,
                 size_t new_size);

#endif
