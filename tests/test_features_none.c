/* test_features.c once more, without training: only predictions are left (no detnni_ name is used here, but the
 * implementation is compiled with this mask). */
#define DETNN_FEATURES DETNN_FEATURE_MESSAGES
#include "test_features.c"
