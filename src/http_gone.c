/*
** http_gone.c: a client that goes away while its request is in work.
**
** The one idea: the task that serves a connection is cancelled, at its root
** scope, as soon as libuv tells that nobody will take the answer, so that
** whatever the handler waits for is given up at once and what it holds is
** released. What it shields goes on.
**
** An error of the connection always means that. A mere end of what the
** client sends need not: `nc -N` and clients of HTTP/1.0 send their last
** request, say that no more will come, and still listen. So it counts only
** for the last request of a client that wanted to keep the connection, or
** one whose body can no longer come whole. Somebody who waits for that body
** is told by its end instead.
**
** Owns no memory. No Lua: runs in callbacks.
*/
#include "http_conn.h"

/* Whether the client that has ended its side is to be taken for gone. What
   has arrived of the body is collected to find out. */
static bool abandoned(struct sl_http_conn *conn, struct sl_stream *stream) {
  enum sl_http_event event = sl_http_conn_gather(conn, stream);
  if (event == SL_HTTP_NEED_MORE) return sl_list_empty(&stream->readers);
  return event == SL_HTTP_MESSAGE && conn->parser.head.keep_alive &&
         stream->in.len == 0;
}

/* Reading or writing came to its end. */
static void on_end(struct sl_stream *stream) {
  struct sl_http_conn *conn = stream->user;
  if (!sl_http_conn_owes(conn) ||
      !(sl_http_broken(stream) || abandoned(conn, stream)))
    return;
  conn->gone = true;
  sl_cancel_scope(&conn->task->root, SL_FOR_CLIENT_GONE);
}

void sl_http_conn_watch(lua_State *L, struct sl_http_conn *conn,
                        struct sl_stream *stream, struct sl_task *task) {
  sl_task_push(L, task);
  lua_setiuservalue(L, 1, SL_HTTP_TASK);
  conn->task = task;
  stream->user = conn;
  stream->ended = on_end;
}

void sl_http_conn_unwatch(lua_State *L, struct sl_http_conn *conn,
                          struct sl_stream *stream) {
  stream->ended = NULL;
  conn->task = NULL;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, SL_HTTP_TASK);
}

/* conn:gone(): whether the client went away before its answer. Never
   waits. */
static int gone(lua_State *L) {
  lua_pushboolean(L, sl_http_conn_check(L)->gone);
  return 1;
}

const luaL_Reg sl_http_gone_methods[] = {{"gone", gone}, {NULL, NULL}};
