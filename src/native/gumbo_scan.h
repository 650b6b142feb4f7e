/*
** gumbo_scan.h: the tags of a page, without a tree.
**
** The one idea: a tree that is thousands deep takes gumbo quadratic time, and
** all that is wanted of it is links. So the depth of a page is looked at
** first, and of one that is too deep only what bears links is given to gumbo:
** each start tag as it stands, for gumbo to read its attributes.
**
** Comments are passed over, and what stands in scripts, styles and the like.
** Linear in time. Owns nothing; a page must outlive its scan.
*/
#ifndef SL_GUMBO_SCAN_H
#define SL_GUMBO_SCAN_H

#include <gumbo.h>
#include <stdbool.h>
#include <stddef.h>

/* How deep the elements of a page are nested, about: what a page leaves open
   that need not be closed does not count. */
size_t sl_scan_depth(const char *text, size_t len);

/* Where the reading of a page is. */
struct sl_scan {
  const char *at, *end;
  size_t inert;                      /* templates that it is in */
  bool unclosed[GUMBO_TAG_LAST + 1]; /* no end tag of it is ahead */
};

void sl_scan_start(struct sl_scan *scan, const char *text, size_t len);

/* Writes to dst the next tags of a page that bear links or say what these
   are relative to, as many as it has room for. Returns their length, 0 at the
   end. Tags of more than SL_SCAN_TAG bytes are left out: no URL is as long,
   and gumbo compares each attribute with all others of its tag. */
size_t sl_scan_links(struct sl_scan *scan, char *dst, size_t room);

#define SL_SCAN_TAG ((size_t)8 * 1024)

#endif
