/*
** stream.h: connected sockets: bytes in, bytes out, an orderly end.
**
** The one idea: libuv's callbacks fill and drain buffers that belong to the
** stream, and wake the task that waits for them to change. So a read that is
** cancelled loses no byte, and what a write has queued goes out whoever is
** cancelled. Reading stops when the buffer holds more than anybody wants;
** writing is tried at once, and only what the kernel does not take is queued.
**
**            close             all is written, FIN sent       end, deadline
**   OPEN ──────────► FLUSHING ────────────────────► DRAINING ─────► CLOSED
**                        └── all is written (not gentle), deadline ────┘
**
** Only an OPEN stream has a box. FLUSHING and DRAINING need no task, and end
** by a deadline of their own.
**
** Owns the buffers and one uv handle. Never parses. One task reads at a time.
*/
#ifndef SL_STREAM_H
#define SL_STREAM_H

#include "codec.h"
#include "handle.h"
#include "wait.h"

enum {
  SL_STREAM_HIGH = 65536 /* bytes: beyond it writers wait, reading stops */
};

enum sl_stream_state {
  SL_STREAM_OPEN,
  SL_STREAM_FLUSHING,
  SL_STREAM_DRAINING,
  SL_STREAM_CLOSED
};

struct sl_stream;

/* Tries what a read asks for. Returns how many results it pushed; 0: it
   needs stream->want bytes, or the end, and pushed nothing. */
typedef int sl_read_fn(lua_State *L, struct sl_stream *stream);

struct sl_stream {
  struct sl_handle handle; /* first */
  struct sl_link link;     /* among those accepted that nobody took */
  struct sl_link pending;  /* among those that have something to flush */
  struct sl_flusher *flusher;
  void (*gone)(struct sl_stream *stream); /* it is about to be freed */
  /* Bytes have arrived, or the end; in a callback of libuv. NULL: nobody
     wants to know but the reader. */
  void (*arrived)(struct sl_stream *stream);
  void *listener;                         /* arrived's */
  void (*ended)(struct sl_stream *stream); /* `end` or `broken` was set */
  void *user;                              /* ended's */
  void *server;                           /* gone's; NULL: it connected */
  struct sl_codec *codec;  /* between the buffers and the wire, or NULL */
  struct sl_bytes in;      /* read and not yet taken */
  struct sl_bytes out;     /* to be written, not yet given to libuv */
  struct sl_bytes sending; /* its begin is in flight: it does not move */
  struct sl_link readers;  /* at most one, parked until there is `want` */
  sl_read_fn *read_fn;     /* what the reader tries */
  struct sl_link writers;  /* parked until little enough is queued */
  struct sl_link finishers; /* parked until all is written and FIN sent */
  struct sl_link connectors; /* at most one, parked until it is connected */
  struct sl_deadline deadline; /* of FLUSHING and DRAINING */
  size_t slice;   /* bytes of `sending` that are in flight; 0: none are */
  size_t left;    /* what was unwritten when the deadline was set */
  size_t want;    /* bytes in `in` that wake the reader */
  size_t scanned; /* bytes at the begin of `in` without a separator */
  size_t chunk;   /* bytes to make room for before a read */
  size_t limit;   /* bytes of a line, without its end */
  int end;        /* what comes after `in`: UV_EOF, an error; 0: unknown */
  int broken;     /* why nothing more can be written; 0: it can */
  int connected;  /* what a connect came to */
  uint8_t state;  /* enum sl_stream_state */
  bool reading;
  bool ending;    /* nothing more may be written: FIN when all is */
  bool fin_sent;
  bool gentle;    /* DRAINING follows FLUSHING */
  bool reserved;  /* the clock has room for the deadline */
  union { /* it is connected, then written to, then finished */
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t fin;
  } request;
};

extern const struct sl_class sl_stream_class;

/* Makes the class of streams. */
void sl_stream_open(lua_State *L, struct sl_loop *loop);

/* Makes what flushes streams before the kernel is asked. */
void sl_stream_open_flusher(lua_State *L, struct sl_loop *loop);
struct sl_flusher *sl_stream_flusher(lua_State *L);

/* A stream without a box whose uv handle is to be initialised; or NULL. */
struct sl_stream *sl_stream_new(struct sl_loop *loop,
                                struct sl_memory memory,
                                struct sl_flusher *flusher);

/* Pushes a box that stands for nothing, and reserves what an open stream
   needs. Throws: memory. */
struct sl_box *sl_stream_push_box(lua_State *L, struct sl_loop *loop);
/* Ties it to the stream. Cannot fail. */
void sl_stream_fill_box(struct sl_box *box, struct sl_stream *stream);

/* The stream of a box, NULL if it is closed. */
static inline struct sl_stream *sl_stream_of(const struct sl_box *box) {
  return (struct sl_stream *)box->handle;
}

enum sl_stream_ending {
  SL_CLOSE_NOW,     /* what is queued is lost */
  SL_CLOSE_RESET,   /* and the peer is told so, even if nothing was queued */
  SL_CLOSE_FLUSHED, /* what is queued is still written; gently, if the codec
                       wants it so */
  /* Then tells the peer, and swallows what it still sends for a while, so
     that it can read the last bytes before a reset. */
  SL_CLOSE_GENTLY
};

/* Whether the peer's kernel has all that was written; false if that cannot be
   told. */
bool sl_stream_delivered(const struct sl_stream *stream);

/* Closes it; everybody who waits for it is woken. */
void sl_stream_close(struct sl_stream *stream, enum sl_stream_ending how);

/* -- reading -- */

/* Drops the first n bytes of `in`. */
void sl_stream_consume(struct sl_stream *stream, size_t n);

/* Reads what the kernel has, without waiting for the loop to ask it. */
void sl_stream_try_read(struct sl_stream *stream);

/* Asks the kernel for bytes, whether or not somebody reads. */
void sl_stream_listen(struct sl_stream *stream);

/* Frees the buffers that are empty: it will be idle. */
void sl_stream_trim(struct sl_stream *stream);

/* Parks the task until there are `want` bytes in `in`, or stream->end. `k`
   must look whether the stream is closed. Throws if another task reads. */
int sl_stream_park_reader_k(lua_State *L, struct sl_stream *stream,
                            struct sl_task *task, size_t want,
                            const struct sl_wait_kind *kind,
                            uint64_t timeout_ns, lua_KFunction k);

/* -- writing -- */

/* Writes what the kernel takes and queues a copy of the rest. What went
   wrong is in stream->broken. */
void sl_stream_send(struct sl_stream *stream, const char *data, size_t len);

/* Writes what is in stream->out. */
void sl_stream_flush(struct sl_stream *stream);

/* Has it flushed before the loop next asks the kernel. */
void sl_stream_flush_soon(struct sl_stream *stream);

static inline size_t sl_stream_queued(const struct sl_stream *stream) {
  size_t n = stream->out.len + stream->sending.len;
  return sl_likely(stream->codec == NULL) ? n : n + stream->codec->wire.len;
}

/* Bytes that the kernel has not taken. */
size_t sl_stream_unwritten(const struct sl_stream *stream);

/* Whether a writer must wait. */
static inline bool sl_stream_above(const struct sl_stream *stream) {
  return sl_stream_queued(stream) > SL_STREAM_HIGH && stream->broken == 0;
}

/* Parks the task until little enough is queued, or it is broken. `k` must
   look whether the stream is closed. */
int sl_stream_park_writer_k(lua_State *L, struct sl_stream *stream,
                            struct sl_task *task, uint64_t timeout_ns,
                            lua_KFunction k);

/* Nothing more will be written: sends FIN when all is. */
void sl_stream_finish(struct sl_stream *stream);

/* -- a codec -- */

/* Puts a codec, which is the stream's from now on, between its buffers,
   which must be empty, and the wire, and begins. Who waits for its handshake
   is among the connectors. False, and nothing has changed: no memory. */
bool sl_stream_adopt_codec(struct sl_stream *stream, struct sl_codec *codec);

#endif
