"""The two-tower network in PyTorch, in the two ways that it can be written.

`Concatenating` gathers the features of both sides for every pair and runs both
towers a pair, as published programs do. `Factorised` is what a careful programmer
does by hand: each tower once a distinct entity, and the head's first layer split.
The two are the same function of the same weights.
"""

import torch
from torch import nn


def layers(sizes, dropout=0.0, last=True):
    """Linear layers of these sizes, each followed by ReLU and dropout, the last one only if `last`."""
    stack = []
    for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:])):
        stack.append(nn.Linear(fan_in, fan_out))
        if last or i + 2 < len(sizes):
            stack.append(nn.ReLU())
            if dropout:
                stack.append(nn.Dropout(dropout))
    return nn.Sequential(*stack)


class Concatenating(nn.Module):
    """Both towers for every pair of the batch."""

    def __init__(self, drugs, samples, tower, head, dose=True, dropout=0.0):
        super().__init__()
        self.drugs, self.samples = drugs, samples
        self.drug_tower = layers([drugs.shape[1], *tower], dropout)
        self.sample_tower = layers([samples.shape[1], *tower], dropout)
        width = 2 * tower[-1] if tower else drugs.shape[1] + samples.shape[1]
        self.head = layers([width + int(dose), *head, 1], dropout, last=False)

    def forward(self, drug, sample, dose=None):
        joined = [self.drug_tower(self.drugs[drug]), self.sample_tower(self.samples[sample])]
        if dose is not None:
            joined.append(dose)
        return self.head(torch.cat(joined, 1)).squeeze(1)


class Factorised(nn.Module):
    """Each tower once a distinct entity of the batch."""

    def __init__(self, drugs, samples, tower, head, dose=True, dropout=0.0):
        super().__init__()
        self.drugs, self.samples = drugs, samples
        self.drug_tower = layers([drugs.shape[1], *tower], dropout)
        self.sample_tower = layers([samples.shape[1], *tower], dropout)
        widths = (tower[-1], tower[-1]) if tower else (drugs.shape[1], samples.shape[1])
        self.of_drug = nn.Linear(widths[0], head[0])
        self.of_sample = nn.Linear(widths[1], head[0], bias=False)
        self.of_dose = nn.Linear(1, head[0], bias=False) if dose else None
        self.first = nn.Sequential(nn.ReLU(), nn.Dropout(dropout)) if dropout else nn.ReLU()
        self.head = layers([*head, 1], dropout, last=False)

    def forward(self, drug, sample, dose=None):
        drugs, drug = torch.unique(drug, return_inverse=True)
        samples, sample = torch.unique(sample, return_inverse=True)
        hidden = self.of_drug(self.drug_tower(self.drugs[drugs]))[drug]
        hidden = hidden + self.of_sample(self.sample_tower(self.samples[samples]))[sample]
        if dose is not None:
            hidden = hidden + self.of_dose(dose)
        return self.head(self.first(hidden)).squeeze(1)
