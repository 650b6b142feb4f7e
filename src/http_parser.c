/*
** http_parser.c: see http_parser.h.
**
** llhttp is run over the caller's bytes. While it is in a head or a trailer,
** what it consumed is copied to head.raw after each run, so that an address
** in its callbacks is an offset there: the bytes held before the run, plus
** the distance into the run. It is begun anew for each request, and never
** sees the end of one: so it has no opinion on what follows a
** `Connection: close` or an `Upgrade`.
**
** A limit must refuse the same requests however they are cut. So a limit is
** either kept by giving llhttp no byte beyond it, or compared where a
** callback sees a whole thing, or checked before llhttp's own error counts.
*/
#include "http_parser.h"

#include <string.h>

#include "http_text.h"

enum {
  MAX_METHOD = 64,    /* a longer name is unknown without its end */
  KEEP_BODY = 65536,  /* a larger buffer is freed after its request */
  PLAIN_CHUNK = 20    /* the end of a chunk, 16 digits, the end of a line */
};

/* Offsets are 32 bits, and head and trailer share a buffer. */
static const size_t HEAD_LIMIT = (size_t)1 << 30;

enum { NOT_STOPPED, AT_HEAD, AT_SPAN, AT_CHUNK, AT_LAST_CHUNK, AT_END };

static struct sl_http_parser *owner(llhttp_t *llhttp) {
  return llhttp->data;
}

static int refuse(struct sl_http_parser *parser, int status,
                  const char *reason) {
  sl_http_head_refuse(&parser->head, status, reason);
  return HPE_USER;
}

static int stop(llhttp_t *llhttp, unsigned why) {
  owner(llhttp)->stop = why;
  return HPE_PAUSED;
}

/* The offset that `at` will have in head.raw. */
static size_t offset(const struct sl_http_parser *parser, const char *at) {
  return parser->head.raw.len + (size_t)(at - parser->chunk);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t len) {
  struct sl_http_parser *parser = owner(llhttp);
  struct sl_http_span *target = &parser->head.target;
  if (target->len == 0) target->at = (uint32_t)offset(parser, at);
  target->len += (uint32_t)len;
  if (target->len > parser->limits.max_target)
    return refuse(parser, 414, "the target is too long");
  return 0;
}

/* Without a version in the line, llhttp takes HTTP/0.9 for granted here. */
static int on_url_complete(llhttp_t *llhttp) {
  owner(llhttp)->in_fields = true;
  if (llhttp->http_minor != 9) return 0;
  return refuse(owner(llhttp), 400, "no version in the request line");
}

static int on_version_complete(llhttp_t *llhttp) {
  struct sl_http_parser *parser = owner(llhttp);
  if (llhttp->http_major != 1)
    return refuse(parser, 505, "HTTP version not supported");
  /* CONNECT: to llhttp what follows is no request whatever its length says.
     PRI begins HTTP/2. Neither has a meaning for a server of resources. */
  if (llhttp->method == HTTP_CONNECT || llhttp->method == HTTP_PRI)
    return refuse(parser, 501, "method not implemented");
  return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len) {
  struct sl_http_parser *parser = owner(llhttp);
  struct sl_http_head *head = &parser->head;
  if (!parser->in_name && !sl_http_head_add(head, offset(parser, at)))
    return refuse(parser, 503, "out of memory");
  parser->in_name = true;
  head->fields[head->count - 1].name.len += (uint32_t)len;
  return 0;
}

/* Counted here and not where a name begins: a name that is broken is refused
   as that, whether or not it came in one piece. */
static int on_header_field_complete(llhttp_t *llhttp) {
  struct sl_http_parser *parser = owner(llhttp);
  parser->in_name = false;
  if (parser->head.count <= parser->limits.max_fields) return 0;
  return refuse(parser, 431, "too many fields");
}

static int on_headers_complete(llhttp_t *llhttp) {
  return stop(llhttp, AT_HEAD);
}

static int on_chunk_header(llhttp_t *llhttp) {
  struct sl_http_parser *parser = owner(llhttp);
  uint64_t size = llhttp->content_length;
  uint64_t most = parser->limits.max_body; /* it may have been lowered */
  if (parser->received > most || size > most - parser->received)
    return refuse(parser, 413, "the body is too long");
  return stop(llhttp, size > 0 ? AT_CHUNK : AT_LAST_CHUNK);
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len) {
  struct sl_http_parser *parser = owner(llhttp);
  if (len == 0) return 0;
  parser->received += len;
  if (parser->stream) {
    parser->span = at;
    parser->span_len = len;
    return stop(llhttp, AT_SPAN);
  }
  if (sl_bytes_append(&parser->body, at, len)) return 0;
  return refuse(parser, 503, "out of memory");
}

static int on_message_complete(llhttp_t *llhttp) {
  return stop(llhttp, AT_END);
}

/* A field's value needs no callback: it is what is between its name and the
   end of the line (http_head.c). */
static const llhttp_settings_t settings = {
  .on_url = on_url,
  .on_url_complete = on_url_complete,
  .on_version_complete = on_version_complete,
  .on_header_field = on_header_field,
  .on_header_field_complete = on_header_field_complete,
  .on_headers_complete = on_headers_complete,
  .on_chunk_header = on_chunk_header,
  .on_body = on_body,
  .on_message_complete = on_message_complete,
};

static void begin(struct sl_http_parser *parser) {
  llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
  parser->llhttp.data = parser;
  parser->state = SL_HTTP_IN_HEAD;
  parser->received = 0;
  parser->stream = false;
  parser->in_name = false;
  parser->in_fields = false;
  parser->section = 0;
  parser->overhead = 0;
  parser->extra = 0;
}

void sl_http_init(struct sl_http_parser *parser,
                  const struct sl_http_limits *limits, sl_alloc *alloc,
                  void *ud) {
  memset(parser, 0, sizeof *parser);
  sl_http_head_init(&parser->head, alloc, ud);
  sl_bytes_init(&parser->body, alloc, ud);
  parser->limits = *limits;
  if (parser->limits.max_head > HEAD_LIMIT)
    parser->limits.max_head = HEAD_LIMIT;
  begin(parser);
}

void sl_http_fini(struct sl_http_parser *parser) {
  sl_http_head_fini(&parser->head);
  sl_bytes_fini(&parser->body);
}

static enum sl_http_event fail(struct sl_http_parser *parser, int status,
                               const char *reason) {
  sl_http_head_refuse(&parser->head, status, reason);
  parser->state = SL_HTTP_FAILED;
  return SL_HTTP_ERROR;
}

/* Runs llhttp; *used is how many bytes it consumed. */
static llhttp_errno_t run(struct sl_http_parser *parser, const char *data,
                          size_t len, size_t *used) {
  parser->chunk = data;
  parser->stop = NOT_STOPPED;
  llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, len);
  *used = len;
  if (error != HPE_OK)
    *used = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
  if (error == HPE_PAUSED) llhttp_resume(&parser->llhttp);
  return error;
}

/* Runs llhttp over what the limit leaves of a head or trailer, and keeps the
   bytes consumed. A section that is full and not complete is too long: it
   would need one more byte. */
static llhttp_errno_t collect(struct sl_http_parser *parser, const char *data,
                              size_t len, size_t *used) {
  struct sl_bytes *raw = &parser->head.raw;
  size_t room = parser->limits.max_head - (raw->len - parser->section);
  llhttp_errno_t error = run(parser, data, len < room ? len : room, used);
  if (!sl_bytes_append(raw, data, *used))
    return refuse(parser, 503, "out of memory");
  if (error == HPE_OK && *used == room)
    return refuse(parser, 431, "the head is too long");
  return error;
}

/* Whether raw ends in "HTTP/" and then n more bytes. */
static bool after_protocol(const struct sl_http_parser *parser, size_t n) {
  const struct sl_bytes *raw = &parser->head.raw;
  return raw->len >= 5 + n &&
         memcmp(raw->data + raw->len - 5 - n, "HTTP/", 5) == 0;
}

/* The first byte that is not of the empty lines before a request. */
static size_t line_begin(const struct sl_bytes *raw) {
  size_t i = 0;
  while (i < raw->len && (raw->data[i] == '\r' || raw->data[i] == '\n')) i++;
  return i;
}

/* Whether llhttp died in a target that is too long already; it only reports
   those that end. An end of line ends one, too, though llhttp may go on: a
   line without a version is no shorter when more has arrived. */
static bool died_in_long_target(const struct sl_http_parser *parser) {
  const struct sl_bytes *raw = &parser->head.raw;
  if (parser->in_fields || raw->len == 0) return false;
  size_t at = line_begin(raw);
  while (at < raw->len && raw->data[at] != ' ') at++;
  while (at < raw->len && raw->data[at] == ' ') at++;
  size_t end = at;
  while (end < raw->len && raw->data[end] != '\r' && raw->data[end] != '\n')
    end++;
  return end - at > parser->limits.max_target;
}

/* The status for an error that llhttp found itself. */
static enum sl_http_event fail_as(struct sl_http_parser *parser,
                                  llhttp_errno_t error) {
  if (died_in_long_target(parser))
    return fail(parser, 414, "the target is too long");
  if (error == HPE_INVALID_VERSION && parser->llhttp.http_major == 1 &&
      parser->llhttp.http_minor <= 1)
    return fail(parser, 400, "malformed version in the request line");
  if (error == HPE_INVALID_VERSION && after_protocol(parser, 3))
    return fail(parser, 505, "HTTP version not supported");
  if (error == HPE_INVALID_CONSTANT && after_protocol(parser, 0))
    return fail(parser, 501, "method not implemented");
  const char *reason = llhttp_get_error_reason(&parser->llhttp);
  return fail(parser, 400, reason != NULL ? reason : "malformed request");
}

/* Reads on through a method that llhttp does not know, to tell a method
   (501) from what is no HTTP at all. `overhead` counts its bytes. */
static enum sl_http_event feed_method(struct sl_http_parser *parser,
                                      const char *data, size_t len,
                                      size_t *used) {
  for (size_t i = 0; i < len; i++) {
    bool token = sl_http_is(data[i], SL_HTTP_TOKEN);
    if (token && ++parser->overhead <= MAX_METHOD) continue;
    if (token || (data[i] == ' ' && parser->overhead > 0))
      return fail(parser, 501, "unknown method");
    return fail(parser, 400, "malformed request line");
  }
  *used = len;
  return SL_HTTP_NEED_MORE;
}

/* llhttp stopped at a byte of the method, data[*used]. */
static enum sl_http_event enter_method(struct sl_http_parser *parser,
                                       const char *data, size_t len,
                                       size_t *used) {
  const struct sl_bytes *raw = &parser->head.raw;
  size_t rest = len - *used;
  parser->state = SL_HTTP_IN_METHOD;
  parser->overhead = raw->len - line_begin(raw);
  enum sl_http_event event =
    feed_method(parser, data + *used, rest, &rest);
  *used += rest;
  return event;
}

/* A line that ended after its target: llhttp tells with the next byte only,
   for which a client of HTTP/0.9 would wait in vain. */
static bool lacks_version(const struct sl_http_parser *parser) {
  const struct sl_bytes *raw = &parser->head.raw;
  return parser->head.target.len > 0 && !parser->in_fields &&
         raw->data[raw->len - 1] == '\n';
}

/* The head is whole in head.raw: what kind of body follows. */
static enum sl_http_event finish_head(struct sl_http_parser *parser) {
  struct sl_http_head *head = &parser->head;
  if (!sl_http_head_read(head)) return fail(parser, 0, NULL);
  if (head->content_length > parser->limits.max_body)
    return fail(parser, 413, "the body is too long");
  /* The chunks will be llhttp's to frame, so it must agree that it does. */
  if (head->chunked && !(parser->llhttp.flags & F_CHUNKED))
    return fail(parser, 400, "invalid Transfer-Encoding");
  parser->state = head->chunked ? SL_HTTP_IN_CHUNKS : SL_HTTP_IN_BODY;
  return SL_HTTP_HEAD;
}

static enum sl_http_event feed_head(struct sl_http_parser *parser,
                                    const char *data, size_t len,
                                    size_t *used) {
  if (len == 0) return SL_HTTP_NEED_MORE;
  llhttp_errno_t error = collect(parser, data, len, used);
  if (error == HPE_OK && lacks_version(parser))
    return fail(parser, 400, "no version in the request line");
  if (error == HPE_OK) return SL_HTTP_NEED_MORE;
  if (parser->stop == AT_HEAD && error == HPE_PAUSED)
    return finish_head(parser);
  if (parser->head.status == 0 && error == HPE_INVALID_METHOD)
    return enter_method(parser, data, len, used);
  return fail_as(parser, error);
}

static enum sl_http_event finish(struct sl_http_parser *parser) {
  parser->state = SL_HTTP_DONE;
  return SL_HTTP_MESSAGE;
}

static enum sl_http_event feed_body(struct sl_http_parser *parser,
                                    const char *data, size_t len,
                                    size_t *used) {
  uint64_t missing = parser->head.content_length - parser->received;
  if (missing == 0) return finish(parser);
  if (len == 0) return SL_HTTP_NEED_MORE;
  size_t n = len < missing ? len : (size_t)missing;
  *used = n;
  parser->received += n;
  if (parser->stream) {
    parser->span = data;
    parser->span_len = n;
    return SL_HTTP_BODY;
  }
  if (!sl_bytes_append(&parser->body, data, n))
    return fail(parser, 503, "out of memory");
  return n == missing ? finish(parser) : SL_HTTP_NEED_MORE;
}

static enum sl_http_event feed_trailer(struct sl_http_parser *parser,
                                       const char *data, size_t len,
                                       size_t *used) {
  if (len == 0) return SL_HTTP_NEED_MORE;
  llhttp_errno_t error = collect(parser, data, len, used);
  if (error == HPE_OK) return SL_HTTP_NEED_MORE;
  if (parser->stop != AT_END || error != HPE_PAUSED)
    return fail_as(parser, error);
  if (!sl_http_head_read_trailer(&parser->head, parser->section))
    return fail(parser, 0, NULL);
  return finish(parser);
}

/* The last chunk's line ended before data[*used]. */
static enum sl_http_event enter_trailer(struct sl_http_parser *parser,
                                        const char *data, size_t len,
                                        size_t *used) {
  size_t n = 0;
  parser->state = SL_HTTP_IN_TRAILER;
  parser->section = parser->head.raw.len;
  enum sl_http_event event =
    feed_trailer(parser, data + *used, len - *used, &n);
  *used += n;
  return event;
}

/* Counts bytes that a chunked body carries beside its data. What a plain
   chunk needs is free; the rest, extensions and leading zeros, may be as long
   as a head. */
static bool count_overhead(struct sl_http_parser *parser, size_t n) {
  parser->overhead += n;
  size_t over = parser->overhead > PLAIN_CHUNK
                  ? parser->overhead - PLAIN_CHUNK : 0;
  if (over > parser->limits.max_head - parser->extra) return false;
  if (parser->stop == AT_CHUNK || parser->stop == AT_LAST_CHUNK) {
    parser->extra += over;
    parser->overhead = 0;
  }
  return true;
}

/* One run of llhttp in the chunks, which it leaves at the end of the bytes,
   of a chunk's line, or of a span to be streamed. */
static bool run_chunks(struct sl_http_parser *parser, const char *data,
                       size_t len, size_t *used) {
  uint64_t before = parser->received;
  llhttp_errno_t error = run(parser, data, len, used);
  size_t body = (size_t)(parser->received - before);
  if (!count_overhead(parser, *used - body)) {
    fail(parser, 413, "chunk extensions are too long");
  } else if (error != HPE_OK && error != HPE_PAUSED) {
    fail_as(parser, error);
  }
  return parser->state != SL_HTTP_FAILED;
}

static enum sl_http_event feed_chunks(struct sl_http_parser *parser,
                                      const char *data, size_t len,
                                      size_t *used) {
  while (*used < len) {
    size_t n;
    if (!run_chunks(parser, data + *used, len - *used, &n))
      return SL_HTTP_ERROR;
    *used += n;
    if (parser->stop == AT_SPAN) return SL_HTTP_BODY;
    if (parser->stop == AT_LAST_CHUNK)
      return enter_trailer(parser, data, len, used);
  }
  return SL_HTTP_NEED_MORE;
}

static enum sl_http_event feed(struct sl_http_parser *parser, const char *data,
                               size_t len, size_t *used) {
  switch (parser->state) {
  case SL_HTTP_IN_HEAD: return feed_head(parser, data, len, used);
  case SL_HTTP_IN_METHOD: return feed_method(parser, data, len, used);
  case SL_HTTP_IN_BODY: return feed_body(parser, data, len, used);
  case SL_HTTP_IN_CHUNKS: return feed_chunks(parser, data, len, used);
  case SL_HTTP_IN_TRAILER: return feed_trailer(parser, data, len, used);
  case SL_HTTP_DONE: return SL_HTTP_MESSAGE;
  case SL_HTTP_CLOSED: *used = len; return SL_HTTP_NEED_MORE;
  case SL_HTTP_FAILED: break;
  }
  return SL_HTTP_ERROR;
}

enum sl_http_event sl_http_feed(struct sl_http_parser *parser,
                                const char *data, size_t len, size_t *used) {
  *used = 0;
  enum sl_http_event event = feed(parser, data, len, used);
  /* Nothing that follows a refused request is ever taken for one. */
  if (event == SL_HTTP_ERROR) *used = len;
  return event;
}

void sl_http_stream(struct sl_http_parser *parser) {
  parser->stream = true;
}

bool sl_http_next(struct sl_http_parser *parser) {
  bool keep = parser->state == SL_HTTP_DONE && parser->head.keep_alive;
  sl_http_head_clear(&parser->head);
  sl_bytes_clear(&parser->body);
  sl_bytes_trim(&parser->body, KEEP_BODY);
  begin(parser);
  if (!keep) parser->state = SL_HTTP_CLOSED;
  return keep;
}
