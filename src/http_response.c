/*
** http_response.c: see http_response.h.
*/
#include "http_response.h"

#include <stdio.h>
#include <string.h>

#include "http_text.h"

static const char *const reasons[] = {
  [100] = "Continue",
  [101] = "Switching Protocols",
  [103] = "Early Hints",
  [200] = "OK",
  [201] = "Created",
  [202] = "Accepted",
  [203] = "Non-Authoritative Information",
  [204] = "No Content",
  [205] = "Reset Content",
  [206] = "Partial Content",
  [207] = "Multi-Status",
  [300] = "Multiple Choices",
  [301] = "Moved Permanently",
  [302] = "Found",
  [303] = "See Other",
  [304] = "Not Modified",
  [307] = "Temporary Redirect",
  [308] = "Permanent Redirect",
  [400] = "Bad Request",
  [401] = "Unauthorized",
  [402] = "Payment Required",
  [403] = "Forbidden",
  [404] = "Not Found",
  [405] = "Method Not Allowed",
  [406] = "Not Acceptable",
  [407] = "Proxy Authentication Required",
  [408] = "Request Timeout",
  [409] = "Conflict",
  [410] = "Gone",
  [411] = "Length Required",
  [412] = "Precondition Failed",
  [413] = "Content Too Large",
  [414] = "URI Too Long",
  [415] = "Unsupported Media Type",
  [416] = "Range Not Satisfiable",
  [417] = "Expectation Failed",
  [418] = "I'm a teapot",
  [421] = "Misdirected Request",
  [422] = "Unprocessable Content",
  [423] = "Locked",
  [424] = "Failed Dependency",
  [425] = "Too Early",
  [426] = "Upgrade Required",
  [428] = "Precondition Required",
  [429] = "Too Many Requests",
  [431] = "Request Header Fields Too Large",
  [451] = "Unavailable For Legal Reasons",
  [500] = "Internal Server Error",
  [501] = "Not Implemented",
  [502] = "Bad Gateway",
  [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
  [505] = "HTTP Version Not Supported",
  [506] = "Variant Also Negotiates",
  [507] = "Insufficient Storage",
  [508] = "Loop Detected",
  [511] = "Network Authentication Required",
};

const char *sl_http_reason(int status) {
  int n = (int)(sizeof reasons / sizeof *reasons);
  if (status < 0 || status >= n || reasons[status] == NULL) return "";
  return reasons[status];
}

enum sl_http_check sl_http_check_header(const struct sl_http_header *header) {
  static const char *const ours[] = {
    "connection", "content-length", "transfer-encoding"};
  if (!sl_http_valid_name(header->name, header->name_len))
    return SL_HTTP_BAD_NAME;
  if (!sl_http_valid_text(header->value, header->value_len))
    return SL_HTTP_BAD_VALUE;
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strlen(ours[i]) == header->name_len &&
        sl_http_equal(header->name, ours[i], header->name_len))
      return SL_HTTP_OURS;
  return SL_HTTP_HEADER_OK;
}

/*
** The date. Days are turned to a date by counting in years that begin in
** March, so that the day that a leap year adds is the last one; an era is the
** 400 years after which the calendar repeats.
*/

struct day {
  int year;
  int month; /* 0 to 11, from January */
  int day;
};

static struct day day_of(int64_t days) {
  days += 719468; /* from 1970-01-01 to 0000-03-01 */
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t in_era = days - era * 146097;
  int64_t year =
    (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * in_year + 2) / 153; /* from March */
  struct day date;
  date.day = (int)(in_year - (153 * month + 2) / 5 + 1);
  date.month = (int)(month + 2) % 12;
  date.year = (int)(year + era * 400 + (date.month < 2 ? 1 : 0));
  return date;
}

void sl_http_date_set(struct sl_http_date *date, time_t now) {
  static const char week[] = "ThuFriSatSunMonTueWed"; /* from 1970-01-01 */
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (date->second == now && date->line[0] != '\0') return;
  int64_t days = (int64_t)now / 86400, rest = (int64_t)now % 86400;
  if (rest < 0) rest += 86400, days--;
  struct day day = day_of(days);
  int weekday = (int)((days % 7 + 7) % 7);
  unsigned year = (unsigned)day.year % 10000;
  date->second = now;
  snprintf(date->line, sizeof date->line,
           "Date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n",
           week + 3 * weekday, (unsigned)day.day % 100,
           months + 3 * day.month, year, (unsigned)(rest / 3600),
           (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
}

/*
** The head.
*/

static bool forbids_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

/* Sets how the body comes, and whether the connection can be kept. */
static void choose_framing(struct sl_http_response *r) {
  if (forbids_body(r->status) || r->to_head) {
    r->framing = SL_HTTP_NO_BODY;
  } else if (r->known_length) {
    r->framing = SL_HTTP_BY_LENGTH;
  } else if (r->minor > 0) {
    r->framing = SL_HTTP_BY_CHUNKS;
  } else { /* HTTP/1.0 knows no chunks */
    r->framing = SL_HTTP_BY_CLOSE;
    r->keep_alive = false;
  }
}

static bool has_date(const struct sl_http_response *r) {
  for (size_t i = 0; i < r->n_headers; i++)
    if (r->headers[i].name_len == 4 &&
        sl_http_equal(r->headers[i].name, "date", 4))
      return true;
  return false;
}

/* At most how long the head is. */
static size_t measure(const struct sl_http_response *r) {
  size_t n = sizeof "HTTP/1.1 999 \r\n" + r->reason_len + SL_HTTP_DATE_LEN +
             sizeof "Transfer-Encoding: 18446744073709551615\r\n" +
             sizeof "Connection: keep-alive\r\n" + sizeof "\r\n";
  for (size_t i = 0; i < r->n_headers; i++)
    n += r->headers[i].name_len + r->headers[i].value_len + 4;
  return n;
}

static char *put(char *to, const char *from, size_t n) {
  if (n > 0) memcpy(to, from, n); /* from may be NULL then */
  return to + n;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put_number(char *to, uint64_t number) {
  char digits[20];
  size_t n = 0;
  do digits[sizeof digits - ++n] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  return put(to, digits + sizeof digits - n, n);
}

static char *put_status(char *to, const struct sl_http_response *r) {
  to = PUT(to, "HTTP/1.1 ");
  *to++ = (char)('0' + (unsigned)r->status / 100 % 10);
  *to++ = (char)('0' + (unsigned)r->status / 10 % 10);
  *to++ = (char)('0' + (unsigned)r->status % 10);
  *to++ = ' '; /* also when there is no reason */
  to = put(to, r->reason, r->reason_len);
  return PUT(to, "\r\n");
}

static char *put_headers(char *to, const struct sl_http_response *r) {
  for (size_t i = 0; i < r->n_headers; i++) {
    const struct sl_http_header *header = &r->headers[i];
    to = put(to, header->name, header->name_len);
    to = PUT(to, ": ");
    to = put(to, header->value, header->value_len);
    to = PUT(to, "\r\n");
  }
  return to;
}

/* To HEAD, what is said of the body that GET would get. */
static char *put_framing(char *to, const struct sl_http_response *r) {
  if (!forbids_body(r->status) && r->known_length) {
    to = PUT(to, "Content-Length: ");
    to = put_number(to, r->length);
    to = PUT(to, "\r\n");
  } else if (!forbids_body(r->status) && r->minor > 0) {
    to = PUT(to, "Transfer-Encoding: chunked\r\n");
  }
  if (r->status < 200) return to;
  if (!r->keep_alive) return PUT(to, "Connection: close\r\n");
  if (r->minor == 0) return PUT(to, "Connection: keep-alive\r\n");
  return to;
}

bool sl_http_write_head(struct sl_bytes *out,
                        struct sl_http_response *response) {
  struct sl_http_response r = *response;
  if (r.reason == NULL) {
    r.reason = sl_http_reason(r.status);
    r.reason_len = strlen(r.reason);
  }
  if (!sl_bytes_reserve(out, measure(&r))) return false;
  choose_framing(&r);
  char *begin = out->data + out->len;
  char *to = put_status(begin, &r);
  if (r.date != NULL && !has_date(&r))
    to = put(to, r.date->line, SL_HTTP_DATE_LEN);
  to = put_headers(to, &r);
  to = put_framing(to, &r);
  to = PUT(to, "\r\n");
  out->len += (size_t)(to - begin);
  response->framing = r.framing;
  response->keep_alive = r.keep_alive;
  return true;
}

bool sl_http_write_chunk(struct sl_bytes *out, const char *data, size_t n) {
  char line[24];
  if (n == 0) return true;
  int len = snprintf(line, sizeof line, "%zx\r\n", n);
  if (n > SIZE_MAX - sizeof line) return false;
  if (!sl_bytes_reserve(out, n + sizeof line)) return false;
  char *to = put(out->data + out->len, line, (size_t)len);
  to = put(to, data, n);
  PUT(to, "\r\n");
  out->len += (size_t)len + n + 2;
  return true;
}

bool sl_http_write_last_chunk(struct sl_bytes *out) {
  return sl_bytes_append(out, "0\r\n\r\n", 5);
}

bool sl_http_write_refusal(struct sl_bytes *out, int status, bool to_head,
                           const struct sl_http_date *date) {
  static const struct sl_http_header type = {
    "Content-Type", 12, "text/plain; charset=utf-8", 25};
  char text[64];
  int len = snprintf(text, sizeof text, "%d %s\n", status,
                     sl_http_reason(status));
  struct sl_http_response response = {
    .status = status, .headers = &type, .n_headers = 1, .date = date,
    .length = (uint64_t)len, .known_length = true, .to_head = to_head,
    .minor = 1};
  size_t before = out->len;
  if (!sl_http_write_head(out, &response)) return false;
  if (to_head || sl_bytes_append(out, text, (size_t)len)) return true;
  out->len = before;
  return false;
}
