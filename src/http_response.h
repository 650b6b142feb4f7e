/*
** http_response.h: the head of an answer, and the framing of its body.
**
** The one idea: who answers says what it has (a status, headers, a length if
** it knows one) and what was asked (the version, HEAD, keep-alive), and the
** framing follows from that, here and nowhere else. So Content-Length,
** Transfer-Encoding and Connection are never the caller's to give. A head is
** measured first and then written with one reservation.
**
** Pure C. Appends to a buffer, owns nothing. A call that cannot get memory
** returns false and leaves the buffer as it was. Headers and reasons are
** checked by sl_http_check_header and sl_http_valid_text before they come
** here, never here.
*/
#ifndef SL_HTTP_RESPONSE_H
#define SL_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "bytes.h"

/* To be sent when the body of a request that expects it is first read. */
#define SL_HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

enum { SL_HTTP_DATE_LEN = 37 };

/* The line "Date: ..." with its CRLF, formatted once a second. */
struct sl_http_date {
  time_t second;
  char line[SL_HTTP_DATE_LEN + 1]; /* empty: not formatted yet */
};

/* All zeros is a date that is not set. Sets it to `now`, in UTC. */
void sl_http_date_set(struct sl_http_date *date, time_t now);

struct sl_http_header {
  const char *name;
  size_t name_len;
  const char *value;
  size_t value_len;
};

enum sl_http_check {
  SL_HTTP_HEADER_OK,
  SL_HTTP_BAD_NAME,  /* not a token */
  SL_HTTP_BAD_VALUE, /* holds CR, LF, NUL or another control */
  SL_HTTP_OURS       /* says what only the framing may say */
};

enum sl_http_check sl_http_check_header(const struct sl_http_header *header);

enum sl_http_framing {
  SL_HTTP_NO_BODY,    /* none may follow, whatever there is */
  SL_HTTP_BY_LENGTH,  /* exactly `length` bytes */
  SL_HTTP_BY_CHUNKS,  /* sl_http_write_chunk, at the end _last_chunk */
  SL_HTTP_BY_CLOSE    /* bytes until the connection is closed */
};

struct sl_http_response {
  int status;         /* 100 to 999 */
  const char *reason; /* NULL: the usual one */
  size_t reason_len;
  const struct sl_http_header *headers;
  size_t n_headers;
  const struct sl_http_date *date; /* NULL: none; none beside a given Date */
  uint64_t length;                 /* of the body, when it is known */
  bool known_length;
  bool to_head;    /* the request was HEAD: the head of what GET would get */
  uint8_t minor;   /* of the request's version: HTTP/1.minor */
  bool keep_alive; /* wanted; false after the call if it cannot be */
  enum sl_http_framing framing; /* set by the call: how the body is to come */
};

/* Appends the head to out. Sets framing and keep_alive. False: no memory. */
bool sl_http_write_head(struct sl_bytes *out,
                        struct sl_http_response *response);

/* Appends a chunk of n bytes; of none, nothing, since that would be the end.
   False: no memory. */
bool sl_http_write_chunk(struct sl_bytes *out, const char *data, size_t n);
bool sl_http_write_last_chunk(struct sl_bytes *out);

/* Appends the whole answer to a request that was refused: the status as text,
   and that the connection ends. False: no memory. */
bool sl_http_write_refusal(struct sl_bytes *out, int status, bool to_head,
                           const struct sl_http_date *date);

/* The usual reason of a status, or "". */
const char *sl_http_reason(int status);

#endif
