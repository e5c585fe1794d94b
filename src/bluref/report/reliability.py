"""Reliability diagrams: what matchers claim against what came true."""

from collections.abc import Mapping
from pathlib import Path

from bluref.measure.matching import Reliability
from bluref.media.whole import whole_file

# Area in points^2 of the marker of a bin that holds every pixel.
FULL_MARKER = 400.0


def draw_reliability(bins: Mapping[str, Mapping[str, Reliability]], picture: Path) -> None:
    """Draw one panel per matcher and in it one line per condition, beside the honest diagonal.

    Each marker stands at a bin's mean claimed probability and its share of correct pixels; its area
    is the bin's share of all pixels.

    Args:
        bins: matcher -> condition, such as the length of the blur -> counts; at least one matcher.
        picture: PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.8 + 3.6 * len(bins), 4.6), layout="compressed")
    panels = figure.subplots(1, len(bins), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (matcher, conditions) in zip(panels, bins.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
        for name, counted in conditions.items():
            some = counted.count > 0
            x, y = counted.probability[some].tolist(), counted.frequency[some].tolist()
            area = FULL_MARKER * counted.count[some] / counted.count.sum()
            line = axes.plot(x, y, label=f"{name} (error {counted.error:.3f})")[0]
            axes.scatter(x, y, s=area.tolist(), color=line.get_color(), alpha=0.6)
        axes.set_title(matcher, fontsize=10, parse_math=False)
        axes.set_box_aspect(1)
        axes.set_xlabel("claimed probability")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("share that was correct")
    with whole_file(picture) as partial:
        figure.savefig(partial, dpi=110)
