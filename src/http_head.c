/*
** http_head.c: see http_head.h.
**
** Reading goes through the raw bytes once, line by line, and compares each
** line's begin with what llhttp found: whatever the two would understand
** differently is refused, and nothing else has to be thought of.
*/
#include "http_head.h"

#include <string.h>

#include "http_text.h"

enum { FIRST_FIELDS = 16 };

/* What the fields that we know have said so far. */
struct reading {
  struct sl_http_head *head;
  unsigned hosts;        /* fields of that name */
  unsigned lengths;
  unsigned codings;      /* elements of Transfer-Encoding */
  bool plain_chunked;    /* one Transfer-Encoding said chunked, no more */
  bool last_is_chunked;  /* of the codings */
  bool close;
  bool keep_alive;
  bool expect;
};

void sl_http_head_init(struct sl_http_head *head, sl_alloc *alloc, void *ud) {
  memset(head, 0, sizeof *head);
  sl_bytes_init(&head->raw, alloc, ud);
}

void sl_http_head_fini(struct sl_http_head *head) {
  struct sl_bytes *raw = &head->raw;
  if (head->cap > 0)
    raw->alloc(raw->ud, head->fields, head->cap * sizeof *head->fields, 0);
  sl_bytes_fini(raw);
  sl_http_head_init(head, raw->alloc, raw->ud);
}

void sl_http_head_clear(struct sl_http_head *head) {
  struct sl_http_head kept = {
    .raw = head->raw, .fields = head->fields, .cap = head->cap};
  *head = kept;
  sl_bytes_clear(&head->raw);
}

bool sl_http_head_add(struct sl_http_head *head, size_t at) {
  if (head->count == head->cap) {
    struct sl_bytes *raw = &head->raw;
    uint32_t cap = head->cap > 0 ? head->cap * 2 : FIRST_FIELDS;
    size_t size = sizeof *head->fields;
    void *fields =
      raw->alloc(raw->ud, head->fields, head->cap * size, cap * size);
    if (fields == NULL) return false;
    head->fields = fields;
    head->cap = cap;
  }
  struct sl_http_field *field = &head->fields[head->count++];
  memset(field, 0, sizeof *field);
  field->name.at = (uint32_t)at;
  return true;
}

bool sl_http_head_refuse(struct sl_http_head *head, int status,
                         const char *reason) {
  if (head->status == 0) {
    head->status = status;
    head->reason = reason;
  }
  return false;
}

static bool bad(struct sl_http_head *head, const char *reason) {
  return sl_http_head_refuse(head, 400, reason);
}

/* "METHOD target HTTP/1.x" and CRLF, with single spaces, perhaps after empty
   lines. *at becomes the offset of the first field. */
static bool read_line(struct sl_http_head *head, size_t *at) {
  const char *raw = head->raw.data;
  size_t begin = 0, space = head->target.at - 1;
  while (raw[begin] == '\r' || raw[begin] == '\n') begin++;
  if (memchr(raw + begin, ' ', space - begin) != NULL)
    return bad(head, "two spaces in the request line");
  head->method.at = (uint32_t)begin;
  head->method.len = (uint32_t)(space - begin);
  size_t end = (size_t)head->target.at + head->target.len;
  const char *version = raw + end;
  if (head->raw.len < end + 11 || memcmp(version, " HTTP/1.", 8) != 0 ||
      (version[8] != '0' && version[8] != '1'))
    return bad(head, "malformed version in the request line");
  if (memcmp(version + 9, "\r\n", 2) != 0)
    return bad(head, "the request line does not end in CRLF");
  head->minor = (uint8_t)(version[8] - '0');
  *at = end + 11;
  return true;
}

static void trim(const char *raw, size_t begin, size_t end,
                 struct sl_http_span *span) {
  while (begin < end && (raw[begin] == ' ' || raw[begin] == '\t')) begin++;
  while (begin < end && (raw[end - 1] == ' ' || raw[end - 1] == '\t')) end--;
  span->at = (uint32_t)begin;
  span->len = (uint32_t)(end - begin);
}

/* The line "name: value" and CRLF that must begin at *at; *at becomes the
   begin of the next. A folded value holds the CR that ends its line early,
   so that the next name is not where the next line is. */
static bool read_field(struct sl_http_head *head, struct sl_http_field *field,
                       size_t *at) {
  const char *raw = head->raw.data;
  if (field->name.at != *at) return bad(head, "folded or broken field line");
  if (field->name.len == 0) return bad(head, "a field without a name");
  size_t begin = *at + field->name.len + 1; /* after the colon */
  const char *cr = memchr(raw + begin, '\r', head->raw.len - begin);
  if (cr == NULL) return bad(head, "a field line does not end in CRLF");
  size_t end = (size_t)(cr - raw);
  if (end + 2 > head->raw.len || cr[1] != '\n')
    return bad(head, "a field line does not end in CRLF");
  trim(raw, begin, end, &field->value);
  *at = end + 2;
  return true;
}

/* The fields from number `first` on, which begin at `at`, and the blank line
   behind them, where raw must end. */
static bool read_fields(struct sl_http_head *head, uint32_t first, size_t at) {
  for (uint32_t i = first; i < head->count; i++)
    if (!read_field(head, &head->fields[i], &at)) return false;
  if (at + 2 != head->raw.len || memcmp(head->raw.data + at, "\r\n", 2) != 0)
    return bad(head, "folded or broken field line");
  return true;
}

static bool read_host(struct reading *r, const char *s, size_t len) {
  if (r->hosts++ > 0) return bad(r->head, "more than one Host");
  if (!sl_http_valid_host(s, len)) return bad(r->head, "invalid Host");
  r->head->host.at = (uint32_t)(s - r->head->raw.data);
  r->head->host.len = (uint32_t)len;
  return true;
}

static bool read_length(struct reading *r, const char *s, size_t len) {
  uint64_t sum = 0;
  if (r->lengths++ > 0) return bad(r->head, "more than one Content-Length");
  if (len == 0) return bad(r->head, "empty Content-Length");
  for (size_t i = 0; i < len; i++) {
    unsigned digit = (unsigned)(s[i] - '0');
    if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
      return bad(r->head, "invalid Content-Length");
    sum = sum * 10 + digit;
  }
  r->head->content_length = sum;
  return true;
}

static bool read_coding(struct reading *r, const char *s, size_t len) {
  const char *at = s, *coding;
  size_t n;
  unsigned before = r->codings;
  while (sl_http_next_element(&at, s + len, &coding, &n)) {
    r->codings++;
    r->last_is_chunked = n == 7 && sl_http_equal(coding, "chunked", n);
  }
  if (r->codings == before) return bad(r->head, "empty Transfer-Encoding");
  r->plain_chunked = r->codings == 1 && r->last_is_chunked && len == 7;
  return true;
}

static bool read_connection(struct reading *r, const char *s, size_t len) {
  const char *at = s, *option;
  size_t n;
  while (sl_http_next_element(&at, s + len, &option, &n)) {
    if (n == 5 && sl_http_equal(option, "close", n)) r->close = true;
    if (n == 10 && sl_http_equal(option, "keep-alive", n)) r->keep_alive = true;
  }
  return true;
}

static bool read_expect(struct reading *r, const char *s, size_t len) {
  if (r->head->minor == 0) return true; /* RFC 9110: to be ignored */
  if (len != 12 || !sl_http_equal(s, "100-continue", len))
    return sl_http_head_refuse(r->head, 417, "unknown expectation");
  r->expect = true;
  return true;
}

/* The fields that frame a request, by the length of their names, all
   different, so that most fields are passed over by one look. */
static const struct known {
  uint8_t len;
  const char *name;
  bool (*read)(struct reading *r, const char *value, size_t len);
} known_fields[] = {
  {4, "host", read_host},
  {6, "expect", read_expect},
  {10, "connection", read_connection},
  {14, "content-length", read_length},
  {17, "transfer-encoding", read_coding},
};

static const struct known *find_known(const struct sl_http_head *head,
                                      const struct sl_http_field *field) {
  size_t n = sizeof known_fields / sizeof *known_fields;
  for (size_t i = 0; i < n; i++) {
    const struct known *known = &known_fields[i];
    if (known->len == field->name.len)
      return sl_http_equal(sl_http_at(head, field->name), known->name,
                           known->len) ? known : NULL;
  }
  return NULL;
}

/* The rules of RFC 9112, 6.3, of which a server may keep none loosely. */
static bool read_framing(struct reading *r) {
  struct sl_http_head *head = r->head;
  if (r->codings == 0) return true;
  if (r->lengths > 0) return bad(head, "both lengths of a body");
  if (head->minor == 0) return bad(head, "Transfer-Encoding in HTTP/1.0");
  head->chunked = r->plain_chunked;
  if (r->plain_chunked) return true;
  if (r->last_is_chunked && r->codings > 1)
    return sl_http_head_refuse(head, 501, "unknown transfer coding");
  return bad(head, "invalid Transfer-Encoding");
}

static bool read_known(struct sl_http_head *head) {
  struct reading r = {.head = head};
  for (uint32_t i = 0; i < head->count; i++) {
    const struct sl_http_field *field = &head->fields[i];
    const struct known *known = find_known(head, field);
    if (known == NULL) continue;
    if (!known->read(&r, sl_http_at(head, field->value), field->value.len))
      return false;
  }
  if (r.hosts == 0 && head->minor > 0) return bad(head, "no Host");
  if (!read_framing(&r)) return false;
  head->keep_alive = !r.close && (head->minor > 0 || r.keep_alive);
  head->expect_continue =
    r.expect && (head->chunked || head->content_length > 0);
  return true;
}

/* The length of "http://" or "https://" at s, or 0. */
static size_t scheme_length(const char *s, size_t len) {
  if (len > 7 && sl_http_equal(s, "http://", 7)) return 7;
  if (len > 8 && sl_http_equal(s, "https://", 8)) return 8;
  return 0;
}

/* "http://host[:port]", then a path or a query or nothing. *at is the offset
   of the target and becomes that of what follows the host. */
static bool read_authority(struct sl_http_head *head, size_t *at, size_t end) {
  const char *raw = head->raw.data;
  size_t begin = *at + scheme_length(raw + *at, end - *at);
  size_t stop = begin;
  while (stop < end && raw[stop] != '/' && raw[stop] != '?') stop++;
  if (begin == *at || stop == begin || raw[begin] == ':' ||
      !sl_http_valid_host(raw + begin, stop - begin))
    return bad(head, "invalid target");
  head->host.at = (uint32_t)begin;
  head->host.len = (uint32_t)(stop - begin);
  *at = stop;
  return true;
}

static bool read_target(struct sl_http_head *head) {
  const char *raw = head->raw.data;
  size_t at = head->target.at, end = at + head->target.len;
  bool absolute = raw[at] != '/' && raw[at] != '*';
  if (memchr(raw + at, '#', end - at) != NULL)
    return bad(head, "a fragment in the target");
  if (raw[at] == '*' && (head->target.len > 1 ||
                         !sl_http_span_is(head, head->method, "OPTIONS")))
    return bad(head, "invalid target");
  if (absolute && !read_authority(head, &at, end)) return false;
  const char *mark = memchr(raw + at, '?', end - at);
  size_t stop = mark != NULL ? (size_t)(mark - raw) : end;
  head->path.at = (uint32_t)at;
  head->path.len = (uint32_t)(stop - at);
  if (head->path.len == 0) { /* the path is `/`: the one before the host */
    head->path.at = head->host.at - 1;
    head->path.len = 1;
  }
  if (mark == NULL) return true;
  head->query.at = (uint32_t)stop + 1;
  head->query.len = (uint32_t)(end - stop - 1);
  return true;
}

bool sl_http_head_read(struct sl_http_head *head) {
  size_t at;
  head->n_fields = head->count;
  return read_line(head, &at) && read_fields(head, 0, at) &&
         read_known(head) && read_target(head);
}

bool sl_http_head_read_trailer(struct sl_http_head *head, size_t at) {
  return read_fields(head, head->n_fields, at);
}

const struct sl_http_field *sl_http_find(const struct sl_http_head *head,
                                         const char *name, size_t len,
                                         const struct sl_http_field *after) {
  uint32_t i = after != NULL ? (uint32_t)(after - head->fields) + 1 : 0;
  for (; i < head->n_fields; i++) {
    const struct sl_http_field *field = &head->fields[i];
    if (field->name.len == len &&
        sl_http_equal(sl_http_at(head, field->name), name, len))
      return field;
  }
  return NULL;
}
