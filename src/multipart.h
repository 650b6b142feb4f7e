/*
** multipart.h: the parts of a multipart/form-data body (RFC 7578, 2046).
**
** The one idea: as with http_parser.h, sl_multipart_feed takes bytes cut
** anywhere and stops at each thing worth telling. Between two delimiters all
** bytes are content, and a delimiter begins with the only CR that it has: so
** what looked like one, and turned out to be none, is content up to the byte
** that differs, and nothing is ever looked at twice.
**
** Strict where two readers could differ: lines end in CRLF, a delimiter's
** line holds nothing else, a head is not folded, each part says form-data
** and has one name. A file name is cut to what comes after its last slash or
** backslash; it is still the client's.
**
** Owns the head of the part in work, and allocates only to grow it. Content
** is told in spans of the bytes given. Pure C.
*/
#ifndef SL_MULTIPART_H
#define SL_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum { SL_MULTIPART_BOUNDARY = 70 /* bytes of a boundary, at most */ };

struct sl_multipart_limits {
  uint32_t max_parts;
  size_t max_head; /* bytes of a part's head */
};

struct sl_multipart_text {
  const char *data; /* NULL: there is none */
  size_t len;
};

enum sl_multipart_event {
  SL_MULTIPART_NEED_MORE, /* all bytes were used; nothing to tell yet */
  SL_MULTIPART_PART,      /* name, filename, type are known */
  SL_MULTIPART_DATA,      /* span is the next piece of the part's content */
  SL_MULTIPART_END,       /* the part's content is complete */
  SL_MULTIPART_DONE,      /* the form is; all bytes were used, and will be */
  SL_MULTIPART_ERROR      /* see error; all bytes were used, and will be */
};

/*
**                    delimiter                 blank line
** BEFORE, CONTENT ─────────────► AFTER ─► HEAD ──────────► CONTENT
**                                  `─ "--" ─► DONE
*/
enum sl_multipart_state {
  SL_MULTIPART_BEFORE, /* the first delimiter: what is there is no part */
  SL_MULTIPART_AFTER,  /* a delimiter; its line is not complete */
  SL_MULTIPART_DASH,   /* as AFTER, and one of the two dashes was had */
  SL_MULTIPART_PADDED, /* as AFTER, and blanks were had */
  SL_MULTIPART_AT_LF,  /* as AFTER, and the CR was had */
  SL_MULTIPART_IN_HEAD,
  SL_MULTIPART_CONTENT,
  SL_MULTIPART_COMPLETE,
  SL_MULTIPART_FAILED
};

struct sl_multipart {
  /* Of the part in work; they lie in `head`, until the next part begins. */
  struct sl_multipart_text name;
  struct sl_multipart_text filename; /* data is NULL if it is no file */
  struct sl_multipart_text type;     /* its Content-Type */
  const char *span; /* in the bytes given, or in `delimiter` */
  size_t span_len;  /* never 0 */
  const char *error; /* static */

  /* Below: its own. */
  enum sl_multipart_state state;
  uint32_t parts;
  struct sl_multipart_limits limits;
  struct sl_bytes head;
  size_t matched;  /* bytes of the delimiter that were had */
  size_t imagined; /* of them, those that were there only in a sense: the CRLF
                      before a delimiter that comes first */
  size_t delimiter_len;
  char delimiter[4 + SL_MULTIPART_BOUNDARY]; /* CRLF "--" boundary */
};

/* The boundary in the value of a Content-Type. False if that is not that of
   a form in parts, or has no valid one. */
bool sl_multipart_boundary(const char *type, size_t len,
                           struct sl_multipart_text *boundary);

/* Allocates nothing; the boundary, which must be valid, is copied. */
void sl_multipart_init(struct sl_multipart *form,
                       struct sl_multipart_text boundary,
                       struct sl_multipart_limits limits, sl_alloc *alloc,
                       void *ud);
void sl_multipart_fini(struct sl_multipart *form);

/* Takes bytes up to the next event; *used says how many: none, if the event is
   about bytes that were had before. */
enum sl_multipart_event sl_multipart_feed(struct sl_multipart *form,
                                          const char *data, size_t len,
                                          size_t *used);

#endif
