/*
** tls_error.c: what went wrong, as text and code.
**
** The codes are those of Node.js, which gives libuv's for everything else:
** the names of OpenSSL's verify errors (CERT_HAS_EXPIRED), and ERR_SSL_ or
** ERR_OSSL_ and the reason for the rest (ERR_SSL_WRONG_VERSION_NUMBER). The
** usual ones have a text that tells what to look at.
*/
#include "tls.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

void sl_tls_failure_set(struct sl_tls_failure *failure, const char *code,
                        const char *text) {
  snprintf(failure->code, sizeof failure->code, "%s", code);
  snprintf(failure->text, sizeof failure->text, "%s", text);
}

/* -- of the system -- */

static const char *errno_name(int error) {
  switch (error) {
    case ENOENT: return "ENOENT";
    case EACCES: return "EACCES";
    case EISDIR: return "EISDIR";
    case ENOTDIR: return "ENOTDIR";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case EMFILE: return "EMFILE";
    case ENFILE: return "ENFILE";
    case ENOMEM: return "ENOMEM";
    default: return "EIO";
  }
}

/* -- of the protocol -- */

/* What OpenSSL's reasons mean to whoever reads a log. */
static const struct {
  const char *name;
  const char *text;
} wordings[] = {
    {"wrong version number", "the peer does not speak TLS"},
    {"http request", "the peer speaks HTTP without TLS"},
    {"https proxy request", "the peer speaks to an HTTP proxy"},
    {"unsupported protocol", "no version of TLS in common"},
    {"no protocols available", "no version of TLS in common"},
    {"no shared cipher", "no cipher in common"},
    {"no application protocol", "no ALPN protocol in common"},
    {"peer did not return a certificate", "the client sent no certificate"},
    {"decryption failed or bad record mac",
     "what arrived was damaged or forged"},
    {"ee key too small", "the key of the certificate is too weak"},
    {"ca md too weak", "the digest of the certificate is too weak"},
    {"no start line", "it holds nothing of the kind in PEM"},
    {"unsupported", "it holds nothing of the kind in PEM"},
    {"key values mismatch", "it is not the key of the certificate"},
    {"interrupted or cancelled", "it is encrypted, and no password is given"},
    {"bad decrypt", "the password is wrong"},
};

/* A reason of an alert that the peer sent is its number and this. */
enum { ALERT = SSL_AD_REASON_OFFSET, LAST_ALERT = ALERT + 255 };

static void write_text(char *to, size_t size, int library, int reason,
                       const char *name) {
  const char *alert = strstr(name, "alert ");
  size_t i;
  if (library == ERR_LIB_SSL && reason > ALERT && reason <= LAST_ALERT &&
      alert != NULL) {
    snprintf(to, size, "the peer ended TLS with the alert '%s'",
             alert + strlen("alert "));
    return;
  }
  for (i = 0; i < sizeof wordings / sizeof *wordings; i++) {
    if (strcmp(wordings[i].name, name) != 0) continue;
    snprintf(to, size, "%s (%s)", wordings[i].text, name);
    return;
  }
  snprintf(to, size, "OpenSSL says '%s'", name);
}

/* The code's begin for a library of OpenSSL. */
static const char *prefix_of(int library) {
  switch (library) {
    case ERR_LIB_SSL: return "ERR_SSL_";
    case ERR_LIB_X509: return "ERR_OSSL_X509_";
    case ERR_LIB_PEM: return "ERR_OSSL_PEM_";
    case ERR_LIB_EVP: return "ERR_OSSL_EVP_";
    case ERR_LIB_ASN1: return "ERR_OSSL_ASN1_";
    default: return "ERR_OSSL_";
  }
}

/* The prefix, and the reason in capitals. */
static void write_code(char *to, size_t size, const char *prefix,
                       const char *reason) {
  size_t n = (size_t)snprintf(to, size, "%s", prefix);
  for (; *reason != '\0' && n + 1 < size; reason++)
    to[n++] = isalnum((unsigned char)*reason)
                  ? (char)toupper((unsigned char)*reason)
                  : '_';
  to[n] = '\0';
}

void sl_tls_failure_take(struct sl_tls_failure *failure,
                         const char *otherwise) {
  unsigned long error = ERR_peek_error();
  int library = ERR_GET_LIB(error), reason = ERR_GET_REASON(error);
  const char *name = ERR_reason_error_string(error);
  if (error == 0) {
    sl_tls_failure_set(failure, "EPROTO", otherwise);
  } else if (ERR_SYSTEM_ERROR(error)) {
    sl_tls_failure_set(failure, errno_name(reason), strerror(reason));
  } else if (reason == ERR_R_MALLOC_FAILURE || name == NULL) {
    sl_tls_failure_set(failure, "ENOMEM", "out of memory");
  } else {
    write_code(failure->code, sizeof failure->code, prefix_of(library),
               name);
    write_text(failure->text, sizeof failure->text, library, reason, name);
  }
  ERR_clear_error();
}

/* -- of certificates -- */

#define NAMED(name) {X509_V_ERR_##name, #name}

static const struct {
  int error;
  const char *name;
} verify_names[] = {
    NAMED(UNABLE_TO_GET_ISSUER_CERT),
    NAMED(UNABLE_TO_GET_CRL),
    NAMED(CERT_SIGNATURE_FAILURE),
    NAMED(CRL_SIGNATURE_FAILURE),
    NAMED(CERT_NOT_YET_VALID),
    NAMED(CERT_HAS_EXPIRED),
    NAMED(CRL_NOT_YET_VALID),
    NAMED(CRL_HAS_EXPIRED),
    NAMED(ERROR_IN_CERT_NOT_BEFORE_FIELD),
    NAMED(ERROR_IN_CERT_NOT_AFTER_FIELD),
    NAMED(OUT_OF_MEM),
    NAMED(DEPTH_ZERO_SELF_SIGNED_CERT),
    NAMED(SELF_SIGNED_CERT_IN_CHAIN),
    NAMED(UNABLE_TO_GET_ISSUER_CERT_LOCALLY),
    NAMED(UNABLE_TO_VERIFY_LEAF_SIGNATURE),
    NAMED(CERT_CHAIN_TOO_LONG),
    NAMED(CERT_REVOKED),
    NAMED(INVALID_CA),
    NAMED(PATH_LENGTH_EXCEEDED),
    NAMED(INVALID_PURPOSE),
    NAMED(CERT_UNTRUSTED),
    NAMED(CERT_REJECTED),
    NAMED(UNHANDLED_CRITICAL_EXTENSION),
    NAMED(INVALID_EXTENSION),
    NAMED(PERMITTED_VIOLATION),
    NAMED(EXCLUDED_VIOLATION),
    NAMED(HOSTNAME_MISMATCH),
    NAMED(IP_ADDRESS_MISMATCH),
    NAMED(EE_KEY_TOO_SMALL),
    NAMED(CA_KEY_TOO_SMALL),
    NAMED(CA_MD_TOO_WEAK),
};

static const char *verify_name(int error) {
  size_t i;
  for (i = 0; i < sizeof verify_names / sizeof *verify_names; i++)
    if (verify_names[i].error == error) return verify_names[i].name;
  return "ERR_SSL_CERTIFICATE_VERIFY_FAILED";
}

static bool is_mismatch(int error) {
  return error == X509_V_ERR_HOSTNAME_MISMATCH ||
         error == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

void sl_tls_failure_verify(struct sl_tls_failure *failure, int error,
                           X509 *cert, const char *host) {
  const char *text = X509_verify_cert_error_string(error);
  char names[192];
  snprintf(failure->code, sizeof failure->code, "%s", verify_name(error));
  if (cert == NULL) {
    snprintf(failure->text, sizeof failure->text, "certificate refused: %s",
             text);
  } else if (is_mismatch(error)) {
    sl_tls_write_alt_names(names, sizeof names, cert);
    snprintf(failure->text, sizeof failure->text,
             "certificate refused: %s: it is not for %s but for %s", text,
             host, names);
  } else {
    sl_tls_write_name(names, sizeof names, X509_get_subject_name(cert));
    snprintf(failure->text, sizeof failure->text,
             "certificate refused: %s (%s)", text, names);
  }
}
