"""What suite.py compares with: models per output of scikit-learn, and one hand-made network.

All of them train on the same rows as ours; the hand-made network stops by the same validation rows.
"""

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from time import process_time

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

FEW = 10_000
TUNED = "tuned"


@dataclass(frozen=True)
class Tried:
    """What a rival ends with: the test scores by output of each of its draws.

    ``examples`` are the training examples that a draw saw, each as often as it was trained on; None
    where a model is not trained by examples, or does not count them.
    """

    draws: list
    examples: float | None = None


def predicted(problem):
    """The outputs that a model per output can learn: all but those that generate."""
    return [name for name, kind in problem.outputs.items() if kind.kind != "generation"]


def arrays(problem, split):
    """All inputs side by side, and the targets by output, in training units."""
    data = problem.split(split)
    return np.concatenate([rows.numpy() for rows in data.inputs.values()], 1), data.targets


def scored(problem, name, head, split):
    """The score of a head: logarithms of class probabilities, or numbers in training units."""
    kind = problem.outputs[name]
    return float(kind.score(kind.port.predict(torch.as_tensor(head, dtype=torch.float32)), split))


# ---- a model per output --------------------------------------------------------------------------


def linear(classify, width):
    """Ridge regression whose strength is cross-validated, or logistic regression."""
    return LogisticRegression(max_iter=2000) if classify else RidgeCV(np.logspace(-3, 3, 13))


def mlp(classify, width):
    """A multi-layer perceptron with early stopping."""
    model = MLPClassifier if classify else MLPRegressor
    return model(early_stopping=True, max_iter=500, random_state=0)


def boosting(classify, width):
    """Gradient boosting of trees."""
    if classify:
        return HistGradientBoostingClassifier(random_state=0)
    model = HistGradientBoostingRegressor(random_state=0)
    return model if width == 1 else MultiOutputRegressor(model)


def per_output(make, problem):
    """Fit a model for each output; scores by output."""
    features, targets = arrays(problem, "train")
    unseen, _ = arrays(problem, "test")
    scores = {}
    for name in predicted(problem):
        width, target = problem.outputs[name].port.width, targets[name].numpy()
        classify = problem.outputs[name].kind == "classification"
        model = make(classify, width)
        model.fit(features, target if classify or width > 1 else target[:, 0])
        if classify:
            head = np.full((len(unseen), width), -30.0)
            head[:, model.classes_] = np.log(model.predict_proba(unseen) + 1e-12)
        else:
            head = model.predict(unseen).reshape(len(unseen), width)
        scores[name] = scored(problem, name, head, "test")
    return scores


# ---- the hand-made network -----------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """The widths of the trunk, and how it is trained."""

    widths: tuple = (128, 64)
    rate: float = 1e-3
    decay: float = 1e-2


class HandMade(nn.Module):
    """A shared trunk with relu and a linear head for each output."""

    def __init__(self, width, heads, widths):
        super().__init__()
        layers = []
        for before, after in pairwise((width, *widths)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(widths[-1], n) for name, n in heads.items()})

    def forward(self, features):
        hidden = self.trunk(features)
        return {name: head(hidden) for name, head in self.heads.items()}


def summed_loss(results, targets, scale):
    """Cross-entropies and squared errors over those of the constant predictor, added up."""
    total = 0.0
    for name, head in results.items():
        classify = not targets[name].is_floating_point()
        loss = nn.functional.cross_entropy if classify else nn.functional.mse_loss
        total = total + scale[name] * loss(head, targets[name])
    return total


def hand_made(problem, seed, patience=30, recipe=Recipe()):
    """A network trained by a recipe."""
    model, _, examples = trained(problem, seed, patience, recipe)
    return Tried([test_scores(problem, model)], examples)


def trained(problem, seed, patience, recipe, until=None, most_epochs=1000, batch=64):
    """AdamW until the validation loss has not fallen for ``patience`` epochs, or a time is over.

    Gives the model with its best weights, their validation loss, and the examples it has seen.
    """
    torch.manual_seed(seed)
    names = predicted(problem)
    features, targets = arrays(problem, "train")
    features, targets = torch.from_numpy(features), {name: targets[name] for name in names}
    checked, checked_targets = arrays(problem, "validation")
    checked = torch.from_numpy(checked)
    heads = {name: problem.outputs[name].port.width for name in names}
    model = HandMade(features.shape[1], heads, recipe.widths)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.rate, weight_decay=recipe.decay, fused=True
    )
    best, kept, since, examples = float("inf"), deepcopy(model.state_dict()), 0, 0
    for _ in range(most_epochs):
        examples += len(features)
        for rows in torch.randperm(len(features)).split(batch):
            optimizer.zero_grad()
            wanted = {name: target[rows] for name, target in targets.items()}
            summed_loss(model(features[rows]), wanted, problem.loss_scale).backward()
            optimizer.step()
        with torch.no_grad():
            loss = summed_loss(model(checked), checked_targets, problem.loss_scale).item()
        since += 1
        if loss < best:
            best, kept, since = loss, deepcopy(model.state_dict()), 0
        if since >= patience or (until is not None and process_time() >= until):
            break
    model.load_state_dict(kept)
    return model, best, examples


def test_scores(problem, model):
    """The scores of a network by output."""
    with torch.no_grad():
        results = model(torch.from_numpy(arrays(problem, "test")[0]))
    return {name: scored(problem, name, head, "test") for name, head in results.items()}


def tuned(problem, seed, seconds, patience=30):
    """The best network by validation loss that Optuna's TPE finds in so many seconds.

    It tunes the width and the depth of the trunk, the rate and the decay, beginning with the recipe
    of the untuned network. A trial that the time ends counts with the weights it had.
    """
    import optuna  # of the extra peers: only this rival needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    first = Recipe()
    study.enqueue_trial({"depth": 2, "width": 128, "rate": first.rate, "decay": first.decay})
    until, found, seen = process_time() + seconds, [], []

    def attempt(trial):
        depth, width = (
            trial.suggest_int("depth", 1, 4),
            trial.suggest_int("width", 16, 512, log=True),
        )
        rate = trial.suggest_float("rate", 1e-4, 1e-2, log=True)
        decay = trial.suggest_float("decay", 1e-4, 10.0, log=True)
        widths = tuple(max(width >> layer, 8) for layer in range(depth))
        recipe = Recipe(widths, rate, decay)
        model, loss, examples = trained(problem, seed, patience, recipe, until)
        found.append((loss, len(found), model))
        seen.append(examples)
        return loss

    while process_time() < until or not found:
        study.optimize(attempt, n_trials=1)
    return Tried([test_scores(problem, min(found)[2])], sum(seen))


def repeated(problem, seed, small=False):
    """Five networks, since one differs from the next by 4 %; one on many rows."""
    count = 1 if small or problem.split("train").size > FEW else 5
    patience = 2 if small else 30
    found = [hand_made(problem, 1000 * seed + draw, patience=patience) for draw in range(count)]
    draws = [scores for tried in found for scores in tried.draws]
    return Tried(draws, sum(tried.examples for tried in found) / count)


def of_models(make):
    """A rival with a model for each output, which is the same for every seed of the models."""
    return lambda problem, seed, small=False: Tried([per_output(make, problem)])


RIVALS = {
    "linear": of_models(linear),
    "mlp": of_models(mlp),
    "boosting": of_models(boosting),
    "hand_made": repeated,
}
