/*
** tls.h: what the rooms of sluice.native.tls share.
**
** The one idea: OpenSSL sees no socket. A session reads from the bytes that
** it is being fed and writes to the codec's buffer (../codec.h); what went
** wrong is kept as text and code, since OpenSSL's own queue of errors belongs
** to the thread and is gone at the next call.
**
** A context (certificates, policy) is shared by its sessions and lives as
** long as the last of them.
*/
#ifndef SL_NATIVE_TLS_H
#define SL_NATIVE_TLS_H

#include <openssl/ssl.h>

#include "../codec.h"
#include "../lx.h"

struct sl_tls_memory {
  sl_alloc *alloc;
  void *ud;
};

struct sl_tls_context {
  struct sl_tls_memory memory;
  SSL_CTX *ssl;
  uint32_t refs; /* its box's, and one a session */
  bool server;
  uint8_t alpn_len;        /* 0: none is spoken of */
  unsigned char alpn[255]; /* the protocols, each behind its length */
};

/* -- tls_context.c -- */

/* Fills a context by the table of options at `options`. Returns 0; or how
   many values of a failure it pushed. Throws: memory. */
int sl_tls_context_fill(lua_State *L, struct sl_tls_context *context,
                        int options);
void sl_tls_context_unref(struct sl_tls_context *context);

/* -- tls_session.c -- */

/* A session; `host` (NULL: none) is whom the peer must be and, if it is a
   name, what it is asked for. NULL: no memory. */
struct sl_codec *sl_tls_session_new(struct sl_tls_context *context,
                                    const char *host);

/* -- tls_error.c -- */

struct sl_tls_failure {
  char code[64];
  char text[448];
};

/* The first error in OpenSSL's queue; or `otherwise`. */
void sl_tls_failure_take(struct sl_tls_failure *failure,
                         const char *otherwise);

/* The peer's certificate was refused with `error` (X509_V_ERR_...); `cert`
   is the one of the chain that is to blame, or NULL. */
void sl_tls_failure_verify(struct sl_tls_failure *failure, int error,
                           X509 *cert, const char *host);

void sl_tls_failure_set(struct sl_tls_failure *failure, const char *code,
                        const char *text);

/* -- tls_peer.c -- */

/* Writes the subject's or issuer's name, as of RFC 2253. */
void sl_tls_write_name(char *to, size_t size, const X509_NAME *name);

/* Writes what the certificate is for: DNS:a.example, IP:10.0.0.1. */
void sl_tls_write_alt_names(char *to, size_t size, X509 *cert);

/* Appends the pairs of sl_codec_ops.describe. */
bool sl_tls_describe(SSL *ssl, struct sl_bytes *pairs);

#endif
