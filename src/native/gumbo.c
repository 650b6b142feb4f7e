/*
** gumbo.c: `sluice.native.gumbo`, which finds the links of an HTML page.
**
** The one idea: the tree that gumbo builds lives in an arena, is walked with
** a stack of our own, and is dropped as a whole; so its depth costs no stack
** of C's. Of a page that is too large or too deep for gumbo, or takes it too
** much memory or time, only the tags that bear links are parsed, a piece at a
** time, which takes little of either however the page is made.
**
** While gumbo runs nothing of Lua is called, since the arena's allocator may
** jump out of it.
*/
#include <gumbo.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>

#include "gumbo_arena.h"
#include "gumbo_scan.h"
#include "gumbo_text.h"

/* Browsers go no deeper. gumbo's time grows with the square of the depth. */
#define MAX_DEPTH 512
/* For a byte of a page gumbo takes up to 60 of memory. */
#define MAX_WHOLE ((size_t)4 * 1024 * 1024)
#define MAX_MEMORY ((size_t)256 * 1024 * 1024)
/* A megabyte takes some 50 ms. Attributes, too, are quadratic. */
#define MAX_TIME_NS ((uint64_t)500000000)
#define PIECE ((size_t)256 * 1024)

struct page {
  const char *text;
  size_t len;
};

/* What was found, all of it in the arena. */
struct found {
  const char **hrefs;
  size_t count, cap;
  const char *base; /* the first <base href>; NULL: none */
};

/* -- the walk -- */

/* The way from the root to where the walk is. */
struct step {
  const GumboVector *children;
  unsigned next; /* of children */
};

struct path {
  struct step *steps;
  size_t len, cap;
};

/* Room for one more in an array of the arena. */
static void *grow(struct sl_arena *arena, void *array, size_t len,
                  size_t *cap, size_t size) {
  if (len < *cap) return array;
  *cap = *cap > 0 ? *cap * 2 : 64;
  void *larger = sl_arena_alloc(arena, *cap * size);
  if (len > 0) memcpy(larger, array, len * size);
  return larger;
}

static void descend(struct sl_arena *arena, struct path *path,
                    const GumboVector *children) {
  path->steps = grow(arena, path->steps, path->len, &path->cap,
                     sizeof *path->steps);
  path->steps[path->len++] = (struct step){children, 0};
}

/* A link that is not closed where it must be goes on in copies, which are
   not what the page says. */
#define COPIED                               \
  (GUMBO_INSERTION_ADOPTION_AGENCY_CLONED | \
   GUMBO_INSERTION_RECONSTRUCTED_FORMATTING_ELEMENT)

static void note(struct sl_arena *arena, struct found *found,
                 const GumboNode *node) {
  const GumboElement *element = &node->v.element;
  const GumboAttribute *href =
      gumbo_get_attribute(&element->attributes, "href");
  if (href == NULL || (node->parse_flags & COPIED) != 0) return;
  if (element->tag == GUMBO_TAG_BASE && found->base == NULL)
    found->base = href->value;
  if (element->tag != GUMBO_TAG_A && element->tag != GUMBO_TAG_AREA) return;
  found->hrefs = grow(arena, found->hrefs, found->count, &found->cap,
                      sizeof *found->hrefs);
  found->hrefs[found->count++] = href->value;
}

/* Notes every link below `root`. What is in a template is not on the page. */
static void walk(struct sl_arena *arena, const GumboNode *root,
                 struct found *found) {
  struct path path = {0};
  descend(arena, &path, &root->v.element.children);
  while (path.len > 0) {
    struct step *step = &path.steps[path.len - 1];
    if (step->next == step->children->length) {
      path.len--;
      continue;
    }
    const GumboNode *node = step->children->data[step->next++];
    if (node->type != GUMBO_NODE_ELEMENT) continue;
    note(arena, found, node);
    descend(arena, &path, &node->v.element.children);
  }
}

/* -- parsing -- */

static void *allocate(void *arena, size_t size) {
  return sl_arena_alloc(arena, size);
}

static void deallocate(void *arena, void *memory) {
  (void)arena, (void)memory;
}

/* False: it took too much memory or time; found is then worth nothing. */
static bool parse(struct sl_arena *arena, struct page page,
                  struct found *found) {
  GumboOptions options = kGumboDefaultOptions;
  jmp_buf escape;
  options.allocator = allocate;
  options.deallocator = deallocate;
  options.userdata = arena;
  options.max_errors = 0;
  arena->escape = &escape;
  if (setjmp(escape) != 0) return false;
  *found = (struct found){0};
  walk(arena,
       gumbo_parse_with_options(&options, page.text, page.len)->root, found);
  return true;
}

/* -- Lua -- */

static int close_arena(lua_State *L) {
  sl_arena_close(lua_touserdata(L, 1));
  return 0;
}

/* An arena that lives as long as its userdata, which is left on the stack.
   The function's upvalue is its metatable. */
static struct sl_arena *push_arena(lua_State *L) {
  struct sl_arena *arena = lua_newuserdatauv(L, sizeof *arena, 0);
  *arena = (struct sl_arena){0};
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return arena;
}

/* The page at arg as UTF-8 without a byte order mark. Leaves its memory, or
   nil, on the stack. */
static struct page push_page(lua_State *L, int arg) {
  struct page page;
  page.text = luaL_checklstring(L, arg, &page.len);
  size_t size = sl_utf8_size(page.text, page.len);
  if (size == page.len) {
    lua_pushnil(L);
  } else {
    char *memory = lua_newuserdatauv(L, size, 0);
    sl_utf8_repair(page.text, page.len, memory);
    page = (struct page){memory, size};
  }
  if (page.len >= 3 && memcmp(page.text, "\xef\xbb\xbf", 3) == 0)
    page.text += 3, page.len -= 3;
  return page;
}

/* Parses in an arena that is empty again. */
static bool parse_within(struct sl_arena *arena, struct page page,
                         struct found *found) {
  sl_arena_close(arena);
  sl_arena_open(arena, MAX_MEMORY, MAX_TIME_NS);
  return parse(arena, page, found);
}

/* Appends what was found to the list, which is the first of the two values
   on the top; the second is the base, nil until one is found. */
static void add_found(lua_State *L, const struct found *found) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, -2);
  for (size_t i = 0; i < found->count; i++) {
    lua_pushstring(L, found->hrefs[i]);
    lua_rawseti(L, -3, ++count);
  }
  if (found->base != NULL && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushstring(L, found->base);
  }
}

static bool add_whole(lua_State *L, struct sl_arena *arena,
                      struct page page) {
  struct found found;
  if (page.len > MAX_WHOLE ||
      sl_scan_depth(page.text, page.len) > MAX_DEPTH ||
      !parse_within(arena, page, &found))
    return false;
  add_found(L, &found);
  return true;
}

/* Parses the tags that bear links in pieces, which `memory` has room for. */
static bool add_pieces(lua_State *L, struct sl_arena *arena, struct page page,
                       char *memory) {
  struct sl_scan scan;
  struct found found;
  struct page piece = {memory, 0};
  sl_scan_start(&scan, page.text, page.len);
  while ((piece.len = sl_scan_links(&scan, memory, PIECE)) > 0) {
    if (!parse_within(arena, piece, &found)) return false;
    add_found(L, &found);
  }
  return true;
}

/* links(page) -> a list of what the links say, the base or nil; nil,
   message, code */
static int gumbo_links(lua_State *L) {
  struct page page = push_page(L, 1);
  struct sl_arena *arena = push_arena(L);
  char *memory = lua_newuserdatauv(L, PIECE, 0);
  lua_newtable(L);
  lua_pushnil(L);
  bool done = add_whole(L, arena, page) || add_pieces(L, arena, page, memory);
  sl_arena_close(arena);
  if (done) return 2;
  lua_pushnil(L);
  lua_pushliteral(L, "the page takes too much memory or time");
  lua_pushliteral(L, "E2BIG");
  return 3;
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_sluice_native_gumbo(lua_State *L);

int luaopen_sluice_native_gumbo(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_createtable(L, 0, 1); /* the metatable of arenas */
  lua_pushcfunction(L, close_arena);
  lua_setfield(L, -2, "__gc");
  lua_pushcclosure(L, gumbo_links, 1);
  lua_setfield(L, -2, "links");
  return 1;
}
