/* test_features.c once more, without training: only predictions are left (no detnni_ name is used here, but the
 * implementation is compiled with this mask). */
#define DETNN_FEATURES 0
#include "test_features.c"
