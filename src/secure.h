/*
** secure.h: a stream gets a codec: the handshake, and what was agreed upon.
**
** The one idea: whoever gives a stream a codec waits until its handshake is
** done, so that all who use the stream afterwards find it as any other. A
** task that gives up waiting closes the stream.
*/
#ifndef SL_SECURE_H
#define SL_SECURE_H

#include "stream.h"

/* Sets `secure` in the table on the top. */
void sl_secure_open(lua_State *L, struct sl_loop *loop);

/* stream:tls() */
int sl_secure_describe(lua_State *L);

/* Pushes nil, message, code of an error of the stream, which may be its
   codec's; returns 3. */
int sl_secure_fail(lua_State *L, const struct sl_stream *stream, int error);

#endif
