/*
** http_text.h: the small grammars of HTTP: tokens, field values, hosts,
** comma lists, percent-encoding, queries, cookies.
**
** The one idea: one table says of each byte in which of the grammars' sets
** it is, so that a check is a loop over a table and knows no locale.
**
** Pure functions on bytes with a length. Owns nothing, allocates nothing,
** never needs a terminating zero.
*/
#ifndef SL_HTTP_TEXT_H
#define SL_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sl_http_class {
  SL_HTTP_TOKEN = 1, /* RFC 9110: tchar, what names and methods are made of */
  SL_HTTP_REG = 2,   /* RFC 3986: unreserved and sub-delims, a host's name */
  SL_HTTP_TEXT = 4,  /* RFC 9110: tab, space, visible, and 0x80 to 0xff */
  SL_HTTP_HEX = 8
};

extern const uint8_t sl_http_classes[256];

static inline bool sl_http_is(char c, enum sl_http_class set) {
  return (sl_http_classes[(unsigned char)c] & set) != 0;
}

/* Whether all of s is in the set; true when s is empty. */
bool sl_http_all(const char *s, size_t len, enum sl_http_class set);

/* Whether a and b are equal but for the case of ASCII letters. */
bool sl_http_equal(const char *a, const char *b, size_t len);

/* A field's name: a token that is not empty. */
bool sl_http_valid_name(const char *s, size_t len);
/* A field's value or a reason: no CR, LF, NUL nor another control. */
bool sl_http_valid_text(const char *s, size_t len);
/* What Host may say: a name, an address or nothing, and perhaps a port. */
bool sl_http_valid_host(const char *s, size_t len);

/* The next element of a comma list, without the blanks around it. Empty
   elements are passed over. False at the end; *at is where to go on. */
bool sl_http_next_element(const char **at, const char *end,
                          const char **element, size_t *len);

/* Undoes percent-encoding, and `+` for a space when plus is set. dst has room
   for len bytes and may be src. *out is the length of the result. False if
   there was an invalid escape; it is copied as it stands. */
bool sl_http_decode(const char *src, size_t len, bool plus, char *dst,
                    size_t *out);

struct sl_http_pair {
  const char *name; /* still encoded, as is value */
  size_t name_len;
  const char *value; /* of length 0 when there is no `=` */
  size_t value_len;
};

/* The next pair of a query or form. Empty ones are passed over. False at the
   end; *at is where to go on. */
bool sl_http_next_pair(const char **at, const char *end,
                       struct sl_http_pair *pair);

/* The next pair of a Cookie field, without the blanks and the quotes around
   its value, which is not encoded. What has no name is passed over. False at
   the end; *at is where to go on. */
bool sl_http_next_cookie(const char **at, const char *end,
                         struct sl_http_pair *pair);

#endif
