/*
** url_text.h: the text of a URL before and beside libcurl.
**
** The one idea: libcurl joins what RFC 3986 calls scheme, authority and path.
** What browsers do to a text before that is done here, to slices of one
** buffer: blanks and line breaks go, a backslash is a slash, a byte that no
** URL may have is percent-encoded. The query and the fragment are only
** carried over, so they never pass through libcurl.
**
** Pure functions; no Lua, no libcurl. Owns nothing, allocates nothing. Never
** judges: what is no URL is found by libcurl.
*/
#ifndef SL_URL_TEXT_H
#define SL_URL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct sl_url_text {
  const char *at;
  size_t len;
};

/* A URL or a reference in its parts; an absent one is of length 0. */
struct sl_url_ref {
  struct sl_url_text scheme;   /* in lower case, without its colon */
  struct sl_url_text rest;     /* authority and path, or the path only */
  struct sl_url_text query;    /* with its `?` */
  struct sl_url_text fragment; /* with its `#` */
  bool special;                /* its scheme is one of the web */
};

/* What must be percent-encoded differs by the part. */
enum sl_url_part {
  SL_URL_OPAQUE = 1, /* what follows the colon of `mailto:` */
  SL_URL_FRAGMENT = 2,
  SL_URL_QUERY = 4,
  SL_URL_PATH = 8,
  SL_URL_USER = 16 /* name and password, before the `@` */
};

/* A byte becomes three at most when it is percent-encoded. */
#define SL_URL_GROWTH 3

/* Copies text to dst, of the same size, without blanks and controls at its
   ends, tabs and line breaks. Returns the length. */
size_t sl_url_clean(char *dst, const char *text, size_t len);

/* Takes a clean text apart; lowers the scheme where it stands. */
void sl_url_split(char *text, size_t len, struct sl_url_ref *ref);

/* Makes slashes of the backslashes of ref->rest, which lies in `text`. */
void sl_url_turn_slashes(char *text, const struct sl_url_ref *ref);

/* Takes off what stands before the first slash. */
struct sl_url_text sl_url_take_segment(struct sl_url_text *rest);

/* Each writes at dst and returns the end: the bytes as they stand; with what
   `part` must not have encoded; a path, whose segments `%2e` become dots; an
   authority, whose last `@` ends the user. */
char *sl_url_put(char *dst, struct sl_url_text text);
char *sl_url_put_encoded(char *dst, struct sl_url_text text,
                         enum sl_url_part part);
char *sl_url_put_path(char *dst, struct sl_url_text path);
char *sl_url_put_authority(char *dst, struct sl_url_text authority);

/* Whether a and b have the same bytes. */
bool sl_url_equal(struct sl_url_text a, struct sl_url_text b);

/* Lowers ASCII letters; true if there was one to lower. */
bool sl_url_lower(char *text, size_t len);

#endif
