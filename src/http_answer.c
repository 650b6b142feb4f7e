/*
** http_answer.c: the answer to the request in work.
**
** The one idea: an answer is appended to the stream's buffer in one call and
** written when the connection next looks for a request; only what is long is
** written at once, without a copy. Everything that may be wrong with it is
** found before a byte is appended, so that another answer can be made.
**
** Whether the connection is kept is decided here: not if the client does not
** want it, the server stops, or the rest of the body would have to be waited
** for.
*/
#include "http_conn.h"

#include <string.h>

#include "http_text.h"

enum {
  MAX_HEADERS = 100,
  COPIED = 16384,       /* a longer body is not copied behind its head */
  SLICE = 131072,       /* of a long body, sent when the one before is gone */
  PASSED_OVER = 65536,  /* a shorter rest of a body is, to keep the client */
  CLIENT_GONE = 499     /* the status for the log */
};

/* The stack of respond and start. */
enum { STATUS = 2, HEADERS = 3, TYPE = 4, BODY = 5 };

struct headers {
  struct sl_http_header list[MAX_HEADERS + 1];
  size_t n;
  bool has_type;
  bool close; /* the handler does not want to keep the connection */
};

/* -- what the handler gave -- */

static bool names(const struct sl_http_header *header, const char *name) {
  size_t len = strlen(name);
  return header->name_len == len &&
         sl_http_equal(header->name, name, len);
}

static void check_header(lua_State *L, struct headers *headers,
                         const struct sl_http_header *header) {
  switch (sl_http_check_header(header)) {
    case SL_HTTP_HEADER_OK: break;
    case SL_HTTP_BAD_NAME:
      luaL_error(L, "invalid name of a header ('%s')", header->name);
      break;
    case SL_HTTP_BAD_VALUE:
      luaL_error(L, "invalid value of the header '%s'", header->name);
      break;
    case SL_HTTP_OURS:
      if (!names(header, "connection") || header->value_len != 5 ||
          !sl_http_equal(header->value, "close", 5))
        luaL_error(L, "the header '%s' is set by the server", header->name);
      headers->close = true;
      return;
  }
  if (headers->n == MAX_HEADERS) luaL_error(L, "too many headers");
  if (names(header, "content-type")) headers->has_type = true;
  headers->list[headers->n++] = *header;
}

/* Adds a header whose value, a string or a number, is on the top; the value
   stays there as a string, so that it lives until the head is written. */
static void add_header(lua_State *L, struct headers *headers, int name) {
  struct sl_http_header header;
  int type = lua_type(L, -1);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    luaL_error(L, "the header '%s' is a %s, not a string",
               lua_tostring(L, name), lua_typename(L, type));
  header.name = lua_tolstring(L, name, &header.name_len);
  header.value = lua_tolstring(L, -1, &header.value_len);
  check_header(L, headers, &header);
}

/* The values of a list on the top, which they replace. */
static void add_list(lua_State *L, struct headers *headers, int name) {
  int list = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  if (n > MAX_HEADERS) luaL_error(L, "too many headers");
  luaL_checkstack(L, (int)n + 8, NULL);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, list, i);
    add_header(L, headers, name);
  }
}

/* Collects what is in the table at HEADERS; leaves the strings above. */
static void collect_headers(lua_State *L, struct headers *headers) {
  headers->n = 0;
  headers->has_type = headers->close = false;
  if (lua_isnoneornil(L, HEADERS)) return;
  if (!lua_istable(L, HEADERS))
    luaL_error(L, "the headers are a %s, not a table",
               luaL_typename(L, HEADERS));
  lua_pushnil(L);
  while (lua_next(L, HEADERS)) {
    int name = lua_gettop(L) - 1;
    luaL_checkstack(L, 8, NULL);
    if (lua_type(L, name) != LUA_TSTRING)
      luaL_error(L, "the name of a header is not a string");
    if (lua_istable(L, -1))
      add_list(L, headers, name);
    else
      add_header(L, headers, name);
    lua_pushvalue(L, name); /* the key for lua_next, above the strings */
  }
}

/* -- making it -- */

static bool is_head(const struct sl_http_head *head) {
  return sl_http_span_is(head, head->method, "HEAD");
}

/* Whether the rest of the request's body need not be waited for, or is so
   short that the connection is worth it. */
static bool settle_body(struct sl_http_conn *conn, struct sl_stream *stream) {
  struct sl_http_parser *parser = &conn->parser;
  enum sl_http_event event;
  if (conn->refused != 0) return false;
  do event = sl_http_conn_feed(conn, stream, false);
  while (event == SL_HTTP_BODY);
  if (event == SL_HTTP_MESSAGE) return true;
  if (event == SL_HTTP_ERROR || parser->head.chunked) return false;
  if (parser->head.expect_continue && !conn->told_continue) return false;
  return parser->head.content_length - parser->received <= PASSED_OVER;
}

static int check_status(lua_State *L) {
  int is_integer;
  lua_Integer status = lua_tointegerx(L, STATUS, &is_integer);
  if (!is_integer) luaL_error(L, "the status is no integer");
  if (status < 200 || status > 999)
    luaL_error(L, "the status %I is not one of 200 to 999",
               (LUAI_UACINT)status);
  return (int)status;
}

/* Prepares an answer of the headers collected. Throws what is wrong. */
static void prepare(lua_State *L, struct sl_http_conn *conn,
                    struct headers *headers,
                    struct sl_http_response *response) {
  const struct sl_http_head *head = &conn->parser.head;
  int status = check_status(L);
  collect_headers(L, headers);
  memset(response, 0, sizeof *response);
  response->status = status;
  if (!headers->has_type && lua_type(L, TYPE) == LUA_TSTRING) {
    struct sl_http_header *type = &headers->list[headers->n++];
    type->name = "Content-Type";
    type->name_len = sizeof "Content-Type" - 1;
    type->value = lua_tolstring(L, TYPE, &type->value_len);
  }
  response->headers = headers->list;
  response->n_headers = headers->n;
  response->date = sl_http_conn_date(conn);
  response->to_head = is_head(head);
  response->minor = head->minor;
  response->keep_alive =
      head->keep_alive && !conn->stopping && !headers->close;
}

static void write_head(lua_State *L, struct sl_http_conn *conn,
                       struct sl_stream *stream,
                       struct sl_http_response *response) {
  if (!sl_http_write_head(&stream->out, response))
    luaL_error(L, "not enough memory");
  conn->closing = !response->keep_alive;
}

static void append_body(lua_State *L, struct sl_stream *stream,
                        const char *body, size_t len) {
  if (sl_bytes_append(&stream->out, body, len)) return;
  sl_stream_close(stream, SL_CLOSE_NOW); /* its head promised a body */
  luaL_error(L, "not enough memory");
}

static int send_rest(lua_State *L, struct sl_http_conn *conn,
                     struct sl_task *task);

static int k_send(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_http_conn *conn = lua_touserdata(L, 1);
  struct sl_stream *stream = sl_http_stream_of(conn);
  (void)status;
  if (sl_http_conn_outcome(L, conn, task) == SL_TIMED_OUT && stream != NULL)
    sl_stream_close(stream, SL_CLOSE_NOW);
  return send_rest(L, conn, task);
}

/* Sends a long body as its client takes it: the string stays on the stack,
   and no more than a slice is copied. The status is on the top. Pushes how
   much was sent. */
static int send_rest(lua_State *L, struct sl_http_conn *conn,
                     struct sl_task *task) {
  struct sl_stream *stream = sl_http_stream_of(conn);
  size_t len;
  const char *body = lua_tolstring(L, BODY, &len);
  while (stream != NULL && stream->broken == 0 && conn->sent < len) {
    size_t left = len - conn->sent, n = left < SLICE ? left : SLICE;
    sl_stream_send(stream, body + conn->sent, n);
    conn->sent += n;
    if (sl_stream_above(stream) && conn->sent < len)
      return sl_http_conn_drain_k(L, conn, stream, task, k_send);
  }
  if (conn->sent < len) lua_pushinteger(L, CLIENT_GONE);
  lua_pushinteger(L, (lua_Integer)conn->sent);
  return 2;
}

static void check_asked(lua_State *L, const struct sl_http_conn *conn) {
  if (conn->state != SL_HTTP_ASKED)
    luaL_error(L, "the request was answered already");
}

/* The refusal of a body goes before any other answer. Returns whether it was
   made; pushes its status, and that nothing of the body was sent. */
static bool refuse_instead(lua_State *L, struct sl_http_conn *conn,
                           struct sl_stream *stream) {
  if (stream != NULL && !sl_http_broken(stream) && conn->refused == 0)
    return false;
  conn->state = SL_HTTP_ANSWERED;
  conn->closing = true;
  if (stream != NULL && conn->refused > 0)
    sl_http_conn_refuse(conn, stream, conn->refused);
  lua_pushinteger(L, conn->refused > 0 ? conn->refused : CLIENT_GONE);
  lua_pushinteger(L, 0);
  return true;
}

/* conn:respond(status, headers, type, body): answers. headers: a table or
   nil; type: of the body, if headers do not say; body: a string or nil.
   Returns the status that was sent in the end (499: nobody was there), and
   how many bytes of the body. Waits while the client takes a long body. */
static int respond(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_stream *stream = sl_http_stream_of(conn);
  struct sl_http_response response;
  struct headers headers;
  struct sl_task *task = NULL;
  size_t len = 0;
  const char *body = luaL_optlstring(L, BODY, NULL, &len);
  check_asked(L, conn);
  if (len > COPIED) {
    task = sl_wait_enter(L, conn->loop);
    if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, respond);
  }
  if (refuse_instead(L, conn, stream)) return 2;
  prepare(L, conn, &headers, &response);
  response.length = len;
  response.known_length = true;
  if (response.keep_alive) response.keep_alive = settle_body(conn, stream);
  write_head(L, conn, stream, &response);
  conn->state = SL_HTTP_ANSWERED;
  sl_bytes_clear(&conn->piece);
  lua_pushinteger(L, response.status);
  if (response.framing != SL_HTTP_BY_LENGTH) len = 0;
  if (task == NULL || len == 0) {
    append_body(L, stream, body, len);
    lua_pushinteger(L, (lua_Integer)len);
    return 2;
  }
  sl_stream_flush(stream);
  conn->sent = 0;
  return send_rest(L, conn, task);
}

/* Whether the connection may be kept behind an answer in pieces, while which
   the rest of the body may still be read: not if the client is never told
   whether to send it. */
static bool may_be_kept(struct sl_http_conn *conn, struct sl_stream *stream) {
  enum sl_http_event event = sl_http_conn_gather(conn, stream);
  return event == SL_HTTP_MESSAGE ||
         (event == SL_HTTP_NEED_MORE && !sl_http_conn_expects(conn));
}

/* conn:start(status, headers, type, length): begins an answer in pieces; the
   length of its body may be unknown. Returns the status, and whether a body
   is to follow. Never waits. */
static int start(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_stream *stream = sl_http_stream_of(conn);
  struct sl_http_response response;
  struct headers headers;
  check_asked(L, conn);
  if (refuse_instead(L, conn, stream)) {
    lua_pop(L, 1);
    return 1;
  }
  prepare(L, conn, &headers, &response);
  response.known_length = !lua_isnoneornil(L, BODY);
  if (response.known_length)
    response.length = (uint64_t)luaL_checkinteger(L, BODY);
  if (response.keep_alive) response.keep_alive = may_be_kept(conn, stream);
  write_head(L, conn, stream, &response);
  conn->left = response.length;
  conn->framing = (uint8_t)response.framing;
  conn->state = response.framing == SL_HTTP_NO_BODY ? SL_HTTP_ANSWERED
                                                    : SL_HTTP_SENDING;
  lua_pushinteger(L, response.status);
  lua_pushboolean(L, conn->state == SL_HTTP_SENDING);
  return 2;
}

/* -- in chunks -- */

static int push_sent(lua_State *L, const struct sl_stream *stream) {
  if (stream == NULL) return sl_fail_closed(L, "connection");
  if (stream->broken != 0) return sl_fail_uv(L, stream->broken);
  lua_pushboolean(L, 1);
  return 1;
}

static int k_chunk(lua_State *L, int status, lua_KContext ctx) {
  struct sl_http_conn *conn = lua_touserdata(L, 1);
  struct sl_stream *stream = sl_http_stream_of(conn);
  (void)status;
  if (sl_http_conn_outcome(L, conn, (struct sl_task *)ctx) ==
      SL_TIMED_OUT) {
    if (stream != NULL) sl_stream_close(stream, SL_CLOSE_NOW);
    return sl_fail(L, "timeout");
  }
  return push_sent(L, stream);
}

/* conn:chunk(data): the next piece of the body. Returns true; nil, reason
   when nobody is there to read it. Waits while too much is queued. */
static int chunk(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_task *task;
  struct sl_stream *stream;
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  sl_http_conn_note(L, conn);
  task = sl_wait_enter(L, conn->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, chunk);
  stream = sl_http_stream_of(conn);
  if (stream == NULL) return sl_fail_closed(L, "connection");
  if (conn->state != SL_HTTP_SENDING || !sl_http_conn_is_current(L, conn))
    return sl_fail_uv(L, UV_EPIPE); /* the answer has ended */
  if (conn->framing == SL_HTTP_BY_LENGTH) {
    if (len > conn->left)
      return luaL_error(L, "the body is longer than was announced");
    conn->left -= len;
  }
  if (conn->framing != SL_HTTP_BY_CHUNKS)
    sl_stream_send(stream, data, len);
  else if (!sl_http_write_chunk(&stream->out, data, len))
    return luaL_error(L, "not enough memory");
  sl_stream_flush(stream);
  if (!sl_stream_above(stream)) return push_sent(L, stream);
  return sl_http_conn_drain_k(L, conn, stream, task, k_chunk);
}

/* conn:finish(): the body is complete; but if the request's could not be had
   meanwhile, the answer is cut off, so that half of it is not taken for the
   whole. Never waits. */
static int finish(lua_State *L) {
  struct sl_http_conn *conn = sl_http_conn_check(L);
  struct sl_stream *stream = sl_http_stream_of(conn);
  if (conn->state != SL_HTTP_SENDING) return 0;
  if (conn->framing == SL_HTTP_BY_LENGTH && conn->left > 0)
    return luaL_error(L, "the body is shorter than was announced");
  if (stream != NULL && !settle_body(conn, stream)) conn->closing = true;
  sl_bytes_clear(&conn->piece);
  if (stream != NULL && conn->framing == SL_HTTP_BY_CHUNKS &&
      conn->refused == 0 && !sl_http_write_last_chunk(&stream->out))
    return luaL_error(L, "not enough memory");
  if (stream != NULL && conn->framing == SL_HTTP_BY_CLOSE &&
      conn->refused != 0)
    sl_stream_close(stream, SL_CLOSE_RESET);
  conn->state = SL_HTTP_ANSWERED;
  return 0;
}

const luaL_Reg sl_http_answer_methods[] = {{"respond", respond},
                                           {"start", start},
                                           {"chunk", chunk},
                                           {"finish", finish},
                                           {NULL, NULL}};
