/*
** stream_impl.h: what stream.c and stream_codec.c share.
**
** The one idea: with a codec the same buffers hold plain bytes, `in` what has
** been decoded and `out` what is still to be encoded; what the kernel sees
** goes through the loop's `raw` buffer, and through `wire` and `sending`. The
** machinery asks for the codec's half of a step where it differs.
*/
#ifndef SL_STREAM_IMPL_H
#define SL_STREAM_IMPL_H

#include "stream.h"

enum {
  SL_STREAM_CHUNK = 4096, /* that a stream of little traffic reads at once */
  SL_STREAM_RAW = 65536,  /* that one with a codec does */
  SL_STREAM_KEEP = 65536  /* a larger buffer is freed when it is empty */
};

/* Flushes streams before the kernel is asked; one a loop. */
struct sl_flusher {
  struct sl_handle handle; /* a uv_prepare_t; first */
  struct sl_link streams;  /* that have something to flush */
  char *raw; /* where streams with a codec read to; NULL before the first */
  /* Where a stream of little traffic reads to: what came is copied, so that
     none of thousands keeps a buffer that it fills once in a while. */
  char scratch[SL_STREAM_CHUNK];
};

/* -- stream.c -- */

/* There is no more to be read, or to be written. */
void sl_stream_end_reading(struct sl_stream *stream, int why);
void sl_stream_break_writing(struct sl_stream *stream, int why);

/* `in` has grown. */
void sl_stream_received(struct sl_stream *stream);

/* What the kernel takes of the bytes at once. */
size_t sl_stream_try_write(struct sl_stream *stream, const char *data,
                           size_t len);

/* Gives a slice of what is queued to libuv; nothing is in flight. */
void sl_stream_start_write(struct sl_stream *stream);

/* -- stream_codec.c: of a stream that has one -- */

/* `len` bytes arrived. */
void sl_stream_decode(struct sl_stream *stream, const char *data,
                      size_t len);

/* Reading has ended with `why`: what that means for the plain bytes. */
int sl_stream_cut(struct sl_stream *stream, int why);

/* Encodes and writes as long as the kernel takes it and nothing is in
   flight. Returns how many of the bytes were encoded. */
size_t sl_stream_encode(struct sl_stream *stream, const char *data,
                        size_t len);

/* The same with what is in `out`. */
void sl_stream_encode_out(struct sl_stream *stream);

/* Puts the next piece of `out` on the wire if that is empty. */
void sl_stream_fill_wire(struct sl_stream *stream);

/* Whether the peer may be about to say something that nobody asked for: TLS
   has tickets, and farewells. If it came when the socket is closed, the reset
   in answer would take what is on its way with it. */
static inline bool sl_stream_lingers(const struct sl_stream *stream) {
  const struct sl_codec *codec = stream->codec;
  return codec != NULL && codec->state == SL_CODEC_OPEN && !codec->ended &&
         stream->end == 0 && stream->broken == 0;
}

/* `n` bytes came after the stream was closed. */
void sl_stream_swallow(struct sl_stream *stream, size_t n);

/* Nothing more will be sent: tells the peer, when all was encoded. */
void sl_stream_finish_codec(struct sl_stream *stream);

#endif
