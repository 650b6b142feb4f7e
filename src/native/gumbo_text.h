/*
** gumbo_text.h: any bytes as UTF-8, which is all that gumbo reads.
**
** The one idea: a page that is not UTF-8 is nearly always of one byte a
** character, and an accented letter of such a page is nearly never valid
** UTF-8. So what is valid stays, and each other byte is the character that
** it is in windows-1252, as in a browser that knows no better.
**
** Pure functions; linear in time. Owns nothing.
*/
#ifndef SL_GUMBO_TEXT_H
#define SL_GUMBO_TEXT_H

#include <stddef.h>

/* Bytes that the text has as UTF-8: `len` if it is valid already. */
size_t sl_utf8_size(const char *text, size_t len);

/* Writes it as UTF-8 to dst, which has room for sl_utf8_size bytes. */
void sl_utf8_repair(const char *text, size_t len, char *dst);

#endif
