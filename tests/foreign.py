"""Output kinds that the package does not know, as a user defines them."""

from __future__ import annotations

import torch

import deap_valp as valp
from deap_valp.problem.losses import Differentiated


class Count(valp.Regression):
    """Numbers of events, predicted as rates by ``exp(head)``; a Poisson loss, left to autograd."""

    kind = "count"

    def __init__(self, target, **options):
        super().__init__(target, standardize=False, **options)

    def constant_head(self):
        return super().constant_head().log()

    def default_loss(self, head, target):
        return deviance(head, target).mean()

    def performance(self, head, target):
        return (head.exp() - target).square().mean().item()

    @staticmethod
    def predict(port, head):
        return head.exp()


class PoissonDeviance:
    """The same loss, with its gradient in closed form."""

    def __call__(self, head, target):
        return deviance(head, target).mean()

    def with_gradient(self, head, target):
        gradient = head.exp().sub_(target)
        return Differentiated(deviance(head, target).mean(), gradient, 2 / target.numel())


def deviance(head, target):
    return 2 * (torch.xlogy(target, target) - target * head - target + head.exp())


class QuickCount(Count):
    kind = "quick_count"
    default_loss = PoissonDeviance()
    score_name = "squared error of the rate"


class Texture(valp.Generation):
    """Generation in all but its name."""

    kind = "texture"
