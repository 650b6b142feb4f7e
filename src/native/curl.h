/*
** curl.h: libcurl as an engine (../engine.h): transfers that go on while
** tasks wait for them.
**
** The one idea: libcurl's callbacks only move bytes between its buffers and a
** transfer's, note what happened, and wake the transfer's slot; Lua looks at
** the transfer afterwards. A callback that can take no more, or has nothing
** to send, pauses its transfer, and the next read or send goes on with it.
**
**            head, body, wants data           finished, failed
**   RUNNING ─────────────────────────► … ─────────────────────► DONE
**      └───────────────── close, collection ─────────────────► CLOSED
**
** A multi owns libcurl's connections; a transfer owns its easy handle while
** it runs, and is taken off the multi outside of all callbacks. Redirects,
** limits of connections and deadlines are not known here: that is Lua's.
*/
#ifndef SL_CURL_H
#define SL_CURL_H

#include <curl/curl.h>

#include "../bytes.h"
#include "../engine.h"
#include "../lx.h"

enum {
  SL_CURL_EASIES = 64,        /* easy handles kept for the next transfers */
  SL_CURL_HIGH = 65536,       /* bytes of a streamed body not yet read */
  SL_CURL_HEAD = 262144,      /* bytes of all heads of a transfer */
  SL_CURL_FIELDS = 2000,      /* lines of all heads of a transfer */
  SL_CURL_SKIP = 65536        /* bytes of a body that is not wanted */
};

/* What libcurl's connections are kept in: a client's. */
struct sl_curl_multi {
  const struct sl_class *class;
  struct sl_engine engine;
  CURLM *multi;   /* NULL: closed */
  CURLSH *share;  /* its cookies; NULL: it keeps none */
  struct sl_link transfers; /* that run */
  CURL *easies[SL_CURL_EASIES];
  int neasies;
};

enum sl_curl_state { SL_CURL_RUNNING, SL_CURL_DONE, SL_CURL_CLOSED };

/* Why a callback of ours ended the transfer. */
enum sl_curl_stop {
  SL_CURL_NO_STOP,
  SL_CURL_TOO_BIG,   /* the body */
  SL_CURL_TOO_LONG,  /* the head */
  SL_CURL_NO_MEMORY,
  SL_CURL_LOST,      /* it may have been acted upon: no second try */
  SL_CURL_SKIPPED    /* the rest of a body that is not wanted: no failure */
};

/* User values: 1 the multi, 2 what is being sent. */
struct sl_curl_transfer {
  struct sl_slot slot;      /* first */
  struct sl_link link;      /* in multi->transfers while it runs */
  struct sl_curl_multi *multi;
  CURL *easy;               /* NULL once it is CLOSED */
  struct curl_slist *headers;
  struct sl_bytes head;     /* the last one; whole if head_done */
  struct sl_bytes body;     /* received and not yet taken */
  size_t heads;             /* bytes of all heads so far */
  size_t fields;            /* lines of them */
  uint64_t received;        /* bytes of the body so far, decoded */
  uint64_t max_body;
  const char *out;          /* what is left of the piece being sent */
  size_t out_len;
  uint64_t active_ns;       /* when a byte last came or went */
  uint64_t sent;            /* bytes that were gone when last asked */
  CURLcode result;          /* once it is DONE */
  int socket_errno;         /* why it could not have a socket, or 0 */
  enum sl_curl_state state;
  enum sl_curl_stop stop;
  bool streams;   /* pieces of the body are taken as they come */
  bool bare;      /* HEAD: no body comes, whatever is announced */
  bool follows;   /* the body of a redirect is not wanted */
  bool once;      /* sent twice it may do harm */
  bool connected; /* the connection is there, TLS and all */
  bool head_done;
  bool skips;     /* what comes of the body is not wanted */
  bool receive_paused;
  bool send_paused; /* it wants data to send */
  bool out_ended;   /* there is no more after out */
  bool kept;        /* __close does nothing */
  char error[CURL_ERROR_SIZE];
};

extern const struct sl_class sl_curl_multi_class;
extern const struct sl_class sl_curl_transfer_class;

/* -- curl.c -- */

/* Takes a finished, or unfinished, transfer off its multi. Calls no
   callback of the transfer's. */
void sl_curl_detach(struct sl_curl_transfer *transfer);

void sl_curl_wake(struct sl_curl_transfer *transfer);

/* -- curl_transfer.c -- */

/* multi:start(options): a running transfer; or nil, message, code. */
int sl_curl_start(lua_State *L);

/* Nothing more comes or goes: frees the easy handle. No Lua. */
void sl_curl_end(struct sl_curl_transfer *transfer);

void sl_curl_transfer_open(lua_State *L);

/* -- curl_options.c -- */

/* Gives the easy handle what the table at 2 says. Throws: memory, a field of
   the wrong type. */
CURLcode sl_curl_set_options(lua_State *L, struct sl_curl_transfer *transfer);

/* -- curl_callbacks.c -- */

/* Has libcurl call the transfer, and its multi for its sockets. */
void sl_curl_set_callbacks(struct sl_curl_transfer *transfer);

/* -- curl_error.c -- */

/* Pushes nil, message, code for a transfer that failed. */
int sl_curl_fail(lua_State *L, const struct sl_curl_transfer *transfer);
int sl_curl_fail_code(lua_State *L, CURLcode code);

#endif
