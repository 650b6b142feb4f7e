/*
** stream_codec.c: a stream's codec: see stream_impl.h.
**
** The one idea: little is encoded ahead of the kernel, a piece at a time, so
** that back pressure, progress and what is lost at the end are as without a
** codec. The order on the wire is the order in which the codec appended: what
** it says on its own account goes between.
**
** A codec that fails ends both directions, with UV_EPROTO; what happened is
** asked of the codec. Its last words, an alert, are sent if they can be at
** once.
*/
#include "stream_impl.h"

enum {
  PIECE = 32768, /* bytes that are encoded at once */
  TALK = 16384,  /* more than a codec has to say unasked, in bytes */
  FAREWELL = 65536 /* more than the peer has when it is about to end */
};

/* -- failing -- */

/* Wakes who waits for the handshake. */
static void wake_connector(struct sl_stream *stream) {
  if (!sl_list_empty(&stream->connectors))
    sl_task_wake(sl_task_of(stream->connectors.next), SL_WOKEN);
}

static void fail(struct sl_stream *stream) {
  struct sl_bytes *wire = &stream->codec->wire;
  stream->codec->state = SL_CODEC_FAILED;
  if (stream->slice == 0 && wire->len > 0 && stream->broken == 0)
    sl_stream_try_write(stream, wire->data, wire->len);
  sl_stream_break_writing(stream, UV_EPROTO);
  if (stream->end == 0) sl_stream_end_reading(stream, UV_EPROTO);
  wake_connector(stream);
}

/* -- writing -- */

/* Writes what is on the wire; nothing is in flight. */
static void push_wire(struct sl_stream *stream) {
  struct sl_bytes *wire = &stream->codec->wire;
  size_t n;
  if (stream->codec->state == SL_CODEC_FAILED) {
    fail(stream);
    return;
  }
  if (wire->len == 0 || stream->broken != 0) return;
  n = sl_stream_try_write(stream, wire->data, wire->len);
  if (stream->broken != 0) return;
  sl_bytes_consume(wire, n);
  if (wire->len > 0)
    sl_stream_start_write(stream);
  else
    sl_bytes_trim(wire, SL_STREAM_KEEP);
}

static bool can_encode(const struct sl_stream *stream) {
  return stream->codec->state == SL_CODEC_OPEN && stream->broken == 0 &&
         stream->slice == 0;
}

size_t sl_stream_encode(struct sl_stream *stream, const char *data,
                        size_t len) {
  struct sl_codec *codec = stream->codec;
  size_t done = 0;
  while (done < len && can_encode(stream)) {
    size_t n = len - done < PIECE ? len - done : PIECE;
    codec->ops->encode(codec, data + done, n);
    done += n;
    push_wire(stream);
  }
  return done;
}

void sl_stream_fill_wire(struct sl_stream *stream) {
  struct sl_codec *codec = stream->codec;
  struct sl_bytes *out = &stream->out;
  if (codec->wire.len == 0 && out->len > 0 &&
      codec->state == SL_CODEC_OPEN) {
    size_t n = out->len < PIECE ? out->len : PIECE;
    codec->ops->encode(codec, out->data, n);
    sl_bytes_consume(out, n);
  }
  if (out->len == 0) {
    sl_bytes_trim(out, SL_STREAM_KEEP);
    if (codec->last) codec->ops->finish(codec);
  }
  if (codec->state == SL_CODEC_FAILED && stream->broken == 0) fail(stream);
}

void sl_stream_encode_out(struct sl_stream *stream) {
  while (stream->broken == 0 && stream->slice == 0) {
    sl_stream_fill_wire(stream);
    if (stream->codec->wire.len == 0) break;
    push_wire(stream);
  }
}

void sl_stream_finish_codec(struct sl_stream *stream) {
  struct sl_codec *codec = stream->codec;
  codec->last = true;
  if (stream->out.len == 0) codec->ops->finish(codec);
}

/* -- reading -- */

void sl_stream_decode(struct sl_stream *stream, const char *data,
                      size_t len) {
  struct sl_codec *codec = stream->codec;
  size_t before = stream->in.len;
  bool starting = codec->state == SL_CODEC_STARTING;
  codec->ops->decode(codec, data, len, &stream->in);
  /* It talks, and the peer that makes it do so does not read. */
  if (stream->slice > 0 && codec->wire.len > TALK)
    codec->state = SL_CODEC_FAILED;
  if (stream->slice == 0) push_wire(stream);
  if (starting && codec->state == SL_CODEC_OPEN) {
    if (codec->wire.len == 0) sl_bytes_trim(&codec->wire, 0);
    wake_connector(stream);
  }
  if (codec->state == SL_CODEC_FAILED && stream->end == 0) fail(stream);
  if (codec->ended && stream->end == 0)
    sl_stream_end_reading(stream, UV_EOF);
  else if (stream->in.len > before && stream->end == 0)
    sl_stream_received(stream);
}

int sl_stream_cut(struct sl_stream *stream, int why) {
  struct sl_codec *codec = stream->codec;
  wake_connector(stream);
  if (why != UV_EOF || codec->ended) return why;
  codec->ops->cut(codec);
  return UV_EPROTO;
}

void sl_stream_swallow(struct sl_stream *stream, size_t n) {
  stream->codec->swallowed += n;
  if (stream->codec->swallowed <= FAREWELL) return;
  stream->state = SL_STREAM_CLOSED;
  sl_handle_close(&stream->handle);
}

/* -- birth -- */

bool sl_stream_adopt_codec(struct sl_stream *stream, struct sl_codec *codec) {
  struct sl_flusher *flusher = stream->flusher;
  struct sl_memory memory = flusher->handle.memory;
  if (flusher->raw == NULL)
    flusher->raw = memory.alloc(memory.ud, NULL, 0, SL_STREAM_RAW);
  if (flusher->raw == NULL) return false;
  stream->codec = codec;
  codec->ops->start(codec);
  sl_stream_flush(stream);
  if (codec->state == SL_CODEC_FAILED && stream->end == 0) fail(stream);
  sl_stream_listen(stream);
  return true;
}
