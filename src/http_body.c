/*
** http_body.c: the body of the request in work.
**
** The one idea: nothing is read of a body before the handler asks for it,
** and only then a client that expects it is told to go on. Asked for as a
** whole, it is collected by the parser; asked for in pieces, it is streamed,
** and the peer is only read as fast as the handler is.
**
** What is wrong with a body is told to the handler, and remembered: the
** answer will be the refusal, whatever the handler says.
*/
#include "http_conn.h"

enum { GONE = -1 /* refused, and nobody is there to be told */ };

/* From conn:body and conn:read to whoever called a method of the request. */
enum { BODY_CALLER = 3, READ_CALLER = 2 };

/* Pushes nil and why the body cannot be had. */
static int push_refusal(lua_State *L, struct sl_http_conn *conn, int status,
                        const char *reason) {
  conn->refused = status;
  return sl_fail(L, reason);
}

bool sl_http_conn_expects(const struct sl_http_conn *conn) {
  const struct sl_http_parser *parser = &conn->parser;
  return parser->head.expect_continue && !conn->told_continue &&
         parser->received == 0 && parser->state != SL_HTTP_DONE;
}

uint64_t sl_http_conn_body_due(struct sl_http_conn *conn) {
  const struct sl_http_settings *settings = conn->settings;
  uint64_t now_ns = sl_loop_now(conn->loop);
  uint64_t due_ns = sl_clock_after(now_ns, settings->body_ns);
  if (conn->body_due_ns == 0)
    conn->body_due_ns = sl_clock_after(now_ns, settings->total_ns);
  return due_ns < conn->body_due_ns ? due_ns : conn->body_due_ns;
}

/* Parks until more of the body has arrived. */
static int park(lua_State *L, struct sl_http_conn *conn,
                struct sl_stream *stream, struct sl_task *task,
                lua_KFunction k) {
  uint64_t due_ns = sl_http_conn_body_due(conn);
  /* Not within the answer. */
  if (conn->state == SL_HTTP_ASKED && sl_http_conn_expects(conn)) {
    conn->told_continue = true;
    if (!sl_bytes_append(&stream->out, SL_HTTP_CONTINUE,
                         sizeof SL_HTTP_CONTINUE - 1))
      return luaL_error(L, "not enough memory");
  }
  return sl_http_conn_park_k(L, conn, stream, task, due_ns, k);
}

/* Raises where a method of the request was called, `level` calls above. */
static void check_current(lua_State *L, const struct sl_http_conn *conn,
                          int level) {
  if (sl_http_conn_is_current(L, conn)) return;
  luaL_where(L, level);
  lua_pushliteral(L, "the request was answered, its body is gone");
  lua_concat(L, 2);
  lua_error(L);
}

/* The stream, or NULL and *results says that a failure was pushed. */
static struct sl_stream *enter_body(lua_State *L, struct sl_http_conn *conn,
                                    int *results) {
  struct sl_stream *stream = sl_http_stream_of(conn);
  *results = 0;
  if (conn->refused != 0)
    *results = sl_fail(L, conn->refused == 413 ? "the body is too long"
                                               : "the body could not be read");
  else if (stream == NULL)
    *results = push_refusal(L, conn, GONE, "the connection is closed");
  return *results == 0 ? stream : NULL;
}

/* After an event that is no piece of the body. */
static int push_event(lua_State *L, struct sl_http_conn *conn,
                      const struct sl_stream *stream,
                      enum sl_http_event event) {
  const struct sl_http_head *head = &conn->parser.head;
  if (event == SL_HTTP_ERROR)
    return push_refusal(L, conn, head->status, head->reason);
  if (stream->end == UV_EOF) /* it may still listen */
    return push_refusal(L, conn, 400, "cut off");
  return push_refusal(L, conn, GONE, uv_strerror(stream->end));
}

static int push_late(lua_State *L, struct sl_http_conn *conn) {
  return push_refusal(L, conn, 408, "timeout");
}

/* -- as a whole -- */

static int collect(lua_State *L, struct sl_http_conn *conn,
                   struct sl_task *task);

static int k_body(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_http_conn *conn = lua_touserdata(L, 1);
  enum sl_wake wake = sl_http_conn_outcome(L, conn, task);
  (void)status;
  check_current(L, conn, BODY_CALLER);
  return wake == SL_TIMED_OUT ? push_late(L, conn)
                              : collect(L, conn, task);
}

/* Nothing of the body is to come, but perhaps the client's end. */
static void await_end(struct sl_stream *stream) {
  if (stream->in.len < SL_STREAM_HIGH) sl_stream_listen(stream);
}

/* Pushes what is whole: what was collected, or the rest of what was
   streamed. */
static int push_whole(lua_State *L, struct sl_http_conn *conn,
                      struct sl_stream *stream) {
  struct sl_bytes *body =
      conn->parser.stream ? &conn->piece : &conn->parser.body;
  await_end(stream);
  lua_pushlstring(L, body->data, body->len);
  if (conn->parser.stream) sl_bytes_clear(body);
  return 1;
}

static int collect(lua_State *L, struct sl_http_conn *conn,
                   struct sl_task *task) {
  int results;
  struct sl_stream *stream = enter_body(L, conn, &results);
  if (stream == NULL) return results;
  for (;;) {
    enum sl_http_event event = sl_http_conn_feed(conn, stream, true);
    if (event == SL_HTTP_BODY) continue;
    if (event == SL_HTTP_MESSAGE) return push_whole(L, conn, stream);
    if (event == SL_HTTP_ERROR || stream->end != 0)
      return push_event(L, conn, stream, event);
    return park(L, conn, stream, task, k_body);
  }
}

/* conn:body(): the whole body, or what is left of it; nil, reason. Waits. */
static int body(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_task *task;
  sl_http_conn_note(L, conn);
  task = sl_wait_enter(L, conn->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, body);
  check_current(L, conn, BODY_CALLER);
  return collect(L, conn, task);
}

/* -- in pieces -- */

static int read_piece(lua_State *L, struct sl_http_conn *conn,
                      struct sl_task *task);

static int k_read(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_http_conn *conn = lua_touserdata(L, 1);
  enum sl_wake wake = sl_http_conn_outcome(L, conn, task);
  (void)status;
  check_current(L, conn, READ_CALLER);
  return wake == SL_TIMED_OUT ? push_late(L, conn)
                              : read_piece(L, conn, task);
}

static int push_piece(lua_State *L, struct sl_http_conn *conn, size_t most) {
  size_t n = conn->piece.len < most ? conn->piece.len : most;
  lua_pushlstring(L, conn->piece.data, n);
  sl_bytes_consume(&conn->piece, n);
  return 1;
}

static int read_piece(lua_State *L, struct sl_http_conn *conn,
                      struct sl_task *task) {
  size_t most = lua_isnoneornil(L, 2) ? SIZE_MAX
                                      : (size_t)lua_tointeger(L, 2);
  int results;
  struct sl_stream *stream = enter_body(L, conn, &results);
  if (stream == NULL) return results;
  while (conn->piece.len == 0) {
    enum sl_http_event event = sl_http_conn_feed(conn, stream, true);
    if (event == SL_HTTP_BODY) continue;
    if (event == SL_HTTP_MESSAGE) {
      await_end(stream);
      return sl_fail(L, "eof");
    }
    if (event == SL_HTTP_ERROR || stream->end != 0)
      return push_event(L, conn, stream, event);
    return park(L, conn, stream, task, k_read);
  }
  return push_piece(L, conn, most);
}

/* What was collected before is the first piece. */
static void start_streaming(lua_State *L, struct sl_http_conn *conn) {
  struct sl_http_parser *parser = &conn->parser;
  if (parser->stream) return;
  if (!sl_bytes_append(&conn->piece, parser->body.data, parser->body.len))
    luaL_error(L, "not enough memory");
  sl_bytes_clear(&parser->body);
  sl_http_stream(parser);
}

/* conn:read([n]): up to n bytes of the body as soon as there are any; nil,
   "eof" after the last; nil, reason. Waits. */
static int read_some(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_task *task;
  if (!lua_isnoneornil(L, 2) && sl_check_count(L, 2) <= 0)
    return luaL_argerror(L, 2, "size must be positive");
  sl_http_conn_note(L, conn);
  task = sl_wait_enter(L, conn->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, read_some);
  check_current(L, conn, READ_CALLER);
  start_streaming(L, conn);
  return read_piece(L, conn, task);
}

/* conn:limit(n): how long this body may be, in bytes; no longer than the
   settings have it. Returns false if it is announced to be longer, or is
   longer already: then it is refused. Never waits. */
static int limit(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  lua_Number n = luaL_checknumber(L, 2);
  uint64_t *most = &conn->parser.limits.max_body;
  if (n < 9e18 && (uint64_t)n < *most) *most = (uint64_t)n;
  if (conn->parser.head.content_length > *most ||
      conn->parser.received > *most)
    conn->refused = 413;
  lua_pushboolean(L, conn->refused == 0);
  return 1;
}

/* conn:expects(): whether the client waits to be told that it may send its
   body. Never waits. */
static int expects(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  lua_pushboolean(L, sl_http_conn_expects(conn));
  return 1;
}

const luaL_Reg sl_http_body_methods[] = {
    {"body", body},   {"read", read_some}, {"limit", limit},
    {"expects", expects}, {NULL, NULL}};
