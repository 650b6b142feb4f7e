/*
** gumbo_text.c: see gumbo_text.h.
*/
#include "gumbo_text.h"

#include <stdint.h>
#include <string.h>

/* windows-1252, 0x80 to 0x9f; the rest is as in Unicode. */
static const uint16_t high_controls[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008d, 0x017d, 0x008f,
    0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178};

/* The length that a first byte promises; 0: it is none. The least second
   byte and the greatest rule out what is overlong, surrogate or too large. */
static size_t promise(unsigned char c, unsigned char *least,
                      unsigned char *greatest) {
  *least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  *greatest = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  if (c < 0x80) return 1;
  if (c < 0xc2 || c > 0xf4) return 0;
  return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The length of the valid character at text; 0: there is none. */
static size_t valid(const unsigned char *text, size_t len) {
  unsigned char least, greatest;
  size_t n = promise(*text, &least, &greatest);
  if (n > len) return 0;
  if (n > 1 && (text[1] < least || text[1] > greatest)) return 0;
  for (size_t i = 2; i < n; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  return n;
}

static unsigned decode_1252(unsigned char c) {
  return c < 0xa0 ? high_controls[c - 0x80] : c;
}

size_t sl_utf8_size(const char *text, size_t len) {
  const unsigned char *at = (const unsigned char *)text;
  size_t size = 0;
  for (size_t i = 0; i < len;) {
    size_t n = valid(at + i, len - i);
    size += n > 0 ? n : decode_1252(at[i]) < 0x800 ? 2 : 3;
    i += n > 0 ? n : 1;
  }
  return size;
}

/* A character from 0x80 to 0xffff. */
static char *put(char *dst, unsigned c) {
  if (c < 0x800) {
    *dst++ = (char)(0xc0 | c >> 6);
  } else {
    *dst++ = (char)(0xe0 | c >> 12);
    *dst++ = (char)(0x80 | (c >> 6 & 0x3f));
  }
  *dst++ = (char)(0x80 | (c & 0x3f));
  return dst;
}

void sl_utf8_repair(const char *text, size_t len, char *dst) {
  const unsigned char *at = (const unsigned char *)text;
  for (size_t i = 0; i < len;) {
    size_t n = valid(at + i, len - i);
    if (n > 0) {
      memcpy(dst, at + i, n);
      dst += n, i += n;
    } else {
      dst = put(dst, decode_1252(at[i++]));
    }
  }
}
