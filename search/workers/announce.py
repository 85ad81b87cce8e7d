"""What a command says while it works: settings, how long it will take, how each trial ended."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import fields

from optuna.trial import FrozenTrial, Trial, TrialState

from models.inputs import left_out
from models.layers import compressible_layers
from models.tasks import MULTICLASS
from objectives.context import Context
from objectives.plan import BY_ANY_NAME
from objectives.score.accuracy import ACCURACY as ACCURACY_SCORE
from search.results.dead import constant, dead_layers
from search.results.failures import kind_of, reason_of
from search.results.scored import ACCURACY, Scored
from search.sampling.stopping import STOPPED
from search.settings.config import StudyConfig
from search.settings.provenance import commit
from search.settings.terminal import paragraph
from search.storage.paths import StudyPaths
from search.workers.duration import Duration
from search.workers.processes import Processes

LONG_SECONDS = 600
TOLD_SHARE = 0.01
"""Of a network's weights, that is told if nothing compresses it."""
MOST_TOLD = 4


def score_told(context: Context) -> str:
    """Return what is asked and what files are scored by; "" of classes and accuracy."""
    task, score = context.data.task, context.score
    if task == MULTICLASS and score == ACCURACY_SCORE:
        return ""
    better = "more" if score.mode == "max" else "less"
    change = "percentage points" if score.is_share else "percent of the baseline's value"
    told = f"task {task.name}; files are scored by {score.name}, {better} is better, "
    told += f"changes in {change}"
    if not score.knows_parts:
        told += "; it has one score for validation and test, so nothing is held out"
    return told


def data_told(context: Context) -> str:
    """Return how much of the data tells them from others; "" where that is all."""
    unhashed = context.data.unhashed()
    return unhashed and (
        f"data are known by a sample: {unhashed}; a change elsewhere would go unnoticed"
    )


def inputs_told(context: Context) -> str:
    """Return what of a batch `forward` is not given; "" if nothing."""
    names = left_out(context.build_network(), context.data.training_inputs(1))
    return f"of a batch, `forward` has no arguments for {', '.join(names)}" if names else ""


def left_told(context: Context) -> str:
    """Return which layers stay as they are because nothing here compresses such, if many do."""
    network = context.build_network()
    known = {id(layer.weight) for layer in compressible_layers(network).values()}
    left = {
        f"{name} ({type(module).__name__})": parameter.numel()
        for name, module in network.named_modules()
        for parameter in module.parameters(recurse=False)
        if parameter.dim() > 1 and id(parameter) not in known
    }
    share = sum(left.values()) / max(1, sum(each.numel() for each in network.parameters()))
    if share < TOLD_SHARE:
        return ""
    names = list(left)
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return (
        f"left as they are, with {100 * share:.0f} % of all weights: "
        f"{', '.join(names[:MOST_TOLD])}{more}"
    )


def integers_told(context: Context, methods: Sequence[str], *, everywhere: bool = False) -> str:
    """Return which layers integers make faster at 8 bits and below, and why others stay floats.

    Of a network whose file is not a matter of course: it was exported already.
    """
    puts = any(BY_ANY_NAME[name].puts_on_integers for name in methods if name in BY_ANY_NAME)
    if context.model.exports or not puts:
        return ""
    state = context.fold(context.untrained())
    layers = context.layers_of(context.network_of(state))
    plan = context.integers(state, layers, everywhere=everywhere)
    told = (
        f"quantized, {len(plan.layers)} of {len(plan.layers) + len(plan.floats)} layers compute "
    )
    told += "on integers"
    reasons = [
        f"{reason} ({count})" for reason, count in Counter(plan.floats.values()).most_common()
    ]
    return told + (f", the others on floats: {', '.join(reasons)}" if reasons else "")


def estimate(duration: Duration, config: StudyConfig, processes: Processes) -> str:
    """Return how long the study will take here, and how to make it shorter if that is long."""
    by = f" by {processes.workers} workers" if processes.workers > 1 else ""
    text = paragraph(f"about {duration.told(f'on this CPU{by}')}", indent="  ")
    if duration.seconds > LONG_SECONDS:
        preset = "" if config.preset else "--preset quick, or "
        text += f"\n  shorter: {preset}smaller --input-size, --train-fraction, --epochs"
    return text


MATTERING = [
    *("model", "data", "space", "methods", "sparsity", "precision", "objective"),
    *("epochs", "qat_epochs", "batch_size", "lr", "seed", "accelerator", "threads"),
]
"""Settings that are told of each study."""
UNTOLD = {"model_fingerprint", "data_fingerprint", "metric_fingerprint", "weights", "only_plan"}
"""Settings that tell a person nothing: hashes, and the plan that was typed just now."""


def heading(config: StudyConfig, paths: StudyPaths) -> str:
    """Return the study's name and folder, and the settings that matter or were chosen."""
    defaults = {field.name: field.default for field in fields(config)}
    unused = {"sparsity", "precision"} if config.space != "paper" else set()
    chosen = [
        name
        for name, default in defaults.items()
        if getattr(config, name) != default and name not in {*MATTERING, *UNTOLD, *unused}
    ]
    told = [
        f"{name.replace('_', ' ')} {_setting(getattr(config, name))}"
        for name in [*MATTERING, *chosen]
        if name not in unused
    ]
    settings = f"{', '.join(told)}; the report has all settings"
    return "\n".join(
        [
            f"Study {paths.study} in {paths.folder} (commit {commit()})",
            paragraph(settings, indent="  "),
        ]
    )


def _setting(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def trial_name(trial: FrozenTrial | Trial) -> str:
    """Return a trial's number and its parameters, in four digits; a typed plan's has none."""
    told = ", ".join(
        f"{name} {f'{value:.4g}' if isinstance(value, float) else value}"
        for name, value in trial.params.items()
    )
    return f"trial {trial.number}: {told}" if told else f"trial {trial.number}"


def trial_line(trial: FrozenTrial, told: Collection[str] = frozenset()) -> str:
    """Return how a trial ended, in one line.

    Args:
        trial: It has ended.
        told: Kinds of reasons of failures that the reader knows already.
    """
    name = f"{trial_name(trial)}:"
    facts = trial.user_attrs
    scored = Scored(facts)
    if trial.state == TrialState.FAIL:
        reason = reason_of(trial)
        known = kind_of(reason) in told
        return f"{name} failed{' for the same reason as before' if known else f': {reason}'}"
    if trial.state == STOPPED:
        epochs, worth = max(trial.intermediate_values.items())
        reached = f" at {scored.told_worth(worth)}" if scored.is_of_networks else ""
        return f"{name} stopped early after {epochs} epochs{reached}"
    seconds = sum(facts["stage_seconds"].values())
    named = "" if scored.name == ACCURACY else f"{scored.name} on "
    change = scored.told_delta("val").replace("points", "pp")
    alone = {facts["artifact_bytes"], facts["artifact_raw_bytes"]}
    coded = " coded" if facts["shipped_bytes"] not in alone else ""
    ram = facts.get("ram_bytes")
    memory = "" if ram is None else f"{ram / 1024:,.1f} kB of RAM, "
    return (
        f"{name} {facts['shipped_bytes']:,} bytes{coded} ({facts['reduction_factor']:.2f}x), "
        f"{memory}{named}validation {scored.told('val')} ({change}), "
        f"Q {facts['quality']:.4f}, U {facts['saving']:.4f}, {seconds:.1f} s"
        f"{dead_layers(facts)}{constant(facts)}"
    )
