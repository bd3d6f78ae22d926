"""Sets crossrx's training step beside PyTorch's on one GPU, the two taking turns (A B B A) in one run.

usage: bench.py CROSSRX RESULTS.json [--peer PYTHON] [--seconds S] [--rounds N] [--precision P]...
                [--peer-precision P]... [--dry]
Peers are benches/peer/gpu_step.py, compiled once, then idle but in their turns. Figures are medians over turns.
Prints Markdown; a figure that could not be had is named with its reason, and makes the run fail at its end.
--dry tries this script without a GPU, with small networks on processors.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEER = pathlib.Path(__file__).resolve().parents[2] / "benches/peer/gpu_step.py"
PEER_KINDS = ["factorised", "tuned", "concatenating"]


class Peer:
    """The PyTorch peers in a process of their own."""

    def __init__(self, a):
        command = [a.peer, str(PEER), "--turns", "--rounds", "1000"]
        command += [word for precision in a.peer_precision for word in ("--precision", precision)]
        if a.dry:
            command += ["--device", "cpu", "--small", "--steps", "5", "--compile", "no"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.failed = {}
        for line in self.lines():
            if "failed" in line:
                self.failed[line["kind"], line["precision"]] = line["failed"]
            elif "ready" in line:
                print(f"PyTorch {line['ready']} {line['precision']}: ready in {line['seconds']:.0f} s", file=sys.stderr)

    def lines(self):
        """Up to the end of the round."""
        for text in self.process.stdout:
            line = json.loads(text)
            if "round" in line:
                return
            yield line
        raise RuntimeError(f"the PyTorch peers ended with code {self.process.wait()}")

    def turn(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return list(self.lines())

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def ours(a, precision):
    case = ["two-tower-256", "--device", "cpu"] if a.dry else ["two-tower-nci60", "--device", "cuda", "--precision", precision]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "step.json")
        command = [a.crossrx, "bench", "step", "--case", *case, "--seconds", str(a.seconds), "--json", path]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        with open(path) as file:
            return json.load(file)[0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("crossrx")
    arguments.add_argument("results")
    arguments.add_argument("--peer", default=sys.executable, help="the Python that has PyTorch; '' for none")
    arguments.add_argument("--seconds", type=float, default=2)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--precision", action="append", help="of crossrx [default: bf16, tf32 and fp32]")
    arguments.add_argument("--peer-precision", action="append", help="of the peers [default: bf16]")
    arguments.add_argument("--dry", action="store_true")
    a = arguments.parse_args()
    a.precision, a.peer_precision = a.precision or ["bf16", "tf32", "fp32"], a.peer_precision or ["bf16"]
    taken, failures = [], {}

    def of_crossrx():
        for precision in a.precision:
            if ("crossrx", precision) in failures:
                continue
            try:
                taken.append(dict(ours(a, precision), kind="crossrx", precision=precision))
            except (RuntimeError, OSError, ValueError) as error:
                failures["crossrx", precision] = str(error)

    of_peer = lambda: taken.extend(peer.turn())
    peer = None
    if a.peer:
        try:
            peer = Peer(a)
            failures |= peer.failed
        except (RuntimeError, OSError) as error:
            failures |= {(kind, precision): str(error) for kind in PEER_KINDS for precision in a.peer_precision}
    turns = [of_crossrx, of_peer, of_peer, of_crossrx] * a.rounds if peer else [of_crossrx] * a.rounds
    begun = time.time()
    try:
        for turn in turns:
            turn()
    except RuntimeError as error:
        failures["turns", "all"] = str(error)
    if peer:
        peer.end()
    with open(a.results, "w") as file:
        failed = [dict(kind=kind, precision=precision, why=why) for (kind, precision), why in failures.items()]
        json.dump(dict(taken=taken, failed=failed, seconds=time.time() - begun), file, indent=1)
    table(a, taken, failures)
    sys.exit(bool(failures))


def table(a, taken, failures):
    rates = {}
    for figure in taken:
        rates.setdefault((figure["kind"], figure["precision"]), []).append(figure["samples_per_s"])
    print("| precision | crossrx, samples/s | PyTorch factorised | ratio | PyTorch tuned | ratio | concatenating | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for precision in a.precision:
        mine = rates.get(("crossrx", precision))
        row = [precision, spread(mine)]
        for kind in PEER_KINDS:
            theirs = rates.get((kind, precision))
            both = mine and theirs
            row += [spread(theirs), f"{statistics.median(mine) / statistics.median(theirs):.2f}" if both else "-"]
        print(f"| {' | '.join(row)} |")
    memory = [f"{f['kind']} {f['precision']} {f['peak_gib']:.1f} GiB" for f in taken[: 4 * len(PEER_KINDS)] if f.get("peak_gib")]
    if memory:
        print(f"\nPeak memory of the peers: {', '.join(sorted(set(memory)))}.")
    halved = {f"{f['kind']} {f['precision']} {f['batch']}" for f in taken if f["batch"] != 65_536}
    if halved and not a.dry:
        print(f"\nOther than 65,536 pairs a step: {', '.join(sorted(halved))}.")
    for (kind, precision), why in failures.items():
        print(f"\nNo figure of {kind} at {precision}: {why}")


def spread(rates):
    if not rates:
        return "-"
    middle = f"{statistics.median(rates):,.0f}"
    return f"{middle} ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else middle


main()
