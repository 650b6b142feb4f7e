/*
** url.c: `sluice.native.url`, which joins a base and a reference by libcurl.
**
** The one idea: a set on libcurl's handle that holds the base is RFC 3986's
** join. It gets only scheme, authority and path: libcurl 7.88 forgets the
** last segment of the base for a reference that is empty or a fragment, and
** drops an empty query, so queries and fragments are put back behind its
** answer. References of schemes that are not the web's are absolute and no
** business of libcurl.
**
** All memory is one userdata, made before libcurl is asked; between the
** making of libcurl's handle and its end nothing of Lua is called.
*/
#if defined(__APPLE__)
#include <xlocale.h>
#endif
#include <curl/curl.h>
#include <lauxlib.h>
#include <locale.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>

#include "url_text.h"

/* libcurl knows no scheme but its own, unless it is told to. A URL without a
   host is one of those others. */
static unsigned set_flags(bool special) {
  return CURLU_NON_SUPPORT_SCHEME | (special ? 0 : CURLU_NO_AUTHORITY);
}

/* What libcurl may write that was not read: an IPv4 address that was a
   number, `xn--` and its likes, a path of `/`. */
#define SLACK 2048

/* Bytes of a host; the system of names takes 253. */
#define MAX_HOST 1024

/* One join. */
struct join {
  CURLU *handle;
  struct sl_url_ref base, ref;
  char *scratch; /* what is handed to libcurl */
  char *out;     /* the result */
  size_t cap;    /* bytes that scratch, and out, have room for */
  size_t len;    /* of out */
};

/* -- the host -- */

/* The host in ASCII, by the rules of internationalised names, or an error.
   libcurl takes the bytes for the locale's, so that is UTF-8 meanwhile. */
static CURLUcode get_ascii_host(CURLU *handle, char **host) {
#ifdef CURLU_PUNYCODE
  locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
  CURLUcode code = curl_url_get(handle, CURLUPART_HOST, host, CURLU_PUNYCODE);
  if (utf8 != (locale_t)0) {
    uselocale(before);
    freelocale(utf8);
  }
  return code == CURLUE_OK ? CURLUE_OK : CURLUE_BAD_HOSTNAME;
#else
  (void)handle, (void)host;
  return CURLUE_BAD_HOSTNAME;
#endif
}

static bool is_ascii(const char *text) {
  while (*text != '\0' && (unsigned char)*text < 0x80) text++;
  return *text == '\0';
}

/* A percent sign that is left was escaped twice, or begins a zone. */
static bool is_host(const char *text) {
  return *text == '[' || strpbrk(text, "%|\x7f") == NULL;
}

/* The host in lower case and in ASCII. */
static CURLUcode normalise_host(CURLU *handle) {
  char *host = NULL;
  CURLUcode code = curl_url_get(handle, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_NO_HOST) return CURLUE_OK;
  if (code != CURLUE_OK) return code;
  bool ascii = is_ascii(host);
  if (strlen(host) > MAX_HOST) code = CURLUE_BAD_HOSTNAME;
  if (code == CURLUE_OK && !ascii) {
    curl_free(host);
    host = NULL;
    code = get_ascii_host(handle, &host);
  }
  if (code == CURLUE_OK && (!is_host(host) || !is_ascii(host)))
    code = CURLUE_BAD_HOSTNAME;
  if (code == CURLUE_OK && (sl_url_lower(host, strlen(host)) || !ascii))
    code = curl_url_set(handle, CURLUPART_HOST, host, 0);
  curl_free(host);
  return code;
}

/* -- joining -- */

/* Gives libcurl `scheme` and the authority and path of ref. */
static CURLUcode set_absolute(struct join *join, struct sl_url_text scheme,
                              const struct sl_url_ref *ref, bool special) {
  struct sl_url_text rest = ref->rest;
  char *at = sl_url_put(join->scratch, scheme);
  at = sl_url_put(at, (struct sl_url_text){"://", 3});
  for (size_t n = 0; rest.len > 0 && *rest.at == '/' && (special || n < 2);
       n++)
    rest.at++, rest.len--;
  at = sl_url_put_authority(at, sl_url_take_segment(&rest));
  at = sl_url_put_path(at, rest);
  *at = '\0';
  if (strlen(join->scratch) != (size_t)(at - join->scratch))
    return CURLUE_BAD_HOSTNAME; /* with a zero byte */
  CURLUcode code = curl_url_set(join->handle, CURLUPART_URL, join->scratch,
                                set_flags(special));
  return code != CURLUE_OK ? code : normalise_host(join->handle);
}

/* Applies a path to the base that libcurl holds. One whose first segment
   has a colon would be a URL to some versions. */
static CURLUcode set_path(struct join *join) {
  char *at = join->scratch;
  if (*join->ref.rest.at != '/')
    at = sl_url_put(at, (struct sl_url_text){"./", 2});
  at = sl_url_put_path(at, join->ref.rest);
  *at = '\0';
  return curl_url_set(join->handle, CURLUPART_URL, join->scratch,
                      set_flags(join->base.special));
}

static bool starts_with_slashes(struct sl_url_text text) {
  return text.len >= 2 && text.at[0] == '/' && text.at[1] == '/';
}

/* Appends what libcurl holds to the result. */
static CURLUcode put_held(struct join *join) {
  char *url = NULL;
  CURLUcode code = curl_url_get(join->handle, CURLUPART_URL, &url,
                                CURLU_NO_DEFAULT_PORT);
  if (code != CURLUE_OK) return code;
  struct sl_url_text text = {url, strlen(url)};
  if (text.len <= join->cap)
    join->len = (size_t)(sl_url_put(join->out, text) - join->out);
  else
    code = CURLUE_MALFORMED_INPUT;
  curl_free(url);
  return code;
}

static void put_tail(struct join *join, struct sl_url_text query,
                     struct sl_url_text fragment) {
  char *at = join->out + join->len;
  at = sl_url_put_encoded(at, query, SL_URL_QUERY);
  at = sl_url_put_encoded(at, fragment, SL_URL_FRAGMENT);
  join->len = (size_t)(at - join->out);
}

/* `mailto:` and the like: as it stands. */
static CURLUcode join_opaque(struct join *join) {
  char *at = sl_url_put(join->out, join->ref.scheme);
  *at++ = ':';
  at = sl_url_put_encoded(at, join->ref.rest, SL_URL_OPAQUE);
  join->len = (size_t)(at - join->out);
  put_tail(join, join->ref.query, join->ref.fragment);
  return CURLUE_OK;
}

static CURLUcode join_absolute(struct join *join, struct sl_url_text scheme,
                               bool special) {
  CURLUcode code = set_absolute(join, scheme, &join->ref, special);
  if (code == CURLUE_OK) code = put_held(join);
  if (code == CURLUE_OK) put_tail(join, join->ref.query, join->ref.fragment);
  return code;
}

static CURLUcode join_relative(struct join *join) {
  const struct sl_url_ref *base = &join->base, *ref = &join->ref;
  if (base->scheme.len == 0) return CURLUE_NO_SCHEME;
  if (starts_with_slashes(ref->rest))
    return join_absolute(join, base->scheme, base->special);
  if (!base->special && !starts_with_slashes(base->rest))
    return CURLUE_BAD_SLASHES;
  CURLUcode code = set_absolute(join, base->scheme, base, base->special);
  if (code == CURLUE_OK && ref->rest.len > 0) code = set_path(join);
  if (code == CURLUE_OK) code = put_held(join);
  bool same = ref->rest.len == 0 && ref->query.len == 0;
  if (code == CURLUE_OK)
    put_tail(join, same ? base->query : ref->query, ref->fragment);
  return code;
}

/* `http:page` is a path if the base is of http, too; else page is a host. */
static bool is_relative(const struct join *join) {
  const struct sl_url_ref *ref = &join->ref;
  if (ref->scheme.len == 0) return true;
  return ref->special && sl_url_equal(ref->scheme, join->base.scheme) &&
         !starts_with_slashes(ref->rest);
}

static CURLUcode join_parts(struct join *join) {
  if (is_relative(join)) return join_relative(join);
  if (!join->ref.special) return join_opaque(join);
  return join_absolute(join, join->ref.scheme, true);
}

/* -- Lua -- */

/* Cleans the text at arg into dst and takes it apart. Returns the end. */
static char *read_text(lua_State *L, int arg, char *dst,
                       struct sl_url_ref *ref) {
  size_t len;
  const char *text = lua_tolstring(L, arg, &len);
  len = sl_url_clean(dst, text, len);
  sl_url_split(dst, len, ref);
  return dst + len;
}

/* Takes both texts apart. A reference without a scheme has the base's. */
static void read_texts(lua_State *L, struct join *join, char *memory) {
  char *second = read_text(L, 1, memory, &join->base);
  read_text(L, 2, second, &join->ref);
  if (join->base.special) sl_url_turn_slashes(memory, &join->base);
  if (join->ref.special ||
      (join->ref.scheme.len == 0 && join->base.special))
    sl_url_turn_slashes(second, &join->ref);
}

/* join(base, reference) -> URL; nil, message, code */
static int url_join(lua_State *L) {
  size_t base, ref;
  luaL_checklstring(L, 1, &base);
  luaL_checklstring(L, 2, &ref);
  struct join join = {.cap = SL_URL_GROWTH * (base + ref) + SLACK};
  char *memory = lua_newuserdatauv(L, base + ref + 2 * join.cap, 0);
  join.scratch = memory + base + ref;
  join.out = join.scratch + join.cap;
  read_texts(L, &join, memory);
  join.handle = curl_url();
  CURLUcode code =
      join.handle != NULL ? join_parts(&join) : CURLUE_OUT_OF_MEMORY;
  curl_url_cleanup(join.handle);
  if (code == CURLUE_OK) {
    lua_pushlstring(L, join.out, join.len);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, curl_url_strerror(code));
  lua_pushstring(L, code == CURLUE_OUT_OF_MEMORY ? "ENOMEM" : "EINVAL");
  return 3;
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_sluice_native_url(lua_State *L);

int luaopen_sluice_native_url(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, url_join);
  lua_setfield(L, -2, "join");
  return 1;
}
