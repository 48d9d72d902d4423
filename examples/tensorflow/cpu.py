# 5. The processor's instruction set: oneDNN and Eigen choose their kernels, and with them the order of sums.
from common import *

if len(sys.argv) > 1:
    print(trained())
else:
    for isa in "SSE41", "AVX2", "AVX512_CORE":
        print(f"oneDNN at most {isa}:", again("run", ONEDNN_MAX_CPU_ISA=isa))
    print("without oneDNN:", again("run", TF_ENABLE_ONEDNN_OPTS="0"))
