#include "CSluiceOpenSSL.h"
