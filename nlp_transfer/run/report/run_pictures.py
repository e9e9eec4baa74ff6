"""Pictures of learning curves, calibration, coverage and residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlp_transfer.run.html.drawing import FONT, MARGINS, Picture, fitting, svg
from nlp_transfer.run.report.wording import score_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, RED, AMBER, GREY = "#1f5f8b", "#b00020", "#9a6a00", "#777777"
_HEIGHT = 240
_SQUARE = (0.14, 0.13, 0.83, 0.84)
_UNDER_LEGEND = (0.14, 0.13, 0.83, 0.79)


def curve_pictures(run: Mapping[str, Any]) -> list[Picture]:
    """The loss of training and validation, and the score that selected the weights, over epochs."""
    pictures = []
    loss, evaluations = run["loss"], run["evaluations"]
    losses = [(epoch, value) for _, epoch, value, _ in evaluations if value is not None]
    if len(loss) > 1 or len(losses) > 1:

        def draw_loss(axes: Axes) -> None:
            if loss:
                axes.plot([p[1] for p in loss], [p[2] for p in loss], color=GREY, linewidth=1.4, label="training")
            if losses:
                axes.plot(*zip(*losses, strict=True), color=BLUE, marker="o", markersize=4, label="validation")
            axes.set(xlabel="epochs", ylabel="loss")
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=FONT - 1)
            _mark_best(axes, run)
            _hide_frame(axes)

        ranges = [f"training from {loss[0][2]:.3g} to {loss[-1][2]:.3g}"] if loss else []
        ranges += [f"validation from {losses[0][1]:.3g} to {losses[-1][1]:.3g}"] if losses else []
        words = f"Loss over epochs: {', '.join(ranges)}."
        pictures.append(Picture("Loss", words, svg(draw_loss, _HEIGHT, "loss", margins=MARGINS)))
    if len(evaluations) > 1:
        name = score_name(run["metric"])

        def draw_score(axes: Axes) -> None:
            axes.plot([p[1] for p in evaluations], [p[3] for p in evaluations], color=BLUE, marker="o", markersize=4)
            axes.set(xlabel="epochs", ylabel=f"validation {name}")
            _mark_best(axes, run)
            _hide_frame(axes)

        values = ", ".join(f"{p[3]:.3f} at {p[1]:.3g}" for p in _thinned(evaluations))
        words = f"Validation {name} over epochs: {values}."
        title = f"Validation {name}"
        pictures.append(Picture(title, words, svg(draw_score, _HEIGHT, "score", margins=(0.16, 0.2, 0.82, 0.77))))
    return pictures


def reliability_picture(findings: Mapping[str, Any]) -> Picture | None:
    """A reliability diagram: accuracy over predicted probability in bins; on the diagonal they are equal."""
    kinds = (("uncalibrated", "before calibration", AMBER, "s"), ("calibrated", "after calibration", BLUE, "o"))
    drawn = [(name, findings[key], colour, marker) for key, name, colour, marker in kinds if findings[key]]
    if not drawn:
        return None
    most = max(b["rows"] for _, calibration, _, _ in drawn for b in calibration["bins"])

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1.2, linestyle="--")
        for name, calibration, colour, marker in drawn:
            bins = [b for b in calibration["bins"] if b["rows"]]
            x, y = [b["probability"] for b in bins], [b["share"] for b in bins]
            axes.plot(x, y, color=colour, linewidth=1.2, alpha=0.8)
            sizes = [10 + 90 * b["rows"] / most for b in bins]
            axes.scatter(x, y, sizes, color=colour, marker=marker, label=name, alpha=0.8, linewidths=0)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="predicted probability", ylabel="accuracy")
        # Above the axes: a curve may run through any corner of them.
        legend = axes.legend(
            frameon=False, fontsize=FONT - 1, loc="lower left", bbox_to_anchor=(-0.03, 0.99), ncols=2, columnspacing=1.0
        )
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_sizes([36])  # type: ignore[attr-defined]
        _hide_frame(axes)

    values = "; ".join(
        f"{name}: "
        + ", ".join(f"accuracy {b['share']:.2f} at probability {b['probability']:.2f} ({b['rows']:,})"
                    for b in calibration["bins"] if b["rows"])
        for name, calibration, _, _ in drawn
    )  # fmt: skip
    words = f"Reliability diagram. {values}."
    return Picture("Reliability", words, svg(draw, 340, "reliability", margins=_UNDER_LEGEND))


def coverage_picture(findings: Mapping[str, Any]) -> Picture:
    """Accuracy on the most certain rows, for each share of the rows."""
    points = findings["points"]

    def draw(axes: Axes) -> None:
        axes.plot([100 * p[0] for p in points], [100 * p[1] for p in points], color=BLUE, linewidth=1.8)
        low = min(100 * p[1] for p in points)
        axes.set(xlim=(0, 101), ylim=(max(0, low - 5), 101), xlabel="coverage in %", ylabel="accuracy in %")
        axes.grid(color="#ececec")
        _hide_frame(axes)

    values = ", ".join(f"{row['accuracy']:.1%} on the most certain {row['share']:.0%}" for row in findings["table"])
    return Picture("Risk and coverage", f"Accuracy is {values}.", svg(draw, 340, "coverage", margins=_SQUARE))


def number_pictures(findings: Mapping[str, Any]) -> list[Picture]:
    """Predicted over true numbers, and a histogram of the residuals."""
    points, residuals = findings["points"], findings["residuals"]
    low, high = min(min(p) for p in points), max(max(p) for p in points)

    def draw_points(axes: Axes) -> None:
        axes.plot([low, high], [low, high], color="#bbbbbb", linewidth=1.2, linestyle="--")
        axes.scatter([p[0] for p in points], [p[1] for p in points], 9, color=BLUE, alpha=0.45, linewidths=0)
        axes.set(xlabel="true", ylabel="predicted")
        _hide_frame(axes)

    def draw_residuals(axes: Axes) -> None:
        axes.stairs(residuals["rows"], residuals["edges"], fill=True, color=BLUE, alpha=0.7)
        axes.axvline(0, color="#1c1c1c", linewidth=1)
        axes.set(xlabel="predicted less true", ylabel="rows")
        _hide_frame(axes)

    ranges = f"{len(points):,} rows: true from {min(p[0] for p in points):.3g} to {max(p[0] for p in points):.3g}, "
    ranges += f"predicted from {min(p[1] for p in points):.3g} to {max(p[1] for p in points):.3g}."
    spread = f"Residuals have mean {residuals['mean']:.3g} and standard deviation {residuals['deviation']:.3g}."
    return [
        Picture("Predicted and true", ranges, svg(draw_points, 340, "points", margins=_SQUARE)),
        Picture("Residuals", spread, svg(draw_residuals, 340, "residuals", margins=_SQUARE)),
    ]


def _tick_full_epochs(axes: Axes) -> None:
    """Ticks at full epochs, if there are several."""
    from matplotlib.ticker import MaxNLocator  # slow to import, as all of matplotlib

    if axes.get_xlim()[1] >= 1.9:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _mark_best(axes: Axes, run: Mapping[str, Any]) -> None:
    _tick_full_epochs(axes)
    if run["best_epoch"] is not None:
        axes.axvline(run["best_epoch"], color=RED, linestyle=":", linewidth=1.4)


def _hide_frame(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    """About a dozen of the points, for the words of a picture."""
    return points if len(points) <= 12 else [*points[:: len(points) // 10], points[-1]]


_RUNS = (BLUE, RED, AMBER, "#2b7a4b", "#6b3fa0", GREY)


def runs_picture(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> Picture | None:
    """The validation score of several runs over epochs; None if their metrics differ, or none has a curve."""
    curves = [(name, run["evaluations"]) for name, run in zip(names, runs, strict=True) if len(run["evaluations"]) > 1]
    if len({run["metric"] for run in runs}) > 1 or not curves:
        return None
    metric = score_name(runs[0]["metric"])

    def draw(axes: Axes) -> None:
        for place, (name, points) in enumerate(curves):
            style = ("-", "--", ":")[place // len(_RUNS) % 3]
            colour = _RUNS[place % len(_RUNS)]
            axes.plot([p[1] for p in points], [p[3] for p in points], style, color=colour, marker="o", markersize=3,
                      label=fitting(name, 200))  # fmt: skip
        axes.set(xlabel="epochs", ylabel=f"validation {metric}")
        _tick_full_epochs(axes)
        axes.legend(frameon=False, fontsize=FONT - 1)
        _hide_frame(axes)

    ranges = "; ".join(f"{name} from {points[0][3]:.3f} to {points[-1][3]:.3f}" for name, points in curves)
    words = f"Validation {metric} over epochs: {ranges}."
    return Picture(f"Validation {metric}", words, svg(draw, _HEIGHT, "runs", margins=(0.16, 0.2, 0.82, 0.77)))
