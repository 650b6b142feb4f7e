/*
** http_settings.c: see http_conn.h. What the connections of an application
** share: its limits, and the place where connections rest.
**
** The one idea: a connection that nobody asks anything of for a while gives
** its task up. It is kept by a table and listens through the stream's hook;
** a task of the server waits here for those that were roused, and starts a
** task for each.
*/
#include "http_conn.h"

const struct sl_class sl_http_settings_class = {
    "sluice.http.Settings", sizeof(struct sl_http_settings)};

static struct sl_http_settings *check_settings(lua_State *L) {
  return sl_check(L, 1, &sl_http_settings_class);
}

/* -- resting -- */

void sl_http_conn_rouse(struct sl_http_conn *conn) {
  struct sl_http_settings *settings = conn->settings;
  sl_link_unlink(&conn->rest);
  sl_list_push(&settings->roused, &conn->rest);
  conn->due_ns = SL_NEVER;
  if (!sl_list_empty(&settings->waiters))
    sl_task_wake(sl_task_of(settings->waiters.next), SL_WOKEN);
}

static void on_arrived(struct sl_stream *stream) {
  stream->arrived = NULL;
  sl_http_conn_rouse(stream->listener);
}

/* Keeps the connection at 1 in the table of its settings. */
static void keep(lua_State *L, struct sl_http_conn *conn) {
  lua_getiuservalue(L, 1, 2);
  lua_getiuservalue(L, -1, 1);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, conn);
  lua_pop(L, 2);
}

/* conn:rest(): no task is to serve it until something happens. Returns
   whether it rests; false: something has happened. Never waits. */
int sl_http_conn_rest(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_stream *stream = sl_http_stream_of(conn);
  bool can = stream != NULL && conn->state == SL_HTTP_WAITING &&
             !conn->stopping && !conn->settings->closed &&
             sl_http_idle(&conn->parser) && stream->in.len == 0 &&
             stream->end == 0 && sl_stream_unwritten(stream) == 0;
  lua_pushboolean(L, can);
  if (!can) return 1;
  keep(L, conn);
  sl_http_fini(&conn->parser);
  sl_bytes_fini(&conn->piece);
  sl_stream_trim(stream);
  sl_http_conn_unwatch(L, conn, stream);
  conn->resting = true;
  sl_list_push(&conn->settings->resting, &conn->rest);
  if (conn->idle_due_ns == 0) /* it was never asked for a request */
    conn->idle_due_ns = sl_clock_after(sl_loop_now(conn->loop),
                                       conn->settings->idle_ns);
  stream->listener = conn;
  stream->arrived = on_arrived;
  sl_stream_listen(stream);
  sl_http_conn_set_due(conn, conn->idle_due_ns);
  return 1;
}

static const struct sl_wait_kind roused_kind = {"a connection that rests",
                                                NULL, NULL, NULL};

/* Pushes the connection that was roused first; the table forgets it. */
static int push_roused(lua_State *L, struct sl_http_settings *settings) {
  struct sl_http_conn *conn;
  if (sl_list_empty(&settings->roused)) return 0; /* it was closed */
  conn = sl_container(sl_list_pop(&settings->roused), struct sl_http_conn,
                      rest);
  conn->resting = false;
  if (sl_http_stream_of(conn) != NULL)
    sl_http_stream_of(conn)->arrived = NULL;
  lua_getiuservalue(L, 1, 1);
  lua_rawgetp(L, -1, conn);
  lua_pushnil(L);
  lua_rawsetp(L, -3, conn);
  return 1;
}

static int k_roused(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  return push_roused(L, lua_touserdata(L, 1));
}

/* settings:roused(): the next connection that rested and needs a task; nil
   once closed. Waits. */
static int next_roused(lua_State *L) {
  struct sl_http_settings *settings = check_settings(L);
  struct sl_task *task = sl_wait_enter(L, settings->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, next_roused);
  if (!sl_list_empty(&settings->roused) || settings->closed)
    return push_roused(L, settings);
  return sl_wait_park_k(L, task, &settings->waiters, &roused_kind, settings,
                        SL_NEVER, k_roused);
}

/* settings:stop(): rouses all. Never waits. */
static int stop_resting(lua_State *L) {
  struct sl_http_settings *settings = check_settings(L);
  while (!sl_list_empty(&settings->resting))
    sl_http_conn_rouse(sl_container(settings->resting.next,
                                    struct sl_http_conn, rest));
  return 0;
}

/* settings:close(): who waits for those that were roused is told that there
   are no more. Never waits. */
static int close_settings(lua_State *L) {
  struct sl_http_settings *settings = check_settings(L);
  settings->closed = true;
  while (!sl_list_empty(&settings->waiters))
    sl_task_wake(sl_task_of(settings->waiters.next), SL_WOKEN);
  return 0;
}

/* -- limits -- */

/* The number in field `name` of the table at 1, which has it. */
static lua_Number number_field(lua_State *L, const char *name) {
  lua_Number value;
  lua_getfield(L, 1, name);
  if (lua_type(L, -1) != LUA_TNUMBER)
    luaL_error(L, "'%s' must be a number", name);
  value = lua_tonumber(L, -1);
  if (!(value >= 0)) luaL_error(L, "'%s' must not be negative", name);
  lua_pop(L, 1);
  return value;
}

static uint64_t time_field(lua_State *L, const char *name) {
  return sl_seconds_ns(number_field(L, name));
}

static uint64_t size_field(lua_State *L, const char *name) {
  lua_Number value = number_field(L, name);
  return value < 9e18 ? (uint64_t)value : UINT64_MAX;
}

static size_t head_size_field(lua_State *L, const char *name) {
  uint64_t size = size_field(L, name);
  return size < UINT32_MAX ? (size_t)size : UINT32_MAX;
}

/* Settings{...}: every limit must be there. */
int sl_http_settings_new(lua_State *L) {
  struct sl_http_settings *settings;
  luaL_checktype(L, 1, LUA_TTABLE);
  settings = sl_object_new(L, &sl_http_settings_class, 1);
  settings->loop = sl_loop_of(L);
  sl_link_init(&settings->resting);
  sl_link_init(&settings->roused);
  sl_link_init(&settings->waiters);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  settings->limits.max_head = head_size_field(L, "max_head");
  settings->limits.max_target = head_size_field(L, "max_target");
  settings->limits.max_fields = (uint32_t)head_size_field(L, "max_fields");
  settings->limits.max_body = size_field(L, "max_body");
  settings->head_ns = time_field(L, "head_timeout");
  settings->idle_ns = time_field(L, "idle_timeout");
  settings->body_ns = time_field(L, "body_timeout");
  settings->total_ns = time_field(L, "body_total_timeout");
  settings->write_ns = time_field(L, "write_timeout");
  return 1;
}

void sl_http_settings_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg methods[] = {{"roused", next_roused},
                                     {"stop", stop_resting},
                                     {"close", close_settings},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{NULL, NULL}};
  sl_class_new(L, &sl_http_settings_class, loop, methods, meta);
  lua_pop(L, 1);
}
