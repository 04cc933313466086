// OpenSSL with its macros wrapped for Swift; no logic but `sluice_keep_buffers`.
#pragma once
// EC_KEY is deprecated, yet a key made through it has its public half encoded in 4 us instead of 148.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Keys

static inline EVP_PKEY *sluice_p256_generate(void) {
  EC_KEY *half = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
  EVP_PKEY *key = EVP_PKEY_new();
  if (half && key && EC_KEY_generate_key(half) == 1 && EVP_PKEY_assign_EC_KEY(key, half) == 1) return key;
  EC_KEY_free(half);
  EVP_PKEY_free(key);
  return NULL;
}

static inline EVP_PKEY *sluice_rsa_generate(size_t bits) { return EVP_RSA_gen(bits); }

// Certificates that are signed elsewhere

/// The octets that are to be signed with the algorithm `kind`; the caller frees them (OPENSSL_free). Below 1 on failure.
static inline int sluice_x509_to_be_signed(X509 *x, int kind, unsigned char **out) {
  const X509_ALGOR *outer;
  const ASN1_BIT_STRING *signature;
  X509_get0_signature(&signature, &outer, x);
  // RFC 4055 section 5 wants NULL as RSA's parameters, RFC 5758 section 3.2 none for ECDSA.
  int parameters = kind == NID_sha256WithRSAEncryption ? V_ASN1_NULL : V_ASN1_UNDEF;
  if (!X509_ALGOR_set0((X509_ALGOR *)X509_get0_tbs_sigalg(x), OBJ_nid2obj(kind), parameters, NULL)) return 0;
  if (!X509_ALGOR_set0((X509_ALGOR *)outer, OBJ_nid2obj(kind), parameters, NULL)) return 0;
  return i2d_re_X509_tbs(x, out);
}
/// Puts a signature to the octets that were given out last. 1 when done.
static inline int sluice_x509_put_signature(X509 *x, const unsigned char *bytes, int count) {
  const X509_ALGOR *outer;
  const ASN1_BIT_STRING *held;
  X509_get0_signature(&held, &outer, x);
  ASN1_BIT_STRING *signature = (ASN1_BIT_STRING *)held;
  if (!ASN1_STRING_set(signature, bytes, count)) return 0;
  // Whole octets: no unused bits at the end.
  signature->flags = (signature->flags & ~0x0fL) | ASN1_STRING_FLAG_BITS_LEFT;
  return 1;
}
static inline void sluice_free(void *memory) { OPENSSL_free(memory); }

/// Has the buffers of connections kept for the next ones of the same thread; before the library's first use. Some 700 kB for
/// each thread that speaks TLS. 0 where it is too late, which does no harm.
int sluice_keep_buffers(void);

// Contexts

static inline long sluice_ctx_set_mode(SSL_CTX *c, long mode) { return SSL_CTX_set_mode(c, mode); }
static inline int sluice_ctx_set_min_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_min_proto_version(c, v); }
static inline int sluice_ctx_set_max_version(SSL_CTX *c, int v) { return (int)SSL_CTX_set_max_proto_version(c, v); }
static inline int sluice_set_min_version(SSL *s, int v) { return (int)SSL_set_min_proto_version(s, v); }
static inline int sluice_set_groups(SSL *s, int *kinds, int count) { return (int)SSL_set1_groups(s, kinds, count); }
static inline int sluice_set_max_version(SSL *s, int v) { return (int)SSL_set_max_proto_version(s, v); }
static inline long sluice_ctx_set_session_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline long sluice_ctx_set_read_ahead(SSL_CTX *c, long on) { return SSL_CTX_set_read_ahead(c, on); }
static inline long sluice_ctx_set_ticket_keys(SSL_CTX *c, void *keys, long count) { return SSL_CTX_set_tlsext_ticket_keys(c, keys, count); }
static inline long sluice_ctx_ticket_keys_length(SSL_CTX *c) { return SSL_CTX_set_tlsext_ticket_keys(c, NULL, 0); }
static inline void sluice_ctx_set_read_buffer(SSL_CTX *c, size_t n) { SSL_CTX_set_default_read_buffer_len(c, n); }
static inline int sluice_ctx_set_ciphers(SSL_CTX *c, const char *list) { return SSL_CTX_set_cipher_list(c, list); }
#define SLUICE_MODES (SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS)
#define SLUICE_OPTIONS_BOTH (SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION)
static inline long sluice_modes(void) { return SLUICE_MODES; }
static inline uint64_t sluice_options_both(void) { return SLUICE_OPTIONS_BOTH; }
static inline uint64_t sluice_options_server(void) { return SLUICE_OPTIONS_BOTH | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA; }
static inline uint64_t sluice_option_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline long sluice_cache_off(void) { return SSL_SESS_CACHE_OFF; }
static inline long sluice_cache_client_external(void) { return SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL; }

/// Sessions of clients without tickets, at most `count`.
static inline long sluice_cache_server(SSL_CTX *c, long count) {
  SSL_CTX_sess_set_cache_size(c, count);
  return SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_SERVER);
}
static inline int sluice_ctx_add_chain(SSL_CTX *c, X509 *x) { return (int)SSL_CTX_add1_chain_cert(c, x); }
/// Asks clients for a certificate of the authorities in `path`. 1 when done.
static inline int sluice_ctx_ask_client_certificate(SSL_CTX *c, const char *path, int is_required) {
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
  if (!names) return 0;
  SSL_CTX_set_client_CA_list(c, names);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
  return SSL_CTX_load_verify_file(c, path);
}
static inline int sluice_pass_any_certificate(int is_good, X509_STORE_CTX *c) {
  (void)is_good, (void)c;
  return 1;
}
/// Behind sluice_ctx_ask_client_certificate: a certificate that can't be verified does not end the handshake. That the client has
/// its key is shown all the same.
static inline void sluice_ctx_pass_any_certificate(SSL_CTX *c) { SSL_CTX_set_verify(c, SSL_VERIFY_PEER, sluice_pass_any_certificate); }
static inline void sluice_ctx_verify_peer(SSL_CTX *c, int on) { SSL_CTX_set_verify(c, on ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL); }

// Connections

static inline void sluice_ctx_set_max_cert_list(SSL_CTX *c, long octets) { SSL_CTX_set_max_cert_list(c, octets); }
/// What the security callback is asked about, without the kind of its last argument.
static inline int sluice_security_topic(int operation) { return operation & 0xffff; }
static inline int sluice_topic_version(void) { return SSL_SECOP_VERSION & 0xffff; }
static inline int sluice_is_topic_signature(int topic) {
  return topic == (SSL_SECOP_SIGALG_SUPPORTED & 0xffff) || topic == (SSL_SECOP_SIGALG_SHARED & 0xffff)
      || topic == (SSL_SECOP_SIGALG_CHECK & 0xffff) || topic == (SSL_SECOP_SIGALG_MASK & 0xffff);
}
static inline int sluice_set_host_name(SSL *s, const char *name) { return (int)SSL_set_tlsext_host_name(s, name); }
static inline int sluice_request_staple(SSL *s) { return (int)SSL_set_tlsext_status_type(s, TLSEXT_STATUSTYPE_ocsp); }
/// -1 without one.
static inline long sluice_staple(SSL *s, unsigned char **bytes) { return SSL_get_tlsext_status_ocsp_resp(s, bytes); }
static inline int sluice_set_owner(SSL *s, void *owner) { return SSL_set_ex_data(s, 0, owner); }
static inline void *sluice_owner(const SSL *s) { return SSL_get_ex_data(s, 0); }
static inline int sluice_session_reused(const SSL *s) { return SSL_session_reused((SSL *)s); }
static inline int sluice_session_is_tls13(const SSL_SESSION *s) { return SSL_SESSION_get_protocol_version(s) >= TLS1_3_VERSION; }

// Input and output

static inline void sluice_bio_retry_read(BIO *b) { BIO_set_retry_read(b); }
static inline void sluice_bio_retry_write(BIO *b) { BIO_set_retry_write(b); }
static inline void sluice_bio_clear_retry(BIO *b) { BIO_clear_retry_flags(b); }
static inline long sluice_bio_memory(BIO *b, char **data) { return BIO_get_mem_data(b, data); }
static inline int sluice_bio_type(void) { return BIO_get_new_index() | BIO_TYPE_SOURCE_SINK; }

// Errors

static inline int sluice_error_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int sluice_error_library(unsigned long code) { return ERR_GET_LIB(code); }
/// A received alert N is reported as reason 1000 + N by the SSL library.
static inline int sluice_error_alert(unsigned long code) {
  int reason = ERR_GET_REASON(code);
  return ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256
             ? reason - SSL_AD_REASON_OFFSET : -1;
}

// Stacks

static inline int sluice_x509_count(const STACK_OF(X509) *s) { return s ? sk_X509_num(s) : 0; }
static inline X509 *sluice_x509_at(const STACK_OF(X509) *s, int i) { return sk_X509_value(s, i); }
static inline STACK_OF(X509) *sluice_x509_stack(void) { return sk_X509_new_null(); }
static inline int sluice_x509_push(STACK_OF(X509) *s, X509 *x) { return sk_X509_push(s, x); }
static inline void sluice_x509_stack_free(STACK_OF(X509) *s) { sk_X509_free(s); }

// Names

static inline unsigned long sluice_name_format(void) { return XN_FLAG_RFC2253; }
