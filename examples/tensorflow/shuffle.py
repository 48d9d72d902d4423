# 2. Shuffles and dropout: the same starting weights, and still another result.
from common import *

start = [random.standard_normal(w.shape) * 0.1 for w in net().get_weights()]
for name, dropout, shuffle in ("shuffle and dropout", 0.2, True), ("shuffle alone", 0.0, True), ("neither", 0.0, False):
    for run in 1, 2:
        model = net(dropout)
        model.set_weights(start)
        model.fit(x, labels, batch_size=50, epochs=1, verbose=0, shuffle=shuffle)
        print(f"{name}, run {run}", digest(model.get_weights()))
