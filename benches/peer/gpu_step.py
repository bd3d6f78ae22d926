"""Training steps of `crossrx bench step --case two-tower-nci60` by PyTorch on one GPU, in the ways it can be written.

usage: gpu_step.py [--kind K]... [--precision P]... [--rounds N] [--steps N] [--turns] [--device cuda|cpu] [--small]
The same network, sizes and made-up pairs; everything lies on the GPU; Adam, fused; compiled. Kinds:
  factorised     each tower once a distinct entity of the batch, the head's first layer split by hand
  tuned          the same, distinct entities padded to one number, so that the compiled part is a CUDA graph, and
                 samples spread over pairs by a product with ones, whose backward is a product instead of a scatter
  concatenating  features gathered and both towers run for every pair, as published programs do
Prints a line of JSON a kind, precision and round: samples_per_s (of the median step), step_ms (median, least,
most), peak_gib. With --turns a round is done for every line read, and answered by {"round": n} after its lines.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch._dynamo.config
import torch.nn.functional as F

from network import Concatenating, Factorised

FULL = dict(drugs=(52_000, 3820), samples=(59, 942), doses=5, width=1000, batch=65_536, pairs=4_194_304)
SMALL = dict(drugs=(300, 50), samples=(20, 30), doses=5, width=32, batch=256, pairs=4096)
KINDS = ["factorised", "tuned", "concatenating"]


class OfDistinct(Factorised):
    """The factorised network given the batch's distinct entities, so that a compiler sees no size it must ask for."""

    spread_by_product = False

    def forward(self, drugs, drug, samples, sample, dose):
        drugs = self.of_drug(self.drug_tower(F.embedding(drugs, self.drugs)))
        samples = self.of_sample(self.sample_tower(F.embedding(samples, self.samples)))
        if self.spread_by_product:
            which = (sample.unsqueeze(1) == torch.arange(len(samples), device=sample.device)).to(samples.dtype)
            spread = which @ samples
        else:
            spread = samples.index_select(0, sample)
        hidden = drugs.index_select(0, drug) + spread + self.of_dose(dose)
        return self.head(self.first(hidden)).squeeze(1)


def distinct(index, capacity):
    """The distinct entities, filled up to `capacity` where there is one, and the place of each pair's among them."""
    entities, place = torch.unique(index, return_inverse=True)
    if capacity:
        entities = F.pad(entities, (0, capacity - len(entities)))
    return entities, place


class Data:
    """A corpus on the device, its pairs in an order of their own."""

    def __init__(self, case, device, storage):
        generator = torch.Generator(device).manual_seed(1)
        normal = lambda *shape: torch.randn(shape, generator=generator, device=device)
        below = lambda n: torch.randint(n, (case["pairs"],), generator=generator, device=device)
        self.features = [normal(*case[side]).to(storage) for side in ("drugs", "samples")]
        self.drug, self.sample = below(case["drugs"][0]), below(case["samples"][0])
        self.dose = normal(case["doses"])[below(case["doses"])].unsqueeze(1)
        self.truth = normal(case["pairs"])
        self.order = torch.randperm(case["pairs"], generator=generator, device=device)
        held = [*self.features, self.drug, self.sample, self.dose, self.truth, self.order]
        self.bytes = sum(tensor.nbytes for tensor in held)

    def batch(self, step, size):
        first = step * size % (len(self.order) - size + 1)
        rows = self.order[first : first + size]
        return self.drug[rows], self.sample[rows], self.dose[rows], self.truth[rows]


class Training:
    """One kind of network at one precision, ready to take steps."""

    def __init__(self, kind, precision, case, data, device, compiled):
        self.kind, self.precision, self.case, self.data, self.device = kind, precision, case, data, device
        torch.manual_seed(0)
        self.before = torch.cuda.memory_allocated() - data.bytes if device == "cuda" else 0
        self.batch = case["batch"]
        tower, head = [case["width"]] * 3, [case["width"]] * 4
        network = Concatenating if kind == "concatenating" else OfDistinct
        self.model = network(*data.features, tower, head).to(device)
        # As buffers, the tables have addresses that a CUDA graph may rely on, and are not copied for it.
        for side, table in zip(("drugs", "samples"), data.features):
            delattr(self.model, side)
            self.model.register_buffer(side, table, persistent=False)
        self.model.spread_by_product = kind == "tuned"
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-4, fused=device == "cuda")
        # Of n drugs drawn evenly, n (1 - exp(-B/n)) are expected; a batch that had more would fail.
        self.capacity = min(self.batch, case["drugs"][0], -(-self._most_distinct() // 128) * 128)
        self.forward = self.loss
        if compiled:
            self.forward = torch.compile(self.loss, mode="reduce-overhead" if kind == "tuned" else "default")
        self.distinct, self.step_number, self.peak = None, 0, 0

    def _most_distinct(self):
        sizes = [len(torch.unique(self.data.batch(step, self.batch)[0])) for step in range(16)]
        # Batches differ by a few hundreds of some 37,000.
        return int(max(sizes) * 1.02)

    def loss(self, *inputs):
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            predicted = self.model(*inputs[:-1])
        return F.mse_loss(predicted.float(), inputs[-1])

    def step(self):
        drug, sample, dose, truth = self.data.batch(self.step_number, self.batch)
        self.step_number += 1
        if self.kind == "concatenating":
            inputs = (drug, sample, dose, truth)
        else:
            padded = self.kind == "tuned"
            drugs, drug = distinct(drug, self.capacity if padded else 0)
            samples, sample = distinct(sample, self.case["samples"][0] if padded else 0)
            self.distinct = [len(drugs), len(samples)]
            if not padded:
                torch._dynamo.maybe_mark_dynamic(drugs, 0)
            inputs = (drugs, drug, samples, sample, dose, truth)
        if self.kind == "tuned":
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(*inputs)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def warm(self, steps):
        """Compiles; a batch that does not fit in memory is halved."""
        while True:
            try:
                for _ in range(steps):
                    loss = self.step()
                if self.device == "cuda":
                    # Without what compiling took.
                    torch.cuda.reset_peak_memory_stats()
                    self.step()
                    self.peak = torch.cuda.max_memory_allocated() - self.before
                assert torch.isfinite(loss).item(), f"{self.kind} at {self.precision}: the loss is {loss.item()}"
                return
            except torch.OutOfMemoryError:
                self.optimizer.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
                self.batch //= 2
                print(f"{self.kind}: batch halved to {self.batch}, for want of memory", file=sys.stderr)
                if self.batch < 1024:
                    raise

    def measure(self, steps):
        on_gpu = self.device == "cuda"
        if on_gpu:
            marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
            marks[0].record()
            for mark in marks[1:]:
                loss = self.step()
                mark.record()
            torch.cuda.synchronize()
            times = [a.elapsed_time(b) for a, b in zip(marks, marks[1:])]
        else:
            times = []
            for _ in range(steps):
                begun = time.perf_counter()
                loss = self.step()
                times.append(1e3 * (time.perf_counter() - begun))
        middle = statistics.median(times)
        figure = dict(kind=self.kind, precision=self.precision, batch=self.batch, steps=steps)
        figure |= dict(samples_per_s=1e3 * self.batch / middle, step_ms=[middle, min(times), max(times)])
        figure |= dict(loss=loss.item(), distinct=self.distinct, torch=torch.__version__)
        figure["device"] = torch.cuda.get_device_name() if on_gpu else "cpu"
        figure["peak_gib"] = self.peak / 2**30 if on_gpu else None
        return figure


def say(line):
    print(json.dumps(line), flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kind", action="append", choices=KINDS)
    arguments.add_argument("--precision", action="append", choices=["bf16", "tf32", "fp32"])
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--steps", type=int, default=60)
    arguments.add_argument("--warm", type=int, default=8)
    arguments.add_argument("--turns", action="store_true")
    arguments.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments.add_argument("--small", action="store_true")
    arguments.add_argument("--compile", choices=["yes", "no"])
    a = arguments.parse_args()
    if a.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_step.py: PyTorch sees no GPU here (--device cpu --small tries the script)")
    # Every training compiles the same lines anew; past the usual limit they would run uncompiled.
    limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    setattr(torch._dynamo.config, limit, 64)
    case = SMALL if a.small else FULL
    compiled = a.compile == "yes" or (a.compile is None and a.device == "cuda")
    trainings = []
    for precision in a.precision or ["bf16"]:
        data = Data(case, a.device, torch.bfloat16 if precision == "bf16" else torch.float32)
        torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
        for kind in a.kind or KINDS:
            try:
                training = Training(kind, precision, case, data, a.device, compiled)
                begun = time.perf_counter()
                training.warm(a.warm)
                say(dict(ready=kind, precision=precision, seconds=time.perf_counter() - begun))
                trainings.append(training)
            # One way of writing it that this PyTorch cannot compile must not take the others' figures along.
            except Exception as error:
                say(dict(kind=kind, precision=precision, failed=f"{type(error).__name__}: {error}".split("\n")[0]))
    say(dict(round=0))
    for number in range(1, a.rounds + 1):
        if a.turns and not sys.stdin.readline():
            break
        for training in trainings:
            torch.set_float32_matmul_precision("highest" if training.precision == "fp32" else "high")
            for _ in range(2):
                training.step()
            say(training.measure(a.steps))
        if a.turns and a.device == "cuda":
            # Whoever has the next turn may need the memory.
            torch.cuda.empty_cache()
        say(dict(round=number))


if __name__ == "__main__":
    main()
