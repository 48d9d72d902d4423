# 7. Loading: six epochs at once, and three, saved, loaded, three more.
import tempfile
from common import *

tf.keras.utils.set_random_seed(1)
model = net()
model.fit(x, labels, batch_size=50, epochs=6, verbose=0)
print("six epochs              ", digest(model.get_weights()))

file = os.path.join(tempfile.mkdtemp(), "net.keras")
tf.keras.utils.set_random_seed(1)
model = net()
model.fit(x, labels, batch_size=50, epochs=3, verbose=0)
model.save(file)
loaded = tf.keras.models.load_model(file)
print("saved and loaded: weights", "equal" if digest(loaded.get_weights()) == digest(model.get_weights()) else "differ")
loaded.fit(x, labels, batch_size=50, epochs=3, verbose=0)
print("three, loaded, three more", digest(loaded.get_weights()))
tf.keras.utils.set_random_seed(1)
loaded = tf.keras.models.load_model(file)
loaded.fit(x, labels, batch_size=50, epochs=3, verbose=0)
print("the same, seeded anew    ", digest(loaded.get_weights()))
