/*
** test_list.c: linking and unlinking, at both ends and in the middle.
*/
#include "list.h"
#include "test.h"

enum { N = 64 };

struct item {
  char before[3]; /* so that the link is not the first member */
  struct sl_link link;
  int number;
};

static struct sl_link list;
static struct item items[N];

static void start(void) {
  sl_link_init(&list);
  for (int i = 0; i < N; i++) {
    sl_link_init(&items[i].link);
    items[i].number = i;
  }
}

static int number_of(struct sl_link *link) {
  return sl_container(link, struct item, link)->number;
}

/* Whether the list holds the numbers of `want`, -1 at the end, both ways. */
static void holds(const int *want) {
  struct sl_link *at = list.next, *back = list.prev;
  int n = 0;
  for (; want[n] >= 0; n++, at = at->next) {
    CHECK(at != &list);
    if (at == &list) return;
    CHECK_EQ(number_of(at), want[n]);
    CHECK(at->next->prev == at && at->prev->next == at);
  }
  CHECK(at == &list);
  CHECK_EQ(sl_list_count(&list), n);
  for (; n > 0; n--, back = back->prev)
    CHECK_EQ(number_of(back), want[n - 1]);
}

static void is_empty_at_first(void) {
  start();
  CHECK(sl_list_empty(&list));
  CHECK(!sl_link_linked(&items[0].link));
  CHECK_EQ(sl_list_count(&list), 0);
}

static void pushes_at_the_end(void) {
  start();
  for (int i = 0; i < 3; i++) sl_list_push(&list, &items[i].link);
  CHECK(!sl_list_empty(&list));
  CHECK(sl_link_linked(&items[1].link));
  holds((int[]){0, 1, 2, -1});
}

static void unshifts_at_the_front(void) {
  start();
  sl_list_unshift(&list, &items[0].link);
  sl_list_unshift(&list, &items[1].link);
  sl_list_push(&list, &items[2].link);
  sl_list_unshift(&list, &items[3].link);
  holds((int[]){3, 1, 0, 2, -1});
}

static void pops_from_the_front(void) {
  start();
  for (int i = 0; i < 3; i++) sl_list_push(&list, &items[i].link);
  CHECK_EQ(number_of(sl_list_pop(&list)), 0);
  CHECK(!sl_link_linked(&items[0].link));
  holds((int[]){1, 2, -1});
  CHECK_EQ(number_of(sl_list_pop(&list)), 1);
  CHECK_EQ(number_of(sl_list_pop(&list)), 2);
  CHECK(sl_list_empty(&list));
}

static void unlinks_anywhere_and_twice(void) {
  start();
  for (int i = 0; i < 5; i++) sl_list_push(&list, &items[i].link);
  sl_link_unlink(&items[2].link);
  sl_link_unlink(&items[2].link);
  holds((int[]){0, 1, 3, 4, -1});
  sl_link_unlink(&items[0].link);
  sl_link_unlink(&items[4].link);
  holds((int[]){1, 3, -1});
  sl_list_push(&list, &items[2].link);
  holds((int[]){1, 3, 2, -1});
}

static void moves_from_one_list_to_another(void) {
  struct sl_link other;
  start();
  sl_link_init(&other);
  for (int i = 0; i < 4; i++) sl_list_push(&list, &items[i].link);
  while (!sl_list_empty(&list)) {
    struct sl_link *link = sl_list_pop(&list);
    if (number_of(link) % 2 == 1) sl_list_push(&other, link);
  }
  CHECK_EQ(sl_list_count(&other), 2);
  CHECK_EQ(number_of(other.next), 1);
  CHECK_EQ(number_of(other.prev), 3);
}

/* A model: the numbers in an array, which is shifted about. */
struct model {
  int at[N + 1];
  int n;
};

static void model_insert(struct model *model, int index, int number) {
  for (int i = model->n++; i > index; i--) model->at[i] = model->at[i - 1];
  model->at[index] = number;
}

static void model_remove(struct model *model, int number) {
  int to = 0;
  for (int i = 0; i < model->n; i++)
    if (model->at[i] != number) model->at[to++] = model->at[i];
  model->n = to;
}

static void agrees_with_an_array(void) {
  struct model model = {{0}, 0};
  start();
  srand(1);
  for (int step = 0; step < 5000; step++) {
    int i = rand() % N;
    if (sl_link_linked(&items[i].link)) {
      sl_link_unlink(&items[i].link);
      model_remove(&model, i);
    } else if (rand() % 2) {
      sl_list_push(&list, &items[i].link);
      model_insert(&model, model.n, i);
    } else {
      sl_list_unshift(&list, &items[i].link);
      model_insert(&model, 0, i);
    }
    model.at[model.n] = -1;
    holds(model.at);
  }
}

int main(void) {
  RUN(is_empty_at_first, "is empty at first");
  RUN(pushes_at_the_end, "pushes at the end");
  RUN(unshifts_at_the_front, "unshifts at the front");
  RUN(pops_from_the_front, "pops from the front");
  RUN(unlinks_anywhere_and_twice, "unlinks anywhere, and twice");
  RUN(moves_from_one_list_to_another, "moves from one list to another");
  RUN(agrees_with_an_array, "agrees with an array under random operations");
  return test_report();
}
