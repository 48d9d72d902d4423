#!/usr/bin/env python3
"""make bench: times detnn and the libraries that it finds, in turn in one run; medians as a table and in build/bench.csv.

run.py [--seconds S] [group ...]     measures (all groups; S seconds a case)
run.py --readme                      writes the tables of build/bench.csv into README.md
run.py --picture                     draws growth from it: build/growth.png

Each program of a group answers on a pipe: it is told a case, and times its implementations once. So all programs of a
group take turns, case by case, round by round, on one processor, and a median is over rounds that lie side by side.
"""
import collections, csv, glob, math, os, re, shutil, statistics, subprocess, sys, time

BUILD, CC = "build", os.environ.get("CC", "cc")
CSV, README, MARKS = BUILD + "/bench.csv", "README.md", ("<!-- make bench-readme writes from here -->", "<!-- to here -->")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "MKL_NUM_THREADS",
                            "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu",
         "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}

FORWARD = "64x784x128 64x128x10 64x784x512 64x512x512 256x1024x1024 1024x1024x1024 2048x2048x2048 1x784x128 1x64x64 8x256x256 32x64x64"
INPUT = "64x512x512 256x1024x1024 64x128x784 8x256x256 1024x1024x1024 2048x2048x2048"
WEIGHT = "784x64x128 784x64x512 512x64x512 1024x256x1024 1024x1024x1024 2048x2048x2048"
PRODUCTS = ["forward " + s for s in FORWARD.split()] + ["input gradient " + s for s in INPUT.split()] \
           + ["weight gradient " + s for s in WEIGHT.split()]
CASES = {
    "products": PRODUCTS, "avx2": PRODUCTS,
    "training": [f"{net} {optimizer}" for net in ("784-128-10", "784-512-512-10") for optimizer in ("SGD", "Adam")],
    "latency": ["64-64-1", "784-128-10"],
    "reductions": [f"{kernel} {place}" for kernel in "sum dot max magnitude add relu philox uniform dropout SGD Adam".split()
                   for place in ("L1", "L2", "memory")],
    "promise": ["sum", "dot", "exp", "tanh", "GELU", "softmax of 10", "softmax of 1000", "dropout", "SGD", "Adam",
                "Adam of subnormal moments", "weight gradient 1024x256x1024"],
    "growth": ["1000", "10000", "100000", "1000000", "10000000", "100000000"],
}
LIMITS = ("peak", "floor", "memcpy")
TITLES = {
    "products": "Matrix products, one thread: MxKxN is [M][K] times [K][N]; peak: a loop of fused multiply-adds in registers",
    "avx2": "The same products by AVX2 kernels alone, detnn's and the others': as on a processor without AVX-512",
    "training": "Training, batches of 64, one thread, the larger net with dropout; floor: its multiply-adds at the peak",
    "latency": "One prediction (onnxruntime and PyTorch called from Python)",
    "reductions": "Kernels over arrays, bytes read and written",
    "promise": "What the promise costs: beside the same work by -Ofast -march=native, any order, libmvec's functions, a hash "
               "for Philox; with subnormals flushed to zero where moments are subnormal",
    "growth": "Growth: three dense layers of one width, as many parameters, batches of 64",
    "functions": "Elementary functions",
}


def library(name):
    """The file of a shared library, or None."""
    found = re.search(r"=> (\S*/lib" + name + r"\.so\S*)", subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout)
    if not found:
        print(f"no {name} here: make bench-deps installs it")
    return found and os.path.realpath(found[1])


def compiled(name, *sources, flags=(), compiler=CC):
    """An object, library or program in build/, newer than its sources."""
    target = f"{BUILD}/{name}"
    needs = [s for s in sources if "/" in s] + glob.glob("bench/*.h") + ["detnn.h"]
    if not os.path.exists(target) or any(os.path.getmtime(s) > os.path.getmtime(target) for s in needs):
        subprocess.run([*compiler.split(), *flags, "-I.", *sources, "-o", target], check=True)
    return target


def program(name, *more, flags=(), detnn=True):
    return compiled("bench_" + name, f"bench/{name}.c", *more, *([BUILD + "/detnn.o"] if detnn else []), "-ldl", "-lm",
                    flags=("-O2", "-std=gnu11", *flags))


def eigen(name, *flags):
    """Eigen as a shared library, or None."""
    try:
        return os.path.abspath(compiled(f"eigen_{name}.so", "bench/eigen.cpp", compiler=os.environ.get("CXX", "c++"), flags=(
            "-O3", "-DNDEBUG", "-shared", "-fPIC", "-I/usr/include/eigen3", *flags)))
    except (subprocess.CalledProcessError, OSError):
        print("no Eigen here: make bench-deps installs it")


def python_with(*modules):
    """The first of the Pythons here that can import modules, or None."""
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3", BUILD + "/venv/bin/python")):
        if shutil.which(python) and not subprocess.run([python, "-c", "import " + ",".join(modules)], capture_output=True, env={**os.environ, **QUIET}).returncode:
            return python
    print(f"no {modules[-1]} here: make bench-deps installs it")


def frameworks(*names):
    for name in names:
        python = python_with("numpy", name.split("-")[0])
        if python: yield [python, "bench/frameworks.py", name]


def commands(group):
    if group in ("products", "avx2"):
        # The same library under several settings: copies, as a loader takes one file once.
        peers = []
        avx2 = group == "avx2"
        for name, variable, values in (("openblas", "OPENBLAS_CORETYPE", ("Haswell",) if avx2 else ("", "Haswell", "SkylakeX")),
                                       ("blis", "BLIS_ARCH_TYPE", ("haswell",) if avx2 else ("", "haswell", "skx")), ("dnnl", "", ("",))):
            path = library(name)
            if not path: continue
            for value in values:
                copy = os.path.abspath(f"{BUILD}/lib{name}_{value}.so")
                shutil.copyfile(path, copy)
                title = {"openblas": "OpenBLAS", "blis": "BLIS", "dnnl": "oneDNN"}[name]
                peers += [f"{title} {value}".strip(), copy, f"{variable}={value}" if value else "-"]
        for name in ("haswell",) if avx2 else ("native", "haswell"):
            path = eigen(name, "-march=" + name)
            if path: peers += [f"Eigen {name}", path, "-"]
        if avx2: return [[compiled("bench_avx2", "bench/products.c", "-ldl", "-lm", flags=("-O2", "-std=gnu11", "-DAVX2_ALONE")), *peers]]
        return [[program(group), *peers]]
    if group == "training":
        compiled("blas_trainer.o", "bench/blas_trainer.c", flags=("-O3", "-march=native", "-ffast-math", "-std=gnu11", "-c"))
        return [[program(group, BUILD + "/blas_trainer.o"), library("openblas") or "-", library("fann") or "-"],
                *frameworks("torch", "tensorflow", "tensorflow-deterministic", "jax")]
    if group == "latency":
        return [[program(group), library("fann") or "-", eigen("native", "-march=native") or "-"], *frameworks("torch", "onnxruntime")]
    if group in ("reductions", "promise"):
        freed = compiled("freed.o", "bench/freed.c", flags=("-Ofast", "-march=native", "-mprefer-vector-width=512", "-std=gnu11", "-c"))
        return [[program("arrays", freed, "-lmvec", detnn=False)]]
    return [[program(group, "-pthread", detnn=False)]]


def ask(worker, case):
    """[(implementation, value, unit)] of one round."""
    worker.stdin.write(case + "\n")
    worker.stdin.flush()
    answers = []
    for line in worker.stdout:
        if not line.strip(): return answers
        implementation, value, unit = line.strip().split(",")
        answers.append((implementation, float(value), unit))
    sys.exit(f"{' '.join(worker.args[:3])} ended on {case}")


def spread(values):
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / statistics.median(values)


def measure(group, limit):
    """[(case, implementation, median, unit)]"""
    if group == "functions":
        subprocess.run(["make", "bench-functions"], check=True)
        with open(BUILD + "/bench_functions.log") as log:
            return [tuple(line.strip().split(",")[1:]) for line in log if line.startswith("functions,")]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD, **QUIET},
                                stderr=None if command[0].startswith(BUILD + "/bench_") else subprocess.DEVNULL) for command in commands(group)]
    rows, noise = [], []
    for case in CASES[group]:
        values, start, rounds = collections.defaultdict(list), 0.0, -1
        while rounds < 5 or (rounds < 201 and time.monotonic() - start < limit):
            for worker in workers:
                for implementation, value, unit in ask(worker, case):
                    if rounds >= 0: values[implementation, unit].append(value)
            rounds += 1 # the first is for warming up
            if not rounds: start = time.monotonic()
        for (implementation, unit), v in values.items():
            rows.append((case, implementation, f"{statistics.median(v):.5g}", unit))
            if unit != "ns at 99.9 %": noise.append(spread(v))
        print(f"{group}, {case}, {rounds} rounds: " + ", ".join(f"{i} {statistics.median(v):.4g} {u}" for (i, u), v in values.items()), flush=True)
    print(f"{group}: half of the rounds of an implementation lie within {100 * statistics.median(noise):.1f} % of its median "
          f"(typically; {100 * max(noise):.0f} % at the worst)")
    for worker in workers:
        worker.stdin.close()
        worker.wait()
    return rows


def plain(number):
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def table(group, rows):
    """Markdown: detnn, its share of the limit, the fastest peer, the ratio."""
    lines, ratios, units = [f"**{TITLES[group]}**", ""], [], {}
    for case, implementation, value, unit in rows:
        units.setdefault((case, unit), {})[implementation] = float(value)
    if group in ("growth", "functions"):
        names = list(dict.fromkeys(row[1] for row in rows))
        if group == "functions": names = [n for n in names if re.search("scalar|avx512", n)]
        lines += ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
        lines += [f"| {case}, {unit} | " + " | ".join(plain(v[n]) if n in v else "-" for n in names) + " |" for (case, unit), v in units.items()]
        return "\n".join(lines)
    name = next((i for (_, i, _, _) in rows if i in LIMITS), None)
    lines += [f"| | detnn |{f' of {name} |' if name else ''} fastest other | | detnn is faster by |", "| --- | ---: |" + (" ---: |" if name else "") + " --- | ---: | ---: |"]
    for (case, unit), values in units.items():
        ours, higher = values["detnn"], "/" in unit and not unit.startswith("ns")
        quicker = (lambda a, b: a / b) if higher else (lambda a, b: b / a)
        cells = [f"{case}, {unit}", plain(ours)]
        if name: cells.append(f"{100 * quicker(ours, values[name]):.0f} %" if name in values else "")
        others = {k: v for k, v in values.items() if k != "detnn" and k not in LIMITS}
        if others:
            best = (max if higher else min)(others, key=others.get)
            cells += [best, plain(others[best]), f"{quicker(ours, others[best]):.2f}"]
            if not unit.endswith("%"): ratios.append(quicker(ours, others[best]))
        else: cells += ["", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    if ratios: lines += ["", f"Geometric mean {math.exp(statistics.mean(map(math.log, ratios))):.2f}, least {min(ratios):.2f}."]
    return "\n".join(lines)


def picture(rows):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 5))
    for name in dict.fromkeys(row[1] for row in rows):
        axes.loglog([float(r[0]) for r in rows if r[1] == name], [float(r[2]) / 1000 for r in rows if r[1] == name], "o-", label=name)
    axes.set(xlabel="parameters", ylabel="microseconds a sample", title=f"detnn: time for a sample ({machine()})")
    axes.grid(True, which="major", alpha=0.4)
    axes.legend()
    figure.tight_layout()
    figure.savefig(BUILD + "/growth.png", dpi=120)
    print(BUILD + "/growth.png written")


def machine():
    with open("/proc/cpuinfo") as info:
        found = re.search(r"model name\s*: (.*)", info.read())
    return found[1].strip() if found else os.uname().machine


def kept():
    groups = collections.defaultdict(list)
    if os.path.exists(CSV):
        with open(CSV, newline="") as file:
            for group, *row in list(csv.reader(file))[1:]: groups[group].append(row)
    return groups


def main(arguments):
    if arguments == ["--readme"]:
        groups = kept()
        if not groups: sys.exit(f"no {CSV}: run make bench first")
        with open(README) as file: text = file.read()
        head, tail = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
        body = "\n\n".join(table(g, groups[g]) for g in CASES if g in groups)
        with open(README, "w") as file: file.write(f"{text[:head]}\n{machine()}, medians, `make bench`.\n\n{body}\n{text[tail:]}")
        return
    if arguments == ["--picture"]: return picture(kept()["growth"])
    limit = 3.0
    if arguments[:1] == ["--seconds"]: limit, arguments = float(arguments[1]), arguments[2:]
    unknown = [a for a in arguments if a not in TITLES]
    if unknown: sys.exit(f"no group {unknown[0]}: {', '.join(TITLES)}")
    if hasattr(os, "sched_setaffinity"): os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    everything = [g for g in TITLES if g != "avx2" or os.uname().machine == "x86_64"]
    for group in arguments or everything:
        rows = measure(group, limit)
        groups = kept() # a run of one group leaves the others' lines
        groups[group] = rows
        with open(CSV, "w", newline="") as file:
            csv.writer(file).writerows([("group", "case", "implementation", "median", "unit"), *((g, *r) for g in TITLES if g in groups for r in groups[g])])
        print("\n" + table(group, rows) + "\n", flush=True)
        python = group == "growth" and python_with("matplotlib")
        if python: subprocess.run([python, *sys.argv[:1], "--picture"], check=True)
    print(CSV, "written")


if __name__ == "__main__":
    main(sys.argv[1:])
