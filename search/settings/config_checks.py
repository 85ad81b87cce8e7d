"""What must hold of a study's config beyond what its stages check themselves."""

from models.checks import require
from models.errors import BadInputError
from objectives.plan import BY_ANY_NAME, Plan, losing_zeros, methods_of
from objectives.runtimes import NAMES as RUNTIMES
from objectives.runtimes import runtime_named
from search.settings.study_settings import StudySettings
from search.settings.vocabulary import (
    CODERS,
    EXTRA_OBJECTIVES,
    LIMITS,
    METHODS,
    OBJECTIVES,
    SPACES,
)


def check(config: StudySettings) -> None:
    """Raise `BadInputError` naming the first law that `config` breaks, and its value."""
    require(len(config.sparsity) > 0, "sparsity is not empty", sparsity=config.sparsity)
    require(len(config.precision) > 0, "precision is not empty", precision=config.precision)
    for values, name in ((config.sparsity, "sparsity"), (config.precision, "precision")):
        require(len(set(values)) == len(values), f"{name} names no value twice", got=values)
    require(
        config.objective in OBJECTIVES, f"objective in {OBJECTIVES}", objective=config.objective
    )
    require(config.space in SPACES, f"space in {SPACES}", space=config.space)
    require(
        (config.space == "plan") == (config.only_plan is not None),
        "the space plan goes with --plan, and no other does",
        space=config.space,
    )
    if config.only_plan is not None:
        Plan.from_json(config.only_plan)
    extra = ",".join(config.extra_objectives)
    require(
        set(config.extra_objectives) <= set(EXTRA_OBJECTIVES),
        f"--with names some of {', '.join(EXTRA_OBJECTIVES)}",
        named=extra,
    )
    require(
        len(set(config.extra_objectives)) == len(config.extra_objectives),
        "--with names none twice",
        named=extra,
    )
    require(
        not config.extra_objectives or config.objective == "pareto",
        f"--with {extra} goes with --objective pareto",
        objective=config.objective,
    )
    for name in LIMITS:
        limit = getattr(config, name)
        require(limit is None or limit >= 0, f"{name} >= 0", **{name: limit})
    require(
        len(config.density) == 2 and 0 < config.density[0] <= config.density[1] <= 1,
        "--density names two shares of weights, 0 < low <= high <= 1",
        density=config.density,
    )
    require(
        config.fine_tune_epochs is None or config.fine_tune_epochs >= 1,
        "fine_tune_epochs >= 1",
        fine_tune_epochs=config.fine_tune_epochs,
    )
    trained = (config.baseline_optimizer, config.baseline_lr)
    require(
        config.weights is None or trained == ("adam", None),
        "--weights takes the place of the baseline's training, optimizer and learning rate",
        baseline_optimizer=trained[0],
        baseline_lr=trained[1],
    )
    _check_runtime(config)
    _check_methods(config)
    require(
        config.metric_mode in {"max", "min"},
        "metric_mode is max or min",
        metric_mode=config.metric_mode,
    )
    require(config.threads is None or config.threads >= 1, "threads >= 1", threads=config.threads)
    require(0 <= config.seed < 2**32, "0 <= seed < 2**32", seed=config.seed)


def _check_runtime(config: StudySettings) -> None:
    require(config.runtime in RUNTIMES, f"runtime in {RUNTIMES}", runtime=config.runtime)
    runtime = runtime_named(config.runtime)
    lacking = sorted(runtime.lacks_bits & set(config.precision))
    if config.space == "paper" and lacking:
        have = ",".join(map(str, runtime.having(config.precision)))
        raise BadInputError(
            f"{runtime.title} has no weights of {lacking[0]} bits: "
            + (f"`--precision {have}` leaves them out." if have else "name others.")
        )
    coders = [name for name in CODERS if name in config.methods]
    if coders and runtime.suffix != ".onnx":
        raise BadInputError(
            f"`--methods {coders[0]}` codes ONNX files, but {runtime.title} runs "
            f"{runtime.suffix} files."
        )


def _check_methods(config: StudySettings) -> None:
    unknown = sorted(set(config.methods) - {*METHODS, *BY_ANY_NAME})
    if unknown:
        known = ", ".join(METHODS)
        raise BadInputError(f"Unknown method {unknown[0]!r}. Known: {known}.")
    require(
        config.methods == ("prune", "quantize") or config.space in {"wide", "plan"},
        "--methods goes with --space wide",
        methods=config.methods,
    )
    require(
        len({BY_ANY_NAME.get(name, name) for name in config.methods}) == len(config.methods),
        "methods names none twice",
        methods=config.methods,
    )
    representations = set(config.methods).intersection(methods_of("representation"))
    keep_no_zeros = bool(representations) and representations <= set(losing_zeros())
    require(
        not (keep_no_zeros and set(methods_of("masking")) & set(config.methods)),
        "--methods with prune names a representation that keeps zeros",
        methods=config.methods,
    )
