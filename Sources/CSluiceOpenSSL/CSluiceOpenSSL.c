#include "CSluiceOpenSSL.h"

#include <malloc.h>
#include <stdlib.h>

// With SSL_MODE_RELEASE_BUFFERS the library takes memory for each record and gives it back, and of such sizes the C library
// merges and divides its free memory each time. Two sizes are kept instead, a few of each for each thread.
enum { kept_max = 8 };
struct kept {
  void *blocks[kept_max];
  unsigned count;
};
// What the two buffers of a connection take lies within these: one record, and what is read ahead.
static const size_t small_least = 16384, small_size = 18432, large_least = 65536, large_size = 67584;
static _Thread_local struct kept small_kept, large_kept;

static void *take(struct kept *kept, size_t size) { return kept->count ? kept->blocks[--kept->count] : malloc(size); }

static void *kept_malloc(size_t size, const char *file, int line) {
  (void)file, (void)line;
  if (!size) return NULL;
  if (size >= small_least && size <= small_size) return take(&small_kept, small_size);
  if (size >= large_least && size <= large_size) return take(&large_kept, large_size);
  return malloc(size);
}

static void kept_free(void *memory, const char *file, int line) {
  (void)file, (void)line;
  if (!memory) return;
  // Whatever has the room will do, wherever it comes from.
  size_t room = malloc_usable_size(memory);
  struct kept *kept = NULL;
  if (room >= small_size && room < small_size + 2048) kept = &small_kept;
  if (room >= large_size && room < large_size + 2048) kept = &large_kept;
  if (kept && kept->count < kept_max) {
    kept->blocks[kept->count++] = memory;
  } else {
    free(memory);
  }
}

static void *kept_realloc(void *memory, size_t size, const char *file, int line) {
  (void)file, (void)line;
  return realloc(memory, size);
}

int sluice_keep_buffers(void) { return CRYPTO_set_mem_functions(kept_malloc, kept_realloc, kept_free); }
