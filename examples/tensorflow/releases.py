# 6. Releases: the same program under another TensorFlow. Run it with each interpreter.
from common import *

tf.keras.utils.set_random_seed(1)
print("TensorFlow", tf.__version__, "starting weights", digest(net().get_weights()), "trained", trained())
