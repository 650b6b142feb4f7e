/*
** gumbo_scan.c: see gumbo_scan.h. Names as in the HTML standard's tokenizer.
*/
#include "gumbo_scan.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

enum kind {
  NESTS,   /* holds others until it is closed */
  SHALLOW, /* holds nothing, or is closed by what follows it */
  RAW,     /* holds text up to its end tag */
  INERT    /* a template: what it holds is not on the page */
};

static const uint8_t kinds[GUMBO_TAG_LAST + 1] = {
    [GUMBO_TAG_AREA] = SHALLOW,   [GUMBO_TAG_BASE] = SHALLOW,
    [GUMBO_TAG_BR] = SHALLOW,     [GUMBO_TAG_COL] = SHALLOW,
    [GUMBO_TAG_EMBED] = SHALLOW,  [GUMBO_TAG_HR] = SHALLOW,
    [GUMBO_TAG_IMG] = SHALLOW,    [GUMBO_TAG_INPUT] = SHALLOW,
    [GUMBO_TAG_LINK] = SHALLOW,   [GUMBO_TAG_META] = SHALLOW,
    [GUMBO_TAG_PARAM] = SHALLOW,  [GUMBO_TAG_SOURCE] = SHALLOW,
    [GUMBO_TAG_TRACK] = SHALLOW,  [GUMBO_TAG_WBR] = SHALLOW,
    [GUMBO_TAG_HTML] = SHALLOW,   [GUMBO_TAG_HEAD] = SHALLOW,
    [GUMBO_TAG_BODY] = SHALLOW,   [GUMBO_TAG_P] = SHALLOW,
    [GUMBO_TAG_LI] = SHALLOW,     [GUMBO_TAG_DT] = SHALLOW,
    [GUMBO_TAG_DD] = SHALLOW,     [GUMBO_TAG_TR] = SHALLOW,
    [GUMBO_TAG_TD] = SHALLOW,     [GUMBO_TAG_TH] = SHALLOW,
    [GUMBO_TAG_TBODY] = SHALLOW,  [GUMBO_TAG_THEAD] = SHALLOW,
    [GUMBO_TAG_TFOOT] = SHALLOW,  [GUMBO_TAG_COLGROUP] = SHALLOW,
    [GUMBO_TAG_OPTION] = SHALLOW, [GUMBO_TAG_OPTGROUP] = SHALLOW,
    [GUMBO_TAG_A] = SHALLOW,      [GUMBO_TAG_TEMPLATE] = INERT,
    [GUMBO_TAG_SCRIPT] = RAW,     [GUMBO_TAG_STYLE] = RAW,
    [GUMBO_TAG_TITLE] = RAW,      [GUMBO_TAG_TEXTAREA] = RAW,
    [GUMBO_TAG_XMP] = RAW,        [GUMBO_TAG_IFRAME] = RAW,
    [GUMBO_TAG_NOEMBED] = RAW,    [GUMBO_TAG_NOFRAMES] = RAW,
};

struct tag {
  const char *at; /* the `<` */
  size_t len;     /* with the `>` */
  const char *name;
  size_t name_len;
  GumboTag tag;
  bool is_end; /* begins with `</` */
};

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Where `c` is next, or the end. */
static const char *find(const char *at, const char *end, char c) {
  const char *found = at < end ? memchr(at, c, (size_t)(end - at)) : NULL;
  return found != NULL ? found : end;
}

static bool starts(const char *at, const char *end, const char *with) {
  size_t len = strlen(with);
  return (size_t)(end - at) >= len && memcmp(at, with, len) == 0;
}

/* -- the tokens -- */

static const char *skip_value(const char *at, const char *end) {
  while (at < end && is_blank(*at)) at++;
  if (at < end && (*at == '"' || *at == '\'')) {
    at = find(at + 1, end, *at);
    return at < end ? at + 1 : end;
  }
  while (at < end && !is_blank(*at) && *at != '>') at++;
  return at;
}

/* From behind a tag's name to behind its `>`; the end if there is none. */
static const char *skip_attributes(const char *at, const char *end) {
  while (at < end && *at != '>') {
    if (is_blank(*at) || *at == '/') {
      at++;
      continue;
    }
    do at++; /* a name may begin with `=` */
    while (at < end && !is_blank(*at) && *at != '/' && *at != '>' &&
           *at != '=');
    while (at < end && is_blank(*at)) at++;
    if (at < end && *at == '=') at = skip_value(at + 1, end);
  }
  return at < end ? at + 1 : end;
}

/* From the `<!` of a comment or the like to behind its end. */
static const char *skip_comment(const char *at, const char *end) {
  if (!starts(at, end, "<!--")) {
    at = find(at, end, '>');
    return at < end ? at + 1 : end;
  }
  at += 4;
  if (starts(at, end, ">")) return at + 1;
  if (starts(at, end, "->")) return at + 2;
  for (;; at++) {
    at = find(at, end, '-');
    if (at == end) return end;
    if (starts(at, end, "-->")) return at + 3;
    if (starts(at, end, "--!>")) return at + 4;
  }
}

/* Where the end tag of a name is, or NULL. */
static const char *find_end_tag(const char *at, const char *end,
                                const struct tag *tag) {
  for (;; at++) {
    at = find(at, end, '<');
    if ((size_t)(end - at) < tag->name_len + 3) return NULL;
    char after = at[tag->name_len + 2];
    if (at[1] == '/' && (is_blank(after) || after == '/' || after == '>') &&
        strncasecmp(at + 2, tag->name, tag->name_len) == 0)
      return at;
  }
}

/* Passes over the text of a script and the like. One that is never closed
   may be an empty element of SVG: its text is then read as the page's. */
static void skip_raw(struct sl_scan *scan, const struct tag *tag) {
  if (scan->unclosed[tag->tag]) return;
  const char *close = find_end_tag(scan->at, scan->end, tag);
  if (close != NULL)
    scan->at = close;
  else
    scan->unclosed[tag->tag] = true;
}

static void read_tag(struct sl_scan *scan, struct tag *tag) {
  const char *at = scan->at;
  tag->at = at;
  tag->is_end = at[1] == '/';
  at += tag->is_end ? 2 : 1;
  tag->name = at;
  while (at < scan->end && !is_blank(*at) && *at != '/' && *at != '>') at++;
  tag->name_len = (size_t)(at - tag->name);
  scan->at = skip_attributes(at, scan->end);
  tag->len = (size_t)(scan->at - tag->at);
  tag->tag = gumbo_tagn_enum(tag->name, (unsigned)tag->name_len);
}

/* The next tag; false at the end. One that is cut off is none. */
static bool next_tag(struct sl_scan *scan, struct tag *tag) {
  while (scan->end - scan->at > 2) {
    const char *at = scan->at = find(scan->at, scan->end, '<');
    if (scan->end - at < 3) break;
    if (is_letter(at[1]) || (at[1] == '/' && is_letter(at[2]))) {
      read_tag(scan, tag);
      if (!tag->is_end && kinds[tag->tag] == RAW) skip_raw(scan, tag);
      return tag->at[tag->len - 1] == '>';
    }
    if (at[1] == '!' || at[1] == '?' || at[1] == '/')
      scan->at = skip_comment(at, scan->end);
    else
      scan->at = at + 1;
  }
  return false;
}

/* -- what they are read for -- */

void sl_scan_start(struct sl_scan *scan, const char *text, size_t len) {
  *scan = (struct sl_scan){.at = text, .end = text + len};
}

size_t sl_scan_depth(const char *text, size_t len) {
  size_t open[GUMBO_TAG_LAST + 1] = {0};
  size_t depth = 0, deepest = 0;
  struct sl_scan scan;
  struct tag tag;
  sl_scan_start(&scan, text, len);
  while (next_tag(&scan, &tag)) {
    if (kinds[tag.tag] != NESTS && kinds[tag.tag] != INERT) continue;
    if (!tag.is_end) {
      open[tag.tag]++;
      if (++depth > deepest) deepest = depth;
    } else if (open[tag.tag] > 0) {
      open[tag.tag]--, depth--;
    }
  }
  return deepest;
}

static bool bears_link(const struct tag *tag) {
  return tag->tag == GUMBO_TAG_A || tag->tag == GUMBO_TAG_AREA ||
         tag->tag == GUMBO_TAG_BASE;
}

size_t sl_scan_links(struct sl_scan *scan, char *dst, size_t room) {
  size_t n = 0;
  struct tag tag;
  while (room - n >= SL_SCAN_TAG && next_tag(scan, &tag)) {
    if (kinds[tag.tag] == INERT) {
      if (!tag.is_end)
        scan->inert++;
      else if (scan->inert > 0)
        scan->inert--;
    } else if (bears_link(&tag) && !tag.is_end && scan->inert == 0 &&
               tag.len <= SL_SCAN_TAG) {
      memcpy(dst + n, tag.at, tag.len);
      n += tag.len;
    }
  }
  return n;
}
