/*
** store_memory.h: the engine `memory:`: jobs that live as long as their
** store.
**
** The one idea: it is what jobs.md says a queue does, and nothing else: no
** disk, no thread, no clock of its own. What is due is put right (settled)
** when an operation touches its queue, or when an operation that waits asks
** again at the time it was told.
**
** Pure C.
*/
#ifndef SL_STORE_MEMORY_H
#define SL_STORE_MEMORY_H

#include "store_engine.h"

extern const struct sl_engine_class sl_memory_engine;

#endif
