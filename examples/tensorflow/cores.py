# 9. Cores: nothing is set, the process may only use that many of the machine's cores.
from common import *

if len(sys.argv) > 1:
    print(trained(), digest(tf.reduce_sum(np.random.RandomState(2).standard_normal(10_000_000).astype("float32"))))
else:
    for cores in range(1, len(os.sched_getaffinity(0)) + 1):
        everything = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(everything)[:cores])
        print(cores, "cores: training, sum of 10 million numbers", again("run"))
        os.sched_setaffinity(0, everything)
