/*
** sqlite_files.h: the files beside a store's database.
**
**   NAME-lock     held by who writes: SQLite's own waiting is not fair, and
**                 no two processes may write and checkpoint at once
**   NAME-notify   each process holds the lock of one byte of it, which the
**                 kernel drops when it dies, and writes to it after a commit
**                 that others may wait for; it is watched for both
**   NAME-ballast  space to give up when the disk is full
**
** The one idea: what the kernel does when a process is killed, it does at
** once: locks are dropped, and closing the notify file is an event.
**
** Owns the descriptors. Knows no SQLite.
*/
#ifndef SL_SQLITE_FILES_H
#define SL_SQLITE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "../store_engine.h"

/* What is in the notify file: who wrote it, and how many before it. */
struct sl_lite_notice {
  int64_t owner;
  uint64_t number;
};

struct sl_lite_files {
  char *ballast_path;
  int lock;
  int notify;
  int watch; /* of inotify; -1: there is none */
  uint64_t notices; /* that were written */
  int64_t owner;    /* whose byte is held, 0: none */
  struct sl_lite_notice seen; /* the last that was looked at */
};

/* What the watch has told. */
struct sl_lite_news {
  bool commit; /* of another process */
  bool death;  /* perhaps */
};

/* Opens them beside the database at `path`. False: `error` says why, and
   nothing is open. */
bool sl_lite_files_open(struct sl_lite_files *files, const char *path,
                        struct sl_engine_error *error);
void sl_lite_files_close(struct sl_lite_files *files);

/* Makes the names of the files in the database's directory last. SQLite has
   tried, but takes no notice when that fails. */
bool sl_lite_sync_directory(const char *path, struct sl_engine_error *error);

/* Waits for the lock of writers, in turn. False: errno. */
bool sl_lite_lock(struct sl_lite_files *files);

/* Takes it if nobody has it. */
bool sl_lite_try_lock(struct sl_lite_files *files);
void sl_lite_unlock(struct sl_lite_files *files);

/* Holds the byte of an owner, until the process ends. False: errno; others
   would take this process for dead. */
bool sl_lite_claim(struct sl_lite_files *files, int64_t owner);

/* Whether the process that claimed that owner's byte lives. */
bool sl_lite_lives(const struct sl_lite_files *files, int64_t owner);

/* Tells other processes of a commit. */
void sl_lite_notify(struct sl_lite_files *files);

/* Reads what the watch has. */
struct sl_lite_news sl_lite_heard(struct sl_lite_files *files);

/* Where there is no watch: whether another process has told of a commit since
   this was asked last. */
bool sl_lite_look(struct sl_lite_files *files);

/* Takes up the space to give up. False: there is none; where it cannot be
   taken for another reason, there is nothing to give up. */
bool sl_lite_ballast_make(const struct sl_lite_files *files);
bool sl_lite_ballast_is_there(const struct sl_lite_files *files);
void sl_lite_ballast_drop(const struct sl_lite_files *files);

/* The name of an errno as libuv's: "EACCES". */
void sl_lite_fail_errno(struct sl_engine_error *error, const char *what,
                        int number);

#endif
