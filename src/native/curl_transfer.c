/*
** curl_transfer.c: a transfer as Lua sees it: started, asked how far it is,
** given data to send, its head and body taken, closed. Nothing here waits.
*/
#include "curl.h"

#include <string.h>

const struct sl_class sl_curl_transfer_class = {
    "sluice.http.Transfer", sizeof(struct sl_curl_transfer)};

static struct sl_curl_transfer *check_transfer(lua_State *L) {
  return sl_check(L, 1, &sl_curl_transfer_class);
}

/* -- birth and death -- */

static CURL *take_easy(struct sl_curl_multi *multi) {
  if (multi->neasies > 0) return multi->easies[--multi->neasies];
  return curl_easy_init();
}

static void give_easy(struct sl_curl_multi *multi, CURL *easy) {
  /* A reset would lose the list of files, not free it. */
  if (multi->share != NULL) curl_easy_setopt(easy, CURLOPT_COOKIEFILE, NULL);
  if (multi->multi == NULL || multi->neasies == SL_CURL_EASIES) {
    curl_easy_cleanup(easy);
    return;
  }
  curl_easy_reset(easy); /* and forgets the transfer */
  multi->easies[multi->neasies++] = easy;
}

void sl_curl_end(struct sl_curl_transfer *transfer) {
  CURL *easy = transfer->easy;
  transfer->state = SL_CURL_CLOSED;
  if (easy == NULL) return;
  sl_curl_detach(transfer);
  transfer->easy = NULL;
  give_easy(transfer->multi, easy);
  curl_slist_free_all(transfer->headers);
  transfer->headers = NULL;
}

/* transfer:close(): whoever waits for it is woken. Never waits. */
static int close_method(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  sl_curl_end(transfer);
  sl_bytes_fini(&transfer->head);
  sl_bytes_fini(&transfer->body);
  if (!sl_list_empty(&transfer->slot.waiters)) sl_curl_wake(transfer);
  return 0;
}

/* At the end of a block, unless somebody keeps it. */
static int close_block(lua_State *L) {
  return check_transfer(L)->kept ? 0 : close_method(L);
}

static struct sl_curl_transfer *push_transfer(lua_State *L,
                                              struct sl_curl_multi *multi) {
  struct sl_curl_transfer *transfer;
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  transfer = lua_newuserdatauv(L, sizeof *transfer, 2);
  memset(transfer, 0, offsetof(struct sl_curl_transfer, error) + 1);
  transfer->slot.class = &sl_curl_transfer_class;
  sl_slot_init(&transfer->slot);
  sl_link_init(&transfer->link);
  sl_bytes_init(&transfer->head, alloc, ud);
  sl_bytes_init(&transfer->body, alloc, ud);
  transfer->multi = multi;
  sl_class_push(L, &sl_curl_transfer_class);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return transfer;
}

/* What begins now is on its way by the loop's next turn. */
static int launch(lua_State *L, struct sl_curl_transfer *transfer) {
  struct sl_curl_multi *multi = transfer->multi;
  struct sl_host *host = multi->engine.host;
  if (host != NULL) transfer->active_ns = host->now_ns(host);
  sl_list_push(&multi->transfers, &transfer->link);
  if (curl_multi_add_handle(multi->multi, transfer->easy) == CURLM_OK)
    return 1;
  sl_link_unlink(&transfer->link);
  sl_curl_end(transfer);
  return sl_curl_fail_code(L, CURLE_OUT_OF_MEMORY);
}

int sl_curl_start(lua_State *L) {
  struct sl_curl_multi *multi = sl_check(L, 1, &sl_curl_multi_class);
  struct sl_curl_transfer *transfer;
  CURLcode code;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  transfer = push_transfer(L, multi);
  if (multi->multi == NULL) return sl_curl_fail(L, transfer);
  transfer->easy = take_easy(multi);
  if (transfer->easy == NULL)
    return sl_curl_fail_code(L, CURLE_OUT_OF_MEMORY);
  sl_curl_set_callbacks(transfer);
  code = sl_curl_set_options(L, transfer);
  if (code == CURLE_OK) return launch(L, transfer);
  sl_curl_end(transfer);
  return sl_curl_fail_code(L, code);
}

/* transfer:keep(): its to-be-closed variable does not close it. */
static int keep(lua_State *L) {
  check_transfer(L)->kept = true;
  return 0;
}

/* -- asking -- */

/* transfer:state(): what there is to do: "send", "body", "head" (of one that
   streams), "done"; nil: wait. What there is to send goes first, so that
   neither side waits for the other; then what has arrived, then the end. */
static int state(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  const char *what = NULL;
  if (transfer->state == SL_CURL_RUNNING && transfer->send_paused)
    what = "send";
  else if (transfer->streams && transfer->body.len > 0)
    what = "body";
  else if (transfer->state != SL_CURL_RUNNING)
    what = "done";
  else if (transfer->streams && transfer->head_done)
    what = "head";
  lua_pushstring(L, what);
  return 1;
}

/* transfer:silence(): seconds since a byte came or went; nil while it
   connects. */
static int silence(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  struct sl_host *host = transfer->multi->engine.host;
  curl_off_t sent = 0;
  uint64_t now_ns;
  if (host == NULL || transfer->easy == NULL || !transfer->connected)
    return 0;
  now_ns = host->now_ns(host);
  /* Of a string that is being sent no callback tells. */
  curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
  if ((uint64_t)sent != transfer->sent) transfer->active_ns = now_ns;
  transfer->sent = (uint64_t)sent;
  lua_pushnumber(L, (lua_Number)(now_ns - transfer->active_ns) / 1e9);
  return 1;
}

/* transfer:phase(): for messages: "connecting", "waiting", "receiving". */
static int phase(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  if (!transfer->connected)
    lua_pushliteral(L, "connecting");
  else if (transfer->heads == 0)
    lua_pushliteral(L, "waiting");
  else
    lua_pushliteral(L, "receiving");
  return 1;
}

/* -- sending -- */

/* Goes on in the direction that is not marked as paused. libcurl may hand
   over at once what it has kept, and so pause it again. */
static void resume(struct sl_curl_transfer *transfer) {
  int bits = (transfer->receive_paused ? CURLPAUSE_RECV : 0) |
             (transfer->send_paused ? CURLPAUSE_SEND : 0);
  CURLcode code = curl_easy_pause(transfer->easy, bits);
  if (code == CURLE_OK || transfer->state != SL_CURL_RUNNING) return;
  transfer->result = code;
  transfer->state = SL_CURL_DONE;
  sl_curl_detach(transfer);
}

/* transfer:send([piece]): goes on with it; nil: there is no more. After
   "send". */
static int send_piece(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  size_t len = 0;
  const char *s = luaL_optlstring(L, 2, NULL, &len);
  if (transfer->state != SL_CURL_RUNNING || !transfer->send_paused) return 0;
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 2);
  transfer->out = s;
  transfer->out_len = len;
  transfer->out_ended = s == NULL;
  transfer->send_paused = false;
  resume(transfer);
  return 0;
}

/* -- taking -- */

static bool failed(const struct sl_curl_transfer *transfer) {
  if (transfer->state == SL_CURL_RUNNING) return false;
  if (transfer->state == SL_CURL_CLOSED) return true;
  if (transfer->stop == SL_CURL_SKIPPED) return false;
  return transfer->result != CURLE_OK;
}

static int push_version(lua_State *L, CURL *easy) {
  long version = 0;
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  switch (version) {
    case CURL_HTTP_VERSION_1_0: lua_pushliteral(L, "1.0"); break;
    case CURL_HTTP_VERSION_2_0: lua_pushliteral(L, "2"); break;
    case CURL_HTTP_VERSION_3: lua_pushliteral(L, "3"); break;
    default: lua_pushliteral(L, "1.1");
  }
  return 1;
}

/* transfer:head(): status, head, URL, version, whether it is a redirect that
   is to be followed; or nil, message, code. After "head" or "done". */
static int push_head(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  const char *url = NULL;
  long status = 0;
  if (failed(transfer)) return sl_curl_fail(L, transfer);
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
  lua_pushinteger(L, status);
  lua_pushlstring(L, transfer->head.data, transfer->head.len);
  lua_pushstring(L, url);
  push_version(L, transfer->easy);
  lua_pushboolean(L, transfer->skips);
  return 5;
}

/* transfer:take([n]): what has come of the body, at most n bytes; nil, if
   nothing has, and message, code if it failed. Goes on receiving. */
static int take(lua_State *L) {
  struct sl_curl_transfer *transfer = check_transfer(L);
  size_t most = (size_t)luaL_optinteger(L, 2, PTRDIFF_MAX);
  size_t n = transfer->body.len < most ? transfer->body.len : most;
  if (n == 0 && failed(transfer)) return sl_curl_fail(L, transfer);
  if (n == 0) return 0;
  lua_pushlstring(L, transfer->body.data, n);
  sl_bytes_consume(&transfer->body, n);
  if (transfer->receive_paused && transfer->state == SL_CURL_RUNNING &&
      transfer->body.len < SL_CURL_HIGH / 2) {
    transfer->receive_paused = false;
    resume(transfer);
  }
  return 1;
}

void sl_curl_transfer_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"state", state}, {"silence", silence}, {"phase", phase},
      {"send", send_piece}, {"head", push_head}, {"take", take},
      {"keep", keep}, {"close", close_method}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", close_method},
                                  {"__close", close_block},
                                  {NULL, NULL}};
  sl_class_new(L, &sl_curl_transfer_class, NULL, methods, meta);
  lua_pop(L, 1);
}
