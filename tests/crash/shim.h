/*
** shim.h: what stands between a process and its files in the crash tests.
**
** A shared object to be preloaded. Of files whose path begins with
** CRASH_FILES it can trace each change, refuse the n-th, or end or stop the
** process there; and it can take a protection of the store away, for the
** controls, which must fail. What it does is said in the environment:
**
**   CRASH_FILES=PREFIX  as the paths are opened; nothing is touched without
**   CRASH_TRACE=FILE    each change is appended to it (trace.c)
**   CRASH_FAULT=KIND:N[+]:WHAT   at the N-th call of a kind (+: and after it)
**       KIND  write, sync; any of both; dir: a sync of the directory; lock:
**             the lock of writers, once it is held
**       WHAT  EIO, ENOSPC; LIE: a sync that is not done is told to be;
**             KILL; TEAR: half of a write, then KILL; STOP
**   CRASH_SYNC=off      fsync does nothing; CRASH_SYNC=MS: it takes so long
**   CRASH_FLOCK=off     flock does nothing
**   CRASH_LIVES=always  whoever is asked for holds his lock of a byte
**   CRASH_COMMIT=late   SQLite's COMMIT is told at once and done later
**   CRASH_CLOCK=FILE    has the nanoseconds, as int64, that the clock of the
**                       machine is ahead; not the clocks that never jump
**   CRASH_JUMPS=boot    but the clock since the machine's start, too
**   CRASH_BOOT=FILE     is read in place of the id of the machine's start
**
** Owns nothing that outlives the process.
*/
#ifndef CRASH_SHIM_H
#define CRASH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next object's function of that name. */
void *crash_next(const char *name);
#define CRASH_NEXT(name) ((__typeof__(&name))crash_next(#name))

/* -- trace.c -- */

/* The part of a path behind CRASH_FILES; "/" for their directory; NULL if it
   is none of those files. */
const char *crash_name(const char *path);

/* What a descriptor is of those files, or NULL. */
const char *crash_file(int fd);
void crash_opened(int fd, const char *path);
void crash_closed(int fd);

/* One change at a time, from here to crash_done. */
void crash_begin(void);
void crash_done(void);

/* Traces a change: W write, T size, A allocated, S synced, D the directory
   synced, E not synced after all, C created, U removed, R renamed to. */
void crash_trace(char kind, const char *name, uint64_t offset,
                 const void *data, size_t len);

/* -- fault.c -- */

enum crash_kind { CRASH_WRITE, CRASH_SYNC, CRASH_DIR, CRASH_LOCK };

enum { CRASH_LIE = -1 };

/* Counts a call. Returns 0, an errno to fail with, or CRASH_LIE (for a sync);
   may not return. If half of a write is to be done first, *half is set, and
   the caller calls crash_die afterwards. */
int crash_fault(enum crash_kind kind, const char *name, bool *half);
void crash_die(void) __attribute__((noreturn));

#endif
