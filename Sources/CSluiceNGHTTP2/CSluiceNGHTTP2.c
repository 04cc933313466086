#include "CSluiceNGHTTP2.h"
