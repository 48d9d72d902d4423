"""Training and latency of one framework, on one thread: frameworks.py torch|tensorflow|tensorflow-deterministic|jax|onnxruntime.

Speaks the protocol of bench.h. Training is the job of training.c: 6400 samples of 784 features in a new order every
epoch, batches of 64. Latency is that of latency.c, called from Python.
"""
import os, sys, time
import numpy as np

SAMPLES, BATCH, CALLS = 6400, 64, 2001
which = sys.argv[1]
random = np.random.default_rng(1)
x = (random.random((SAMPLES, 784), dtype=np.float32) - 0.5)
labels = (np.arange(SAMPLES) * 7 % 10).astype(np.int32)
x[np.arange(SAMPLES), labels] += 1


def start_of(sizes):
    """Kernels [inputs][units] and biases."""
    return [(random.uniform(-1, 1, (i, o)).astype(np.float32) * np.float32((6 / (i + o)) ** 0.5), np.zeros(o, np.float32))
            for i, o in zip(sizes, sizes[1:])]


def torch_training(sizes, rate, adam):
    import torch
    torch.set_num_threads(1)
    layers = []
    for i, o in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(i, o)] + ([torch.nn.ReLU()] if o != 10 else []) + ([torch.nn.Dropout(rate)] if rate and o != 10 else [])
    net = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, foreach=True) if adam else torch.optim.SGD(net.parameters(), 1e-2, foreach=True)
    data, wanted = torch.from_numpy(x), torch.from_numpy(labels).long()
    loss = torch.nn.functional.cross_entropy

    def epoch():
        for part in torch.randperm(SAMPLES).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            loss(net(data[part]), wanted[part]).backward()
            optimizer.step()
    return epoch


def torch_latency(sizes):
    import torch
    torch.set_num_threads(1)
    last = torch.nn.Sigmoid() if sizes[-1] == 1 else torch.nn.Softmax(-1)
    net = torch.nn.Sequential(torch.nn.Linear(*sizes[:2]), torch.nn.ReLU(), torch.nn.Linear(*sizes[1:]), last).eval()
    rows = [torch.from_numpy(x[i:i + 1, :sizes[0]].copy()) for i in range(16)]
    net = torch.jit.freeze(torch.jit.trace(net, rows[0]))

    def call(i):
        with torch.inference_mode():
            net(rows[i])
    return call


def tensorflow_training(sizes, rate, adam):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if which.endswith("deterministic"):
        tf.keras.utils.set_random_seed(1)
        tf.config.experimental.enable_op_determinism()
    layers = [tf.keras.Input((sizes[0],))]
    for o in sizes[1:]:
        layers += [tf.keras.layers.Dense(o, "relu" if o != 10 else None)] + ([tf.keras.layers.Dropout(rate)] if rate and o != 10 else [])
    net = tf.keras.Sequential(layers)
    optimizer = tf.keras.optimizers.Adam(1e-3) if adam else tf.keras.optimizers.SGD(1e-2)
    data, wanted, loss = tf.constant(x), tf.constant(labels), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer.build(net.trainable_variables)

    @tf.function
    def epoch(order):
        for part in order:
            with tf.GradientTape() as tape:
                value = loss(tf.gather(wanted, part), net(tf.gather(data, part), training=True))
            optimizer.apply_gradients(zip(tape.gradient(value, net.trainable_variables), net.trainable_variables))
    return lambda: epoch(tf.constant(random.permutation(SAMPLES).reshape(-1, BATCH)))


def jax_training(sizes, rate, adam):
    import jax
    import jax.numpy as jnp
    data, wanted = jnp.asarray(x), jnp.asarray(labels)
    tree = jax.tree_util.tree_map

    def loss(p, batch, y, key):
        for l, (w, b) in enumerate(p[:-1]):
            batch = jax.nn.relu(batch @ w + b)
            if rate:
                batch *= jax.random.bernoulli(jax.random.fold_in(key, l), 1 - rate, batch.shape) / (1 - rate)
        z = jax.nn.log_softmax(batch @ p[-1][0] + p[-1][1])
        return -jnp.mean(jnp.take_along_axis(z, y[:, None], 1))

    def step(state, part):
        p, m, v, t = state
        g = jax.grad(loss)(p, data[part], wanted[part], jax.random.fold_in(jax.random.PRNGKey(1), t))
        t = t + 1
        if adam:
            m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            a, r = 1e-3 / (1 - 0.9 ** t), (1 - 0.999 ** t) ** -0.5
            p = tree(lambda p, m, v: p - a * m / (jnp.sqrt(v) * r + 1e-8), p, m, v)
        else:
            p = tree(lambda p, g: p - 1e-2 * g, p, g)
        return (p, m, v, t), None

    run = jax.jit(lambda state, order: jax.lax.scan(step, state, order)[0], donate_argnums=0)
    p = tree(jnp.asarray, start_of(sizes))
    state = [(p, tree(jnp.zeros_like, p), tree(jnp.zeros_like, p), 0)]

    def epoch():
        state[0] = jax.block_until_ready(run(state[0], random.permutation(SAMPLES).reshape(-1, BATCH)))
    return epoch


def onnxruntime_latency(sizes):
    import onnx, onnxruntime
    from onnx import helper, numpy_helper
    (w1, b1), (w2, b2) = start_of(sizes)
    number = onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Gemm", ["x", "w1", "b1"], ["z"]), helper.make_node("Relu", ["z"], ["h"]),
             helper.make_node("Gemm", ["h", "w2", "b2"], ["o"]),
             helper.make_node("Sigmoid" if sizes[-1] == 1 else "Softmax", ["o"], ["y"])]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", number, [1, sizes[0]])],
                              [helper.make_tensor_value_info("y", number, [1, sizes[2]])],
                              [numpy_helper.from_array(v, n) for v, n in ((w1, "w1"), (b1, "b1"), (w2, "w2"), (b2, "b2"))])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding() # the quickest way from Python: input and output stay where they are
    row = x[:1, :sizes[0]].copy()
    y = np.empty((1, sizes[2]), np.float32)
    binding.bind_cpu_input("x", row)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    run = session._sess.run_with_iobinding
    inner = binding._iobinding
    return lambda i: run(inner, None)


name = {"torch": "PyTorch", "tensorflow": "TensorFlow", "tensorflow-deterministic": "TensorFlow deterministic", "jax": "JAX",
        "onnxruntime": "onnxruntime"}[which]
made = {}
for case in sys.stdin:
    case = case.strip()
    sizes = [int(n) for n in case.split()[0].split("-")]
    training = " " in case
    if case not in made:
        made.clear()
        if training:
            made[case] = globals()[which.split("-")[0] + "_training"](sizes, 0.2 if len(sizes) > 3 else 0.0, case.endswith("Adam"))
            made[case]()
        else:
            made[case] = globals()[which + "_latency"](sizes)
            for i in range(300):
                made[case](i % 16)
    if training:
        start = time.process_time()
        made[case]()
        print(f"{name},{SAMPLES / (time.process_time() - start):.6g},samples/s")
    else:
        call, clock, t = made[case], time.perf_counter_ns, []
        for i in range(CALLS):
            a = clock()
            call(i % 16)
            t.append(clock() - a)
        t.sort()
        print(f"{name},{t[CALLS // 2]},ns\n{name},{t[CALLS * 999 // 1000]},ns at 99.9 %")
    print(flush=True)
