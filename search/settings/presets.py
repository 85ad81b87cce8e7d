"""Presets: settings that make a study shorter, at the price of its accuracy."""

from models.errors import BadInputError
from models.registry import ModelSpec
from search.settings.config import StudyConfig

QUICK_INPUT_SIZE = 67
"""The smallest input that AlexNet takes."""


def preset_settings(name: str | None, spec: ModelSpec) -> dict[str, object]:
    """Return the settings of the preset `name` for a model; none for None.

    `quick` is for a CPU: small images, a part of the data, few epochs.

    Raises:
        BadInputError: There is no such preset.
    """
    if name is None:
        return {}
    if name != "quick":
        raise BadInputError(f"Unknown preset '{name}'. Known: quick.")
    settings: dict[str, object] = {
        "preset": name,
        "train_fraction": 0.2,
        "test_fraction": 0.1,
        "epochs": 2,
        "qat_epochs": 1,
        "augment": "none",
    }
    if spec.input_size is not None:
        settings["input_size"] = QUICK_INPUT_SIZE
    return settings


def label(config: StudyConfig) -> str | None:
    """Return the sentence that marks results of a preset, None for none."""
    if config.preset is None:
        return None
    return (
        f"Preset {config.preset}: input size {config.input_size or 'as it is'}, "
        f"{config.train_fraction:.0%} of the training part, {config.test_fraction:.0%} of the "
        f"test part, {config.epochs} epochs. Not comparable with the paper's figures."
    )
