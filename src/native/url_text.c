/*
** url_text.c: see url_text.h. The sets of what is percent-encoded are those
** of the URL standard of WHATWG, each of which contains the one before it
** but for the apostrophe.
*/
#include "url_text.h"

#include <string.h>

static bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_scheme(char c) {
  return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
         c == '.';
}

static bool is_blank(char c) { return (unsigned char)c <= ' '; }

size_t sl_url_clean(char *dst, const char *text, size_t len) {
  size_t n = 0;
  while (len > 0 && is_blank(text[len - 1])) len--;
  while (len > 0 && is_blank(*text)) text++, len--;
  for (size_t i = 0; i < len; i++)
    if (text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
      dst[n++] = text[i];
  return n;
}

/* -- taking apart -- */

bool sl_url_equal(struct sl_url_text a, struct sl_url_text b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool sl_url_lower(char *text, size_t len) {
  bool changed = false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < 'A' || text[i] > 'Z') continue;
    text[i] += 'a' - 'A';
    changed = true;
  }
  return changed;
}

static bool is_special(struct sl_url_text scheme) {
  static const char *const schemes[] = {"http", "https", "ftp", "ws", "wss"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    struct sl_url_text one = {schemes[i], strlen(schemes[i])};
    if (sl_url_equal(scheme, one)) return true;
  }
  return false;
}

/* The length of the scheme that a text begins with; 0: none. */
static size_t find_scheme(const char *text, size_t len) {
  size_t n = 0;
  if (len == 0 || !is_alpha(*text)) return 0;
  while (n < len && is_scheme(text[n])) n++;
  return n < len && text[n] == ':' ? n : 0;
}

/* Cuts text at the first `c`; returns what begins there. */
static struct sl_url_text cut(struct sl_url_text *text, char c) {
  const char *end = text->at + text->len;
  const char *at = text->len > 0 ? memchr(text->at, c, text->len) : NULL;
  if (at == NULL) at = end;
  text->len = (size_t)(at - text->at);
  return (struct sl_url_text){at, (size_t)(end - at)};
}

void sl_url_split(char *text, size_t len, struct sl_url_ref *ref) {
  size_t n = find_scheme(text, len);
  sl_url_lower(text, n);
  ref->scheme = (struct sl_url_text){text, n};
  ref->special = is_special(ref->scheme);
  if (n > 0) n++; /* the colon */
  ref->rest = (struct sl_url_text){text + n, len - n};
  ref->fragment = cut(&ref->rest, '#');
  ref->query = cut(&ref->rest, '?');
}

void sl_url_turn_slashes(char *text, const struct sl_url_ref *ref) {
  size_t first = (size_t)(ref->rest.at - text);
  for (size_t i = first; i < first + ref->rest.len; i++)
    if (text[i] == '\\') text[i] = '/';
}

struct sl_url_text sl_url_take_segment(struct sl_url_text *rest) {
  struct sl_url_text authority = *rest;
  *rest = cut(&authority, '/');
  return authority;
}

/* -- writing -- */

char *sl_url_put(char *dst, struct sl_url_text text) {
  if (text.len > 0) memcpy(dst, text.at, text.len);
  return dst + text.len;
}

/* The parts in which c is encoded. Controls and what is not ASCII always. */
static int encoded_in(unsigned char c) {
  int fragment = SL_URL_FRAGMENT | SL_URL_PATH | SL_URL_USER;
  if (c < ' ' || c >= 0x7f) return ~0;
  switch (c) {
    case ' ': case '"': case '<': case '>': return fragment | SL_URL_QUERY;
    case '`': return fragment;
    case '\'': return SL_URL_QUERY;
    case '{': case '}': return SL_URL_PATH | SL_URL_USER;
    case '@': case '[': case ']': case '^': case '|': case ';': case '=':
    case '\\':
      return SL_URL_USER;
    default: return 0;
  }
}

char *sl_url_put_encoded(char *dst, struct sl_url_text text,
                         enum sl_url_part part) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.at[i];
    if ((encoded_in(c) & part) == 0) {
      *dst++ = (char)c;
      continue;
    }
    *dst++ = '%';
    *dst++ = hex[c >> 4];
    *dst++ = hex[c & 15];
  }
  return dst;
}

/* The number of dots that a segment is, `%2e` among them; 0 for others. */
static size_t count_dots(struct sl_url_text segment) {
  size_t n = 0, i = 0;
  while (i < segment.len && n <= 2) {
    const char *at = segment.at + i;
    if (*at == '.')
      i++;
    else if (segment.len - i >= 3 && at[0] == '%' && at[1] == '2' &&
             (at[2] == 'e' || at[2] == 'E'))
      i += 3;
    else
      return 0;
    n++;
  }
  return n <= 2 ? n : 0;
}

char *sl_url_put_path(char *dst, struct sl_url_text path) {
  while (path.len > 0) {
    struct sl_url_text segment = sl_url_take_segment(&path);
    size_t dots = count_dots(segment);
    if (dots > 0)
      dst = sl_url_put(dst, (struct sl_url_text){"..", dots});
    else
      dst = sl_url_put_encoded(dst, segment, SL_URL_PATH);
    if (path.len == 0) break;
    *dst++ = '/';
    path.at++, path.len--;
  }
  return dst;
}

char *sl_url_put_authority(char *dst, struct sl_url_text authority) {
  size_t user = authority.len;
  while (user > 0 && authority.at[user - 1] != '@') user--;
  if (user > 0) {
    struct sl_url_text name = {authority.at, user - 1};
    dst = sl_url_put_encoded(dst, name, SL_URL_USER);
    *dst++ = '@';
  }
  return sl_url_put(
      dst, (struct sl_url_text){authority.at + user, authority.len - user});
}
