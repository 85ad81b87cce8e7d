"""A finished trial as a row of tables: what it is, what counts, what was published for it."""

from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from objectives.plan import Plan
from search.results.paper import PublishedRow
from search.results.scored import Scored

GZIP = "gzip"
"""What is counted where no container is."""
RAW = "as it is"
"""What is counted where the file lies in memory as it is."""


@dataclass(frozen=True, slots=True)
class Row:
    """A finished trial and what was published for the same combination."""

    trial: FrozenTrial
    paper: PublishedRow | None
    rerun: PublishedRow | None
    reproducible: bool
    """False where the paper's own stack does not give the paper's row."""

    plan: Plan
    """What was carried out."""

    counted: str
    """What x, Q and U count: `GZIP`, `RAW`, or the coder of the container."""

    @property
    def sparsity(self) -> float:
        """Share of the baseline's weights that are zero or gone: Eq. 5's s."""
        counted = self.attribute("sparsity")
        if counted is None:
            counted = self.plan.of_the_paper("masking").sparsity
        return float(counted)

    @property
    def bits(self) -> float:
        """Bits of a mean weight that remains: Eq. 5's p."""
        counted = self.attribute("mean_bits")
        if counted is None:
            counted = self.plan.of_the_paper("representation").bits
        return float(counted)

    @property
    def label(self) -> str:
        """The combination in a few characters."""
        return f"{100 * self.sparsity:.4g} % sparse, {self.bits:.3g} bits"

    @property
    def done(self) -> str:
        """What was done to the network, step by step, in words."""
        steps = [stage.told for stage in self.plan.stages() if stage.kind != "training"]
        if steps and self.plan.recipe.distill_weight > 0:
            steps.append("distilled")
        return "; ".join(steps) or "nothing"

    @property
    def size(self) -> int:
        """The bytes that are counted."""
        return self.size_by(self.counted)

    @property
    def baseline_size(self) -> int:
        """The same of the network as it was, without a coder of ours."""
        return self.baseline_size_by(self.counted)

    def baseline_size_by(self, counted: str) -> int:
        """Return the bytes of the network as it was: as it is where that counts, or after gzip."""
        return int(self.attribute("baseline_raw_bytes" if counted == RAW else "baseline_bytes"))

    def size_by(self, counted: str) -> int:
        """Return the bytes by what is counted, which are known."""
        found = self.bytes_by(counted)
        assert found is not None
        return found

    def bytes_by(self, counted: str) -> int | None:
        """Return the bytes by what is counted; None if that is not known."""
        if counted == GZIP:
            return int(self.attribute("artifact_bytes"))
        if counted == RAW:
            return int(self.attribute("artifact_raw_bytes"))
        coder = self.attribute("container_coder")
        if coder is None and self.counted != GZIP:  # trials from before it was stored
            coder = self.counted
        return int(self.attribute("container_bytes")) if coder == counted else None

    @property
    def scored(self) -> Scored:
        """What it is scored by, and how well."""
        return Scored(self.trial.user_attrs)

    def published(self, source: str) -> PublishedRow | None:
        """Return the row of "paper" or "re-run", if there is one."""
        return self.paper if source == "paper" else self.rerun

    def attribute(self, name: str) -> Any:  # noqa: ANN401 - what Optuna stored
        """Return the trial's user attribute `name`, None if it has none."""
        return self.trial.user_attrs.get(name)
