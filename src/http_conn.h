/*
** http_conn.h: one connection of a server: requests in, answers out.
**
** The one idea: a connection is driven by the one task that serves it:
** `next` waits for a request, the handler runs in the same task and may ask
** for the body, `respond` appends the answer to the stream's buffer. Nothing
** is written until the requests that have arrived are used up (or the loop
** is about to ask the kernel), so that the answers of one read go out in one
** write.
**
**             next: a head              respond
**   WAITING ────────────────► ASKED ──────────────────► ANSWERED
**      ▲                        └── start ─► SENDING ── finish ─┘ │
**      └──────── next: what is left of the body was passed over ──┘
**
** A connection that waits for long rests: it has no task, and its buffers
** are freed, so that ten thousand of them cost little. What arrives, or its
** time being up, rouses it: a task is to serve it again (http_settings.c).
**
** Owns the parser, and a deadline that is moved without touching the clock:
** it is armed early and looks when it fires. The stream's box and the
** settings are kept in the user values. Knows no routes.
*/
#ifndef SL_HTTP_CONN_H
#define SL_HTTP_CONN_H

#include "http_parser.h"
#include "http_response.h"
#include "stream.h"

/* What all connections of an application share, and those of them that no
   task serves. Its user value is a table that keeps these. */
struct sl_http_settings {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link resting; /* without a request, and without a task */
  struct sl_link roused;  /* of those, who need a task again */
  struct sl_link waiters; /* parked until one was roused */
  bool closed;            /* nobody will wait for them again */
  struct sl_http_limits limits;
  uint64_t head_ns;  /* from the first byte of a head to its last */
  uint64_t idle_ns;  /* without a request */
  uint64_t body_ns;  /* between two pieces of a body */
  uint64_t total_ns; /* for the whole of a body */
  uint64_t write_ns; /* in which the peer must take some of an answer */
  struct sl_http_date date;
};

enum sl_http_conn_state {
  SL_HTTP_WAITING,
  SL_HTTP_ASKED,
  SL_HTTP_SENDING,
  SL_HTTP_ANSWERED
};

struct sl_http_conn {
  const struct sl_class *class;
  struct sl_loop *loop; /* a reference of it, while reserved */
  struct sl_box *box;   /* of the stream */
  struct sl_http_settings *settings;
  struct sl_task *task; /* that serves it; NULL: none yet */
  struct sl_deadline deadline;
  uint64_t armed_ns;      /* when it fires, while it is armed */
  uint64_t due_ns;        /* when the wait for bytes is given up, and */
  uint64_t write_due_ns;  /* that for the peer to take some; SL_NEVER: not */
  uint64_t idle_due_ns;   /* when it was idle too long, 0: not idle */
  uint64_t head_due_ns;   /* when the head must be whole, 0: no byte yet */
  uint64_t body_due_ns;   /* when the body must be whole, 0: not asked for */
  lua_Integer serial;     /* of the request in work */
  size_t sent;            /* bytes of a long body */
  size_t unwritten;       /* bytes, when the wait for them began */
  struct sl_bytes piece;  /* of a streamed body, not yet read */
  uint8_t state;          /* enum sl_http_conn_state */
  uint8_t framing;        /* while SENDING: enum sl_http_framing */
  uint64_t left;          /* while SENDING by length: bytes to come */
  struct sl_link rest;    /* among those who rest or were roused */
  bool resting;           /* no task serves it */
  bool reserved;          /* the clock has room for the deadline */
  bool closing;           /* there is no next request */
  bool stopping;          /* the server is: answers say so */
  bool told_continue;
  bool gone;              /* the client left before its answer */
  int refused;            /* status that the body was refused with, or 0 */
  struct sl_http_parser parser;
};

/* The user values that keep what it points at. */
enum { SL_HTTP_STREAM = 1, SL_HTTP_SETTINGS, SL_HTTP_TASK };

extern const struct sl_class sl_http_conn_class;
extern const struct sl_class sl_http_settings_class;

/* Makes the classes, and the module "sluice.core.http". */
void sl_http_open(lua_State *L, struct sl_loop *loop);

/* What http_body.c, http_answer.c, http_gone.c and http_tables.c add. */
extern const luaL_Reg sl_http_body_methods[];
extern const luaL_Reg sl_http_answer_methods[];
extern const luaL_Reg sl_http_gone_methods[];
extern const luaL_Reg sl_http_functions[];

void sl_http_settings_open(lua_State *L, struct sl_loop *loop);
int sl_http_settings_new(lua_State *L);

void sl_http_form_open(lua_State *L, struct sl_loop *loop);
void sl_http_spool_open(lua_State *L, struct sl_loop *loop);

/* Functions of scripts, in their files. */
int sl_http_form_new(lua_State *L);
int sl_http_spool_new(lua_State *L);
int sl_http_file_open(lua_State *L);
int sl_http_system_error(lua_State *L);

/* conn:rest() of scripts. */
int sl_http_conn_rest(lua_State *L);

/* A task is to serve a connection that rests. No Lua. */
void sl_http_conn_rouse(struct sl_http_conn *conn);

/* Has the wait for bytes given up at due_ns. */
void sl_http_conn_set_due(struct sl_http_conn *conn, uint64_t due_ns);

static inline struct sl_http_conn *sl_http_conn_check(lua_State *L) {
  return sl_check(L, 1, &sl_http_conn_class);
}

/* NULL if it is closed. */
static inline struct sl_stream *sl_http_stream_of(
    const struct sl_http_conn *conn) {
  return sl_stream_of(conn->box);
}

/* Whether nobody is there to take an answer. */
static inline bool sl_http_broken(const struct sl_stream *stream) {
  return stream->broken != 0 || (stream->end != 0 && stream->end != UV_EOF);
}

/* Where a call that is about the request in work notes which one it is: when
   it goes on after a wait, another may be. */
enum { SL_HTTP_SERIAL = 3 };

/* First in such a call, which may be begun anew after a pause. */
static inline void sl_http_conn_note(lua_State *L,
                                     const struct sl_http_conn *conn) {
  if (lua_gettop(L) == SL_HTTP_SERIAL) return;
  lua_settop(L, SL_HTTP_SERIAL - 1);
  lua_pushinteger(L, conn->serial);
}

/* Whether the call is about the request in work still. */
static inline bool sl_http_conn_is_current(lua_State *L,
                                           const struct sl_http_conn *conn) {
  return lua_tointeger(L, SL_HTTP_SERIAL) == conn->serial &&
         (conn->state == SL_HTTP_ASKED || conn->state == SL_HTTP_SENDING);
}

/* Feeds the parser with what has arrived. The piece of a streamed body is in
   conn->piece, if `keep`. */
enum sl_http_event sl_http_conn_feed(struct sl_http_conn *conn,
                                     struct sl_stream *stream, bool keep);

/* Feeds all that has arrived of the body in work, which is collected or, of a
   streamed body, in conn->piece. */
enum sl_http_event sl_http_conn_gather(struct sl_http_conn *conn,
                                       struct sl_stream *stream);

/* Whether a request has no answer yet, or not all of it. */
static inline bool sl_http_conn_owes(const struct sl_http_conn *conn) {
  return conn->state == SL_HTTP_ASKED || conn->state == SL_HTTP_SENDING;
}

/* When the wait for more of a request's body is given up. */
uint64_t sl_http_conn_body_due(struct sl_http_conn *conn);

/* Whether the client waits to be told that it may send its body. */
bool sl_http_conn_expects(const struct sl_http_conn *conn);

/* Parks until something has arrived or due_ns has passed (SL_TIMED_OUT). */
int sl_http_conn_park_k(lua_State *L, struct sl_http_conn *conn,
                        struct sl_stream *stream, struct sl_task *task,
                        uint64_t due_ns, lua_KFunction k);

/* Parks until little enough is queued; gives up when the peer takes nothing
   for the write time. */
int sl_http_conn_drain_k(lua_State *L, struct sl_http_conn *conn,
                         struct sl_stream *stream, struct sl_task *task,
                         lua_KFunction k);

/* In a continuation of those: what it came to. */
enum sl_wake sl_http_conn_outcome(lua_State *L, struct sl_http_conn *conn,
                                  struct sl_task *task);

/* Appends the answer to a request that is refused; there is no next one. */
void sl_http_conn_refuse(struct sl_http_conn *conn, struct sl_stream *stream,
                         int status);

/* Has the task, which serves the connection at 1, cancelled when the client
   goes away while a request is in work. */
void sl_http_conn_watch(lua_State *L, struct sl_http_conn *conn,
                        struct sl_stream *stream, struct sl_task *task);
/* No task serves it any more. */
void sl_http_conn_unwatch(lua_State *L, struct sl_http_conn *conn,
                          struct sl_stream *stream);

/* The date of now. */
const struct sl_http_date *sl_http_conn_date(struct sl_http_conn *conn);

#endif
