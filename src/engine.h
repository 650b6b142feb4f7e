/*
** engine.h: what a library that does its own input and output offers the
** loop, and what the loop does for it.
**
** The one idea: an engine (libcurl's multi interface is one) knows which
** descriptors and which timer it needs and what to do when they are ready;
** the loop knows how to wait. Each calls the other through a struct of
** function pointers, so that neither is linked to the other: the engine
** never sees libuv or a task, the core never sees the library.
**
** A task waits at a slot, which is the beginning of a userdata of the
** engine's. The engine wakes it when something has changed there; the task
** then looks what. A wake that finds nobody is kept for the next wait.
**
** Pure C. Owns nothing.
*/
#ifndef SL_ENGINE_H
#define SL_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

enum { SL_READABLE = 1, SL_WRITABLE = 2 };

struct sl_class;

struct sl_slot {
  const struct sl_class *class; /* of the userdata that this begins */
  struct sl_link waiters;       /* the core's; at most one */
  bool signalled;               /* woken while nobody waited */
};

/* What the core does for an engine. None of these calls back. */
struct sl_host {
  /* The descriptor is the engine's until it says `forget`: it may stay
     registered while nothing is wanted of it, which saves system calls. */
  bool (*keep)(struct sl_host *host, int fd);
  /* Wants on_ready for these events, 0 for none. A descriptor that is not
     kept is forgotten at 0. False: no memory. */
  bool (*watch)(struct sl_host *host, int fd, int events);
  /* Before a descriptor is closed. */
  void (*forget)(struct sl_host *host, int fd);
  /* Wants on_timeout once, not before so many milliseconds; -1: not. */
  void (*set_timer)(struct sl_host *host, long ms);
  void (*wake)(struct sl_host *host, struct sl_slot *slot);
  /* The loop's clock, real or virtual. */
  uint64_t (*now_ns)(struct sl_host *host);
  /* The engine ends: it is not called any more, and calls no more. */
  void (*part)(struct sl_host *host);
};

/* What an engine does for the core, which calls it from the loop only. */
struct sl_engine {
  struct sl_host *host; /* set by the core; NULL: it has none, or had one */
  const struct sl_class *slot_class;
  const char *what; /* its tasks wait for, for the dump: "HTTP response" */
  void (*on_ready)(struct sl_engine *engine, int fd, int events);
  void (*on_timeout)(struct sl_engine *engine);
};

/* The field of an engine's metatable that tells where in its userdata the
   struct is: a light userdata that points at a size_t. */
#define SL_ENGINE_FIELD "__engine"

static inline void sl_slot_init(struct sl_slot *slot) {
  sl_link_init(&slot->waiters);
  slot->signalled = false;
}

#endif
