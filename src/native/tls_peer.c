/*
** tls_peer.c: what a session agreed upon, and who the peer is, in words.
**
** The one idea: names in a certificate are the peer's to choose, so whatever
** could be mistaken for the punctuation around them is shown as `?`.
*/
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 256 };

void sl_tls_write_name(char *to, size_t size, const X509_NAME *name) {
  unsigned long flags = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
  BIO *bio = BIO_new(BIO_s_mem());
  int n = -1;
  if (bio != NULL && X509_NAME_print_ex(bio, name, 0, flags) >= 0)
    n = BIO_read(bio, to, (int)size - 1);
  to[n > 0 ? n : 0] = '\0';
  BIO_free(bio);
}

/* -- names that it is for -- */

static void write_clean(char *to, size_t size, const char *kind,
                        const char *data, int len) {
  size_t n = (size_t)snprintf(to, size, "%s", kind);
  int i;
  for (i = 0; i < len && n + 1 < size; i++)
    to[n++] = data[i] > ' ' && data[i] < 127 && data[i] != ',' ? data[i]
                                                               : '?';
  to[n] = '\0';
}

static void write_address(char *to, size_t size, const ASN1_STRING *ip) {
  int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
  char text[INET6_ADDRSTRLEN] = "?";
  if (family == AF_INET || ASN1_STRING_length(ip) == 16)
    inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof text);
  snprintf(to, size, "IP:%s", text);
}

/* False: of a kind that is not shown. */
static bool write_alt_name(char *to, size_t size, const GENERAL_NAME *name) {
  int kind;
  const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
  const char *prefix = kind == GEN_DNS     ? "DNS:"
                       : kind == GEN_EMAIL ? "email:"
                                           : "URI:";
  if (kind == GEN_IPADD)
    write_address(to, size, value);
  else if (kind == GEN_DNS || kind == GEN_EMAIL || kind == GEN_URI)
    write_clean(to, size, prefix,
                (const char *)ASN1_STRING_get0_data(value),
                ASN1_STRING_length(value));
  else
    return false;
  return true;
}

void sl_tls_write_alt_names(char *to, size_t size, X509 *cert) {
  GENERAL_NAMES *names =
      X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  size_t n = 0;
  int i, count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
  to[0] = '\0';
  for (i = 0; i < count && n + 1 < size; i++) {
    char name[TEXT];
    if (!write_alt_name(name, sizeof name, sk_GENERAL_NAME_value(names, i)))
      continue;
    n += (size_t)snprintf(to + n, size - n, "%s%s", n > 0 ? ", " : "", name);
  }
  if (n == 0) snprintf(to, size, "no name");
  GENERAL_NAMES_free(names);
}

/* -- pairs -- */

static bool add(struct sl_bytes *pairs, const char *name, const char *value) {
  if (value == NULL || value[0] == '\0') return true;
  return sl_bytes_append(pairs, name, strlen(name) + 1) &&
         sl_bytes_append(pairs, value, strlen(value) + 1);
}

/* A protocol's name may hold any byte; one with a zero is cut there. */
static bool add_alpn(struct sl_bytes *pairs, SSL *ssl) {
  const unsigned char *data;
  unsigned len;
  char text[TEXT];
  SSL_get0_alpn_selected(ssl, &data, &len);
  if (len == 0 || len >= sizeof text) return true;
  memcpy(text, data, len);
  text[len] = '\0';
  return add(pairs, "alpn", text);
}

static bool add_time(struct sl_bytes *pairs, const char *name,
                     const ASN1_TIME *time) {
  struct tm parts;
  char text[TEXT];
  if (!ASN1_TIME_to_tm(time, &parts)) return true;
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ",
           parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
           parts.tm_hour, parts.tm_min, parts.tm_sec);
  return add(pairs, name, text);
}

static bool add_serial(struct sl_bytes *pairs, X509 *cert) {
  BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
  char *text = number == NULL ? NULL : BN_bn2hex(number);
  bool added = add(pairs, "peer.serial", text);
  OPENSSL_free(text);
  BN_free(number);
  return added;
}

static bool add_fingerprint(struct sl_bytes *pairs, X509 *cert) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[2 * EVP_MAX_MD_SIZE + 1] = "";
  unsigned i, len = 0;
  if (!X509_digest(cert, EVP_sha256(), digest, &len)) return true;
  for (i = 0; i < len; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return add(pairs, "peer.sha256", text);
}

static bool add_cert(struct sl_bytes *pairs, X509 *cert) {
  char subject[TEXT], issuer[TEXT], names[4 * TEXT];
  sl_tls_write_name(subject, sizeof subject, X509_get_subject_name(cert));
  sl_tls_write_name(issuer, sizeof issuer, X509_get_issuer_name(cert));
  sl_tls_write_alt_names(names, sizeof names, cert);
  return add(pairs, "peer.subject", subject) &&
         add(pairs, "peer.issuer", issuer) &&
         add(pairs, "peer.names", names) && add_serial(pairs, cert) &&
         add_time(pairs, "peer.not_before", X509_get0_notBefore(cert)) &&
         add_time(pairs, "peer.not_after", X509_get0_notAfter(cert)) &&
         add_fingerprint(pairs, cert);
}

bool sl_tls_describe(SSL *ssl, struct sl_bytes *pairs) {
  X509 *cert = SSL_get0_peer_certificate(ssl);
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!add(pairs, "version", SSL_get_version(ssl)) ||
      !add(pairs, "cipher", SSL_get_cipher_name(ssl)) ||
      !add(pairs, "server_name", name) || !add_alpn(pairs, ssl))
    return false;
  return cert == NULL || add_cert(pairs, cert);
}
