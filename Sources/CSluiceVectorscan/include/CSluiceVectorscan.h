// Vectorscan (Hyperscan API); no logic.
#pragma once
#include <hs/hs.h>
// malloc_trim: compiling databases leaves holes in the heap; Glibc's module does not have it.
#include <malloc.h>
