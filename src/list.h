/*
** list.h: an intrusive ring of links.
**
** The one idea: a struct that can be in a list carries the link itself, so
** that linking and unlinking allocate nothing, cannot fail and take constant
** time. A list is a link that stands for both ends; an unlinked link points
** at itself, so that unlinking twice is harmless and "is it in a list?" is
** one comparison.
**
** Pure C. Owns nothing; never follows a link it was not given.
*/
#ifndef SL_LIST_H
#define SL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct sl_link {
  struct sl_link *next;
  struct sl_link *prev;
};

/* The struct that holds `link` as its member `member`. */
#define sl_container(link, type, member) \
  ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void sl_link_init(struct sl_link *link) {
  link->next = link;
  link->prev = link;
}

static inline bool sl_link_linked(const struct sl_link *link) {
  return link->next != link;
}

static inline bool sl_list_empty(const struct sl_link *list) {
  return list->next == list;
}

/* Appends `link`, which must be unlinked. */
static inline void sl_list_push(struct sl_link *list, struct sl_link *link) {
  struct sl_link *last = list->prev;
  link->next = list;
  link->prev = last;
  last->next = link;
  list->prev = link;
}

/* Puts `link`, which must be unlinked, first. */
static inline void sl_list_unshift(struct sl_link *list,
                                   struct sl_link *link) {
  sl_list_push(list->next, link);
}

static inline void sl_link_unlink(struct sl_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  sl_link_init(link);
}

/* Unlinks and returns the first link; the list must not be empty. */
static inline struct sl_link *sl_list_pop(struct sl_link *list) {
  struct sl_link *first = list->next;
  sl_link_unlink(first);
  return first;
}

static inline size_t sl_list_count(const struct sl_link *list) {
  size_t n = 0;
  for (const struct sl_link *at = list->next; at != list; at = at->next) n++;
  return n;
}

#endif
