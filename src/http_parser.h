/*
** http_parser.h: bytes in, one request at a time out.
**
** The one idea: sl_http_feed takes bytes cut anywhere and stops at each thing
** worth telling, an event; the caller goes on with the bytes that were not
** used. How the bytes were cut changes no event but where the spans of a
** streamed body end. After a message nothing more is taken until
** sl_http_next, so that one request is in flight and the rest of a pipeline
** waits in the caller's buffer.
**
** Owns the request's head, the body it collects, and llhttp's state, which
** frames heads, chunks and trailers; a body with a length is only counted.
** All limits are kept here. Allocates only to grow its buffers, which the
** next request uses again.
**
** Pure C. Never reads a socket, never answers: a refusal is an event with the
** status to answer with, after which every byte is swallowed.
**
**   for (;;) {
**     size_t used;
**     enum sl_http_event event = sl_http_feed(parser, data, len, &used);
**     data += used, len -= used;
**     if (event == SL_HTTP_NEED_MORE) break;  // all bytes were used
**     if (event == SL_HTTP_ERROR) break;      // answer status, then close
**     if (event == SL_HTTP_MESSAGE) break;    // answer; then sl_http_next
**   }
*/
#ifndef SL_HTTP_PARSER_H
#define SL_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "bytes.h"
#include "http_head.h"

struct sl_http_limits {
  size_t max_head;     /* bytes, with the blank line; as much again for what a
                          chunked body carries beside its data (chunk
                          extensions), and for its trailer: 431, 413 */
  size_t max_target;   /* bytes of the request's target: 414 */
  uint32_t max_fields; /* of head and trailer together: 431 */
  uint64_t max_body;   /* bytes; UINT64_MAX is no limit: 413 */
};

#define SL_HTTP_DEFAULT_LIMITS {16384, 8192, 100, 1048576}

enum sl_http_event {
  SL_HTTP_NEED_MORE, /* all bytes were used; nothing to tell yet */
  SL_HTTP_HEAD,      /* parser->head is known; its body follows */
  SL_HTTP_BODY,      /* parser->span is the next piece of a streamed body */
  SL_HTTP_MESSAGE,   /* the request is whole; nothing is used before `next` */
  SL_HTTP_ERROR      /* refused with head.status, head.reason; all was used */
};

/*
** HEAD -> BODY ---------------> DONE -next-> HEAD     if kept alive
**  |   `> CHUNKS -> TRAILER -----'   `-next-> CLOSED   if not
**  `> METHOD                       any of them -> FAILED
*/
enum sl_http_state {
  SL_HTTP_IN_HEAD,    /* also before its first byte */
  SL_HTTP_IN_METHOD,  /* of a name that llhttp does not know */
  SL_HTTP_IN_BODY,    /* with a length, perhaps of 0 */
  SL_HTTP_IN_CHUNKS,
  SL_HTTP_IN_TRAILER,
  SL_HTTP_DONE,
  SL_HTTP_CLOSED,     /* the last request was had: bytes are swallowed */
  SL_HTTP_FAILED
};

struct sl_http_parser {
  struct sl_http_head head; /* valid from SL_HTTP_HEAD to sl_http_next */
  struct sl_bytes body;     /* what was collected; whole at SL_HTTP_MESSAGE */
  const char *span;         /* of SL_HTTP_BODY: lies in the bytes given */
  size_t span_len;          /* never 0 */
  uint64_t received;        /* bytes of this body so far */
  bool stream;              /* BODY events instead of collecting */

  /* Below: the parser's own. */
  enum sl_http_state state;
  unsigned stop;       /* why a callback made llhttp pause */
  bool in_name;        /* the last field's name is not complete */
  bool in_fields;      /* the request line is complete */
  size_t section;      /* offset in head.raw of the head or trailer */
  size_t overhead;     /* bytes of chunk framing since the last chunk's line */
  size_t extra;        /* of it, in all: beyond what plain framing takes */
  const char *chunk;   /* the bytes that llhttp runs over */
  struct sl_http_limits limits;
  llhttp_t llhttp;
};

/* Allocates nothing; the limits are copied. The parser must not move. */
void sl_http_init(struct sl_http_parser *parser,
                  const struct sl_http_limits *limits, sl_alloc *alloc,
                  void *ud);
void sl_http_fini(struct sl_http_parser *parser);

/* Takes bytes up to the next event; *used says how many. Call it again with
   the rest, also when there is none left: an event may need no more bytes. */
enum sl_http_event sl_http_feed(struct sl_http_parser *parser,
                                const char *data, size_t len, size_t *used);

/* After SL_HTTP_HEAD: the body comes as SL_HTTP_BODY events, not collected. */
void sl_http_stream(struct sl_http_parser *parser);

/* After SL_HTTP_MESSAGE: forgets the request, begins the next. False if the
   connection is not to be kept, and bytes that still come are swallowed. */
bool sl_http_next(struct sl_http_parser *parser);

/* Whether no byte of a request was had: it is no error if the peer ends. */
static inline bool sl_http_idle(const struct sl_http_parser *parser) {
  return parser->state == SL_HTTP_IN_HEAD && parser->head.raw.len == 0;
}

#endif
