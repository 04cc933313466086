#include "CSluiceCompression.h"
