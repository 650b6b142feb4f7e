/*
** multipart.c: see multipart.h.
*/
#include "multipart.h"

#include "multipart_head.h"

static enum sl_multipart_event fail(struct sl_multipart *form,
                                    const char *error) {
  form->state = SL_MULTIPART_FAILED;
  form->error = error;
  return SL_MULTIPART_ERROR;
}

/* From now on a delimiter is looked for; one may follow at once, as if the
   CRLF before it had been had. */
static void expect_delimiter(struct sl_multipart *form,
                             enum sl_multipart_state state) {
  form->state = state;
  form->matched = 2;
  form->imagined = 2;
}

void sl_multipart_init(struct sl_multipart *form,
                       struct sl_multipart_text boundary,
                       struct sl_multipart_limits limits, sl_alloc *alloc,
                       void *ud) {
  memset(form, 0, sizeof *form);
  memcpy(form->delimiter, "\r\n--", 4);
  memcpy(form->delimiter + 4, boundary.data, boundary.len);
  form->delimiter_len = 4 + boundary.len;
  form->limits = limits;
  sl_bytes_init(&form->head, alloc, ud);
  expect_delimiter(form, SL_MULTIPART_BEFORE);
}

void sl_multipart_fini(struct sl_multipart *form) {
  sl_bytes_fini(&form->head);
}

/* -- content -- */

/* Where in the bytes the delimiter begins, or its first part does at their
   end; len: nowhere. */
static size_t find_delimiter(const struct sl_multipart *form,
                             const char *data, size_t len) {
  const char *at = data, *end = data + len;
  while ((at = memchr(at, '\r', (size_t)(end - at))) != NULL) {
    size_t n = (size_t)(end - at);
    if (n > form->delimiter_len) n = form->delimiter_len;
    if (memcmp(at, form->delimiter, n) == 0) return (size_t)(at - data);
    at++;
  }
  return len;
}

/* Goes on comparing with the delimiter; returns how many bytes were equal. */
static size_t match(struct sl_multipart *form, const char *data,
                    size_t len) {
  size_t missing = form->delimiter_len - form->matched;
  size_t most = len < missing ? len : missing, n = 0;
  while (n < most && data[n] == form->delimiter[form->matched + n]) n++;
  form->matched += n;
  return n;
}

static enum sl_multipart_event tell(struct sl_multipart *form,
                                    const char *span, size_t len) {
  if (form->state == SL_MULTIPART_BEFORE || len == 0)
    return SL_MULTIPART_NEED_MORE;
  form->span = span;
  form->span_len = len;
  return SL_MULTIPART_DATA;
}

/* What was had of a delimiter was none. */
static enum sl_multipart_event give_back(struct sl_multipart *form) {
  size_t from = form->imagined, n = form->matched - from;
  form->matched = 0;
  form->imagined = 0;
  return tell(form, form->delimiter + from, n);
}

static enum sl_multipart_event end_content(struct sl_multipart *form) {
  bool in_part = form->state == SL_MULTIPART_CONTENT;
  form->state = SL_MULTIPART_AFTER;
  form->matched = 0;
  form->imagined = 0;
  return in_part ? SL_MULTIPART_END : SL_MULTIPART_NEED_MORE;
}

/* Content, or what is before the first delimiter, which is not told. */
static enum sl_multipart_event feed_content(struct sl_multipart *form,
                                            const char *data, size_t len,
                                            size_t *used) {
  if (form->matched == 0) {
    size_t n = find_delimiter(form, data, len);
    *used = n;
    if (n > 0) return tell(form, data, n);
  }
  *used = match(form, data, len);
  if (form->matched == form->delimiter_len) return end_content(form);
  if (*used == len) return SL_MULTIPART_NEED_MORE;
  return give_back(form);
}

/* -- between delimiter and head -- */

static enum sl_multipart_event begin_part(struct sl_multipart *form) {
  if (form->parts++ == form->limits.max_parts)
    return fail(form, "the form has too many parts");
  form->state = SL_MULTIPART_IN_HEAD;
  sl_bytes_clear(&form->head);
  return SL_MULTIPART_NEED_MORE;
}

static enum sl_multipart_event feed_line(struct sl_multipart *form, char c) {
  bool blank = c == ' ' || c == '\t';
  switch (form->state) {
    case SL_MULTIPART_AFTER:
      if (c == '-') {
        form->state = SL_MULTIPART_DASH;
        return SL_MULTIPART_NEED_MORE;
      } /* fall through */
    case SL_MULTIPART_PADDED:
      if (blank) form->state = SL_MULTIPART_PADDED;
      if (c == '\r') form->state = SL_MULTIPART_AT_LF;
      if (blank || c == '\r') return SL_MULTIPART_NEED_MORE;
      break;
    case SL_MULTIPART_DASH:
      if (c != '-') break;
      form->state = SL_MULTIPART_COMPLETE;
      return SL_MULTIPART_DONE;
    case SL_MULTIPART_AT_LF:
      if (c == '\n') return begin_part(form);
      break;
    default: break;
  }
  return fail(form, "malformed line of a boundary");
}

/* -- heads -- */

static bool ends_head(const struct sl_bytes *head) {
  if (head->len == 2) return memcmp(head->data, "\r\n", 2) == 0;
  return head->len >= 4 &&
         memcmp(head->data + head->len - 4, "\r\n\r\n", 4) == 0;
}

static enum sl_multipart_event finish_head(struct sl_multipart *form) {
  const char *error = sl_multipart_read_head(form);
  if (error != NULL) return fail(form, error);
  expect_delimiter(form, SL_MULTIPART_CONTENT);
  return SL_MULTIPART_PART;
}

static enum sl_multipart_event feed_head(struct sl_multipart *form,
                                         const char *data, size_t len,
                                         size_t *used) {
  const char *lf = memchr(data, '\n', len);
  size_t n = lf != NULL ? (size_t)(lf + 1 - data) : len;
  *used = n;
  if (n > form->limits.max_head - form->head.len)
    return fail(form, "the head of a part is too long");
  if (!sl_bytes_append(&form->head, data, n))
    return fail(form, "out of memory");
  if (lf == NULL || !ends_head(&form->head)) return SL_MULTIPART_NEED_MORE;
  return finish_head(form);
}

static enum sl_multipart_event step(struct sl_multipart *form,
                                    const char *data, size_t len,
                                    size_t *used) {
  switch (form->state) {
    case SL_MULTIPART_BEFORE:
    case SL_MULTIPART_CONTENT: return feed_content(form, data, len, used);
    case SL_MULTIPART_IN_HEAD: return feed_head(form, data, len, used);
    case SL_MULTIPART_COMPLETE: *used = len; return SL_MULTIPART_DONE;
    case SL_MULTIPART_FAILED: *used = len; return SL_MULTIPART_ERROR;
    default: *used = 1; return feed_line(form, *data);
  }
}

enum sl_multipart_event sl_multipart_feed(struct sl_multipart *form,
                                          const char *data, size_t len,
                                          size_t *used) {
  enum sl_multipart_event event = SL_MULTIPART_NEED_MORE;
  *used = 0;
  while (*used < len && event == SL_MULTIPART_NEED_MORE) {
    size_t n;
    event = step(form, data + *used, len - *used, &n);
    *used += n;
  }
  if (event >= SL_MULTIPART_DONE) *used = len;
  return event;
}
