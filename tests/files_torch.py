"""PyTorch loads what detnn saved and the other way round, through the real safetensors package; and what that package
refuses, detnn refuses. Usage: files_torch.py FILES_TOOL FOLDER. The last line is "N passed, N failed"."""
import collections, json, random, struct, subprocess, sys
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import nn

tool, folder = sys.argv[1:]
passed = failed = 0


def check(good, what):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print("FAILED", what)


class Standardize(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("deviation", torch.ones(n))

    def forward(self, x):
        return (x - self.mean) / self.deviation


L = nn.Linear
nets = {
    "small": lambda: nn.Sequential(Standardize(5), L(5, 8), nn.Tanh(), nn.Dropout(0.25), L(8, 6), nn.ReLU(), L(6, 3), nn.Softmax(1)),
    "deep": lambda: nn.Sequential(L(5, 9), nn.LeakyReLU(0.25), L(9, 8), nn.GELU(), nn.Dropout(0.5), L(8, 7), nn.SiLU(), L(7, 7), nn.ELU(),
                                  L(7, 7), nn.SELU(), L(7, 7), nn.Softplus(), L(7, 7), nn.Sigmoid(), L(7, 7), nn.ReLU(),
                                  L(7, 3, bias=False)),
    "tiny": lambda: nn.Sequential(L(5, 7), nn.ReLU(), L(7, 3), nn.Softmax(1)),
}


def floats(name, columns):
    with open(f"{folder}/{name}", "rb") as f:
        return torch.frombuffer(bytearray(f.read()), dtype=torch.float32).reshape(-1, columns)


subprocess.run([tool, "write", folder], check=True)
for name, make in nets.items():
    net = make().eval()
    net.load_state_dict(load_file(f"{folder}/{name}.safetensors"), strict=True)
    x = floats(name + ".x", 5)
    check(torch.allclose(net(x), floats(name + ".y", 3), rtol=1e-5, atol=1e-6), f"{name}: PyTorch predicts otherwise")
    more = net.load_state_dict(load_file(f"{folder}/{name}.state.safetensors"), strict=False)
    check(not more.missing_keys and all(".moment" in k or ".best" in k for k in more.unexpected_keys), f"{name}: keys {more}")
    check(torch.allclose(net(x), floats(name + ".y", 3), rtol=1e-5, atol=1e-6), f"{name}: PyTorch predicts otherwise")
    torch.manual_seed(len(name))
    net = make().eval()
    if name == "small":
        net[0].mean.normal_()
        net[0].deviation.uniform_(0.5, 2)
    save_file(net.state_dict(), f"{folder}/{name}.torch.safetensors", {"format": "pt"} if name != "tiny" else None)
    nets[name] = net
subprocess.run([tool, "read", folder], check=True)
for name, net in nets.items():
    check(torch.allclose(net(floats(name + ".x", 5)), floats(name + ".torch.y", 3), rtol=1e-5, atol=1e-6),
          f"{name}: detnn predicts otherwise")

# Damaged files: every byte of the headers changed, cut, moved; values put in other places.
random.seed(1)
whole = open(f"{folder}/tiny.state.safetensors", "rb").read()
n = struct.unpack("<Q", whole[:8])[0]
header, data = whole[8:8 + n], whole[8 + n:]
bad = []


def with_header(h, tail=data):
    h = h if isinstance(h, bytes) else json.dumps(h).encode()
    return struct.pack("<Q", len(h)) + h + tail


for i in range(8 + n):
    for b in {whole[i] ^ 1, whole[i] ^ 0x80, 0x20, 0x22, 0x5c, 0x7d, 0x2c, random.randrange(256)} - {whole[i]}:
        bad.append(whole[:i] + bytes([b]) + whole[i + 1:])
for i in range(0, len(header), 3):
    bad += [with_header(header[:i] + header[i + 1:]), with_header(header[:i] + bytes([random.randrange(256)]) + header[i:])]
bad += [whole[:i] for i in range(0, len(whole), 7)]
j = json.loads(header, object_pairs_hook=collections.OrderedDict)
keys = [k for k in j if k != "__metadata__"]
bad += [with_header(j), with_header(collections.OrderedDict(reversed(j.items())))]  # other spaces, another order: good
for k in keys:
    for field, values in {"dtype": ["F16", "f32", "F64", "", 3, None], "shape": [[], [1], [2**63, 4], [-1], "7", [7.0]],
                          "data_offsets": [[0, 0], [4, 0], [0, 2**64], [0], [0, 4, 8], [-4, 0], None]}.items():
        for v in values:
            c = json.loads(header, object_pairs_hook=collections.OrderedDict)
            c[k][field] = v
            bad.append(with_header(c))
            del c[k][field]
            bad.append(with_header(c))
    c = json.loads(header, object_pairs_hook=collections.OrderedDict)
    del c[k]
    bad.append(with_header(c))
    o = random.choice(keys)
    c[k] = j[o]
    bad.append(with_header(c))
for m in [None, [], "x", {"a": 1}, {"a": None}, {"a": {}}]:
    bad.append(with_header(collections.OrderedDict(j, __metadata__=m)))
bad += [b"", with_header(b""), with_header(b"{}", b""), with_header(b" " + header), with_header(header + b"\0"), with_header(header + b"x"),
        whole + b"\0", struct.pack("<Q", 2**63) + whole[8:], struct.pack("<Q", 100_000_001) + whole[8:]]
with open(f"{folder}/bad", "wb") as f:
    for b in bad:
        f.write(struct.pack("<I", len(b)) + b)
answers = subprocess.run([tool, "try", f"{folder}/bad"], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8", "replace").split("\n")
check(len(answers) == len(bad) + 1, f"{len(answers)} answers to {len(bad)} files")
refused = both = wrong = 0
for b, answer in zip(bad, answers):
    try:
        load(b)
        good = True
    except Exception as e:  # SafetensorError, and what Python's bindings make of null and the like
        good = False
    refused += not good
    both += answer == "ok"
    if not good and (answer == "ok" or len(answer) < 20):
        wrong += 1
        print("refused by the package, not by detnn:", b[:60], answer)
print(f"{len(bad)} damaged or changed files: the package refuses {refused}, detnn all of these and {len(bad) - refused - both} more")
check(wrong == 0 and refused > len(bad) // 4 and both >= 2, "what the package refuses is refused")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
