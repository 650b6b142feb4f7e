/*
** http_text.c: see http_text.h.
*/
#include "http_text.h"

#include <string.h>

/* Bits of enum sl_http_class, sixteen bytes a row. */
const uint8_t sl_http_classes[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  4,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     4,  7,  4,  5,  7,  5,  7,  7,  6,  6,  7,  7,  6,  7,  7,  4, /* 20 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  4,  6,  4,  6,  4,  4, /* 30 */
     4, 15, 15, 15, 15, 15, 15,  7,  7,  7,  7,  7,  7,  7,  7,  7, /* 40 */
     7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  4,  4,  4,  5,  7, /* 50 */
     5, 15, 15, 15, 15, 15, 15,  7,  7,  7,  7,  7,  7,  7,  7,  7, /* 60 */
     7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  4,  5,  4,  7,  0, /* 70 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* 80 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* 90 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* a0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* b0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* c0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* d0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* e0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4 /* f0 */
};

bool sl_http_all(const char *s, size_t len, enum sl_http_class set) {
  unsigned bits = (unsigned)set;
  for (size_t i = 0; i < len; i++) bits &= sl_http_classes[(unsigned char)s[i]];
  return bits != 0;
}

static bool is_letter(unsigned char c) {
  return (unsigned char)((c | 0x20) - 'a') < 26;
}

bool sl_http_equal(const char *a, const char *b, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char differ = (unsigned char)(a[i] ^ b[i]);
    if (differ == 0) continue;
    /* Only bit 5 of a letter is its case: '@' and '`' are not one. */
    if (differ != 0x20 || !is_letter((unsigned char)a[i])) return false;
  }
  return true;
}

bool sl_http_valid_name(const char *s, size_t len) {
  return len > 0 && sl_http_all(s, len, SL_HTTP_TOKEN);
}

bool sl_http_valid_text(const char *s, size_t len) {
  return sl_http_all(s, len, SL_HTTP_TEXT);
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Whether there are two digits of an escape at s, after its `%`. */
static bool is_escape(const char *s, size_t len) {
  return len >= 2 && sl_http_is(s[0], SL_HTTP_HEX) &&
         sl_http_is(s[1], SL_HTTP_HEX);
}

/* The length of the host's name at s, up to a `:` or what is no name. */
static size_t name_length(const char *s, size_t len) {
  size_t i = 0;
  while (i < len) {
    if (sl_http_is(s[i], SL_HTTP_REG)) i++;
    else if (s[i] == '%' && is_escape(s + i + 1, len - i - 1)) i += 3;
    else break;
  }
  return i;
}

/* The length of the bracketed address at s, 0 if it is none. What is inside
   is not judged further: nothing here resolves it. */
static size_t address_length(const char *s, size_t len) {
  size_t i = 1;
  while (i < len && (sl_http_is(s[i], SL_HTTP_HEX) || s[i] == ':' ||
                     s[i] == '.'))
    i++;
  return i > 1 && i < len && s[i] == ']' ? i + 1 : 0;
}

bool sl_http_valid_host(const char *s, size_t len) {
  bool bracket = len > 0 && s[0] == '[';
  size_t i = bracket ? address_length(s, len) : name_length(s, len);
  if (bracket && i == 0) return false;
  if (i == len) return true;
  if (s[i++] != ':') return false;
  while (i < len && is_digit(s[i])) i++;
  return i == len;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool sl_http_next_element(const char **at, const char *end,
                          const char **element, size_t *len) {
  const char *s = *at;
  while (s < end && (is_blank(*s) || *s == ',')) s++;
  if (s == end) return false;
  const char *comma = memchr(s, ',', (size_t)(end - s));
  const char *stop = comma != NULL ? comma : end;
  *at = stop;
  while (is_blank(stop[-1])) stop--; /* *s is none, so this ends */
  *element = s;
  *len = (size_t)(stop - s);
  return true;
}

static unsigned hex_value(char c) {
  return is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

bool sl_http_decode(const char *src, size_t len, bool plus, char *dst,
                    size_t *out) {
  bool valid = true;
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    char c = src[i];
    if (c == '+' && plus) {
      c = ' ';
    } else if (c == '%' && is_escape(src + i + 1, len - i - 1)) {
      c = (char)(hex_value(src[i + 1]) << 4 | hex_value(src[i + 2]));
      i += 2;
    } else if (c == '%') {
      valid = false;
    }
    dst[n++] = c; /* n <= i, so dst may be src */
  }
  *out = n;
  return valid;
}

bool sl_http_next_pair(const char **at, const char *end,
                       struct sl_http_pair *pair) {
  const char *s = *at;
  while (s < end && *s == '&') s++;
  *at = s;
  if (s == end) return false;
  const char *stop = memchr(s, '&', (size_t)(end - s));
  if (stop == NULL) stop = end;
  const char *sign = memchr(s, '=', (size_t)(stop - s));
  pair->name = s;
  pair->name_len = (size_t)((sign != NULL ? sign : stop) - s);
  pair->value = sign != NULL ? sign + 1 : stop;
  pair->value_len = (size_t)(stop - pair->value);
  *at = stop;
  return true;
}

/* Cuts the blanks off both ends. */
static void trim(const char **s, size_t *len) {
  while (*len > 0 && is_blank(**s)) (*s)++, (*len)--;
  while (*len > 0 && is_blank((*s)[*len - 1])) (*len)--;
}

/* The pair between s and stop; false if it has no name. */
static bool read_cookie(const char *s, const char *stop,
                        struct sl_http_pair *pair) {
  const char *sign = memchr(s, '=', (size_t)(stop - s));
  if (sign == NULL) return false;
  pair->name = s;
  pair->name_len = (size_t)(sign - s);
  pair->value = sign + 1;
  pair->value_len = (size_t)(stop - pair->value);
  trim(&pair->name, &pair->name_len);
  trim(&pair->value, &pair->value_len);
  if (pair->value_len >= 2 && pair->value[0] == '"' &&
      pair->value[pair->value_len - 1] == '"')
    pair->value++, pair->value_len -= 2;
  return pair->name_len > 0;
}

bool sl_http_next_cookie(const char **at, const char *end,
                         struct sl_http_pair *pair) {
  bool found = false;
  while (!found && *at < end) {
    const char *s = *at, *stop = memchr(s, ';', (size_t)(end - s));
    if (stop == NULL) stop = end;
    found = read_cookie(s, stop, pair);
    *at = stop < end ? stop + 1 : end;
  }
  return found;
}
