/*
** http_head.h: the head of one request: its bytes, and what they mean.
**
** The one idea: the head is kept as it came, in one buffer, and everything
** known of it is an offset and a length in that buffer. llhttp tells where
** the target and the names are; what the head means, and whether every byte
** between is where the grammar wants it, is decided here once the head is
** whole, so that it does not matter how it was cut into reads.
**
** Here is refused what llhttp 8.1 lets through: spaces too many, bare line
** feeds, folded lines, nameless fields, other protocols, a wrong Host, a
** target that is none, Transfer-Encoding that is not plain chunked.
**
** Owns the buffer and the table of fields, and keeps both from request to
** request. Never reads the network, never sees the body.
*/
#ifndef SL_HTTP_HEAD_H
#define SL_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct sl_http_span {
  uint32_t at; /* offset in raw */
  uint32_t len;
};

struct sl_http_field {
  struct sl_http_span name;
  struct sl_http_span value; /* without the blanks around it; may be empty */
};

/* Spans are of length 0 as long as they are not known, or there is none. */
struct sl_http_head {
  struct sl_bytes raw; /* the head's bytes, then those of the trailer */
  struct sl_http_field *fields; /* those of the head, then the trailer's */
  uint32_t count;             /* of fields, both kinds */
  uint32_t n_fields;          /* of the head, once it was read */
  uint32_t cap;               /* fields there is room for */
  struct sl_http_span method;
  struct sl_http_span target; /* as it was sent */
  struct sl_http_span path;   /* still encoded; begins with `/`, or is `*` */
  struct sl_http_span query;  /* without its `?` */
  struct sl_http_span host;   /* of an absolute target, else of Host */
  uint64_t content_length;    /* 0 when there is no body, or it is chunked */
  uint8_t minor;              /* of the version: HTTP/1.minor */
  bool chunked;
  bool keep_alive;            /* as the client wants it */
  bool expect_continue;       /* waits for 100 before it sends its body */
  int status;                 /* 0, or the status it is refused with */
  const char *reason;         /* why, for a log; static */
};

void sl_http_head_init(struct sl_http_head *head, sl_alloc *alloc, void *ud);
void sl_http_head_fini(struct sl_http_head *head);
/* Forgets the request and keeps the memory. */
void sl_http_head_clear(struct sl_http_head *head);

/* Adds a field of which only the name's begin is known. False: no memory. */
bool sl_http_head_add(struct sl_http_head *head, size_t at);

/* Sets status and reason if there is no status yet; returns false. */
bool sl_http_head_refuse(struct sl_http_head *head, int status,
                         const char *reason);

/* Finds out what a whole head means: raw ends with its blank line; target and
   the fields' names are known. False if it is refused. */
bool sl_http_head_read(struct sl_http_head *head);

/* Looks through a whole trailer, which begins at `at` in raw and whose names
   are the fields from n_fields on. False if it is refused. */
bool sl_http_head_read_trailer(struct sl_http_head *head, size_t at);

/* The field of that name after the field `after` (NULL: from the first), or
   NULL. Case does not matter. Trailers are not looked at. */
const struct sl_http_field *sl_http_find(const struct sl_http_head *head,
                                         const char *name, size_t len,
                                         const struct sl_http_field *after);

static inline const char *sl_http_at(const struct sl_http_head *head,
                                     struct sl_http_span span) {
  return head->raw.data + span.at;
}

/* Whether the span's bytes are exactly those of the string. */
static inline bool sl_http_span_is(const struct sl_http_head *head,
                                   struct sl_http_span span,
                                   const char *string) {
  return strlen(string) == span.len &&
         memcmp(sl_http_at(head, span), string, span.len) == 0;
}

#endif
