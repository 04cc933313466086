#include "CSluiceVectorscan.h"
