# 1. Starting weights: without a seed, every run starts elsewhere.
from common import *

for run in 1, 2:
    print("unseeded, run", run, digest(net().get_weights()))
for run in 1, 2:
    tf.keras.utils.set_random_seed(1)
    print("seeded,   run", run, digest(net().get_weights()))
