"""The layers of the recommended trial: what is left of each, and what it takes of the file."""

from dataclasses import dataclass

import onnx
from optuna import Study
from plotly.subplots import make_subplots
from tabulate import tabulate

from objectives.artifact.stored_layers import StoredLayer, stored_layers
from objectives.plan import Plan
from search.reporting.drawing import BLUE, GREY, Drawing
from search.results.front import chosen_trial
from search.results.table import StudyTable
from search.storage.file_finding import FileFinder

PIXELS_A_LAYER = 34
LEAST_PIXELS = 320


@dataclass(frozen=True, slots=True)
class TrialLayers:
    """The layers of one trial's file."""

    trial: int
    plan: Plan
    layers: list[StoredLayer]

    def kept_pct(self) -> list[float]:
        """Return the percentage of each layer's weights that are not zero."""
        return [100 * layer.nonzero / layer.weights for layer in self.layers]

    def bits(self) -> list[float]:
        """Return the bits of a weight of each layer, as the plan has them."""
        stages = [stage for stage in self.plan.stages() if stage.kind == "representation"]
        return [stages[0].bits_of(layer.name) if stages else 32 for layer in self.layers]


def recommended_layers(study: Study, table: StudyTable, finder: FileFinder) -> TrialLayers | None:
    """Return the layers of the recommended trial; None where there is none.

    Raises:
        AwayError: The study's store, which has the file, cannot be reached.
        BadInputError: What reaches it is not installed or set.
        MeasurementError: There is no file.
    """
    chosen = chosen_trial(study)
    if chosen is None:
        return None
    artifact = finder.find(chosen)
    row = next(row for row in table.rows if row.trial.number == chosen.number)
    return TrialLayers(
        chosen.number, row.plan, stored_layers(onnx.load(artifact.with_suffix(".onnx")))
    )


def layer_table(made: TrialLayers, form: str) -> str:
    """Return the layers as a table in one of tabulate's formats."""
    rows = [
        [
            layer.name,
            f"{layer.weights:,}",
            f"{kept:.2f} %",
            f"{bits:g}",
            f"{layer.size_bytes:,}",
            f"{layer.gzip_bytes:,}",
            layer.kernel,
        ]
        for layer, kept, bits in zip(made.layers, made.kept_pct(), made.bits(), strict=True)
    ]
    headers = [f"layer of trial {made.trial}", "weights", "not zero", "bits", "bytes", "gzip"]
    headers.append("computed on")
    text: str = tabulate(
        rows, headers, form, disable_numparse=True, colalign=["left", *["right"] * 5, "left"]
    )
    return text


def layer_drawing(made: TrialLayers) -> Drawing:
    """Return bars of each layer: weights kept, bits of one, bytes in the file."""
    names = [layer.name for layer in made.layers]
    titles = ("kept, %", "bits", "bytes")
    figure = make_subplots(
        cols=3, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.06
    )
    raw = [layer.size_bytes for layer in made.layers]
    zipped = [layer.gzip_bytes for layer in made.layers]
    bars = [
        (1, "kept", made.kept_pct(), BLUE, "%{x:.2f} %"),
        (2, "bits", made.bits(), BLUE, "%{x} bits"),
        (3, "stored", raw, GREY, "%{x:,} bytes"),
        (3, "after gzip", zipped, BLUE, "%{x:,} bytes after gzip"),
    ]
    for column, name, values, color, told in bars:
        figure.add_bar(
            x=values,
            y=names,
            orientation="h",
            name=name,
            marker={"color": color},
            showlegend=column == 3,
            hovertemplate=f"%{{y}}: {told}<extra></extra>",
            col=column,
            row=1,
        )
    figure.update_yaxes(autorange="reversed", type="category", automargin=True)
    figure.update_xaxes(range=[0, 100], col=1)
    figure.update_layout(
        title=f"Layers of trial {made.trial}, the recommended one",
        height=max(LEAST_PIXELS, 160 + PIXELS_A_LAYER * len(names)),
        template="plotly_white",
        legend={"orientation": "h", "yref": "container", "y": 0, "x": 1, "xanchor": "right"},
    )
    largest = max(made.layers, key=lambda layer: layer.gzip_bytes)
    told = (
        f"Weights kept, bits and bytes of the {len(names)} layers of trial {made.trial}; "
        f"{largest.name} takes most of the file, {largest.gzip_bytes:,} bytes after gzip."
    )
    return Drawing("layers", figure, told)
