"""The command that makes a trial's file again, anywhere."""

import shlex
from dataclasses import fields

from models.tasks import TASKS
from objectives.plan import Plan
from search.settings.config import StudyConfig
from search.settings.setup import has_names

_FROM_CONFIG = (
    "model",
    "data",
    "input_size",
    "train_fraction",
    "held_out",
    "test_fraction",
    "augment",
    "seed",
    "threads",
    "runtime",
)
"""Settings beside the plan that decide its result."""


def remake_command(config: StudyConfig, plan: Plan, study: str) -> str | None:
    """Return the shell command that carries `plan` out again, under the name `study`.

    None for a study that was made from Python, whose network or data no command can name.
    """
    if not has_names(config):
        return None
    command = ["python", "-m", "search.run"]
    defaults = {field.name: field.default for field in fields(config)}
    if config.preset is not None:
        command += ["--preset", config.preset]
    for name in _FROM_CONFIG:
        value = getattr(config, name)
        if value is not None and (config.preset is not None or value != defaults[name]):
            command += [f"--{name.replace('_', '-')}", str(value)]
    if config.task != defaults["task"]:
        command += ["--task", config.task]
    if config.metric != TASKS[config.task].metric:
        command += ["--metric", config.metric, "--metric-mode", config.metric_mode]
    if config.metric_args != defaults["metric_args"]:
        command += ["--metric-args", config.metric_args]
    if config.layers != defaults["layers"]:
        command += ["--layers", ",".join(config.layers)]
    if config.methods != defaults["methods"]:
        command += ["--methods", ",".join(config.methods)]
    command += ["--accelerator", config.accelerator]  # by itself a command takes the fastest
    if config.weights is not None:
        command += ["--weights", "FILE"]
    named = study.replace("/", "-")  # what no study may be called but by optuna-dashboard
    return shlex.join([*command, "--study", named, "--plan", plan.to_json()])
