"""A rival of suite.py: networks that gromo grows, a growing DAG for each output.

gromo needs Python 3.11 or newer (pip install gromo). A network begins as one linear layer. Rounds
of SGD and of growth take turns as in its tutorial of GrowingGraphNetwork: at the node with the
largest expressivity bottleneck, each candidate gets neurons that follow the bottleneck; the
candidate and its scale with the lowest validation loss stay.

References:
    Douka et al. 2025, Growth strategies for arbitrary DAG neural architectures.
"""

from math import inf, isfinite
from time import process_time

import torch
from suite_rivals import Tried, arrays, predicted, scored
from torch import nn

NEURONS = {"neurons": 10, "neuron_epochs": 100, "neuron_lrate": 1e-2, "neuron_batch_size": 256}
SCALES = (0.0, 0.05, 0.1, 0.5, 1.0)
RATE = 1e-2  # of SGD between growths
STEPS = 30  # of SGD before a growth
BATCH = 64


def grown(problem, seed, seconds):
    """The scores of a network for each output, each grown for its share of the seconds."""
    torch.manual_seed(seed)
    names, scores, examples = predicted(problem), {}, 0
    for name in names:
        network = Growing(problem, name)
        network.run(process_time() + seconds / len(names))
        scores[name] = scored(problem, name, network.head, "test")
        examples += network.examples
    return Tried([scores], examples)


class Growing:
    """A network that grows, and what it predicted when it was best on validation.

    The predictions are kept because gromo's networks cannot be copied once they have grown.
    """

    def __init__(self, problem, name):
        from gromo.containers.growing_graph_network import GrowingGraphNetwork

        self.rows, self.targets = tensors(problem, name, "train")
        self.checked = tensors(problem, name, "validation")
        classify = problem.outputs[name].kind == "classification"
        self.loss = nn.CrossEntropyLoss() if classify else nn.MSELoss()
        width = problem.outputs[name].port.width
        self.model = GrowingGraphNetwork(
            self.rows.shape[1], width, self.loss, **NEURONS, name="dag", device="cpu"
        )
        self.unseen = tensors(problem, name, "test")[0]
        self.head, self.lowest, self.examples = None, inf, 0

    def run(self, until):
        """Train and grow by turns until the time is over, or SGD diverges; at least one round."""
        while True:
            self.train()
            self.keep()
            if process_time() >= until or not isfinite(self.validated()):
                return
            self.grow()
            self.keep()

    def validated(self):
        """The validation loss."""
        with torch.no_grad():
            return self.loss(self.model(self.checked[0]), self.checked[1]).item()

    def keep(self):
        """Keep the network where it is the best so far."""
        loss = self.validated()
        if loss < self.lowest or self.head is None:
            with torch.no_grad():
                self.head, self.lowest = self.model(self.unseen).clone(), loss

    def train(self):
        """Some steps of SGD."""
        optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE)
        done = 0
        while done < STEPS:
            for rows in torch.randperm(len(self.rows)).split(BATCH):
                optimizer.zero_grad()
                self.loss(self.model(self.rows[rows]), self.targets[rows]).backward()
                optimizer.step()
                self.examples += len(rows)
                done += 1

    # ---- a growth --------------------------------------------------------------------------------

    def grow(self):
        """Add what lowers the validation loss most at the node with the largest bottleneck."""
        model, dag = self.model, self.model.dag
        actions = dag.define_next_actions(expand_end=True)
        model.init_computation()
        gradients, inputs = self.statistics()
        model.compute_optimal_delta()
        bottleneck = bottlenecks(dag, gradients, inputs)
        model.reset_computation()
        node = max(
            (name for name in bottleneck if name in dag.nodes),
            key=lambda name: torch.linalg.norm(bottleneck[name]).item(),
        )
        actions = model.restrict_action_space(actions, chosen_outputs=[node])
        model.execute_expansions(
            actions, bottleneck, inputs, amplitude_factor=False, evaluate=False
        )
        for action in actions:
            losses = {scale: self.extended(action, scale) for scale in SCALES}
            scale = min(losses, key=losses.get)
            action.metrics |= {"scaling_factor": scale, "loss_val": losses[scale]}
        model.choose_growth_best_action(actions)
        model.apply_change()

    def statistics(self):
        """The gradient before the activation and the result of each node, on all training rows."""
        dag = self.model.dag
        self.model.zero_grad()
        self.loss(self.model(self.rows), self.targets).backward()
        self.model.update_computation()
        self.examples += len(self.rows)
        gradients, inputs = {}, {}
        for node in set(dag.get_all_node_modules()):
            inputs[node._name] = node.activity.detach().clone()
            if node._name != dag.root:
                gradients[node._name] = node.pre_activity.grad.detach().clone()
        return gradients, inputs

    def extended(self, action, scale):
        """The validation loss with a candidate of this scale."""
        self.model.set_scaling_factor(scale)
        with torch.no_grad():
            result = self.model.extended_forward(self.checked[0], mask=action.create_mask())
        head = result[0] if isinstance(result, tuple) else result
        return self.loss(head, self.checked[1]).item()


def tensors(problem, name, split):
    """All inputs side by side and the target of an output."""
    rows, targets = arrays(problem, split)
    return torch.from_numpy(rows), targets[name]


def bottlenecks(dag, gradients, inputs):
    """What of each node's gradient no change of its weights explains."""
    found = {}
    with torch.no_grad():
        for node in set(dag.get_all_node_modules()):
            if node._name == dag.root:
                continue
            left = gradients[node._name]
            for edge in node.previous_modules:
                left = left - edge.optimal_delta_layer(inputs[edge.previous_module._name])
            found[node._name] = left
    return found
