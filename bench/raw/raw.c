/*
 * raw: what the calls and the coroutine switches alone cost.
 *
 * The yardstick of the benchmarks. A Lua program calls the same functions in
 * the same order as the sluice program beside it and its coroutines change
 * hands as often, but nothing else happens: no argument is checked, no wait
 * can time out or be cancelled, a task has no result, an error ends the
 * process, and a queue holds integers only. What is left is the least that a
 * library in C for Lua could cost, so nothing here may be slower than it
 * needs to be.
 *
 * One process-wide state, one loop: first in, first out. It never frees what
 * it made; the process ends soon.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

/* A ring of coroutines; the size is a power of two. With each the number of
 * values on its stack that it is resumed with. A coroutine of NULL stands for
 * a task that has not begun and still needs one. */
struct entry {
    lua_State *co;
    int n;
};

struct fifo {
    struct entry *items;
    unsigned head, tail, mask;
};

struct timer {
    int64_t due;
    lua_State *co;
};

struct task {
    int done;
    lua_State *waiter;
};

/* Wakes of the process for timers are at least this far apart, as in any
 * loop that wants to serve 100,000 sleepers. */
static const int64_t WAKE_GAP_NS = 250000;

static struct fifo ready;
static struct {
    struct timer *items;
    size_t n, size;
} timers;
static lua_State *home;   /* never runs; its stack holds two tables: */
enum { POOL = 1, TASKS }; /* all coroutines; tasks not begun, by number */
static lua_State **pool;  /* coroutines without a task, */
static int idle, pool_size, made; /* so many, room for so many; made at all */
static lua_Integer first_task, last_task;

static void grow(struct fifo *f)
{
    unsigned size = f->items ? 2 * (f->mask + 1) : 16;
    struct entry *items = malloc(size * sizeof *items);
    unsigned n = f->tail - f->head;
    for (unsigned i = 0; i < n; i++)
        items[i] = f->items[(f->head + i) & f->mask];
    free(f->items);
    f->items = items;
    f->head = 0;
    f->tail = n;
    f->mask = size - 1;
}

static inline int is_empty(const struct fifo *f)
{
    return f->head == f->tail;
}

static inline void append(struct fifo *f, lua_State *co, int n)
{
    if (!f->items || f->tail - f->head > f->mask)
        grow(f);
    f->items[f->tail++ & f->mask] = (struct entry){co, n};
}

static inline struct entry take(struct fifo *f)
{
    return f->items[f->head++ & f->mask];
}

/* --- timers: a heap of four children a node ------------------------------ */

static void add_timer(int64_t due, lua_State *co)
{
    if (timers.n == timers.size) {
        timers.size = timers.size ? 2 * timers.size : 64;
        timers.items =
            realloc(timers.items, timers.size * sizeof *timers.items);
    }
    size_t i = timers.n++;
    while (i > 0 && timers.items[(i - 1) / 4].due > due) {
        timers.items[i] = timers.items[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    timers.items[i] = (struct timer){due, co};
}

static lua_State *take_timer(void)
{
    struct timer *t = timers.items;
    lua_State *co = t[0].co;
    struct timer last = t[--timers.n];
    size_t i = 0;
    for (;;) {
        size_t least = 4 * i + 1, end = least + 4;
        if (least >= timers.n)
            break;
        if (end > timers.n)
            end = timers.n;
        for (size_t c = least + 1; c < end; c++)
            if (t[c].due < t[least].due)
                least = c;
        if (t[least].due >= last.due)
            break;
        t[i] = t[least];
        i = least;
    }
    t[i] = last;
    return co;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits in the kernel until the first timer is due. The timerfd is never
 * read: setting it anew takes back that it was readable. */
static void wait_until(int64_t due)
{
    static int timer_fd = -1, epoll_fd;
    struct epoll_event event = {.events = EPOLLIN};
    if (timer_fd < 0) {
        timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        epoll_fd = epoll_create1(0);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    }
    struct itimerspec at = {
        .it_value = {due / 1000000000, due % 1000000000}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    epoll_wait(epoll_fd, &event, 1, -1);
}

static void await_timers(void)
{
    static int64_t woken;
    if (timers.n == 0) {
        fputs("raw: everything waits for ever\n", stderr);
        exit(1);
    }
    int64_t due = timers.items[0].due, now = now_ns();
    if (due < woken + WAKE_GAP_NS)
        due = woken + WAKE_GAP_NS;
    if (due > now) {
        wait_until(due);
        now = now_ns();
    }
    woken = now;
    while (timers.n > 0 && timers.items[0].due <= now)
        append(&ready, take_timer(), 0);
}

/* --- the loop ------------------------------------------------------------ */

static int k_return(lua_State *L, int status, lua_KContext before)
{
    (void)status;
    return lua_gettop(L) - (int)before;
}

/* Gives the processor away; returns what the coroutine is resumed with. */
static int park_k(lua_State *L)
{
    return lua_yieldk(L, 0, lua_gettop(L), k_return);
}

/* A coroutine with the oldest task that has not begun, ready to be resumed:
 * the task lies at the bottom of its stack, above it the function. */
static lua_State *begin(void)
{
    lua_State *co;
    if (idle > 0) {
        co = pool[--idle];
    } else {
        co = lua_newthread(home);
        lua_rawseti(home, POOL, ++made);
    }
    lua_rawgeti(home, TASKS, ++first_task);
    lua_pushnil(home);
    lua_rawseti(home, TASKS, first_task);
    lua_getiuservalue(home, -1, 1);
    lua_xmove(home, co, 2);
    return co;
}

/* The task at the bottom of the stack has ended. */
static void finish(lua_State *co)
{
    struct task *task = lua_touserdata(co, 1);
    task->done = 1;
    if (task->waiter)
        append(&ready, task->waiter, 0);
    lua_settop(co, 0);
    if (idle == pool_size) {
        pool_size = pool_size ? 2 * pool_size : 64;
        pool = realloc(pool, (size_t)pool_size * sizeof *pool);
    }
    pool[idle++] = co;
}

static void fail(lua_State *co)
{
    fprintf(stderr, "raw: %s\n", lua_tostring(co, -1));
    exit(1);
}

/* spawn(function): a task */
static int spawn(lua_State *L)
{
    struct task *task = lua_newuserdatauv(L, sizeof *task, 1);
    task->done = 0;
    task->waiter = NULL;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_xmove(L, home, 1);
    lua_rawseti(home, TASKS, ++last_task);
    append(&ready, NULL, 0);
    return 1;
}

/* task:await() */
static int await_k(lua_State *L)
{
    struct task *task = lua_touserdata(L, 1);
    if (task->done)
        return 0;
    task->waiter = L;
    return park_k(L);
}

/* run(main): returns when main does */
static int run(lua_State *L)
{
    home = lua_newthread(L);
    lua_newtable(home);
    lua_newtable(home);
    lua_getfield(L, lua_upvalueindex(1), "spawn");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    struct task *main = lua_touserdata(L, -1);
    while (!main->done) {
        if (is_empty(&ready))
            await_timers();
        struct entry e = take(&ready);
        lua_State *co = e.co ? e.co : begin();
        int n, status = lua_resume(co, L, e.n, &n);
        if (status == LUA_OK)
            finish(co);
        else if (status != LUA_YIELD)
            fail(co);
    }
    return 0;
}

/* sleep(seconds); sleep(0) lets every other ready task run once */
static int sleep_k(lua_State *L)
{
    lua_Number seconds = lua_tonumber(L, 1);
    if (seconds == 0)
        append(&ready, L, 0);
    else
        add_timer(now_ns() + (int64_t)(seconds * 1e9), L);
    return park_k(L);
}

static int k_body(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

/* wait_for(seconds, function, ...): a protected call, the time unused */
static int wait_for_k(lua_State *L)
{
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, k_body);
    return k_body(L, status, 0);
}

/* --- queue --------------------------------------------------------------- */

struct queue {
    lua_Integer *items;
    unsigned head, n, size, unfinished;
    struct fifo getters, putters;
    lua_State *joiner;
};

/* queue:put(item) */
static int put_k(lua_State *L)
{
    struct queue *q = lua_touserdata(L, 1);
    q->unfinished++;
    if (!is_empty(&q->getters)) {
        lua_State *getter = take(&q->getters).co;
        lua_xmove(L, getter, 1);
        append(&ready, getter, 1);
        return 0;
    }
    if (q->n == q->size) {
        append(&q->putters, L, 0);
        return park_k(L);
    }
    unsigned i = q->head + q->n++;
    q->items[i < q->size ? i : i - q->size] = lua_tointeger(L, 2);
    return 0;
}

/* queue:get() */
static int get_k(lua_State *L)
{
    struct queue *q = lua_touserdata(L, 1);
    if (q->n == 0) {
        append(&q->getters, L, 0);
        return park_k(L);
    }
    lua_pushinteger(L, q->items[q->head]);
    unsigned freed = q->head;
    q->head = freed + 1 == q->size ? 0 : freed + 1;
    if (is_empty(&q->putters)) {
        q->n--;
    } else {
        lua_State *putter = take(&q->putters).co;
        q->items[freed] = lua_tointeger(putter, 2);
        append(&ready, putter, 0);
    }
    return 1;
}

/* queue:task_done() */
static int task_done(lua_State *L)
{
    struct queue *q = lua_touserdata(L, 1);
    if (--q->unfinished == 0 && q->joiner) {
        append(&ready, q->joiner, 0);
        q->joiner = NULL;
    }
    return 0;
}

/* queue:join() */
static int join_k(lua_State *L)
{
    struct queue *q = lua_touserdata(L, 1);
    if (q->unfinished == 0)
        return 0;
    q->joiner = L;
    return park_k(L);
}

static void *new(lua_State *L, size_t size)
{
    void *object = lua_newuserdatauv(L, size, 0);
    memset(object, 0, size);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return object;
}

/* queue(size) */
static int new_queue(lua_State *L)
{
    struct queue *q = new(L, sizeof *q);
    q->size = (unsigned)lua_tointeger(L, 1);
    q->items = malloc(q->size * sizeof *q->items);
    return 1;
}

/* --- lock and event ------------------------------------------------------ */

struct lock {
    int held;
    struct fifo waiters;
};

/* lock:acquire() */
static int acquire_k(lua_State *L)
{
    struct lock *lock = lua_touserdata(L, 1);
    if (!lock->held) {
        lock->held = 1;
        return 0;
    }
    append(&lock->waiters, L, 0);
    return park_k(L);
}

/* lock:release(): hands it to the first who waits */
static int release(lua_State *L)
{
    struct lock *lock = lua_touserdata(L, 1);
    if (is_empty(&lock->waiters))
        lock->held = 0;
    else
        append(&ready, take(&lock->waiters).co, 0);
    return 0;
}

static int new_lock(lua_State *L)
{
    new(L, sizeof(struct lock));
    return 1;
}

struct event {
    int is_set;
    struct fifo waiters;
};

/* event:wait() */
static int wait_k(lua_State *L)
{
    struct event *event = lua_touserdata(L, 1);
    if (event->is_set)
        return 0;
    append(&event->waiters, L, 0);
    return park_k(L);
}

/* event:set() */
static int set(lua_State *L)
{
    struct event *event = lua_touserdata(L, 1);
    event->is_set = 1;
    while (!is_empty(&event->waiters))
        append(&ready, take(&event->waiters).co, 0);
    return 0;
}

/* event:clear() */
static int clear(lua_State *L)
{
    struct event *event = lua_touserdata(L, 1);
    event->is_set = 0;
    return 0;
}

static int new_event(lua_State *L)
{
    new(L, sizeof(struct event));
    return 1;
}

/* --- heap of numbers ----------------------------------------------------- */

struct heap {
    double *items;
    size_t n, size;
};

/* heap:push(number) */
static int push(lua_State *L)
{
    struct heap *heap = lua_touserdata(L, 1);
    double key = lua_tonumber(L, 2);
    if (heap->n == heap->size) {
        heap->size = heap->size ? 2 * heap->size : 64;
        heap->items = realloc(heap->items, heap->size * sizeof *heap->items);
    }
    size_t i = heap->n++;
    while (i > 0 && heap->items[(i - 1) / 4] > key) {
        heap->items[i] = heap->items[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    heap->items[i] = key;
    return 0;
}

/* heap:pop(): the least number */
static int pop(lua_State *L)
{
    struct heap *heap = lua_touserdata(L, 1);
    double *keys = heap->items, last;
    size_t i = 0;
    lua_pushnumber(L, keys[0]);
    last = keys[--heap->n];
    for (;;) {
        size_t least = 4 * i + 1, end = least + 4;
        if (least >= heap->n)
            break;
        if (end > heap->n)
            end = heap->n;
        for (size_t c = least + 1; c < end; c++)
            if (keys[c] < keys[least])
                least = c;
        if (keys[least] >= last)
            break;
        keys[i] = keys[least];
        i = least;
    }
    keys[i] = last;
    return 1;
}

static int new_heap(lua_State *L)
{
    new(L, sizeof(struct heap));
    return 1;
}

/* --- the module ---------------------------------------------------------- */

/* Sets field `name` of the module, on top of the stack, to a function that
 * has a new metatable with these methods as its upvalue. */
static void add_class(lua_State *L, const char *name, lua_CFunction make,
                      const luaL_Reg *methods)
{
    lua_newtable(L);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcclosure(L, make, 1);
    lua_setfield(L, -2, name);
}

LUAMOD_API int luaopen_raw(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", sleep_k}, {"wait_for", wait_for_k}, {NULL, NULL}};
    static const luaL_Reg task[] = {{"await", await_k}, {NULL, NULL}};
    static const luaL_Reg queue[] = {{"put", put_k}, {"get", get_k},
        {"task_done", task_done}, {"join", join_k}, {NULL, NULL}};
    static const luaL_Reg lock[] = {
        {"acquire", acquire_k}, {"release", release}, {NULL, NULL}};
    static const luaL_Reg event[] = {
        {"wait", wait_k}, {"set", set}, {"clear", clear}, {NULL, NULL}};
    static const luaL_Reg heap[] = {
        {"push", push}, {"pop", pop}, {NULL, NULL}};
    luaL_newlib(L, functions);
    add_class(L, "spawn", spawn, task);
    add_class(L, "queue", new_queue, queue);
    add_class(L, "lock", new_lock, lock);
    add_class(L, "event", new_event, event);
    add_class(L, "heap", new_heap, heap);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, run, 1);
    lua_setfield(L, -2, "run");
    return 1;
}
