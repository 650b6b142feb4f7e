/*
** store_thread.h: the thread of a store whose engine blocks.
**
** The one idea: calls change hands twice, under one mutex: to the thread's
** list of those pending, all that were posted since the loop last asked the
** kernel, and back when their batch is committed, which a uv_async tells. As
** long as the engine waits for its lock, a call can be taken back.
**
** The thread sleeps in poll, on a descriptor that a post writes to if it
** sleeps, on the engine's own, and until the engine or an operation that
** waits wants it. It outlives the loop if it must: a thread that hangs in
** the kernel is left to the end of the process.
*/
#ifndef SL_STORE_THREAD_H
#define SL_STORE_THREAD_H

#include "handle.h"
#include "store.h"

/* Starts the thread, which opens the engine; sl_store_opened tells. Returns
   0, or an error of libuv, then nothing has changed. */
int sl_store_thread_start(struct sl_store *store, struct sl_memory memory,
                          const struct sl_engine_config *config);

void sl_store_thread_post(struct sl_store_thread *thread,
                          struct sl_call *call);

/* Hands over what was posted now, not when the loop asks the kernel. */
void sl_store_thread_flush(struct sl_store_thread *thread);

/* Takes back a call that has had no effect. False: it may have one by now,
   or is being tried, and will be finished soon. */
bool sl_store_thread_withdraw(struct sl_store_thread *thread,
                              struct sl_call *call, enum sl_wake why);

/* Whether the loop is kept running by the store. */
void sl_store_thread_hold(struct sl_store_thread *thread, bool held);

/* The engine's clock. */
int64_t sl_store_thread_now(struct sl_store_thread *thread);

/* Ends it when what is pending is done; sl_store_ended tells. */
void sl_store_thread_end(struct sl_store_thread *thread);

/* Ends it now, and waits for that, but not for ever. */
void sl_store_thread_stop(struct sl_store_thread *thread);

#endif
