/*
** codec.h: what may stand between a stream and the wire, such as TLS.
**
** The one idea: a codec is a transform without a socket. What arrived is
** given to it, and it appends what that means to the stream's buffer; what a
** script sends is given to it, and it appends what must go out to `wire`. It
** may do so on its own account, too: a handshake, an alert. It never waits,
** never calls Lua, and calls nobody.
**
**   STARTING ── the handshake is done ──► OPEN
**      └────────── an error ──────────────┴──────► FAILED
**
** It is made by a module that is no part of the core (src/native), which
** hands it over in a userdata; from then on it belongs to the stream. Pure C.
*/
#ifndef SL_CODEC_H
#define SL_CODEC_H

#include <stdint.h>

#include "bytes.h"

enum sl_codec_state { SL_CODEC_STARTING, SL_CODEC_OPEN, SL_CODEC_FAILED };

struct sl_codec;

/* Whoever has no memory to go on fails. */
struct sl_codec_ops {
  size_t size; /* of struct sl_codec; a module of another build has another */
  /* Begins the handshake; called once, first. */
  void (*start)(struct sl_codec *codec);
  /* `len` bytes arrived: takes all of them, appends what they mean. */
  void (*decode)(struct sl_codec *codec, const char *data, size_t len,
                 struct sl_bytes *plain);
  /* The peer's bytes have ended. An error if they should not have. */
  void (*cut)(struct sl_codec *codec);
  /* Puts all of `data` on the wire. OPEN only. */
  void (*encode)(struct sl_codec *codec, const char *data, size_t len);
  /* Tells the peer that no more will come. Nothing if it is not OPEN. */
  void (*finish)(struct sl_codec *codec);
  /* FAILED: what happened, for people; *code: for programs. Both live as
     long as the codec. */
  const char *(*error)(struct sl_codec *codec, const char **code);
  /* Appends what was agreed upon: pairs of name and value, each with a zero
     behind it. False: no memory. */
  bool (*describe)(struct sl_codec *codec, struct sl_bytes *pairs);
  void (*free)(struct sl_codec *codec);
};

/* The begin of a codec's own struct. */
struct sl_codec {
  const struct sl_codec_ops *ops;
  struct sl_bytes wire; /* to be sent; whoever sends it consumes it */
  uint8_t state;        /* enum sl_codec_state */
  bool ended;           /* the peer said that no more will come */
  bool finished;        /* we did; nothing is appended to `wire` any more */
  /* The stream's own: */
  bool last;        /* finish when all is encoded */
  size_t swallowed; /* bytes that came after it was closed */
};

/* The field of its metatable that tells where in a userdata the address of a
   codec is: a light userdata that points at a size_t. The address is NULL
   once a stream has the codec. */
#define SL_CODEC_FIELD "__codec"

#endif
