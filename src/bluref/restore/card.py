"""What is known of a network, as facts for machines and as a model card for people.

Facts come from the network's own description and, where it lies in a run folder, from the run's
recipe and curves. What nobody wrote down is left out, or said to be unknown in a sentence.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import yaml

import bluref
from bluref.restore.files import SavedNetwork, load_network
from bluref.restore.networks.pooling import Windowed
from bluref.weights.folder import DESCRIPTION

Facts = dict[str, object]

KEPT = ("data", "supervised", "batch", "loss", "versions", "figures", "limits", "licence")
"""Facts that travel in a network's own description when it leaves its run folder."""


def facts_of(saved: SavedNetwork) -> Facts:
    """What is known of a network; where it was read from a run folder, by that too."""
    config = saved.model.config
    facts: Facts = {
        "made_with": f"bluref {bluref.__version__}",
        "architecture": type(saved.model).__name__,
        "width": config.width,
        "parameters": sum(p.numel() for p in saved.model.parameters()),
        "multiple": saved.model.multiple,
        "receptive_radius": saved.model.receptive_radius,
        "training_size": saved.training_size,
        **{k: v for k, v in saved.meta.items() if k != "steps" and v is not None},
    }
    if saved.source is not None:
        facts["weights_sha256"] = _digest(saved.source)
        facts |= _of_run(saved.source)
    facts.setdefault("limits", _limits(saved))
    return {key: value for key, value in facts.items() if value not in (None, "", [], {})}


def model_card(path: Path) -> str:
    """The card of the network saved at `path`, as Markdown for the Hugging Face Hub.

    Raises:
        UserError: no usable network there.
    """
    return card_text(path.resolve().name, facts_of(load_network(path)))


def card_text(title: str, facts: Mapping[str, object]) -> str:
    """A card from facts."""
    front: dict[str, object] = {
        "library_name": "bluref",
        "pipeline_tag": "image-to-image",
        "tags": ["deblurring", "image-restoration", "bluref"],
    }
    if "licence" in facts:
        front["license"] = str(facts["licence"]).lower()
    head = yaml.safe_dump(front, sort_keys=False)
    parts = [
        ("Weights", _weights(facts)),
        ("Data", _data(facts)),
        ("Steps", _steps(facts)),
        ("Figures", _figures(facts)),
        ("Limits", " ".join(map(str, _list(facts.get("limits"))))),
        ("Licence", str(facts.get("licence", "Unknown: ask whoever trained this network."))),
    ]
    body = "\n".join(f"* **{name}**: {text}" for name, text in parts if text)
    use = "```bash\nbluref deblur PICTURES --model PATH-OR-REPOSITORY\n```"
    about = "A network that removes motion blur from photographs and video frames."
    return f"---\n{head}---\n# {title}\n\n{about}\n\n{body}\n\n{use}\n"


def _weights(facts: Mapping[str, object]) -> str:
    millions = float(str(facts["parameters"])) / 1e6
    shape = f"{facts['architecture']} of width {facts['width']}, {millions:.2f} M parameters"
    digest = facts.get("weights_sha256")
    return f"{shape}{f', SHA-256 {digest}' if digest else ''}."


def _data(facts: Mapping[str, object]) -> str:
    if "imported" in facts:
        return f"Published by others and converted; see where {facts.get('from', 'it')} came from."
    data = facts.get("data")
    if isinstance(data, Mapping):
        counts = f"{data['blurry_frames']} blurry and {data['sharp_frames']} sharp frames"
        pairs = "true pairs" if facts.get("supervised") else "no pairs"
        return f"{counts} of {data['name']}; {pairs}."
    return f"{data}" if data else "Unknown: the network was saved apart from its run."


def _steps(facts: Mapping[str, object]) -> str:
    if "step" not in facts:
        return ""
    size = facts.get("training_size")
    crops = f" on crops of {size} px" if size else ""
    batch = f", {facts['batch']} at a time" if "batch" in facts else ""
    return f"{facts['step']}{crops}{batch}."


def _figures(facts: Mapping[str, object]) -> str:
    figures = facts.get("figures")
    if isinstance(figures, Mapping):
        return "; ".join(f"{name} {value}" for name, value in figures.items()) + "."
    return (
        str(figures)
        if figures
        else "Unknown: none came with the weights, as where there is no ground truth."
    )


def _limits(saved: SavedNetwork) -> list[str]:
    limits = [
        "Made for motion blur; defocus and noise in the dark were no aim of it.",
        "Footage unlike what it was trained on gains less, and may lose.",
        "It can invent detail: no evidence should rest on its output alone.",
    ]
    if any(isinstance(module, Windowed) for module in saved.model.modules()):
        limits.append("On rare photographs local pooling makes coloured mosaics; it can be off.")
    return limits


def _list(value: object) -> list[object]:
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def _digest(path: Path) -> str | None:
    folders = (path, path / "best", path / "last") if path.is_dir() else ()
    files = [folder / DESCRIPTION for folder in folders] or [path.with_suffix(".json")]
    described = next((file for file in files if file.is_file()), None)
    if described is None:
        return None
    try:
        told = json.loads(described.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # changed since it was loaded
        return None
    digest = told.get("sha256") if isinstance(told, dict) else None
    return digest if isinstance(digest, str) else None


def _of_run(path: Path) -> Facts:
    """What the run folder tells, if `path` is one or lies directly in one."""
    folder = next((f for f in (path, path.parent) if (f / "recipe.yaml").is_file()), None)
    if folder is None:
        return {}
    try:
        told = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
        recipe, data = told["recipe"], told["data"]
        facts: Facts = {
            "data": {
                # The name alone: where it lay on some disk is nobody's business.
                "name": Path(str(data["folder"])).name,
                "blurry_frames": data["blurry_frames"],
                "sharp_frames": data["sharp_frames"],
            },
            "supervised": recipe["supervised"],
            "batch": recipe["batch"],
            "loss": recipe["loss"],
            "versions": told["versions"],
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return facts | _last_figures(folder / "metrics.csv")


def _last_figures(curves: Path) -> Facts:
    """PSNR against ground truth on training crops, as it was last measured in the run."""
    try:
        with curves.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("output_psnr_truth")]
        last = rows[-1]
        before, after = float(last["input_psnr_truth"]), float(last["output_psnr_truth"])
    except (OSError, LookupError, ValueError, TypeError, csv.Error):
        return {}
    name = f"PSNR on the run's own crops at step {last['step']}"
    return {"figures": {name: f"{after:.2f} dB (blurry input {before:.2f} dB)"}}
