/*
** tls_session.c: a connection's codec.
**
** The one idea: OpenSSL asks a BIO of ours for what arrived, and has exactly
** the bytes that are being fed; it gives a BIO of ours what is to be sent,
** which goes straight to `wire`. Both only ever copy, so OpenSSL waits for
** nothing but more bytes, and takes all that it is fed: it keeps what is left
** of a record itself.
**
** Renegotiation is off, so that writing never needs to read.
*/
#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <string.h>

enum { SMALL = 2048, PIECE = 16384 };

struct session {
  struct sl_codec codec; /* first */
  struct sl_tls_context *context;
  SSL *ssl;
  const char *fed; /* arrived and not yet taken */
  size_t left;     /* bytes of it */
  int verify_error; /* why the peer's certificate was refused; 0: it is not */
  struct sl_tls_failure *failure; /* NULL: none, or no memory for it */
  char host[]; /* whom the peer must be */
};

static struct session *session_of(struct sl_codec *codec) {
  return (struct session *)codec;
}

/* -- what OpenSSL reads and writes -- */

static int on_bio_read(BIO *bio, char *to, size_t size, size_t *n) {
  struct session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (session->left == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *n = session->left < size ? session->left : size;
  memcpy(to, session->fed, *n);
  session->fed += *n;
  session->left -= *n;
  return 1;
}

static int on_bio_write(BIO *bio, const char *data, size_t len, size_t *n) {
  struct session *session = BIO_get_data(bio);
  struct sl_codec *codec = &session->codec;
  BIO_clear_retry_flags(bio);
  *n = len;
  return codec->finished || sl_bytes_append(&codec->wire, data, len);
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_method(void) {
  method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                        "sluice's wire");
  if (method == NULL) return;
  BIO_meth_set_read_ex(method, on_bio_read);
  BIO_meth_set_write_ex(method, on_bio_write);
  BIO_meth_set_ctrl(method, on_bio_ctrl);
}

static BIO *new_bio(struct session *session) {
  BIO *bio;
  CRYPTO_THREAD_run_once(&method_once, make_method);
  bio = method == NULL ? NULL : BIO_new(method);
  if (bio == NULL) return NULL;
  BIO_set_data(bio, session);
  BIO_set_init(bio, 1);
  return bio;
}

/* -- failing -- */

/* Notes what happened, if nothing has yet. */
static struct sl_tls_failure *blame(struct session *session) {
  struct sl_tls_memory memory = session->context->memory;
  if (session->failure != NULL) return NULL;
  session->failure =
      memory.alloc(memory.ud, NULL, 0, sizeof *session->failure);
  return session->failure;
}

/* OpenSSL has said no. */
static void fail(struct session *session) {
  struct sl_tls_failure *failure;
  session->codec.state = SL_CODEC_FAILED;
  if (session->verify_error != 0) return; /* on_verify has blamed it */
  failure = blame(session);
  if (failure != NULL) sl_tls_failure_take(failure, "TLS failed");
}

static void fail_for_memory(struct session *session) {
  struct sl_tls_failure *failure = blame(session);
  session->codec.state = SL_CODEC_FAILED;
  if (failure != NULL)
    sl_tls_failure_set(failure, "ENOMEM", "out of memory");
}

static int on_verify(int fine, X509_STORE_CTX *store) {
  SSL *ssl =
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct session *session = SSL_get_app_data(ssl);
  struct sl_tls_failure *failure;
  if (fine) return 1;
  session->verify_error = X509_STORE_CTX_get_error(store);
  failure = blame(session);
  if (failure != NULL)
    sl_tls_failure_verify(failure, session->verify_error,
                          X509_STORE_CTX_get_current_cert(store),
                          session->host);
  return 0;
}

static const char *session_error(struct sl_codec *codec, const char **code) {
  const struct sl_tls_failure *failure = session_of(codec)->failure;
  *code = failure != NULL ? failure->code : "ENOMEM";
  return failure != NULL ? failure->text : "out of memory";
}

/* -- the codec -- */

/* Goes on with the handshake. Whether it is done. */
static bool shake_hands(struct session *session) {
  int result = SSL_do_handshake(session->ssl);
  if (result == 1)
    session->codec.state = SL_CODEC_OPEN;
  else if (SSL_get_error(session->ssl, result) != SSL_ERROR_WANT_READ)
    fail(session);
  return result == 1;
}

static void session_start(struct sl_codec *codec) {
  ERR_clear_error();
  shake_hands(session_of(codec));
}

/* What a read that gave nothing means. */
static void end_read(struct session *session) {
  switch (SSL_get_error(session->ssl, 0)) {
    case SSL_ERROR_WANT_READ: break;
    case SSL_ERROR_ZERO_RETURN: session->codec.ended = true; break;
    default: fail(session);
  }
}

/* Reads once, to the end of `plain`. Whether there may be more. Little goes
   by way of the stack, so that a stream at rest keeps no large buffer. */
static bool read_once(struct session *session, struct sl_bytes *plain) {
  size_t pending = (size_t)SSL_pending(session->ssl), n = 0;
  char small[SMALL];
  if (pending == 0 && session->left <= SMALL) {
    if (!SSL_read_ex(session->ssl, small, sizeof small, &n)) return false;
    if (sl_bytes_append(plain, small, n)) return true;
  } else if (sl_bytes_reserve(plain, pending > 0 ? pending : PIECE)) {
    size_t room = plain->cap - plain->start - plain->len;
    if (!SSL_read_ex(session->ssl, plain->data + plain->len, room, &n))
      return false;
    plain->len += n;
    return true;
  }
  fail_for_memory(session);
  return false;
}

static void session_decode(struct sl_codec *codec, const char *data,
                           size_t len, struct sl_bytes *plain) {
  struct session *session = session_of(codec);
  if (codec->state == SL_CODEC_FAILED || codec->ended) return;
  session->fed = data;
  session->left = len;
  ERR_clear_error();
  if (codec->state == SL_CODEC_OPEN || shake_hands(session)) {
    while (read_once(session, plain)) continue;
    if (codec->state == SL_CODEC_OPEN) end_read(session);
  }
  session->left = 0;
}

static void session_cut(struct sl_codec *codec) {
  struct sl_tls_failure *failure = blame(session_of(codec));
  bool starting = codec->state == SL_CODEC_STARTING;
  if (starting) codec->state = SL_CODEC_FAILED;
  if (failure == NULL) return;
  sl_tls_failure_set(
      failure, "ERR_SSL_UNEXPECTED_EOF_WHILE_READING",
      starting ? "the peer closed the connection in the TLS handshake"
               : "the peer closed the connection without saying so: what "
                 "was read may be cut off");
}

static void session_encode(struct sl_codec *codec, const char *data,
                           size_t len) {
  struct session *session = session_of(codec);
  size_t n;
  if (codec->state != SL_CODEC_OPEN) return;
  ERR_clear_error();
  if (!SSL_write_ex(session->ssl, data, len, &n)) fail(session);
}

static void session_finish(struct sl_codec *codec) {
  struct session *session = session_of(codec);
  if (codec->state == SL_CODEC_OPEN && !codec->finished) {
    ERR_clear_error();
    if (SSL_shutdown(session->ssl) < 0) fail(session);
  }
  codec->finished = true;
}

static bool session_describe(struct sl_codec *codec,
                             struct sl_bytes *pairs) {
  bool described = sl_tls_describe(session_of(codec)->ssl, pairs);
  ERR_clear_error();
  return described;
}

static void session_free(struct sl_codec *codec) {
  struct session *session = session_of(codec);
  struct sl_tls_context *context = session->context;
  struct sl_tls_memory memory = context->memory;
  SSL_free(session->ssl);
  sl_bytes_fini(&codec->wire);
  if (session->failure != NULL)
    memory.alloc(memory.ud, session->failure, sizeof *session->failure, 0);
  memory.alloc(memory.ud, session,
               sizeof *session + strlen(session->host) + 1, 0);
  sl_tls_context_unref(context);
}

static const struct sl_codec_ops session_ops = {
    sizeof(struct sl_codec), session_start,  session_decode,
    session_cut,             session_encode, session_finish,
    session_error,           session_describe, session_free};

/* -- birth -- */

/* The peer must be `host`: an address, or a name that it is asked for. */
static bool expect_host(SSL *ssl, const char *host) {
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  if (host[0] == '\0') return true;
  if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return true;
  X509_VERIFY_PARAM_set_hostflags(param,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
         SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool prepare(struct session *session) {
  struct sl_tls_context *context = session->context;
  SSL *ssl = session->ssl;
  BIO *bio;
  SSL_set_app_data(ssl, session);
  if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl), on_verify);
  bio = new_bio(session);
  if (bio == NULL) return false;
  SSL_set_bio(ssl, bio, bio);
  if (context->server) {
    SSL_set_accept_state(ssl);
    return true;
  }
  SSL_set_connect_state(ssl);
  return expect_host(ssl, session->host) &&
         (context->alpn_len == 0 ||
          SSL_set_alpn_protos(ssl, context->alpn, context->alpn_len) == 0);
}

struct sl_codec *sl_tls_session_new(struct sl_tls_context *context,
                                    const char *host) {
  struct sl_tls_memory memory = context->memory;
  size_t len = host == NULL ? 0 : strlen(host);
  struct session *session =
      memory.alloc(memory.ud, NULL, 0, sizeof *session + len + 1);
  if (session == NULL) return NULL;
  memset(session, 0, sizeof *session + len + 1);
  if (len > 0) memcpy(session->host, host, len);
  session->codec.ops = &session_ops;
  sl_bytes_init(&session->codec.wire, memory.alloc, memory.ud);
  session->context = context;
  context->refs++;
  ERR_clear_error();
  session->ssl = SSL_new(context->ssl);
  if (session->ssl != NULL && prepare(session)) return &session->codec;
  ERR_clear_error();
  session_free(&session->codec);
  return NULL;
}
