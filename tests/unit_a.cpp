// One of three units of a program: this one has the implementation, unit_b.cpp uses it, unit_c.cpp
// has a copy
// of its own (DETNN_STATIC). tests/freestanding.sh links them in C++ and, the same text, in C.
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "small.h"
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
detnn_result train_in_b(char *digest);
detnn_result train_in_c(char *digest);
#ifdef __cplusplus
}
#endif

int main(void)
{
    char b[DETNN_DIGEST_TEXT] = "", c[DETNN_DIGEST_TEXT] = "", a[DETNN_DIGEST_TEXT] = "";
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net;
    if (detnn_net_create(&net, &desc, NULL) || detnn_fit(net, &data, &fit, NULL)) return 1;
    detnn_state_digest(net, a);
    detnn_net_destroy(net);
    if (train_in_b(b) || train_in_c(c)) return 2;
    if (!small_equal(a, SMALL_STATE) || !small_equal(a, b)
        || !small_equal(a, c)) return printf("%s\n%s\n%s\n", a, b, c), 3;
    return 0;
}
