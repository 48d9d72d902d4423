"""Training steps of bench/gpu.cu in PyTorch, deterministic, FP32 without TF32: eager, and as a CUDA graph (with the fused
Adam, its fastest). Data lie on the GPU and are gathered by a permutation there, as detnn does. Prints CSV lines gpu,case,implementation,median,unit."""
import os
os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
import time
import torch

torch.use_deterministic_algorithms(True)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.set_float32_matmul_precision("highest")


def net(widths):
    layers = []
    for i in range(len(widths) - 1):
        layers.append(torch.nn.Linear(widths[i], widths[i + 1]))
        if i + 2 < len(widths):
            layers.append(torch.nn.ReLU())
    return torch.nn.Sequential(*layers).cuda()


def measure(step, order, batch, steps):
    def epoch():
        torch.cuda.synchronize()
        t = time.perf_counter()
        for i in range(steps):
            step(order[i * batch:(i + 1) * batch])
        torch.cuda.synchronize()
        return (time.perf_counter() - t) / steps
    epoch()
    return min(epoch() for _ in range(3))


def run(widths, batch, steps):
    name = "-".join(map(str, widths))
    x = torch.rand(steps * batch, widths[0], device="cuda") - 0.5
    labels = torch.randint(widths[-1], (steps * batch,), device="cuda")
    order = torch.randperm(steps * batch, device="cuda")
    loss_of = torch.nn.CrossEntropyLoss()
    model = net(widths)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)

    def eager(index):
        adam.zero_grad(set_to_none=True)
        loss_of(model(x[index]), labels[index]).backward()
        adam.step()

    print(f"gpu,step {name} batch {batch},PyTorch eager,{1e6 * measure(eager, order, batch, steps):.4g},us", flush=True)
    model = net(widths)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, capturable=True, fused=True)
    at = order[:batch].clone()

    def whole():
        adam.zero_grad(set_to_none=True)
        loss_of(model(x[at]), labels[at]).backward()
        adam.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            whole()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        whole()

    def graphed(index):
        at.copy_(index)
        graph.replay()

    print(f"gpu,step {name} batch {batch},PyTorch graph,{1e6 * measure(graphed, order, batch, steps):.4g},us", flush=True)


for widths, steps in (((784, 128, 10), 400), ((784, 512, 512, 10), 400), ((4096, 4096, 4096, 1000), 50)):
    for batch in (64, 256, 1024):
        run(widths, batch, steps)
