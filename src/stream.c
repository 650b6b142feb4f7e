/*
** stream.c: see stream.h. The machinery; what scripts call is in
** stream_io.c.
*/
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream_impl.h"

enum {
  FIRST_CHUNK = SL_STREAM_CHUNK,
  LAST_CHUNK = 65536,
  SLICE = 262144, /* given to libuv at once, so that progress is seen */
  KEEP = SL_STREAM_KEEP
};

static const uint64_t FLUSH_NS = UINT64_C(30000000000);
static const uint64_t DRAIN_NS = UINT64_C(2000000000);

static struct sl_stream *stream_of(const void *uv) {
  return (struct sl_stream *)sl_handle_of(uv);
}

static void step_close(struct sl_stream *stream);

/* -- flushing before the kernel is asked -- */

static const char flusher_key; /* registry: the loop's flusher */

static void on_prepare(uv_prepare_t *prepare) {
  struct sl_flusher *flusher = (struct sl_flusher *)sl_handle_of(prepare);
  while (!sl_list_empty(&flusher->streams)) {
    struct sl_link *link = sl_list_pop(&flusher->streams);
    sl_stream_flush(sl_container(link, struct sl_stream, pending));
  }
  if (flusher->handle.loop->nready > 0)
    sl_loop_stop_poll(flusher->handle.loop);
  uv_prepare_stop(prepare);
}

static void free_flusher(struct sl_handle *handle) {
  struct sl_flusher *flusher = (struct sl_flusher *)handle;
  while (!sl_list_empty(&flusher->streams)) sl_list_pop(&flusher->streams);
  if (flusher->raw != NULL)
    handle->memory.alloc(handle->memory.ud, flusher->raw, SL_STREAM_RAW, 0);
}

struct sl_flusher *sl_stream_flusher(lua_State *L) {
  struct sl_flusher *flusher;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &flusher_key);
  flusher = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return flusher;
}

void sl_stream_open_flusher(lua_State *L, struct sl_loop *loop) {
  struct sl_flusher *flusher =
      sl_handle_new(loop, sl_memory_of(L), sizeof *flusher);
  if (flusher == NULL) luaL_error(L, "not enough memory");
  sl_link_init(&flusher->streams);
  flusher->handle.fini = free_flusher;
  uv_prepare_init(&loop->uv, &flusher->handle.uv.prepare);
  sl_handle_opened(&flusher->handle);
  uv_unref(&flusher->handle.uv.any);
  lua_pushlightuserdata(L, flusher);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &flusher_key);
}

void sl_stream_flush_soon(struct sl_stream *stream) {
  if (sl_link_linked(&stream->pending)) return;
  sl_list_push(&stream->flusher->streams, &stream->pending);
  uv_prepare_start(&stream->flusher->handle.uv.prepare, on_prepare);
}

/* -- birth and death -- */

static void free_stream(struct sl_handle *handle) {
  struct sl_stream *stream = (struct sl_stream *)handle;
  stream->state = SL_STREAM_CLOSED;
  if (stream->gone != NULL) stream->gone(stream);
  sl_link_unlink(&stream->link);
  sl_link_unlink(&stream->pending);
  if (stream->reserved && handle->loop->clock != NULL) {
    sl_clock_disarm(handle->loop, &stream->deadline);
    sl_clock_release(handle->loop);
  }
  if (stream->codec != NULL) stream->codec->ops->free(stream->codec);
  sl_bytes_fini(&stream->in);
  sl_bytes_fini(&stream->out);
  sl_bytes_fini(&stream->sending);
}

static void set_deadline(struct sl_stream *stream, uint64_t ns) {
  struct sl_loop *loop = stream->handle.loop;
  stream->left = sl_stream_unwritten(stream);
  sl_clock_disarm(loop, &stream->deadline);
  sl_clock_arm(loop, &stream->deadline,
               sl_clock_after(sl_loop_now(loop), ns));
}

/* The peer does not take what is queued for it, and will not get the rest:
   it is reset. Else the kernel would go on offering what it took, and hold
   those megabytes for minutes. */
static void forsake(struct sl_stream *stream) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  uv_os_fd_t fd;
  if (uv_fileno(&stream->handle.uv.any, &fd) == 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool sl_stream_delivered(const struct sl_stream *stream) {
  int left = -1;
#ifdef __linux__ /* elsewhere this is asked of terminals only */
  uv_os_fd_t fd;
  if (sl_stream_unwritten(stream) == 0 &&
      uv_fileno(&stream->handle.uv.any, &fd) == 0 &&
      ioctl(fd, TIOCOUTQ, &left) != 0)
    left = -1;
#else
  (void)stream;
#endif
  return left == 0;
}

/* A peer that reads, though slowly, gets all that was queued. */
static void on_too_late(struct sl_deadline *deadline) {
  struct sl_stream *stream =
      sl_container(deadline, struct sl_stream, deadline);
  if (sl_stream_unwritten(stream) < stream->left) {
    set_deadline(stream, FLUSH_NS);
    return;
  }
  if (sl_stream_unwritten(stream) > 0) forsake(stream);
  stream->state = SL_STREAM_CLOSED;
  sl_handle_close(&stream->handle);
}

struct sl_stream *sl_stream_new(struct sl_loop *loop,
                                struct sl_memory memory,
                                struct sl_flusher *flusher) {
  struct sl_stream *stream = sl_handle_new(loop, memory, sizeof *stream);
  if (stream == NULL) return NULL;
  stream->handle.fini = free_stream;
  stream->flusher = flusher;
  stream->chunk = FIRST_CHUNK;
  stream->limit = SL_STREAM_HIGH;
  sl_link_init(&stream->link);
  sl_link_init(&stream->pending);
  sl_link_init(&stream->readers);
  sl_link_init(&stream->writers);
  sl_link_init(&stream->finishers);
  sl_link_init(&stream->connectors);
  sl_deadline_init(&stream->deadline, on_too_late);
  sl_bytes_init(&stream->in, memory.alloc, memory.ud);
  sl_bytes_init(&stream->out, memory.alloc, memory.ud);
  sl_bytes_init(&stream->sending, memory.alloc, memory.ud);
  return stream;
}

struct sl_box *sl_stream_push_box(lua_State *L, struct sl_loop *loop) {
  struct sl_box *box = sl_object_new(L, &sl_stream_class, 0);
  sl_clock_reserve(L, loop);
  return box;
}

void sl_stream_fill_box(struct sl_box *box, struct sl_stream *stream) {
  stream->reserved = true;
  sl_box_fill(box, &stream->handle);
}

static void wake_all(struct sl_link *list) {
  while (!sl_list_empty(list))
    sl_task_wake(sl_task_of(list->next), SL_WOKEN);
}

/* -- reading -- */

static void on_alloc(uv_handle_t *uv, size_t suggested, uv_buf_t *buffer) {
  struct sl_stream *stream = stream_of(uv);
  struct sl_bytes *in = &stream->in;
  size_t room;
  (void)suggested;
  *buffer = uv_buf_init(NULL, 0);
  if (stream->state != SL_STREAM_OPEN) sl_bytes_clear(in);
  if (stream->codec != NULL) {
    *buffer = uv_buf_init(stream->flusher->raw, SL_STREAM_RAW);
    return;
  }
  if (in->len == 0 && stream->chunk == FIRST_CHUNK) {
    *buffer = uv_buf_init(stream->flusher->scratch, FIRST_CHUNK);
    return;
  }
  if (!sl_bytes_reserve(in, stream->chunk)) return;
  room = in->cap - in->start - in->len;
  if (room > LAST_CHUNK) room = LAST_CHUNK;
  *buffer = uv_buf_init(in->data + in->len, (unsigned)room);
}

static void stop_reading(struct sl_stream *stream) {
  if (stream->reading) uv_read_stop(&stream->handle.uv.stream);
  stream->reading = false;
}

/* The peer is done, or the connection is. */
void sl_stream_end_reading(struct sl_stream *stream, int why) {
  stream->end = why == UV_ENOBUFS ? UV_ENOMEM : why;
  stop_reading(stream);
  if (stream->ended != NULL) stream->ended(stream);
  if (stream->state == SL_STREAM_DRAINING) step_close(stream);
  wake_all(&stream->readers);
  if (stream->arrived != NULL) stream->arrived(stream);
}

void sl_stream_received(struct sl_stream *stream) {
  size_t len = stream->in.len;
  if (len >= SL_STREAM_HIGH && len >= stream->want) stop_reading(stream);
  if (len >= stream->want) wake_all(&stream->readers);
  if (stream->arrived != NULL) stream->arrived(stream);
}

/* libuv also tells an orderly end when it sees that both directions have
   ended, which after a reset they have, too. The kernel knows, unless it has
   told a writer. */
static int tell_end(const struct sl_stream *stream) {
  uv_os_fd_t fd;
  ssize_t n;
  char byte;
  if (stream->broken == UV_ECONNRESET) return UV_ECONNRESET;
  if (uv_fileno(&stream->handle.uv.any, &fd) != 0) return UV_EOF;
  do n = recv(fd, &byte, 1, MSG_PEEK);
  while (n < 0 && errno == EINTR);
  if (n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK) return UV_EOF;
  return uv_translate_sys_error(errno);
}

static void on_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buffer) {
  struct sl_stream *stream = stream_of(uv);
  struct sl_bytes *in = &stream->in;
  if (n == 0) return;
  if (n < 0) {
    int why = n == UV_EOF ? tell_end(stream) : (int)n;
    if (stream->codec != NULL) why = sl_stream_cut(stream, why);
    sl_stream_end_reading(stream, why);
    return;
  }
  if (stream->state != SL_STREAM_OPEN) {
    if (stream->codec != NULL) sl_stream_swallow(stream, (size_t)n);
    return;
  }
  if (stream->codec != NULL) {
    sl_stream_decode(stream, buffer->base, (size_t)n);
    return;
  }
  if (buffer->base != stream->flusher->scratch) {
    in->len += (size_t)n;
  } else if (!sl_bytes_append(in, buffer->base, (size_t)n)) {
    sl_stream_end_reading(stream, UV_ENOMEM);
    return;
  }
  if ((size_t)n == buffer->len && stream->chunk < LAST_CHUNK)
    stream->chunk *= 2;
  sl_stream_received(stream);
}

static void start_reading(struct sl_stream *stream) {
  int error;
  if (stream->reading || stream->end != 0) return;
  error = uv_read_start(&stream->handle.uv.stream, on_alloc, on_read);
  if (error == 0)
    stream->reading = true;
  else
    stream->end = error;
}

void sl_stream_listen(struct sl_stream *stream) { start_reading(stream); }

void sl_stream_trim(struct sl_stream *stream) {
  if (stream->in.len == 0) sl_bytes_trim(&stream->in, 0);
  if (stream->out.len == 0) sl_bytes_trim(&stream->out, 0);
  if (stream->sending.len == 0 && stream->slice == 0)
    sl_bytes_trim(&stream->sending, 0);
  if (stream->codec != NULL && stream->codec->wire.len == 0)
    sl_bytes_trim(&stream->codec->wire, 0);
}

/* As read(2), and again if a signal interrupts it. */
static ssize_t read_now(uv_os_fd_t fd, char *to, size_t len) {
  ssize_t n;
  do n = read(fd, to, len);
  while (n < 0 && errno == EINTR);
  return n;
}

void sl_stream_try_read(struct sl_stream *stream) {
  uv_os_fd_t fd;
  uv_buf_t buffer;
  ssize_t n;
  if (stream->end != 0 || stream->in.len >= SL_STREAM_HIGH) return;
  if (uv_fileno(&stream->handle.uv.any, &fd) != 0) return;
  on_alloc(&stream->handle.uv.any, 0, &buffer);
  if (buffer.base == NULL) return;
  n = read_now(fd, buffer.base, buffer.len);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n < 0) n = uv_translate_sys_error(errno);
  on_read(&stream->handle.uv.stream, n == 0 ? UV_EOF : n, &buffer);
}

void sl_stream_consume(struct sl_stream *stream, size_t n) {
  sl_bytes_consume(&stream->in, n);
  stream->scanned = 0;
  if (stream->in.len == 0) sl_bytes_trim(&stream->in, KEEP * 2);
}

int sl_stream_park_reader_k(lua_State *L, struct sl_stream *stream,
                            struct sl_task *task, size_t want,
                            const struct sl_wait_kind *kind,
                            uint64_t timeout_ns, lua_KFunction k) {
  if (!sl_list_empty(&stream->readers))
    return luaL_error(L, "another task is reading this stream");
  stream->want = want;
  start_reading(stream);
  if (stream->end != 0) return sl_wait_yield_k(L, task, k);
  return sl_wait_park_k(L, task, &stream->readers, kind, stream, timeout_ns,
                        k);
}

/* -- writing -- */

static void on_written(uv_write_t *request, int status);

/* uv_buf_init would cut a length of more than 32 bits. */
static uv_buf_t buffer_of(const char *data, size_t len) {
  uv_buf_t buffer;
  buffer.base = (char *)data;
  buffer.len = len;
  return buffer;
}

/* Nothing can be written any more: what is queued is lost. */
void sl_stream_break_writing(struct sl_stream *stream, int why) {
  if (stream->broken == 0) stream->broken = why;
  sl_bytes_clear(&stream->out);
  if (stream->slice == 0) sl_bytes_clear(&stream->sending);
  if (stream->codec != NULL) sl_bytes_clear(&stream->codec->wire);
  if (stream->ended != NULL) stream->ended(stream);
  wake_all(&stream->writers);
  wake_all(&stream->finishers);
}

/* Makes what is queued what is being sent. */
static void fill_sending(struct sl_stream *stream) {
  struct sl_bytes empty = stream->sending, *from = &stream->out;
  if (stream->codec != NULL) {
    sl_stream_fill_wire(stream);
    from = &stream->codec->wire;
  }
  stream->sending = *from;
  *from = empty;
}

void sl_stream_start_write(struct sl_stream *stream) {
  struct sl_bytes *sending = &stream->sending;
  uv_buf_t buffer;
  int error;
  if (sending->len == 0) fill_sending(stream);
  if (sending->len == 0) return; /* the codec has not begun, or failed */
  buffer = buffer_of(sending->data,
                     sending->len < SLICE ? sending->len : SLICE);
  error = uv_write(&stream->request.write, &stream->handle.uv.stream,
                   &buffer, 1, on_written);
  if (error < 0) {
    sl_stream_break_writing(stream, error);
    return;
  }
  stream->slice = buffer.len;
  stream->handle.loop->nremote++;
}

size_t sl_stream_unwritten(const struct sl_stream *stream) {
  return sl_stream_queued(stream) - stream->slice +
         uv_stream_get_write_queue_size(&stream->handle.uv.stream);
}

static void on_fin_sent(uv_shutdown_t *request, int status) {
  struct sl_stream *stream = stream_of(request->handle);
  stream->handle.loop->nremote--;
  if (stream->state == SL_STREAM_CLOSED) return;
  stream->fin_sent = true;
  if (status < 0) sl_stream_break_writing(stream, status);
  wake_all(&stream->finishers);
  step_close(stream);
}

/* All that was queued is written or lost. */
static void drained(struct sl_stream *stream) {
  if (stream->ending && stream->broken == 0 && !stream->fin_sent) {
    int error = uv_shutdown(&stream->request.fin, &stream->handle.uv.stream,
                            on_fin_sent);
    if (error == 0) stream->handle.loop->nremote++;
    if (error < 0) sl_stream_break_writing(stream, error);
  }
  step_close(stream);
}

static void on_written(uv_write_t *request, int status) {
  struct sl_stream *stream = stream_of(request->handle);
  stream->handle.loop->nremote--;
  sl_bytes_consume(&stream->sending, stream->slice);
  stream->slice = 0;
  if (stream->sending.len == 0) sl_bytes_trim(&stream->sending, KEEP);
  if (stream->state == SL_STREAM_CLOSED) return;
  if (status < 0)
    sl_stream_break_writing(stream, status);
  else if (sl_stream_queued(stream) > 0)
    sl_stream_start_write(stream);
  if (!sl_stream_above(stream)) wake_all(&stream->writers);
  if (stream->slice == 0) drained(stream);
}

size_t sl_stream_try_write(struct sl_stream *stream, const char *data,
                           size_t len) {
  uv_buf_t buffer = buffer_of(data, len);
  int n = uv_try_write(&stream->handle.uv.stream, &buffer, 1);
  if (n >= 0) return (size_t)n;
  if (n != UV_EAGAIN) sl_stream_break_writing(stream, n);
  return 0;
}

void sl_stream_flush(struct sl_stream *stream) {
  struct sl_bytes *out = &stream->out;
  if (sl_link_linked(&stream->pending)) sl_link_unlink(&stream->pending);
  if (stream->slice > 0) return; /* on_written goes on */
  if (stream->codec != NULL) {
    sl_stream_encode_out(stream);
    return;
  }
  if (out->len == 0) return;
  if (stream->broken == 0)
    sl_bytes_consume(out, sl_stream_try_write(stream, out->data, out->len));
  if (stream->broken != 0)
    sl_bytes_clear(out);
  else if (out->len > 0)
    sl_stream_start_write(stream);
  else
    sl_bytes_trim(out, KEEP);
}

void sl_stream_send(struct sl_stream *stream, const char *data, size_t len) {
  if (stream->broken != 0) return;
  if (stream->out.len == 0 && stream->slice == 0) {
    size_t n = stream->codec == NULL
                   ? sl_stream_try_write(stream, data, len)
                   : sl_stream_encode(stream, data, len);
    data += n;
    len -= n;
  }
  if (stream->broken != 0 || len == 0) return;
  /* Some of it may have gone out, so there is no way back. */
  if (!sl_bytes_append(&stream->out, data, len))
    sl_stream_break_writing(stream, UV_ENOMEM);
  else
    sl_stream_flush(stream);
}

static const struct sl_wait_kind write_kind = {"Stream:write", NULL, NULL,
                                               NULL};

int sl_stream_park_writer_k(lua_State *L, struct sl_stream *stream,
                            struct sl_task *task, uint64_t timeout_ns,
                            lua_KFunction k) {
  return sl_wait_park_k(L, task, &stream->writers, &write_kind, stream,
                        timeout_ns, k);
}

void sl_stream_finish(struct sl_stream *stream) {
  if (stream->ending) return;
  stream->ending = true;
  if (stream->codec != NULL) sl_stream_finish_codec(stream);
  sl_stream_flush(stream);
  if (stream->slice == 0) drained(stream);
}

/* -- the end -- */

/* FLUSHING and DRAINING: goes on as far as it can. */
static void step_close(struct sl_stream *stream) {
  if (stream->state == SL_STREAM_FLUSHING && stream->slice == 0) {
    if (stream->gentle && stream->broken == 0 && stream->end == 0) {
      if (!stream->fin_sent) return; /* on_fin_sent comes here again */
      stream->state = SL_STREAM_DRAINING;
      set_deadline(stream, DRAIN_NS);
      start_reading(stream);
      if (stream->end == 0) return;
    }
    stream->state = SL_STREAM_CLOSED;
  }
  if (stream->state == SL_STREAM_DRAINING && stream->end != 0)
    stream->state = SL_STREAM_CLOSED;
  if (stream->state == SL_STREAM_CLOSED) sl_handle_close(&stream->handle);
}

void sl_stream_close(struct sl_stream *stream, enum sl_stream_ending how) {
  bool at_once = how == SL_CLOSE_NOW || how == SL_CLOSE_RESET;
  bool gentle = how == SL_CLOSE_GENTLY ||
                (how == SL_CLOSE_FLUSHED && sl_stream_lingers(stream));
  if (stream->state != SL_STREAM_OPEN) return;
  sl_handle_part(&stream->handle);
  stream->arrived = NULL;
  stream->ended = NULL;
  wake_all(&stream->readers);
  wake_all(&stream->connectors);
  wake_all(&stream->writers);
  wake_all(&stream->finishers);
  stop_reading(stream);
  if (!at_once) {
    if (stream->codec != NULL) sl_stream_finish_codec(stream);
    sl_stream_flush(stream);
  }
  stream->gentle = gentle;
  if (at_once || !stream->reserved ||
      stream->handle.loop->clock == NULL || (!gentle && stream->slice == 0)) {
    if (how == SL_CLOSE_RESET ||
        (at_once && sl_stream_unwritten(stream) > 0))
      forsake(stream);
    stream->state = SL_STREAM_CLOSED;
    sl_handle_close(&stream->handle);
    return;
  }
  stream->state = SL_STREAM_FLUSHING;
  set_deadline(stream, FLUSH_NS);
  if (gentle) sl_stream_finish(stream);
  step_close(stream);
}
