"""Training steps and scoring of `crossrx bench` by PyTorch: the same shapes, made-up data, fp32, Adam.

usage: step.py [--case NAME]... [--threads N] [--seconds S] [--score PAIRS]
Prints a JSON list with an object a case: case, concatenating and factorised
pairs a second (of the median step), and with --score those of concatenating scoring.
"""

import argparse
import json
import statistics
import time

import torch

from network import Concatenating, Factorised

CASES = {
    "two-tower-1000": dict(drugs=(370, 3820), samples=(812, 942), tower=[1000] * 3, head=[1000] * 4, batch=2048),
    "two-tower-256": dict(drugs=(370, 3820), samples=(812, 942), tower=[256] * 3, head=[256] * 4, batch=4096),
    "compound-gene": dict(
        drugs=(2000, 2048), samples=(978, 1107), ones=(0.02, 0.05), tower=[], head=[400, 400], batch=4096
    ),
}


def features(case):
    tables = []
    for side, ones in zip(("drugs", "samples"), case.get("ones", (None, None))):
        shape = case[side]
        tables.append(torch.randn(shape) if ones is None else (torch.rand(shape) < ones).float())
    return tables


def pairs(case):
    batch = case["batch"]
    drug = torch.randint(0, case["drugs"][0], (batch,))
    return drug, torch.randint(0, case["samples"][0], (batch,)), torch.randn(batch, 1)


def steps_per_second(kind, case, seconds):
    model = kind(*features(case), case["tower"], case["head"])
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    times, begun = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < seconds:
        batch, truth = pairs(case), torch.randn(case["batch"])
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = ((model(*batch) - truth) ** 2).mean()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    return case["batch"] / statistics.median(times[2:])


@torch.inference_mode()
def scored_per_second(case, count):
    model = Concatenating(*features(case), case["tower"], case["head"]).eval()
    batches = [pairs(case) for _ in range(max(1, count // case["batch"]))]
    model(*batches[0])
    started = time.perf_counter()
    for batch in batches:
        model(*batch)
    return len(batches) * case["batch"] / (time.perf_counter() - started)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--case", action="append", choices=CASES)
    arguments.add_argument("--threads", type=int, default=0)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--score", type=int, default=0)
    arguments = arguments.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    figures = []
    for name in arguments.case or CASES:
        case, figure = CASES[name], {"case": name}
        if arguments.score:
            figure["scored_per_s"] = scored_per_second(case, arguments.score)
        else:
            figure["concatenating_per_s"] = steps_per_second(Concatenating, case, arguments.seconds)
            figure["factorised_per_s"] = steps_per_second(Factorised, case, arguments.seconds)
        figures.append(figure)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
