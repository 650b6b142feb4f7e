/*
** curl_options.c: a transfer's easy handle, set up as a table of options
** says. What the options may be was checked in Lua; strings that libcurl
** does not copy are anchored with the transfer.
*/
#include "curl.h"

#include <string.h>

#define SET(option, value)                                               \
  do {                                                                   \
    CURLcode code_ = curl_easy_setopt(easy, CURLOPT_##option, value);    \
    if (code_ != CURLE_OK) return code_;                                 \
  } while (0)

/* As SET; an older libcurl may not have the option. */
#define TRY(option, value) curl_easy_setopt(easy, CURLOPT_##option, value)

/* The string in a field of the table at 2, NULL if it is nil. It stays good
   as long as the table does. */
static const char *text(lua_State *L, const char *name) {
  const char *s;
  lua_getfield(L, 2, name);
  s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return s;
}

static bool flag(lua_State *L, const char *name) {
  bool set;
  lua_getfield(L, 2, name);
  set = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return set;
}

static lua_Integer whole(lua_State *L, const char *name,
                         lua_Integer fallback) {
  lua_Integer n;
  lua_getfield(L, 2, name);
  n = luaL_optinteger(L, -1, fallback);
  lua_pop(L, 1);
  return n;
}

static CURLcode set_always(CURL *easy) {
  SET(NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  TRY(QUICK_EXIT, 1L); /* a name being looked up never holds the loop up */
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(PROTOCOLS_STR, "http,https");
#else
  SET(PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(FOLLOWLOCATION, 0L);
  SET(SUPPRESS_CONNECT_HEADERS, 1L);
  SET(TCP_NODELAY, 1L);
  return CURLE_OK;
}

/* A list of "name: value" lines. */
static CURLcode set_headers(lua_State *L, struct sl_curl_transfer *transfer) {
  CURL *easy = transfer->easy;
  lua_Integer n;
  lua_getfield(L, 2, "headers");
  n = luaL_len(L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    struct curl_slist *longer;
    lua_rawgeti(L, -1, i);
    longer = curl_slist_append(transfer->headers, luaL_checkstring(L, -1));
    lua_pop(L, 1);
    if (longer == NULL) return CURLE_OUT_OF_MEMORY;
    transfer->headers = longer;
  }
  lua_pop(L, 1);
  SET(HTTPHEADER, transfer->headers);
  return CURLE_OK;
}

/* A string is sent from where Lua has it; the transfer's second user value
   keeps it. The transfer is at `self`. */
static CURLcode set_string_body(lua_State *L, CURL *easy, int self) {
  size_t len;
  const char *s = lua_tolstring(L, -1, &len);
  SET(POSTFIELDSIZE_LARGE, (curl_off_t)len);
  SET(POSTFIELDS, s);
  lua_setiuservalue(L, self, 2);
  return CURLE_OK;
}

/* The pieces come one by one, from transfer:send. */
static CURLcode set_upload(lua_State *L, CURL *easy) {
  SET(UPLOAD, 1L);
  SET(INFILESIZE_LARGE, (curl_off_t)whole(L, "length", -1));
  SET(FRESH_CONNECT, 1L); /* there is no second try with such a body */
  return CURLE_OK;
}

static CURLcode set_method(lua_State *L, struct sl_curl_transfer *transfer,
                           int self) {
  const char *method = text(L, "method");
  CURL *easy = transfer->easy;
  bool head = method != NULL && strcmp(method, "HEAD") == 0;
  CURLcode code = CURLE_OK;
  transfer->bare = head;
  transfer->once = flag(L, "once");
  lua_getfield(L, 2, "body");
  if (lua_type(L, -1) == LUA_TSTRING)
    code = set_string_body(L, easy, self);
  else if (flag(L, "upload"))
    code = set_upload(L, easy);
  else if (head)
    SET(NOBODY, 1L);
  else
    SET(HTTPGET, 1L);
  if (code == CURLE_OK && method != NULL && !head)
    SET(CUSTOMREQUEST, method);
  return code;
}

static CURLcode set_tls(lua_State *L, CURL *easy) {
  const char *s;
  if (!flag(L, "verify")) {
    SET(SSL_VERIFYPEER, 0L);
    SET(SSL_VERIFYHOST, 0L);
  }
  if ((s = text(L, "ca_file")) != NULL) {
    SET(CAINFO, s);
    SET(CAPATH, NULL);
  }
  if ((s = text(L, "cert_file")) != NULL) SET(SSLCERT, s);
  if ((s = text(L, "key_file")) != NULL) SET(SSLKEY, s);
  return CURLE_OK;
}

/* Without HTTP/2 none waits whether a connection can carry several. */
static CURLcode set_version(lua_State *L, CURL *easy) {
  long version = CURL_HTTP_VERSION_2TLS;
  const char *wanted = text(L, "http_version");
  if (wanted != NULL && strcmp(wanted, "1.1") == 0)
    version = CURL_HTTP_VERSION_1_1;
  TRY(HTTP_VERSION, version); /* it may be built without HTTP/2 */
  if (version != CURL_HTTP_VERSION_1_1 && flag(L, "secure"))
    SET(PIPEWAIT, 1L);
  return CURLE_OK;
}

/* Without an option libcurl would look at the environment. */
static CURLcode set_way(lua_State *L, CURL *easy) {
  const char *proxy = text(L, "proxy"), *s;
  if (!flag(L, "proxy_from_environment")) {
    SET(PROXY, proxy != NULL ? proxy : "");
    SET(NOPROXY, "");
  }
  if ((s = text(L, "unix")) != NULL) SET(UNIX_SOCKET_PATH, s);
  if ((s = text(L, "user")) != NULL) SET(USERNAME, s);
  if ((s = text(L, "password")) != NULL) SET(PASSWORD, s);
  return CURLE_OK;
}

static CURLcode set_limits(lua_State *L, struct sl_curl_transfer *transfer) {
  CURL *easy = transfer->easy;
  lua_Integer most = whole(L, "max_body", -1);
  SET(CONNECTTIMEOUT_MS, (long)whole(L, "connect_ms", 0));
  transfer->max_body = most < 0 ? UINT64_MAX : (uint64_t)most;
  transfer->streams = flag(L, "stream");
  transfer->follows = flag(L, "follow");
  if (flag(L, "decompress")) SET(ACCEPT_ENCODING, "");
  return CURLE_OK;
}

CURLcode sl_curl_set_options(lua_State *L,
                             struct sl_curl_transfer *transfer) {
  CURL *easy = transfer->easy;
  int self = lua_gettop(L);
  CURLcode code = set_always(easy);
  if (code == CURLE_OK) code = set_headers(L, transfer);
  if (code == CURLE_OK) code = set_method(L, transfer, self);
  lua_settop(L, self);
  if (code == CURLE_OK) code = set_tls(L, easy);
  if (code == CURLE_OK) code = set_version(L, easy);
  if (code == CURLE_OK) code = set_way(L, easy);
  if (code == CURLE_OK) code = set_limits(L, transfer);
  if (code != CURLE_OK) return code;
  if (transfer->multi->share != NULL) {
    SET(SHARE, transfer->multi->share);
    SET(COOKIEFILE, ""); /* of no file; else it looks at none */
  }
  SET(URL, text(L, "url"));
  return CURLE_OK;
}
