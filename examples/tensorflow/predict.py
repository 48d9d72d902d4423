# 3. Dropout in predict: one word in the call, and the answers are drawn by lot.
from common import *

tf.keras.utils.set_random_seed(1)
model = net()
for run in 1, 2:
    print("model.predict(x), run", run, digest(model.predict(x[:100], verbose=0)))
for run in 1, 2:
    print("model(x, training=True), run", run, digest(model(x[:100], training=True)))
