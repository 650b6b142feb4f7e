/*
** curl_callbacks.c: what libcurl calls for a transfer: heads and bodies that
** arrive, data that it wants to send, sockets that come and go. No Lua here,
** and no call of libcurl that acts: bytes are stored, flags are set, the slot
** is woken.
*/
#include "curl.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A byte came or went. */
static void note(struct sl_curl_transfer *transfer) {
  struct sl_host *host = transfer->multi->engine.host;
  if (host != NULL) transfer->active_ns = host->now_ns(host);
}

static size_t stop(struct sl_curl_transfer *transfer,
                   enum sl_curl_stop why) {
  transfer->stop = why;
  return 0;
}

/* -- heads -- */

/* The value of a field of the head, up to the line's end; NULL if there is
   none. `name` begins with LF and ends with a colon, in small letters. */
static const char *find_field(const struct sl_bytes *head, const char *name) {
  size_t len = strlen(name);
  const char *at = head->data, *end = at + head->len;
  while (at != NULL && (size_t)(end - at) > len) {
    if (strncasecmp(at, name, len) == 0) return at + len;
    at = memchr(at + 1, '\n', (size_t)(end - at) - 1);
  }
  return NULL;
}

/* Whether a body is announced that is larger than it may be. */
static bool announces_too_much(const struct sl_curl_transfer *transfer,
                               long status) {
  const char *value = find_field(&transfer->head, "\ncontent-length:");
  uint64_t length = 0;
  if (value == NULL || transfer->bare || status == 204 || status == 304)
    return false;
  while (*value == ' ' || *value == '\t') value++;
  for (; *value >= '0' && *value <= '9'; value++) {
    if (length > transfer->max_body) break;
    length = length * 10 + (uint64_t)(*value - '0');
  }
  return length > transfer->max_body;
}

static bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

/* False: the transfer is to be stopped. */
static bool end_head(struct sl_curl_transfer *transfer) {
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return true; /* another one follows */
  transfer->head_done = true;
  transfer->skips =
      transfer->follows && is_redirect(status) &&
      find_field(&transfer->head, "\nlocation:") != NULL;
  if (transfer->streams) sl_curl_wake(transfer);
  return transfer->skips || !announces_too_much(transfer, status);
}

static bool is_blank_line(const char *line, size_t len) {
  return len == 0 || *line == '\r' || *line == '\n';
}

/* A line that begins with a blank goes on with the field before it. */
static void unfold(struct sl_bytes *head, const char *line) {
  if (*line != ' ' && *line != '\t') return;
  while (head->len > 0 && (head->data[head->len - 1] == '\n' ||
                           head->data[head->len - 1] == '\r'))
    head->len--;
}

static size_t on_header(char *line, size_t size, size_t count, void *user) {
  struct sl_curl_transfer *transfer = user;
  size_t len = size * count;
  note(transfer);
  transfer->heads += len;
  if (transfer->heads > SL_CURL_HEAD || ++transfer->fields > SL_CURL_FIELDS)
    return stop(transfer, SL_CURL_TOO_LONG);
  if (transfer->head_done) return len; /* of the trailer */
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
    sl_bytes_clear(&transfer->head);
  if (len > 0) unfold(&transfer->head, line);
  if (!sl_bytes_append(&transfer->head, line, len))
    return stop(transfer, SL_CURL_NO_MEMORY);
  if (is_blank_line(line, len) && !end_head(transfer))
    return stop(transfer, SL_CURL_TOO_BIG);
  return len;
}

/* -- bodies -- */

/* A short body is read to its end, so that its connection can be used
   again. */
static size_t skip(struct sl_curl_transfer *transfer, size_t len) {
  transfer->received += len;
  if (transfer->received > SL_CURL_SKIP) return stop(transfer, SL_CURL_SKIPPED);
  return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *user) {
  struct sl_curl_transfer *transfer = user;
  size_t len = size * count;
  note(transfer);
  if (transfer->skips) return skip(transfer, len);
  if (transfer->streams && transfer->body.len >= SL_CURL_HIGH) {
    transfer->receive_paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (len > transfer->max_body - transfer->received)
    return stop(transfer, SL_CURL_TOO_BIG);
  if (!sl_bytes_append(&transfer->body, data, len))
    return stop(transfer, SL_CURL_NO_MEMORY);
  transfer->received += len;
  if (transfer->streams) sl_curl_wake(transfer);
  return len;
}

static size_t on_want(char *to, size_t size, size_t count, void *user) {
  struct sl_curl_transfer *transfer = user;
  size_t len = size * count;
  if (len > transfer->out_len) len = transfer->out_len;
  if (len == 0 && !transfer->out_ended) {
    transfer->send_paused = true;
    sl_curl_wake(transfer);
    return CURL_READFUNC_PAUSE;
  }
  note(transfer);
  if (len == 0) return 0;
  memcpy(to, transfer->out, len);
  transfer->out += len;
  transfer->out_len -= len;
  return len;
}

/* The connection is there; the request is sent next. libcurl sends it again
   if the connection was a kept one that ended without an answer: before or
   after the server has acted upon it, nobody knows. */
static int on_connected(void *user, char *peer, char *own, int peer_port,
                        int own_port) {
  struct sl_curl_transfer *transfer = user;
  (void)peer;
  (void)own;
  (void)peer_port;
  (void)own_port;
  if (transfer->connected && transfer->once && transfer->heads == 0) {
    stop(transfer, SL_CURL_LOST);
    return CURL_PREREQFUNC_ABORT;
  }
  transfer->connected = true;
  note(transfer);
  return CURL_PREREQFUNC_OK;
}

/* -- sockets -- */

static curl_socket_t on_open(void *user, curlsocktype purpose,
                             struct curl_sockaddr *address) {
  struct sl_curl_transfer *transfer = user;
  struct sl_host *host = transfer->multi->engine.host;
  int type = address->socktype, fd;
  (void)purpose;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC;
#endif
  fd = socket(address->family, type, address->protocol);
  if (fd < 0) transfer->socket_errno = errno;
  if (fd < 0 || host == NULL || host->keep(host, fd)) return fd;
  close(fd);
  transfer->socket_errno = ENOMEM;
  return CURL_SOCKET_BAD;
}

/* A socket outlives the transfer that opened it, not the multi. */
static int on_close(void *user, curl_socket_t fd) {
  struct sl_curl_multi *multi = user;
  struct sl_host *host = multi->engine.host;
  if (host != NULL) host->forget(host, fd);
  return close(fd);
}

#define SET(option, value) curl_easy_setopt(easy, CURLOPT_##option, value)

void sl_curl_set_callbacks(struct sl_curl_transfer *transfer) {
  CURL *easy = transfer->easy;
  SET(PRIVATE, transfer);
  SET(ERRORBUFFER, transfer->error);
  SET(HEADERFUNCTION, on_header);
  SET(HEADERDATA, transfer);
  SET(WRITEFUNCTION, on_body);
  SET(WRITEDATA, transfer);
  SET(READFUNCTION, on_want);
  SET(READDATA, transfer);
  SET(PREREQFUNCTION, on_connected);
  SET(PREREQDATA, transfer);
  SET(OPENSOCKETFUNCTION, on_open);
  SET(OPENSOCKETDATA, transfer);
  SET(CLOSESOCKETFUNCTION, on_close);
  SET(CLOSESOCKETDATA, transfer->multi);
}
