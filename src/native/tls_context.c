/*
** tls_context.c: certificates and policy, from a table of options.
**
** The one idea: what nobody should have to ask for is not an option: TLS 1.2
** at the least, forward secrecy, keys of today's strength, no compression, no
** renegotiation, no question on the terminal for the password of a key. The
** names and types of options are checked in Lua, which knows the caller; here
** is checked what only OpenSSL can tell.
*/
#include "tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/proverr.h>
#include <string.h>

static const char CIPHERS[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:DHE+CHACHA20:DHE+AES:"
    "!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM";

enum { STRENGTH = 2 /* OpenSSL's level: 112 bits, RSA of 2048 */ };

/* -- failures -- */

/* Pushes nil, message, code; the message begins with `what`. Returns 3. */
static int push_failure(lua_State *L, const char *what) {
  struct sl_tls_failure failure;
  sl_tls_failure_take(&failure, "OpenSSL gave no reason");
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", what, failure.text);
  lua_pushstring(L, failure.code);
  return 3;
}

/* As above, of the file in option `name`. */
static int push_file_failure(lua_State *L, const char *name,
                             const char *path) {
  lua_pushfstring(L, "cannot use %s '%s'", name, path);
  return push_failure(L, lua_tostring(L, -1));
}

/* -- options: what is pushed stays on the stack, so that it lives -- */

static const char *opt_string(lua_State *L, int options, const char *name) {
  lua_getfield(L, options, name);
  return lua_tostring(L, -1);
}

static bool opt_flag(lua_State *L, int options, const char *name,
                     bool otherwise) {
  bool flag = otherwise;
  if (lua_getfield(L, options, name) != LUA_TNIL)
    flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* -- a certificate of one's own -- */

struct password {
  const char *text; /* NULL: none is given */
  bool used;
};

/* Without it OpenSSL would ask on the terminal. */
static int on_password(char *to, int size, int writing, void *user) {
  struct password *password = user;
  size_t len = 0;
  (void)writing;
  if (password != NULL && password->text != NULL) len = strlen(password->text);
  if (len == 0 || len > (size_t)size) return -1;
  memcpy(to, password->text, len);
  password->used = true;
  return (int)len;
}

/* One wrong password in 256 decrypts a key to something with a valid padding;
   then OpenSSL says only that it does not know what that is. */
static void check_password(const struct password *password) {
  if (!password->used ||
      ERR_GET_REASON(ERR_peek_error()) != ERR_R_UNSUPPORTED)
    return;
  ERR_clear_error();
  ERR_raise(ERR_LIB_PROV, PROV_R_BAD_DECRYPT);
}

static int use_key(lua_State *L, SSL_CTX *ssl, int options,
                   const char *path) {
  struct password password = {opt_string(L, options, "password"), false};
  int done;
  SSL_CTX_set_default_passwd_cb(ssl, on_password);
  SSL_CTX_set_default_passwd_cb_userdata(ssl, &password);
  done = SSL_CTX_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
  if (done == 1) return 0;
  check_password(&password);
  return push_file_failure(L, "key", path);
}

static int use_certificate(lua_State *L, SSL_CTX *ssl, int options) {
  const char *cert = opt_string(L, options, "cert");
  const char *key = opt_string(L, options, "key");
  SSL_CTX_set_default_passwd_cb(ssl, on_password);
  if (cert == NULL) return 0;
  if (SSL_CTX_use_certificate_chain_file(ssl, cert) != 1)
    return push_file_failure(L, "cert", cert);
  return use_key(L, ssl, options, key != NULL ? key : cert);
}

/* -- whom to trust -- */

static int use_crl(lua_State *L, SSL_CTX *ssl, int options) {
  const char *path = opt_string(L, options, "crl_file");
  X509_STORE *store = SSL_CTX_get_cert_store(ssl);
  X509_LOOKUP *lookup;
  if (path == NULL) return 0;
  lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
  if (lookup == NULL ||
      X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) <= 0)
    return push_file_failure(L, "crl_file", path);
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  return 0;
}

/* Trusts what is in the option's file. */
static int use_authorities(lua_State *L, SSL_CTX *ssl, const char *name,
                           const char *path) {
  if (SSL_CTX_load_verify_file(ssl, path) == 1) return 0;
  return push_file_failure(L, name, path);
}

static int trust_as_client(lua_State *L, SSL_CTX *ssl, int options) {
  const char *file = opt_string(L, options, "ca_file");
  const char *path = opt_string(L, options, "ca_path");
  bool verify = opt_flag(L, options, "verify", true);
  int failed = 0;
  SSL_CTX_set_verify(ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
  if (file == NULL && path == NULL &&
      SSL_CTX_set_default_verify_paths(ssl) != 1)
    return push_failure(L, "cannot use the system's certificates");
  if (file != NULL) failed = use_authorities(L, ssl, "ca_file", file);
  if (failed == 0 && path != NULL &&
      SSL_CTX_load_verify_dir(ssl, path) != 1)
    failed = push_file_failure(L, "ca_path", path);
  return failed != 0 ? failed : use_crl(L, ssl, options);
}

static int trust_as_server(lua_State *L, SSL_CTX *ssl, int options) {
  const char *path = opt_string(L, options, "client_ca");
  STACK_OF(X509_NAME) *names;
  int mode = SSL_VERIFY_PEER, failed;
  if (path == NULL) return 0;
  if (!opt_flag(L, options, "client_optional", false))
    mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  failed = use_authorities(L, ssl, "client_ca", path);
  if (failed != 0) return failed;
  names = SSL_load_client_CA_file(path);
  if (names == NULL) return push_file_failure(L, "client_ca", path);
  SSL_CTX_set_client_CA_list(ssl, names);
  SSL_CTX_set_verify(ssl, mode, NULL);
  return use_crl(L, ssl, options);
}

/* -- ALPN -- */

/* The first of ours that the client knows, too. */
static int on_alpn(SSL *ssl, const unsigned char **out,
                   unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg) {
  struct sl_tls_context *context = arg;
  unsigned char *chosen;
  (void)ssl;
  if (SSL_select_next_proto(&chosen, out_len, context->alpn,
                            context->alpn_len, in,
                            in_len) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

static void use_alpn(lua_State *L, struct sl_tls_context *context,
                     int options) {
  size_t len;
  const char *list;
  lua_getfield(L, options, "alpn");
  list = lua_tolstring(L, -1, &len);
  if (list == NULL || len > sizeof context->alpn) return;
  memcpy(context->alpn, list, len);
  context->alpn_len = (uint8_t)len;
  if (context->server)
    SSL_CTX_set_alpn_select_cb(context->ssl, on_alpn, context);
}

/* -- the whole -- */

static bool set_policy(SSL_CTX *ssl, int min_version) {
  SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  /* Clients of ours resume by tickets; nothing is kept here. */
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_get_security_level(ssl) < STRENGTH)
    SSL_CTX_set_security_level(ssl, STRENGTH);
  return SSL_CTX_set_min_proto_version(ssl, min_version) == 1 &&
         SSL_CTX_set_cipher_list(ssl, CIPHERS) == 1 &&
         SSL_CTX_set_session_id_context(
             ssl, (const unsigned char *)"sluice", 6) == 1;
}

static int min_version(lua_State *L, int options) {
  const char *name = opt_string(L, options, "min_version");
  return name != NULL && strcmp(name, "TLSv1.3") == 0 ? TLS1_3_VERSION
                                                      : TLS1_2_VERSION;
}

int sl_tls_context_fill(lua_State *L, struct sl_tls_context *context,
                        int options) {
  SSL_CTX *ssl;
  int failed;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  ERR_clear_error();
  context->server = opt_flag(L, options, "server", false);
  ssl = SSL_CTX_new(context->server ? TLS_server_method()
                                    : TLS_client_method());
  context->ssl = ssl;
  if (ssl == NULL || !set_policy(ssl, min_version(L, options)))
    return push_failure(L, "cannot use TLS");
  use_alpn(L, context, options);
  failed = use_certificate(L, ssl, options);
  if (failed != 0) return failed;
  return context->server ? trust_as_server(L, ssl, options)
                         : trust_as_client(L, ssl, options);
}

void sl_tls_context_unref(struct sl_tls_context *context) {
  struct sl_tls_memory memory = context->memory;
  if (--context->refs > 0) return;
  SSL_CTX_free(context->ssl);
  memory.alloc(memory.ud, context, sizeof *context, 0);
}
