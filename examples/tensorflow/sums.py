# 8. float32 sums: the answer for one sample depends on how many others are asked beside it.
from common import *

tf.keras.utils.set_random_seed(1)
wide = tf.keras.Sequential([tf.keras.Input((784,)), tf.keras.layers.Dense(512, activation="relu"), tf.keras.layers.Dense(10)])
data = np.random.RandomState(3).standard_normal((256, 784)).astype("float32")
for size in 1, 3, 8, 32, 256:
    answers = wide.predict(data, batch_size=size, verbose=0)
    print(f"asked {size:3} at a time:", digest(answers))
numbers = data.ravel()
print("sum", digest(tf.reduce_sum(numbers)), " sum backwards", digest(tf.reduce_sum(numbers[::-1].copy())))
