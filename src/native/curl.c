/*
** curl.c: see curl.h. The module, and the multi: libcurl's side of the loop.
*/
#include "curl.h"

#include <string.h>

#if defined(__GNUC__)
#define SL_EXPORT __attribute__((visibility("default")))
#else
#define SL_EXPORT
#endif

SL_EXPORT int luaopen_sluice_native_curl(lua_State *L);

const struct sl_class sl_curl_multi_class = {"sluice.http.Multi",
                                             sizeof(struct sl_curl_multi)};

static const size_t engine_offset = offsetof(struct sl_curl_multi, engine);

static struct sl_curl_multi *multi_of(struct sl_engine *engine) {
  return sl_container(engine, struct sl_curl_multi, engine);
}

/* -- finished transfers -- */

void sl_curl_wake(struct sl_curl_transfer *transfer) {
  struct sl_host *host = transfer->multi->engine.host;
  if (host != NULL)
    host->wake(host, &transfer->slot);
  else
    transfer->slot.signalled = true;
}

void sl_curl_detach(struct sl_curl_transfer *transfer) {
  if (!sl_link_linked(&transfer->link)) return;
  sl_link_unlink(&transfer->link);
  curl_multi_remove_handle(transfer->multi->multi, transfer->easy);
}

/* libcurl takes a head for whole that ends with the connection. */
static void cut_off(struct sl_curl_transfer *transfer) {
  static const char message[] = "the connection ended within the head";
  memcpy(transfer->error, message, sizeof message);
  transfer->result = CURLE_PARTIAL_FILE;
}

static void finish(CURL *easy, CURLcode result) {
  struct sl_curl_transfer *transfer = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)(void *)&transfer);
  if (transfer == NULL) return;
  transfer->result = result;
  if (result == CURLE_OK && !transfer->head_done) cut_off(transfer);
  transfer->state = SL_CURL_DONE;
  sl_curl_detach(transfer);
  sl_curl_wake(transfer);
}

/* After every action, also when none is left running. */
static void reap(struct sl_curl_multi *multi) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(multi->multi, &left)) != NULL)
    if (message->msg == CURLMSG_DONE)
      finish(message->easy_handle, message->data.result);
}

/* -- what the loop calls -- */

static void act(struct sl_curl_multi *multi, curl_socket_t fd, int events) {
  int running;
  curl_multi_socket_action(multi->multi, fd, events, &running);
  reap(multi);
}

static void engine_ready(struct sl_engine *engine, int fd, int events) {
  int bits = 0;
  if (events & SL_READABLE) bits |= CURL_CSELECT_IN;
  if (events & SL_WRITABLE) bits |= CURL_CSELECT_OUT;
  act(multi_of(engine), fd, bits);
}

static void engine_timeout(struct sl_engine *engine) {
  act(multi_of(engine), CURL_SOCKET_TIMEOUT, 0);
}

/* -- what libcurl calls; without a loop there is nothing to do -- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user,
                     void *data) {
  struct sl_curl_multi *multi = user;
  struct sl_host *host = multi->engine.host;
  int events = 0;
  (void)easy;
  (void)data;
  if (host == NULL) return 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= SL_READABLE;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    events |= SL_WRITABLE;
  return host->watch(host, fd, events) ? 0 : -1;
}

static int on_timer(CURLM *handle, long ms, void *user) {
  struct sl_curl_multi *multi = user;
  struct sl_host *host = multi->engine.host;
  (void)handle;
  if (host != NULL) host->set_timer(host, ms);
  return 0;
}

/* -- the object -- */

static struct sl_curl_multi *check_multi(lua_State *L) {
  return sl_check(L, 1, &sl_curl_multi_class);
}

static void close_multi(struct sl_curl_multi *multi) {
  struct sl_host *host = multi->engine.host;
  if (multi->multi == NULL) return;
  while (!sl_list_empty(&multi->transfers)) {
    struct sl_curl_transfer *transfer =
        sl_container(multi->transfers.next, struct sl_curl_transfer, link);
    sl_curl_end(transfer);
    sl_curl_wake(transfer);
  }
  while (multi->neasies > 0) curl_easy_cleanup(multi->easies[--multi->neasies]);
  curl_multi_cleanup(multi->multi);
  multi->multi = NULL;
  if (multi->share != NULL) curl_share_cleanup(multi->share);
  multi->share = NULL;
  if (host != NULL) host->set_timer(host, -1);
}

/* multi:close(): ends its transfers and connections. Never waits. */
static int close_method(lua_State *L) {
  close_multi(check_multi(L));
  return 0;
}

static int collect(lua_State *L) {
  struct sl_curl_multi *multi = check_multi(L);
  close_multi(multi);
  if (multi->engine.host != NULL) multi->engine.host->part(multi->engine.host);
  multi->engine.host = NULL;
  return 0;
}

static void share_cookies(lua_State *L, struct sl_curl_multi *multi) {
  multi->share = curl_share_init();
  if (multi->share == NULL) luaL_error(L, "not enough memory");
  curl_share_setopt(multi->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
}

/* Multi(max_connections, cookies): an engine without a reactor yet. */
static int new_multi(lua_State *L) {
  long most = (long)luaL_checkinteger(L, 1);
  struct sl_curl_multi *multi =
      sl_object_new(L, &sl_curl_multi_class, 1);
  sl_link_init(&multi->transfers);
  multi->engine.slot_class = &sl_curl_transfer_class;
  multi->engine.what = "HTTP response";
  multi->engine.on_ready = engine_ready;
  multi->engine.on_timeout = engine_timeout;
  multi->multi = curl_multi_init();
  if (multi->multi == NULL) luaL_error(L, "not enough memory");
  if (lua_toboolean(L, 2)) share_cookies(L, multi);
  curl_multi_setopt(multi->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi->multi, CURLMOPT_SOCKETDATA, multi);
  curl_multi_setopt(multi->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi->multi, CURLMOPT_TIMERDATA, multi);
  curl_multi_setopt(multi->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
  curl_multi_setopt(multi->multi, CURLMOPT_MAXCONNECTS, most);
  return 1;
}

/* -- URLs -- */

/* Holds what must be freed if a push throws. */
struct url_box {
  CURLU *url;
  char *text;
};

static const char url_key; /* registry: the metatable of the boxes */

static int free_url(lua_State *L) {
  struct url_box *box = lua_touserdata(L, 1);
  curl_url_cleanup(box->url);
  curl_free(box->text);
  memset(box, 0, sizeof *box);
  return 0;
}

/* Pushes a box with the URL at `arg` in it; NULL if it is none. */
static struct url_box *push_url(lua_State *L, int arg, CURLUcode *code) {
  const char *text = luaL_checkstring(L, arg);
  struct url_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  memset(box, 0, sizeof *box);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &url_key);
  lua_setmetatable(L, -2);
  box->url = curl_url();
  *code = box->url == NULL ? CURLUE_OUT_OF_MEMORY
                           : curl_url_set(box->url, CURLUPART_URL, text, 0);
  return box;
}

static int fail_url(lua_State *L, CURLUcode code) {
  lua_pushnil(L);
  lua_pushstring(L, curl_url_strerror(code));
  lua_pushstring(L, code == CURLUE_UNSUPPORTED_SCHEME ? "EPROTONOSUPPORT"
                                                      : "EINVAL");
  return 3;
}

/* origin(url): scheme, host and port, as one text; or nil, message, code. */
static int origin(lua_State *L) {
  static const CURLUPart others[] = {
      CURLUPART_USER,  CURLUPART_PASSWORD, CURLUPART_OPTIONS,
      CURLUPART_QUERY, CURLUPART_FRAGMENT, CURLUPART_PATH};
  CURLUcode code;
  struct url_box *box = push_url(L, 1, &code);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (code == CURLUE_OK)
      code = curl_url_set(box->url, others[i], NULL, 0);
  if (code == CURLUE_OK)
    code = curl_url_get(box->url, CURLUPART_URL, &box->text,
                        CURLU_DEFAULT_PORT);
  if (code != CURLUE_OK) return fail_url(L, code);
  lua_pushstring(L, box->text);
  return 1;
}

/* -- the module -- */

static void open_multi_class(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"start", sl_curl_start}, {"close", close_method}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", collect}, {NULL, NULL}};
  sl_class_new(L, &sl_curl_multi_class, NULL, methods, meta);
  lua_pushlightuserdata(L, (void *)&engine_offset);
  lua_setfield(L, -2, SL_ENGINE_FIELD);
  lua_pop(L, 1);
}

int luaopen_sluice_native_curl(lua_State *L) {
  static const luaL_Reg functions[] = {{"Multi", new_multi},
                                       {"origin", origin},
                                       {NULL, NULL}};
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
    return luaL_error(L, "libcurl could not be initialised");
  open_multi_class(L);
  sl_curl_transfer_open(L);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_url);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &url_key);
  lua_newtable(L);
  sl_setfuncs(L, NULL, functions);
  lua_pushstring(L, curl_version());
  lua_setfield(L, -2, "version");
  return 1;
}
