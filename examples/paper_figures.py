"""The figures of the paper's two experiments, after its Figs. 5 to 9."""

import matplotlib
import numpy as np

matplotlib.use("Agg")
EDGES = np.linspace(-1, 1, 41)
STEEPEST = -1.5e-4  # the paper's bounds of Figs. 6 and 7
IMPROVEMENT = 0.5
RELEVANCE = 0.4
COLOURS = {
    "random": "tab:blue",
    "guidelines": "tab:orange",
    "gentle": "tab:green",
    "today": "tab:red",
    "retrain": "tab:gray",
}


def save(figure, path):
    """Write the figure, and forget it."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=80)
    pyplot.close(figure)


# ---- the initial experiment ----------------------------------------------------------------------


def draw_gains(by_output, folder):
    """G of all pairs of versions, as in Fig. 5: right of 0 the gentle one was better."""
    from matplotlib import pyplot

    figure, [row] = pyplot.subplots(
        1, len(by_output), figsize=(4 * len(by_output), 3), layout="constrained", squeeze=False
    )
    for ax, (output, units) in zip(row, by_output.items()):
        values = np.array([value for unit in units for value in unit])
        ax.hist(values, EDGES, color="tab:blue")
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set(title=output, xlabel="G", yscale="log")
        share = (values > 0).mean() if len(values) else np.nan
        ax.text(0.98, 0.95, f"gentle won {share:.0%}", ha="right", va="top", transform=ax.transAxes)
    row[0].set_ylabel("pairs of clones")
    save(figure, folder / "initial_gentle.png")


def draw_clouds(clouds, metric, folder):
    """The improvement over a metric for each (operator, version), as in Figs. 6 and 7."""
    from matplotlib import pyplot

    operators = list(dict.fromkeys(operator for operator, _ in clouds))
    figure, grid = pyplot.subplots(
        len(operators),
        2,
        figsize=(8, 2.3 * len(operators)),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for ax, ((operator, version), cloud) in zip(grid.flat, clouds.items()):
        x, y = clipped(np.array(cloud, dtype=float).reshape(-1, 2), metric)
        ax.plot(x, y, ".", alpha=0.3, markersize=4, color="tab:blue")
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set_title(f"{operator}, {version}", fontsize=9)
    for ax in grid[:, 0]:
        ax.set_ylabel("beyond training on")
    for ax in grid[-1]:
        ax.set_xlabel("slope of the loss, 1e-5" if metric == "slope" else "log10 relevance")
    save(figure, folder / f"initial_{metric}.png")


def clipped(cloud, metric):
    """The points within the bounds that the paper draws, a slope in 1e-5."""
    x, y = cloud.T
    if metric == "slope":
        x = 1e5 * np.clip(x, STEEPEST, -STEEPEST / 3)
    else:
        x = np.clip(np.log10(np.maximum(x, 1e-3)), -0.1, RELEVANCE)
    return x, np.clip(y, -IMPROVEMENT, IMPROVEMENT)


# ---- the main experiment -------------------------------------------------------------------------


def draw_counts(by_arm, folder):
    """Points in the front of each pair by step, as in Fig. 8.

    Args:
        by_arm: By arm an array of shape (pairs, steps).
    """
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(8, 3.2), layout="constrained")
    for index, (arm, counts) in enumerate(by_arm.items()):
        steps = np.arange(1, counts.shape[1] + 1)
        gap = max(1, len(steps) // 20)
        shown = steps[gap - 1 :: gap]
        boxes = ax.boxplot(
            counts[:, shown - 1],
            positions=shown + gap * (0.4 * index - 0.2),
            widths=0.35 * gap,
            patch_artist=True,
            manage_ticks=False,
            flierprops={"markersize": 3},
            medianprops={"color": "black"},
        )
        for box in boxes["boxes"]:
            box.set_facecolor(COLOURS[arm])
        ax.plot([], [], "s", color=COLOURS[arm], label=arm)
    ax.set(xlabel="step", ylabel="points in the pair's front")
    ax.legend(frameon=False)
    save(figure, folder / "main_pairs.png")


def draw_combined(by_arm, folder):
    """Points in the front of all runs by step, as in Fig. 9."""
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(8, 2.8), layout="constrained")
    for index, (arm, counts) in enumerate(by_arm.items()):
        steps = np.arange(1, len(counts) + 1)
        ax.bar(steps + 0.4 * (index - 0.5), counts, 0.4, color=COLOURS[arm], label=arm)
    ax.set(xlabel="step", ylabel="points in the front of all")
    ax.legend(frameon=False)
    save(figure, folder / "main_all.png")


def draw_differences(bounds, folder):
    """Hypervolume of each arm minus that of the random one by step, with intervals.

    Args:
        bounds: By arm an array of shape (steps, 3): the mean difference and its interval.
    """
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(8, 3.2), layout="constrained")
    for arm, rows in bounds.items():
        steps = np.arange(len(rows))
        ax.plot(steps, rows[:, 0], color=COLOURS[arm], label=f"{arm} - random")
        ax.fill_between(steps, rows[:, 1], rows[:, 2], color=COLOURS[arm], alpha=0.12, linewidth=0)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xlabel="step", ylabel="difference of hypervolume")
    ax.legend(frameon=False)
    save(figure, folder / "main_hypervolume.png")


def draw_effects(effects, what, path):
    """A number with its interval for each name, from top to bottom; right of 0 is better.

    Args:
        effects: By name the number and the bounds of its interval.
        what: What the numbers are.
        path: The file of the figure.
    """
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(8, 0.3 * len(effects) + 0.8), layout="constrained")
    numbers = np.array(list(effects.values()), dtype=float)
    height = -np.arange(len(effects))
    ax.hlines(height, numbers[:, 1], numbers[:, 2], color="tab:blue")
    ax.plot(numbers[:, 0], height, "o", color="tab:blue", markersize=4)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(xlabel=what)
    ax.set_yticks(height, list(effects))
    save(figure, path)
