"""Everything that decides a study's results, stored with the study."""

import json
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Any

from models.errors import BadInputError
from objectives.plan import Plan, methods_of
from objectives.recipe import Recipe
from objectives.runtimes import runtime_named
from objectives.runtimes.base import Runtime
from objectives.score.accuracy import ACCURACY
from objectives.stages.base import Tuning
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import PRECISIONS, Quantization
from objectives.stages.train import BaselineTraining
from search.settings.config_checks import check
from search.settings.differences import difference
from search.settings.study_settings import StudySettings
from search.settings.vocabulary import CODERS, DIRECTIONS, EXTRA_OBJECTIVES, Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig(StudySettings):
    """Settings that keep the laws; a study is resumed only with the same."""

    def __post_init__(self) -> None:
        check(self)
        for sparsity in self.sparsity:  # each stage checks its own settings
            for bits in self.precision:
                self.plan(sparsity, bits)

    @property
    def fine_tuning_epochs(self) -> int:
        """Epochs of a fine-tuning while pruning, at most."""
        return self.fine_tune_epochs or self.epochs

    @property
    def trial_epochs(self) -> int:
        """Epochs of fine-tuning of one trial, at most."""
        reshaping = sum(name in self.methods for name in methods_of("structure"))
        masking = any(name in self.methods for name in methods_of("masking"))
        return (reshaping + masking) * self.fine_tuning_epochs + self.qat_epochs

    @property
    def coders(self) -> tuple[str, ...]:
        """How files are coded into containers; none where gzip's size counts."""
        return tuple(name for name in CODERS if name in self.methods)

    @property
    def runs_on(self) -> Runtime:
        """What files are written for and measured by."""
        return runtime_named(self.runtime)

    @property
    def asks_for_ram(self) -> bool:
        """Whether memory is an objective or limited."""
        return "ram" in self.extra_objectives or self.max_ram_kb is not None

    @property
    def size(self) -> str:
        """The user attribute that is a trial's size."""
        if self.runs_on.counts_raw:
            return "artifact_raw_bytes"
        return "container_bytes" if self.coders else "artifact_bytes"

    @property
    def values(self) -> tuple[str, ...]:
        """The user attributes that a trial's values are."""
        if self.objective != "pareto":
            return (self.objective,)
        extra = [EXTRA_OBJECTIVES[name] for name in self.extra_objectives]
        score = "val_accuracy_pct" if self.metric == ACCURACY.name else "val_score"
        return (score, self.size, *extra)

    @property
    def directions(self) -> list[Direction]:
        """Which way each of `values` is better."""
        turned: dict[str, Direction] = {"max": "maximize", "min": "minimize"}
        known = DIRECTIONS | {"val_score": turned[self.metric_mode]}
        return [known[name] for name in self.values]

    def plan(self, sparsity: float = 0.0, bits: int = PRECISIONS[0]) -> Plan:
        """Return the plan of one combination."""
        return Plan.of(
            BaselineTraining(
                epochs=0 if self.weights else self.epochs,
                batch_size=self.batch_size,
                lr=self.lr if self.baseline_lr is None else self.baseline_lr,
                weights=self.weights,
                optimizer=self.baseline_optimizer,
            ),
            WeightPruning(
                sparsity=sparsity,
                allocation=self.allocation,
                epochs=self.fine_tuning_epochs,
                batch_size=self.batch_size,
                lr=self.lr,
            ),
            replace(Quantization.start(self.tuning), bits=bits),
            recipe=Recipe(
                lr_decay=self.lr_decay,
                distill_weight=self.distill_weight,
                distill_temperature=self.distill_temperature,
                mixed_precision=self.mixed_precision,
            ),
        )

    @property
    def tuning(self) -> Tuning:
        """How stages fine-tune unless a trial says otherwise."""
        return Tuning(
            epochs=self.fine_tuning_epochs,
            qat_epochs=self.qat_epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            density=self.density,
            allocations=self.allocations,
            all_on_integers=self.runs_on.all_on_integers,
            lacks_bits=self.runs_on.lacks_bits,
        )

    def to_json(self) -> str:
        """Return the config as JSON; `from_json` undoes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StudyConfig":
        """Return the config that `to_json` wrote.

        Raises:
            BadInputError: It is none, or one of a newer version.
        """
        try:
            fields: dict[str, Any] = dict(json.loads(text))
        except (TypeError, ValueError) as err:
            raise BadInputError(f"The study's config is not one: {text[:80]!r}.") from err
        if fields.pop("with_latency", False):  # what studies stored before there was energy
            fields["extra_objectives"] = ["latency"]
        sequences = ("sparsity", "density", "precision", "allocations", "layers", "methods")
        for name in (*sequences, "ranges", "extra_objectives"):
            if name in fields:
                fields[name] = tuple(fields[name])
        unknown = sorted(set(fields) - {each.name for each in dataclass_fields(cls)})
        if unknown:
            raise BadInputError(
                f"The study's config has a field that this version does not know: {unknown[0]}. "
                "A newer version has made it, or somebody has edited it."
            )
        try:
            return cls(**fields)
        except TypeError as err:
            raise BadInputError(f"The study's config is not one: {err}.") from err

    def require_same(self, stored: "StudyConfig", study_name: str) -> None:
        """Raise `BadInputError` naming every setting in which `stored` differs.

        Threads that one of them leaves open do not differ, nor do ranges in another order.
        """
        self._require_same_energy(stored, study_name)
        ours, theirs = asdict(self), asdict(stored)
        del ours["energy_version"]  # goes with extra_objectives
        del ours["data_memory_gb"]  # decides no result
        if None in (self.threads, stored.threads):
            del ours["threads"]
        for each in (ours, theirs):
            each["ranges"] = tuple(sorted(each["ranges"]))
        told = difference(theirs, ours, study_name)
        if told is not None:
            raise BadInputError(told)

    def _require_same_energy(self, stored: "StudyConfig", study_name: str) -> None:
        """Raise `BadInputError` where both minimize energy, each by another estimate of it."""
        both = set(self.extra_objectives) & set(stored.extra_objectives)
        now, then = self.energy_version or 1, stored.energy_version or 1
        if "energy" in both and now != then:
            raise BadInputError(
                f"Study '{study_name}' minimizes energy as version {then} of the estimate gives "
                f"it, but this is version {now}, whose values do not compare with those. Give "
                "`--study` another name."
            )
