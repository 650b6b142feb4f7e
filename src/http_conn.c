/*
** http_conn.c: see http_conn.h. The life of a connection, and what it waits
** for; bodies are read in http_body.c, answers made in http_answer.c.
*/
#include "http_conn.h"

#include <string.h>
#include <time.h>

#include "http_text.h"
#include "net.h"

enum {
  FLUSH_AT = 32768,   /* queued bytes of answers that go out early */
  REST_NS = 50000000 /* without a request: the connection rests */
};

const struct sl_class sl_http_conn_class = {"sluice.http.Connection",
                                            sizeof(struct sl_http_conn)};

/* -- the deadline -- */

static bool progressed(struct sl_http_conn *conn,
                       const struct sl_stream *stream) {
  size_t before = conn->unwritten;
  conn->unwritten = sl_stream_unwritten(stream);
  return conn->unwritten < before;
}

static void arm(struct sl_http_conn *conn) {
  uint64_t due_ns = conn->due_ns < conn->write_due_ns ? conn->due_ns
                                                      : conn->write_due_ns;
  if (due_ns == SL_NEVER) return;
  if (sl_deadline_armed(&conn->deadline)) {
    if (conn->armed_ns <= due_ns) return;
    sl_clock_remove(conn->loop, &conn->deadline);
  }
  conn->armed_ns = due_ns;
  sl_clock_arm(conn->loop, &conn->deadline, due_ns);
}

/* The wait for bytes, or the rest, is over. */
static void give_up_reading(struct sl_http_conn *conn,
                            struct sl_stream *stream) {
  conn->due_ns = SL_NEVER;
  if (conn->resting)
    sl_http_conn_rouse(conn);
  else if (stream != NULL && !sl_list_empty(&stream->readers))
    sl_task_wake(sl_task_of(stream->readers.next), SL_TIMED_OUT);
}

static void give_up_writing(struct sl_http_conn *conn,
                            struct sl_stream *stream) {
  conn->write_due_ns = SL_NEVER;
  if (stream != NULL && !sl_list_empty(&stream->writers))
    sl_task_wake(sl_task_of(stream->writers.next), SL_TIMED_OUT);
}

/* Looks which wait is due; it may have been put off. */
static void on_due(struct sl_deadline *deadline) {
  struct sl_http_conn *conn =
      sl_container(deadline, struct sl_http_conn, deadline);
  struct sl_stream *stream = sl_http_stream_of(conn);
  uint64_t now_ns = conn->loop->now_ns;
  if (conn->write_due_ns != SL_NEVER && stream != NULL &&
      progressed(conn, stream))
    conn->write_due_ns = sl_clock_after(now_ns, conn->settings->write_ns);
  if (conn->due_ns <= now_ns) give_up_reading(conn, stream);
  if (conn->write_due_ns <= now_ns) give_up_writing(conn, stream);
  arm(conn);
}

void sl_http_conn_set_due(struct sl_http_conn *conn, uint64_t due_ns) {
  conn->due_ns = due_ns;
  arm(conn);
}

/* -- waiting -- */

static const struct sl_wait_kind read_kind = {"a request", NULL, NULL, NULL};

int sl_http_conn_park_k(lua_State *L, struct sl_http_conn *conn,
                        struct sl_stream *stream, struct sl_task *task,
                        uint64_t due_ns, lua_KFunction k) {
  sl_stream_flush(stream);
  sl_http_conn_set_due(conn, due_ns);
  return sl_stream_park_reader_k(L, stream, task, stream->in.len + 1,
                                 &read_kind, SL_NEVER, k);
}

int sl_http_conn_drain_k(lua_State *L, struct sl_http_conn *conn,
                         struct sl_stream *stream, struct sl_task *task,
                         lua_KFunction k) {
  conn->unwritten = sl_stream_unwritten(stream);
  conn->write_due_ns =
      sl_clock_after(sl_loop_now(conn->loop), conn->settings->write_ns);
  arm(conn);
  return sl_stream_park_writer_k(L, stream, task, SL_NEVER, k);
}

enum sl_wake sl_http_conn_outcome(lua_State *L, struct sl_http_conn *conn,
                                  struct sl_task *task) {
  struct sl_stream *stream = sl_http_stream_of(conn);
  /* Another task may wait at the other end. */
  if (stream == NULL || sl_list_empty(&stream->readers))
    conn->due_ns = SL_NEVER;
  if (stream == NULL || sl_list_empty(&stream->writers))
    conn->write_due_ns = SL_NEVER;
  return sl_wait_outcome(L, task);
}

/* -- feeding -- */

enum sl_http_event sl_http_conn_feed(struct sl_http_conn *conn,
                                     struct sl_stream *stream, bool keep) {
  struct sl_http_parser *parser = &conn->parser;
  size_t used;
  enum sl_http_event event =
      sl_http_feed(parser, stream->in.data, stream->in.len, &used);
  /* The span lies in the bytes that are given back below. */
  if (event == SL_HTTP_BODY && keep &&
      !sl_bytes_append(&conn->piece, parser->span, parser->span_len)) {
    sl_http_head_refuse(&parser->head, 503, "out of memory");
    event = SL_HTTP_ERROR;
  }
  if (used > 0) sl_stream_consume(stream, used);
  return event;
}

enum sl_http_event sl_http_conn_gather(struct sl_http_conn *conn,
                                       struct sl_stream *stream) {
  enum sl_http_event event;
  do event = sl_http_conn_feed(conn, stream, true);
  while (event == SL_HTTP_BODY);
  return event;
}

const struct sl_http_date *sl_http_conn_date(struct sl_http_conn *conn) {
  sl_http_date_set(&conn->settings->date, time(NULL));
  return &conn->settings->date;
}

void sl_http_conn_refuse(struct sl_http_conn *conn, struct sl_stream *stream,
                         int status) {
  const struct sl_http_head *head = &conn->parser.head;
  bool to_head = sl_http_span_is(head, head->method, "HEAD");
  conn->closing = true;
  /* Without memory for the answer, that the connection ends must do. */
  sl_http_write_refusal(&stream->out, status, to_head,
                        sl_http_conn_date(conn));
}

/* -- next -- */

static void push_span(lua_State *L, const struct sl_http_head *head,
                      struct sl_http_span span) {
  lua_pushlstring(L, sl_http_at(head, span), span.len);
}

/* Pushes the path decoded. False, and nothing is pushed: an escape that is
   none. */
static bool push_decoded(lua_State *L, const char *path, size_t len) {
  luaL_Buffer buffer;
  size_t out;
  char *to = luaL_buffinitsize(L, &buffer, len);
  bool valid = sl_http_decode(path, len, false, to, &out);
  luaL_pushresultsize(&buffer, out);
  if (!valid) lua_pop(L, 1);
  return valid;
}

/* Pushes nil, the status of a refusal and why; or nil. */
static int push_over(lua_State *L, struct sl_http_conn *conn, int status,
                     const char *reason) {
  struct sl_stream *stream = sl_http_stream_of(conn);
  conn->closing = true;
  if (stream != NULL) sl_stream_flush(stream);
  lua_pushnil(L);
  if (status == 0) return 1;
  lua_pushinteger(L, status);
  lua_pushstring(L, reason);
  return 3;
}

static int refuse(lua_State *L, struct sl_http_conn *conn,
                  struct sl_stream *stream, int status,
                  const char *reason) {
  sl_http_conn_refuse(conn, stream, status);
  return push_over(L, conn, status, reason);
}

/* Pushes method, path, head, query (or nil) and, if it was written otherwise
   in the request, the path as it was sent. */
static int push_request(lua_State *L, struct sl_http_conn *conn,
                        struct sl_stream *stream) {
  const struct sl_http_head *head = &conn->parser.head;
  const char *path = sl_http_at(head, head->path);
  bool encoded = memchr(path, '%', head->path.len) != NULL;
  if (encoded && !push_decoded(L, path, head->path.len))
    return refuse(L, conn, stream, 400, "invalid escape in the path");
  if (!encoded) push_span(L, head, head->path);
  push_span(L, head, head->method);
  lua_insert(L, -2);
  lua_pushlstring(L, head->raw.data, head->raw.len);
  if (head->query.len > 0)
    push_span(L, head, head->query);
  else
    lua_pushnil(L);
  conn->state = SL_HTTP_ASKED;
  conn->serial++;
  conn->idle_due_ns = 0;
  conn->head_due_ns = 0;
  conn->body_due_ns = 0;
  conn->told_continue = false;
  conn->refused = 0;
  /* Answers of a pipeline do not wait for a handler that waits. */
  if (stream->out.len >= FLUSH_AT)
    sl_stream_flush(stream);
  else if (stream->out.len > 0)
    sl_stream_flush_soon(stream);
  if (!encoded) return 4;
  push_span(L, head, head->path);
  return 5;
}

/* When the wait for a request's bytes is given up. */
static uint64_t request_due(struct sl_http_conn *conn) {
  const struct sl_http_settings *settings = conn->settings;
  uint64_t now_ns = sl_loop_now(conn->loop);
  if (conn->state == SL_HTTP_ANSWERED) return sl_http_conn_body_due(conn);
  if (sl_http_idle(&conn->parser)) {
    if (conn->idle_due_ns == 0)
      conn->idle_due_ns = sl_clock_after(now_ns, settings->idle_ns);
    if (conn->idle_due_ns - now_ns <= REST_NS) return conn->idle_due_ns;
    return now_ns + REST_NS;
  }
  if (conn->head_due_ns == 0)
    conn->head_due_ns = sl_clock_after(now_ns, settings->head_ns);
  return conn->head_due_ns;
}

static int advance(lua_State *L, struct sl_http_conn *conn,
                   struct sl_task *task);

static bool was_idle_too_long(const struct sl_http_conn *conn) {
  return conn->idle_due_ns != 0 && conn->idle_due_ns <= conn->loop->now_ns;
}

/* No request has come for a while: it is over, or may rest. */
static int push_idle(lua_State *L, struct sl_http_conn *conn,
                     const struct sl_stream *stream) {
  if (was_idle_too_long(conn) || sl_stream_unwritten(stream) > 0)
    return push_over(L, conn, 0, NULL);
  lua_pushboolean(L, 0);
  return 1;
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_http_conn *conn = lua_touserdata(L, 1);
  struct sl_stream *stream;
  (void)status;
  if (sl_http_conn_outcome(L, conn, task) != SL_TIMED_OUT)
    return advance(L, conn, task);
  stream = sl_http_stream_of(conn);
  if (stream != NULL && sl_stream_above(stream))
    sl_stream_close(stream, SL_CLOSE_NOW); /* it does not read */
  if (stream == NULL || conn->state == SL_HTTP_ANSWERED)
    return push_over(L, conn, 0, NULL);
  if (sl_http_idle(&conn->parser)) return push_idle(L, conn, stream);
  return refuse(L, conn, stream, 408, "the head did not come in time");
}

/* Whether a request is, or its head has begun; not one whose body is passed
   over. */
static bool is_in_work(const struct sl_http_conn *conn) {
  return conn->state != SL_HTTP_ANSWERED && !sl_http_idle(&conn->parser);
}

/* Goes on to the next head. */
static int advance(lua_State *L, struct sl_http_conn *conn,
                   struct sl_task *task) {
  struct sl_http_parser *parser = &conn->parser;
  for (;;) {
    struct sl_stream *stream = sl_http_stream_of(conn);
    if (stream != NULL && sl_stream_above(stream))
      sl_stream_flush(stream); /* a head may be that long */
    if (stream == NULL || sl_http_broken(stream))
      return push_over(L, conn, 0, NULL);
    if (sl_stream_above(stream))
      return sl_http_conn_drain_k(L, conn, stream, task, k_next);
    if (conn->closing) return push_over(L, conn, 0, NULL);
    switch (sl_http_conn_feed(conn, stream, false)) {
      case SL_HTTP_HEAD: return push_request(L, conn, stream);
      case SL_HTTP_BODY: break; /* of a request that was answered */
      case SL_HTTP_MESSAGE:
        conn->closing = !sl_http_next(parser);
        parser->limits.max_body = conn->settings->limits.max_body;
        conn->state = SL_HTTP_WAITING;
        break;
      case SL_HTTP_ERROR:
        if (conn->state == SL_HTTP_ANSWERED)
          return push_over(L, conn, 0, NULL);
        return refuse(L, conn, stream, parser->head.status,
                      parser->head.reason);
      case SL_HTTP_NEED_MORE:
        if (stream->end != 0 || (conn->stopping && !is_in_work(conn)))
          return push_over(L, conn, 0, NULL);
        if (sl_http_idle(parser) && was_idle_too_long(conn))
          return push_over(L, conn, 0, NULL);
        return sl_http_conn_park_k(L, conn, stream, task, request_due(conn),
                                   k_next);
    }
  }
}

/* Tasks that still wait for the body of a request that was answered are told
   that it is gone. */
static void dismiss_readers(struct sl_stream *stream) {
  while (!sl_list_empty(&stream->readers))
    sl_task_wake(sl_task_of(stream->readers.next), SL_WOKEN);
}

/* conn:next(): waits for a request. Returns its method, path, head, query
   and the path as it was sent; false when none has come for a while and the
   connection may rest; nil when there is no more; nil, status, reason when
   one was refused. */
static int next_request(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_task *task = sl_wait_enter(L, conn->loop);
  struct sl_stream *stream;
  if (sl_wait_must_pause(task))
    return sl_wait_pause_k(L, task, next_request);
  stream = sl_http_stream_of(conn);
  if (stream == NULL || sl_http_broken(stream))
    return push_over(L, conn, 0, NULL);
  if (conn->task != task) sl_http_conn_watch(L, conn, stream, task);
  if (sl_http_conn_owes(conn))
    return luaL_error(L, "the request was not answered");
  dismiss_readers(stream);
  if (conn->state == SL_HTTP_ANSWERED && !conn->parser.stream)
    sl_http_stream(&conn->parser); /* the rest of its body is passed over */
  return advance(L, conn, task);
}

/* -- the rest -- */

/* conn:stop(): the answer in work is the last one; if there is none, it is
   over. Never waits. */
static int stop(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_stream *stream = sl_http_stream_of(conn);
  conn->stopping = true;
  if (stream == NULL || sl_http_conn_owes(conn)) return 0;
  if (conn->resting) sl_http_conn_rouse(conn);
  if (!is_in_work(conn) && !sl_list_empty(&stream->readers))
    sl_task_wake(sl_task_of(stream->readers.next), SL_WOKEN);
  return 0;
}

static const char *state_of(const struct sl_http_conn *conn) {
  static const char *const states[] = {"waiting", "asked", "sending",
                                       "answered"};
  return states[conn->state];
}

/* conn:state(): "waiting", "asked", "sending" or "answered". */
static int push_state(lua_State *L) {
  lua_pushstring(L, state_of(sl_http_conn_check(L)));
  return 1;
}

static void clear_due(struct sl_http_conn *conn) {
  conn->due_ns = SL_NEVER;
  conn->write_due_ns = SL_NEVER;
  if (conn->loop->clock != NULL)
    sl_clock_disarm(conn->loop, &conn->deadline);
}

static void free_conn(struct sl_http_conn *conn) {
  struct sl_stream *stream;
  if (!conn->reserved) return;
  conn->reserved = false;
  stream = sl_http_stream_of(conn);
  if (stream != NULL) {
    stream->arrived = NULL;
    stream->ended = NULL;
  }
  sl_link_unlink(&conn->rest);
  clear_due(conn);
  if (conn->loop->clock != NULL) sl_clock_release(conn->loop);
  sl_http_fini(&conn->parser);
  sl_bytes_fini(&conn->piece);
}

/* Whether the client is to be told gently that there is no more: a reset
   would take the last bytes from it, which it may not have read yet. There
   are none in a request without its answer, nor in a connection that is idle
   and whose answers have arrived. */
static bool has_last_bytes(const struct sl_http_conn *conn,
                           const struct sl_stream *stream) {
  if (sl_http_conn_owes(conn)) return false;
  return conn->state != SL_HTTP_WAITING || !sl_http_idle(&conn->parser) ||
         stream->in.len > 0 || !sl_stream_delivered(stream);
}

/* conn:close(): ends the connection once what is queued is written. An
   answer that was begun is cut off. Never waits. */
static int close_conn(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_stream *stream = sl_http_stream_of(conn);
  conn->closing = true;
  clear_due(conn);
  if (stream == NULL) return 0;
  if (conn->state == SL_HTTP_SENDING && conn->framing == SL_HTTP_BY_CLOSE)
    sl_stream_close(stream, SL_CLOSE_RESET); /* or it would be a whole one */
  else
    sl_stream_close(stream, has_last_bytes(conn, stream) ? SL_CLOSE_GENTLY
                                                         : SL_CLOSE_FLUSHED);
  return 0;
}

static int collect_conn(lua_State *L) {
  free_conn(lua_touserdata(L, 1));
  return 0;
}

static int conn_tostring(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  lua_pushfstring(L, "sluice.http.Connection (%s)",
                  conn->closing ? "closing" : state_of(conn));
  return 1;
}

/* Connection(stream, settings): takes the stream over. */
static int new_conn(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct sl_box *box = sl_check(L, 1, &sl_stream_class);
  struct sl_http_settings *settings =
      sl_check(L, 2, &sl_http_settings_class);
  struct sl_memory memory = sl_memory_of(L);
  struct sl_http_conn *conn = sl_object_new(L, &sl_http_conn_class, 3);
  conn->loop = loop;
  conn->box = box;
  conn->settings = settings;
  conn->due_ns = SL_NEVER;
  conn->write_due_ns = SL_NEVER;
  sl_deadline_init(&conn->deadline, on_due);
  sl_link_init(&conn->rest);
  sl_http_init(&conn->parser, &settings->limits, memory.alloc, memory.ud);
  sl_bytes_init(&conn->piece, memory.alloc, memory.ud);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, SL_HTTP_STREAM);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, SL_HTTP_SETTINGS);
  sl_clock_reserve(L, loop);
  conn->reserved = true;
  return 1;
}

/* conn:stream(): the stream it took over. Never waits. */
static int push_stream(lua_State *L) {
  sl_http_conn_check(L);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

void sl_http_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"Connection", new_conn},
      {"Settings", sl_http_settings_new},
      {NULL, NULL}};
  static const luaL_Reg methods[] = {{"next", next_request},
                                     {"stop", stop},
                                     {"state", push_state},
                                     {"close", close_conn},
                                     {"stream", push_stream},
                                     {"rest", sl_http_conn_rest},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_conn},
                                  {"__gc", collect_conn},
                                  {"__tostring", conn_tostring},
                                  {NULL, NULL}};
  sl_class_new(L, &sl_http_conn_class, loop, methods, meta);
  lua_getfield(L, -1, "__index");
  sl_setfuncs(L, loop, sl_http_body_methods);
  sl_setfuncs(L, loop, sl_http_answer_methods);
  sl_setfuncs(L, loop, sl_http_gone_methods);
  lua_pop(L, 2);
  sl_http_settings_open(L, loop);
  sl_http_form_open(L, loop);
  sl_http_spool_open(L, loop);
  lua_newtable(L);
  sl_setfuncs(L, loop, functions);
  sl_setfuncs(L, loop, sl_http_functions);
  sl_net_preload(L, "sluice.core.http");
}
