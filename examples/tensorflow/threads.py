# 4. Threads: sums cut into as many pieces as there are threads.
from common import *

if len(sys.argv) > 1:
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
    big = np.random.RandomState(2).standard_normal(10_000_000).astype("float32")
    print("training", trained(), " sum of 10 million numbers", digest(tf.reduce_sum(big)))
else:
    for threads in "1", "2", "3", "4":
        print(threads, "threads:", again(threads))
