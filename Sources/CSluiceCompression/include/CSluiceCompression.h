// zlib, zstd and brotli with their init macros wrapped for Swift; no logic.
#pragma once
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

/// `inflateInit2` with windowBits: 15+32 detects zlib and gzip, -15 is raw deflate.
static inline int sluice_inflate_init(z_stream *stream, int windowBits) {
  return inflateInit2(stream, windowBits);
}
