"""Compares the loss curves of two trainings: histories.py ONE TWO TOLERANCE

ONE and TWO are folders of runs of one model. TOLERANCE bounds the difference of any training or validation
loss as a part of the former's value; 0 asks for equal histories, clocks aside, and equal bytes of weights.
Prints a line of what was found; fails where it is more.
"""

import csv
import math
import pathlib
import sys


def only(folder, name):
    found = sorted(pathlib.Path(folder).glob(f"models/*/*/{name}"))
    if len(found) != 1:
        sys.exit(f"{folder}: {len(found)} files {name} of models, not one")
    return found[0]


def rows(folder):
    with open(only(folder, "history.csv")) as file:
        return list(csv.DictReader(file))


def number(row, column):
    value = float(row[column] or "nan")
    if not math.isfinite(value):
        sys.exit(f"epoch {row['epoch']}: {column} is {row[column] or 'empty'}")
    return value


def main():
    one, two, tolerance = sys.argv[1], sys.argv[2], float(sys.argv[3])
    first, second = rows(one), rows(two)
    if not first or len(first) != len(second):
        sys.exit(f"{len(first)} epochs, and {len(second)}")
    if tolerance == 0:
        for a, b in zip(first, second):
            differing = [key for key in a if key != "seconds" and a[key] != b[key]]
            if differing:
                key = differing[0]
                sys.exit(f"epoch {a['epoch']}: {key} is {a[key]}, and {b[key]}")
        if only(one, "model.safetensors").read_bytes() != only(two, "model.safetensors").read_bytes():
            sys.exit("equal histories, but weights differ")
        print(f"{len(first)} epochs of {first[-1]['step']} steps and the weights are the same to the bit")
        return
    worst, where = 0.0, None
    for a, b in zip(first, second):
        for column in ("train_loss", "val_loss"):
            expected, found = number(a, column), number(b, column)
            apart = abs(found - expected) / abs(expected)
            if apart >= worst:
                worst, where = apart, f"{column} of epoch {a['epoch']}, {found:.6g} for {expected:.6g}"
    start, end = number(first[0], "train_loss"), number(first[-1], "train_loss")
    said = f"at most {worst:.2g} apart ({where}); train_loss {start:.4g} -> {end:.4g} in {first[-1]['step']} steps"
    if not end < start:
        sys.exit(f"nothing was learnt: {said}")
    if worst > tolerance:
        sys.exit(f"{said}: more than {tolerance:g}")
    print(said)


main()
