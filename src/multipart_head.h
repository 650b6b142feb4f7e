/*
** multipart_head.h: the head of one part: what its fields say.
**
** Reads a whole head, in place: names lie in the head's own bytes, without
** their quotes and escapes. Pure C, owns nothing, allocates nothing.
*/
#ifndef SL_MULTIPART_HEAD_H
#define SL_MULTIPART_HEAD_H

#include "multipart.h"

/* Sets name, filename and type of the part, whose head, with its blank line,
   is in form->head. Returns NULL, or what is wrong with it. */
const char *sl_multipart_read_head(struct sl_multipart *form);

#endif
