/*
** tls.c: the module sluice.native.tls, for lua/sluice/net/tls.lua.
**
** The one idea: two userdata: a context, made of a table of options, and a
** session of it, which is a codec (../codec.h) until the core takes it over.
** No loop, no task, no socket.
*/
#include "tls.h"

#include <string.h>

struct context_box {
  const struct sl_class *class;
  struct sl_tls_context *context;
};

static const struct sl_class context_class = {"sluice.tls.Context",
                                              sizeof(struct context_box)};

struct session_box {
  const struct sl_class *class;
  struct sl_codec *codec; /* NULL once a stream has it */
};

static const struct sl_class session_class = {"sluice.tls.Session",
                                              sizeof(struct session_box)};
static const size_t codec_offset = offsetof(struct session_box, codec);

static struct sl_tls_memory memory_of(lua_State *L) {
  struct sl_tls_memory memory;
  memory.alloc = lua_getallocf(L, &memory.ud);
  return memory;
}

/* -- contexts -- */

/* context(options): a context; nil, message, code. Never waits, but reads
   files. */
static int new_context(lua_State *L) {
  struct sl_tls_memory memory = memory_of(L);
  struct context_box *box;
  int failed;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  box = sl_object_new(L, &context_class, 0);
  box->context = memory.alloc(memory.ud, NULL, 0, sizeof *box->context);
  if (box->context == NULL) return luaL_error(L, "not enough memory");
  memset(box->context, 0, sizeof *box->context);
  box->context->memory = memory;
  box->context->refs = 1;
  failed = sl_tls_context_fill(L, box->context, 1);
  if (failed != 0) return failed;
  lua_settop(L, 2);
  return 1;
}

static int collect_context(lua_State *L) {
  struct context_box *box = lua_touserdata(L, 1);
  if (box->context != NULL) sl_tls_context_unref(box->context);
  box->context = NULL;
  return 0;
}

/* -- sessions -- */

/* context:session([host]): a session, in which the peer must be `host`. */
static int new_session(lua_State *L) {
  struct context_box *from = sl_check(L, 1, &context_class);
  size_t len;
  const char *host = luaL_optlstring(L, 2, NULL, &len);
  struct session_box *box;
  if (host != NULL && (len == 0 || strlen(host) != len))
    return luaL_argerror(L, 2, "not a name");
  box = sl_object_new(L, &session_class, 0);
  box->codec = sl_tls_session_new(from->context, host);
  if (box->codec == NULL) return luaL_error(L, "not enough memory");
  return 1;
}

static int collect_session(lua_State *L) {
  struct session_box *box = lua_touserdata(L, 1);
  struct sl_codec *codec = box->codec;
  box->codec = NULL;
  if (codec != NULL) codec->ops->free(codec);
  return 0;
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_sluice_native_tls(lua_State *L);

int luaopen_sluice_native_tls(lua_State *L) {
  static const luaL_Reg functions[] = {{"context", new_context},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"session", new_session}, {NULL, NULL}};
  static const luaL_Reg context_meta[] = {{"__gc", collect_context},
                                          {NULL, NULL}};
  static const luaL_Reg session_meta[] = {{"__gc", collect_session},
                                          {NULL, NULL}};
  sl_class_new(L, &context_class, NULL, methods, context_meta);
  sl_class_new(L, &session_class, NULL, functions + 1, session_meta);
  lua_pushlightuserdata(L, (void *)&codec_offset);
  lua_setfield(L, -2, SL_CODEC_FIELD);
  lua_newtable(L);
  sl_setfuncs(L, NULL, functions);
  return 1;
}
