"""Sets `crossrx bench` beside its PyTorch peers, the two taking turns on an idle machine.

usage: compare.py CROSSRX [--rounds N] [--seconds S] [--threads N] [--score PAIRS]
Every round runs each case by both; figures are medians over rounds, ratios those
of the same round. Without PyTorch it says so and prints crossrx's figures alone.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = ["two-tower-1000", "two-tower-256", "compound-gene"]


def output(command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.stdout


def ours(a, what, case, *more):
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"crossrx-bench-{os.getpid()}.json")
    output([a.crossrx, "bench", what, "--case", case, "--threads", str(a.threads), "--json", path, *more])
    with open(path) as file:
        figures = json.load(file)
    os.remove(path)
    return figures[0] if isinstance(figures, list) else figures


def peer(a, case, *more):
    command = [a.python, os.path.join(HERE, "peer", "step.py"), "--case", case, "--threads", str(a.threads), *more]
    return json.loads(output(command))[0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("crossrx")
    arguments.add_argument("--python", default=os.environ.get("PEER_PYTHON", sys.executable))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=8)
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--score", type=int, default=200_000)
    a = arguments.parse_args()
    torch = a.python != sys.executable or importlib.util.find_spec("torch") is not None
    if torch and subprocess.run([a.python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
        torch = False
    if not torch:
        print(f"{a.python} has no PyTorch: crossrx alone (name another with PEER_PYTHON)")
    seconds = ["--seconds", str(a.seconds)]
    print(f"{'training':16} {'crossrx':>10} {'of floor':>9} {'factorised':>11} {'ratio':>6} {'concat.':>9} {'ratio':>6}  samples/s")
    for case in CASES:
        rounds = []
        for _ in range(a.rounds):
            mine = ours(a, "step", case, *seconds)
            rounds.append((mine, peer(a, case, *seconds) if torch else None))
        median = lambda of: statistics.median(of(m, p) for m, p in rounds)
        line = f"{case:16} {median(lambda m, p: m['samples_per_s']):10.0f} {median(lambda m, p: 100 * m['ratio']):7.0f} %"
        if torch:
            for kind, width in (("factorised", 11), ("concatenating", 9)):
                of = lambda m, p: m["samples_per_s"] / p[f"{kind}_per_s"]
                line += f" {median(lambda m, p: p[f'{kind}_per_s']):{width}.0f} {median(of):6.2f}"
        print(line, flush=True)
    print(f"\n{'scoring':16} {'crossrx':>10} {'concat.':>9} {'ratio':>6}  pairs/s")
    rounds = []
    for _ in range(a.rounds):
        mine = ours(a, "score", CASES[0], "--pairs", str(a.score))["pairs_per_s"]
        rounds.append((mine, peer(a, CASES[0], "--score", str(a.score // 4))["scored_per_s"] if torch else None))
    line = f"{CASES[0]:16} {statistics.median(m for m, _ in rounds):10.0f}"
    if torch:
        line += f" {statistics.median(p for _, p in rounds):9.0f} {statistics.median(m / p for m, p in rounds):6.2f}"
    print(line)


if __name__ == "__main__":
    main()
