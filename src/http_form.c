/*
** http_form.c: a script's reader of forms in parts (multipart.h).
**
** The one idea: a piece of the body is given as the string that it is, kept
** as long as there are events in it, and each call of `next` tells one. What
** becomes of the content is the script's.
*/
#include "http_conn.h"
#include "multipart.h"

struct form {
  const struct sl_class *class;
  struct sl_multipart parser;
  const char *data; /* what is left of the piece in the user value */
  size_t len;
};

static const struct sl_class form_class = {"sluice.http.Form",
                                           sizeof(struct form)};

/* Form(type, max_parts, max_head): a reader of what a Content-Type tells of;
   nil if there is no valid boundary in it. */
int sl_http_form_new(lua_State *L) {
  size_t len;
  const char *type = luaL_checklstring(L, 1, &len);
  lua_Integer max_parts = luaL_checkinteger(L, 2);
  struct sl_multipart_limits limits;
  struct sl_multipart_text boundary;
  struct sl_memory memory = sl_memory_of(L);
  struct form *form;
  limits.max_parts = max_parts < UINT32_MAX ? (uint32_t)max_parts
                                            : UINT32_MAX;
  limits.max_head = (size_t)luaL_checkinteger(L, 3);
  if (!sl_multipart_boundary(type, len, &boundary)) return 0;
  form = sl_object_new(L, &form_class, 1);
  sl_multipart_init(&form->parser, boundary, limits, memory.alloc,
                    memory.ud);
  return 1;
}

/* form:feed(piece): the next piece of the body; that before was used up. */
static int feed(lua_State *L) {
  struct form *form = sl_check(L, 1, &form_class);
  form->data = luaL_checklstring(L, 2, &form->len);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

static int push_text(lua_State *L, struct sl_multipart_text text) {
  if (text.data == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, text.data, text.len);
  return 1;
}

static int push_event(lua_State *L, const struct sl_multipart *parser,
                      enum sl_multipart_event event) {
  switch (event) {
    case SL_MULTIPART_PART:
      lua_pushliteral(L, "part");
      return 1 + push_text(L, parser->name) + push_text(L, parser->filename) +
             push_text(L, parser->type);
    case SL_MULTIPART_DATA:
      lua_pushliteral(L, "data");
      lua_pushlstring(L, parser->span, parser->span_len);
      return 2;
    case SL_MULTIPART_END: lua_pushliteral(L, "end"); return 1;
    case SL_MULTIPART_DONE: lua_pushliteral(L, "done"); return 1;
    case SL_MULTIPART_ERROR:
      lua_pushliteral(L, "error");
      lua_pushstring(L, parser->error);
      return 2;
    default: lua_pushnil(L); return 1;
  }
}

/* form:next(): "part", name, filename, type; "data", bytes; "end"; "done";
   "error", message; nil: the piece is used up. */
static int next_event(lua_State *L) {
  struct form *form = sl_check(L, 1, &form_class);
  enum sl_multipart_event event = SL_MULTIPART_NEED_MORE;
  if (form->len > 0) {
    size_t used;
    event = sl_multipart_feed(&form->parser, form->data, form->len, &used);
    form->data += used;
    form->len -= used;
  }
  return push_event(L, &form->parser, event);
}

static int collect_form(lua_State *L) {
  struct form *form = lua_touserdata(L, 1);
  sl_multipart_fini(&form->parser);
  return 0;
}

void sl_http_form_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg methods[] = {
      {"feed", feed}, {"next", next_event}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", collect_form}, {NULL, NULL}};
  sl_class_new(L, &form_class, loop, methods, meta);
  lua_pop(L, 1);
}
