"""Trains the network of configs/csa-single.toml in PyTorch, concatenating, and tells when it reaches an accuracy.

usage: time_to_accuracy.py STORE [--source CTRPv2] [--split 0] [--r2 0.78] [--batch 512] [--rate 2e-3] [--epochs 40]
Reads the same store, scales features by the training rows as crossrx does, and
trains with AdamW, a warm-up epoch and a cosine. Prints a line an epoch: epoch, seconds of
training and validation since the first step, validation R2. Reading is not counted.
"""

import argparse
import math
import time

import h5py
import numpy as np
import torch

from network import Concatenating


def scaled(store, entity, name, trained_on, clip=4.0):
    """Rows by entity, less the mean over the deviation of the entities trained on."""
    group = store[f"features/{entity}/{name}"]
    values, rows = group["values"][:].astype(np.float64), group["entity"][:]
    table = np.full((store[f"{entity}s/id"].shape[0], values.shape[1]), np.nan)
    table[rows] = values
    seen = table[np.unique(trained_on)]
    mean, deviation = np.nanmean(seen, 0), np.nanstd(seen, 0)
    inverse = np.where(deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6), 1 / np.where(deviation > 0, deviation, 1), 0)
    table = np.clip((table - mean) * inverse, -clip, clip)
    return torch.tensor(np.nan_to_num(table), dtype=torch.float32)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("store")
    arguments.add_argument("--source", default="CTRPv2")
    arguments.add_argument("--split", type=int, default=0)
    arguments.add_argument("--r2", type=float, default=0.78)
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--rate", type=float, default=2e-3)
    arguments.add_argument("--epochs", type=int, default=40)
    arguments.add_argument("--beta2", type=float, default=0.999)
    arguments.add_argument("--decay", type=float, default=0.01)
    arguments.add_argument("--width", type=int, default=256)
    arguments.add_argument("--dropout", type=float, default=0.1)
    arguments.add_argument("--threads", type=int, default=0)
    a = arguments.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    with h5py.File(a.store) as store:
        data = store[f"datasets/{a.source}"]
        drug, sample, auc = data["drug"][:], data["sample"][:], data["endpoint/auc"][:]
        train, val = (data[f"split/{a.split}/{part}"][:] for part in ("train", "val"))
        drugs = scaled(store, "drug", "mordred", drug[train])
        samples = scaled(store, "sample", "expression", sample[train])
    mean, deviation = auc[train].mean(), auc[train].std()
    tensor = lambda rows: (
        torch.tensor(drug[rows].astype(np.int64)),
        torch.tensor(sample[rows].astype(np.int64)),
        torch.tensor((auc[rows] - mean) / deviation),
    )
    train, val = tensor(train), tensor(val)
    model = Concatenating(drugs, samples, [a.width] * 2, [a.width] * 2, dose=False, dropout=a.dropout)
    optimizer = torch.optim.AdamW(model.parameters(), a.rate, betas=(0.9, a.beta2), weight_decay=a.decay)
    steps = math.ceil(len(train[2]) / a.batch)
    total = steps * a.epochs

    def factor(step):
        if step < steps:
            return (step + 1) / steps
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - steps) / max(1, total - steps)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    begun, reached = time.perf_counter(), None
    for epoch in range(1, a.epochs + 1):
        model.train()
        order = torch.randperm(len(train[2]))
        for rows in order.tensor_split(steps):
            optimizer.zero_grad(set_to_none=True)
            loss = ((model(train[0][rows], train[1][rows]) - train[2][rows]) ** 2).mean()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            parts = zip(val[0].split(8192), val[1].split(8192))
            predicted = torch.cat([model(d, s) for d, s in parts])
        r2 = 1 - ((predicted - val[2]) ** 2).mean().item() / val[2].var(unbiased=False).item()
        seconds = time.perf_counter() - begun
        print(f"{epoch} {seconds:.2f} {r2:.4f}", flush=True)
        if r2 >= a.r2:
            reached = seconds
            break
    print(f"R2 {a.r2} " + ("not reached" if reached is None else f"reached in {reached:.1f} s"))


if __name__ == "__main__":
    main()
