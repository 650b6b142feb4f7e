/*
** curl_error.c: libcurl's errors as `nil, message, code`, the code one of
** few stable names: libuv's where one fits, else one of the manual's table.
*/
#include "curl.h"

#include <errno.h>
#include <string.h>

struct name {
  int number;
  const char *name;
};

/* What a system call of libcurl's can meet. */
static const struct name system_names[] = {
    {EACCES, "EACCES"},
    {EADDRNOTAVAIL, "EADDRNOTAVAIL"},
    {EAFNOSUPPORT, "EAFNOSUPPORT"},
    {ECONNABORTED, "ECONNABORTED"},
    {ECONNREFUSED, "ECONNREFUSED"},
    {ECONNRESET, "ECONNRESET"},
    {EHOSTUNREACH, "EHOSTUNREACH"},
    {EMFILE, "EMFILE"},
    {ENETDOWN, "ENETDOWN"},
    {ENETUNREACH, "ENETUNREACH"},
    {ENFILE, "ENFILE"},
    {ENOENT, "ENOENT"},
    {ENOMEM, "ENOMEM"},
    {EPERM, "EPERM"},
    {EPIPE, "EPIPE"},
    {ETIMEDOUT, "ETIMEDOUT"}};

static const struct name curl_names[] = {
    {CURLE_UNSUPPORTED_PROTOCOL, "EPROTO"},
    {CURLE_URL_MALFORMAT, "EINVAL"},
    {CURLE_COULDNT_RESOLVE_PROXY, "EAI_NONAME"},
    {CURLE_COULDNT_RESOLVE_HOST, "EAI_NONAME"},
    {CURLE_COULDNT_CONNECT, "ECONNREFUSED"},
    {CURLE_WEIRD_SERVER_REPLY, "EPROTO"},
    {CURLE_HTTP2, "EPROTO"},
    {CURLE_PARTIAL_FILE, "EOF"},
    {CURLE_OUT_OF_MEMORY, "ENOMEM"},
    {CURLE_OPERATION_TIMEDOUT, "ETIMEDOUT"},
    {CURLE_SSL_CONNECT_ERROR, "ETLS"},
    {CURLE_TOO_MANY_REDIRECTS, "ETOOMANYREDIRECTS"},
    {CURLE_GOT_NOTHING, "EOF"},
    {CURLE_SSL_ENGINE_NOTFOUND, "ETLS"},
    {CURLE_SSL_ENGINE_SETFAILED, "ETLS"},
    {CURLE_SEND_ERROR, "EPIPE"},
    {CURLE_RECV_ERROR, "EPROTO"},
    {CURLE_SSL_CERTPROBLEM, "ECERT"},
    {CURLE_SSL_CIPHER, "ETLS"},
    {CURLE_PEER_FAILED_VERIFICATION, "ECERT"},
    {CURLE_BAD_CONTENT_ENCODING, "EPROTO"},
    {CURLE_FILESIZE_EXCEEDED, "EFBIG"},
    {CURLE_USE_SSL_FAILED, "ETLS"},
    {CURLE_SEND_FAIL_REWIND, "ESPIPE"},
    {CURLE_SSL_CACERT_BADFILE, "ECERT"},
    {CURLE_SSL_ISSUER_ERROR, "ECERT"},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, "ECERT"},
    {CURLE_SSL_INVALIDCERTSTATUS, "ECERT"},
    {CURLE_HTTP2_STREAM, "EPROTO"},
    {CURLE_PROXY, "EPROXY"},
    {CURLE_SSL_CLIENTCERT, "ECERT"}};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char *find(const struct name *list, size_t n, int number) {
  for (size_t i = 0; i < n; i++)
    if (list[i].number == number) return list[i].name;
  return NULL;
}

static int push(lua_State *L, const char *message, const char *code) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  lua_pushstring(L, code);
  return 3;
}

static const char *name_of(CURLcode code) {
  const char *name = find(curl_names, COUNT(curl_names), (int)code);
  return name != NULL ? name : "EIO";
}

int sl_curl_fail_code(lua_State *L, CURLcode code) {
  return push(L, curl_easy_strerror(code), name_of(code));
}

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* Whether a call of the system failed, whose error libcurl keeps; it keeps
   that also when something else fails later. */
static bool is_system(const struct sl_curl_transfer *transfer) {
  return transfer->result == CURLE_COULDNT_CONNECT ||
         begins(transfer->error, "Recv failure") ||
         begins(transfer->error, "Send failure");
}

static const char *name_of_failure(const struct sl_curl_transfer *transfer) {
  const char *name = NULL;
  long number = 0;
  if (begins(transfer->error, "Unix socket path too long"))
    return "ENAMETOOLONG";
  if (transfer->result == CURLE_UNSUPPORTED_PROTOCOL &&
      begins(transfer->error, "Protocol "))
    return "EPROTONOSUPPORT";
  if (is_system(transfer)) {
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (transfer->socket_errno != 0) number = transfer->socket_errno;
    name = find(system_names, COUNT(system_names), (int)number);
  }
  return name != NULL ? name : name_of(transfer->result);
}

static int push_stop(lua_State *L, enum sl_curl_stop why) {
  switch (why) {
    case SL_CURL_TOO_BIG:
      return push(L, "the body is larger than max_body", "EFBIG");
    case SL_CURL_TOO_LONG:
      return push(L, "the response's head is too long", "EPROTO");
    case SL_CURL_LOST:
      return push(L, "the connection ended before an answer", "EOF");
    default:
      return push(L, "not enough memory", "ENOMEM");
  }
}

/* A line of a head that is longer than its buffer is one of these, too. */
static bool out_of_memory(const struct sl_curl_transfer *transfer) {
  return transfer->result == CURLE_OUT_OF_MEMORY &&
         (transfer->head_done || !transfer->connected);
}

int sl_curl_fail(lua_State *L, const struct sl_curl_transfer *transfer) {
  const char *message = transfer->error;
  if (transfer->state == SL_CURL_CLOSED)
    return push(L, "the client is closed", "ECANCELED");
  if (transfer->stop != SL_CURL_NO_STOP) return push_stop(L, transfer->stop);
  if (transfer->result == CURLE_OUT_OF_MEMORY && !out_of_memory(transfer))
    return push_stop(L, SL_CURL_TOO_LONG);
  if (message[0] == 0) message = curl_easy_strerror(transfer->result);
  return push(L, message, name_of_failure(transfer));
}
