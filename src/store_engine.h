/*
** store_engine.h: what an engine of a job store in C is to its host.
**
** The one idea: the host (store.c) has the tasks, the loop and the thread;
** the engine has the jobs. The host gathers operations and hands them over a
** batch at a time; the engine carries them out in order of arrival and makes
** them last, all at once. An operation never fails because of another in
** its batch. Operations that found nothing (reserve, drain) stay with the
** host and are shown to the engine again with each batch.
**
**   enter   locks out other processes, may block for long
**   run     applies operations, commits; after that they are told
**   leave   lets others in, tells them
**
** An engine runs in the loop's thread (inline) or in one of its own; its
** functions are never called by two threads at once. It knows no Lua.
**
** Pure C: an engine in another module includes this and store_op.h.
*/
#ifndef SL_STORE_ENGINE_H
#define SL_STORE_ENGINE_H

#include "store_op.h"

#define SL_ENGINE_VERSION 1
/* The metatable's name, in the registry, of the userdata in which a module
   hands over a `const struct sl_engine_class *`. */
#define SL_ENGINE_TYPE "sluice.store_engine"

struct sl_engine_config {
  const char *path;  /* of the file; NULL: none */
  bool durable;      /* a commit survives a power cut */
  int64_t offset_ns; /* inline: the time since 1970 less the host's time */
};

struct sl_engine_error {
  char code[24]; /* as libuv's names: "EACCES" */
  char message[200];
};

struct sl_engine;

/* A function that is NULL does nothing and tells no. */
struct sl_engine_class {
  uint32_t version; /* SL_ENGINE_VERSION */
  const char *name;
  bool threaded; /* it blocks, so it gets a thread of its own */

  /* NULL: `error` says why. In the engine's thread. */
  struct sl_engine *(*open)(const struct sl_engine_config *config,
                            struct sl_engine_error *error);
  void (*close)(struct sl_engine *engine);

  /* Before run: `writes` tells whether anything may be changed. False: the
     operations fail as UNAVAILABLE, with the message. */
  bool (*enter)(struct sl_engine *engine, bool writes, const char **message);

  /* Applies `ops` in order, then those of `waiting` that may find something
     now. Afterwards `ops` has those that are finished, of both, and `waiting`
     the others, with retry_ns. now_ns is the host's time: inline, the loop's
     clock; in a thread, CLOCK_MONOTONIC. */
  void (*run)(struct sl_engine *engine, struct sl_link *ops,
              struct sl_link *waiting, int64_t now_ns);
  void (*leave)(struct sl_engine *engine);

  /* Whether to run although there is no new operation: something that waits
     may find something, or there is work of the engine's own. */
  bool (*ripe)(struct sl_engine *engine, struct sl_link *waiting,
               int64_t now_ns);
  /* When to ask that again at the latest, in the host's time; INT64_MAX. What
     the operations that wait have as retry_ns is seen to by the host. */
  int64_t (*wake_ns)(struct sl_engine *engine);

  /* A descriptor that becomes readable when to ask at once, or -1; heard
     clears it. Threaded engines only. */
  int (*fd)(struct sl_engine *engine);
  void (*heard)(struct sl_engine *engine);

  /* The time since 1970 on the engine's clock. Any thread, any time. */
  int64_t (*now)(struct sl_engine *engine, int64_t now_ns);
};

#endif
