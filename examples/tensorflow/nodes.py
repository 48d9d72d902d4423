# 10. Cluster nodes: a batch shared among 1, 2 and 4 workers (here devices of one machine), gradients added up.
from common import *

if len(sys.argv) > 1:
    workers = int(sys.argv[1])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * workers)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(workers)])
    tf.keras.utils.set_random_seed(1)
    with strategy.scope():
        model = net(dropout=0.0)
    model.fit(x, labels, batch_size=40, epochs=3, shuffle=False, verbose=0)
    print(digest(model.get_weights()))
else:
    for workers in "1", "2", "4":
        print(workers, "workers, batches of 40 in all:", again(workers))
