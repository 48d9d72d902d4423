// See unit_a.cpp. Includes the header twice, before and after others.
#include "detnn.h"
#include <stddef.h>
#include "detnn.h"
#include "small.h"

#ifdef __cplusplus
extern "C"
#endif
detnn_result train_in_b(char *digest);

detnn_result train_in_b(char *digest)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net;
    detnn_result r = detnn_net_create(&net, &desc, NULL);
    if (!r) r = detnn_fit(net, &data, &fit, NULL);
    if (!r) detnn_state_digest(net, digest);
    detnn_net_destroy(net);
    return r;
}
