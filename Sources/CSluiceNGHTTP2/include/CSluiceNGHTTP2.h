// The HPACK decoder of nghttp2; no logic.
#pragma once
#include <nghttp2/nghttp2.h>
