"""What a reader must know beside a study's table, a sentence each."""

from collections.abc import Collection
from dataclasses import asdict

from search.results.dead import about_dead
from search.results.failures import failure_sentences
from search.results.front import compressed_points, dominated
from search.results.row import GZIP, RAW, Row
from search.results.scored import delta_unit
from search.results.spread import spread
from search.results.table import StudyTable
from search.results.times import told_seconds, wall_seconds
from search.settings.presets import label as preset_label
from search.storage.failed import failed_for_good
from search.storage.file_finding import FileFinder

CONFIRMATION = "confirmation"
"""Study attribute: trial, seeds, what was measured with each, and why others failed."""
EPOCHS_BEFORE = "epochs_before_trials"
"""Study attribute: epochs trained before the first trial, for the sensitivity of layers."""


def notes(
    table: StudyTable, *, brief: bool = False, told: Collection[str] = frozenset()
) -> list[str]:
    """Return the sentences.

    Args:
        table: Of the study.
        brief: Whether what explains figures that only the report has is left out.
        told: Kinds of reasons of failures that the reader knows already.
    """
    facts = [trial.user_attrs for trial in table.finished]
    epochs = sum(each.get("epochs_trained", 0) for each in facts)
    epochs += table.attributes.get(EPOCHS_BEFORE, 0)
    took = f"{told_seconds(wall_seconds(table.finished))} by the clock: {epochs} epochs"
    metric = table.metric[0].upper() + table.metric[1:]
    mark = preset_label(table.config)
    sentences = [mark] if mark else []
    sentences += [
        f"{metric}, change, Q (Eq. 5) and U (retained saving) are those of the test part.",
        f"What is chosen is chosen on validation. Data: {table.config.data}.",
        *_about_bytes(table)[: 1 if brief else None],
        *([] if brief else _about_runtime(table)),
        f"It took {took} of training, {len(facts)} trials with export and measurement.",
    ]
    if not brief:
        sentences += _about_figures(table)
    sentences += about_dead(table)
    sentences += _about_eq5(table)
    sentences += _about_confirmation(table)
    if table.stopped:
        sentences.append(f"Stopped early, as they could not win: {len(table.stopped)} trials.")
    sentences += _about_published(table)
    sentences += foreign_sentences(table)
    return sentences + failure_sentences(failed_for_good(table.trials), told)


def _about_figures(table: StudyTable) -> list[str]:
    """Return what further columns of the report hold."""
    rows = table.rows
    peak = max(row.attribute("peak_memory_mb") or 0 for row in rows)
    sentences = [f"Peak memory of a process: {peak:,.0f} MB."]
    if any(not row.reproducible for row in rows):
        sentences.append(
            "† The paper's own software does not give this row's size: see the re-run."
        )
    if any(row.rerun for row in rows):
        sentences.append(
            "Re-run: the paper's protocol in TensorFlow 2.15, TF Model Optimization 0.8 and "
            "TFLite on exact MNIST, mean of 3 seeds (lowest-highest)."
        )
    return sentences


def missing_files(table: StudyTable, finder: FileFinder) -> list[str]:
    """Return the sentences on trials whose files have been removed, or are on another host."""
    sentences = []
    for absence, numbers in finder.absences([row.trial for row in table.rows]).items():
        listed = ", ".join(map(str, numbers))
        which = "all trials" if len(numbers) == len(table.rows) else f"trials {listed}"
        sentences.append(f"The files of {which} are {absence}")
    return sentences


def foreign_sentences(table: StudyTable) -> list[str]:
    """Return the sentence on trials that are left out, as search.run did not make them."""
    if not table.foreign:
        return []
    numbers = ", ".join(str(trial.number) for trial in table.foreign)
    return [f"Left out, as search.run did not make them (they have no plan): trials {numbers}."]


def _about_eq5(table: StudyTable) -> list[str]:
    """Return a warning where Eq. 5's best trial is no compression that a user wants."""
    best = max(table.rows, key=lambda row: (row.attribute("quality"), -row.size))
    if _is_uncompressed(best):
        sentence = (
            "On validation Eq. 5 is best for the uncompressed network: wherever "
            f"{best.scored.name} is lost, it makes more compression worse. U does not."
        )
        return [sentence]
    gain = float(best.attribute("val_delta_pct"))
    if gain <= 0:
        return []
    plan = best.plan
    more = sum(stage.epochs for stage in plan.stages()) - plan.train.epochs
    sentence = (
        f"Eq. 5's best, trial {best.trial.number} ({best.label}), owes its Q to a gain of "
        f"{gain:.2f} {delta_unit(is_share=best.scored.is_share)} of validation "
        f"{best.scored.name} over a baseline of {plan.train.epochs} epochs, "
        f"after {more} epochs more: what it pays for may be an undertrained baseline, or chance."
    )
    return [sentence]


def _is_uncompressed(row: Row) -> bool:
    return all(stage.stage == "train" for stage in row.plan.stages())


def _about_bytes(table: StudyTable) -> list[str]:
    """Return what bytes are counted, and by what the baseline's are divided."""
    what = "the file after gzip level 6"
    if table.counted == RAW:
        what = "the file as it lies in flash, without the runtime's code"
    elif table.counted != GZIP:
        what = (
            f"the container: the file coded by {table.counted} where that is shortest, decoded "
            "again in the same trial, bit for bit"
        )
    baseline = "as it is" if table.counted == RAW else "after gzip"
    divided = (
        f"x smaller divides by them the bytes of the baseline's file {baseline}, x ckpt those of "
        "its checkpoint, the optimizer's state included, after gzip."
    )
    sentences = [f"Bytes, x smaller, Q and U count {what}.", divided]
    coders = sorted({row.attribute("container_coder") for row in table.rows} - {None})
    if table.counted == GZIP and coders:
        sentences.append(
            f"Container: the file coded by {' or '.join(coders)}, decoded again in the same "
            "trial, bit for bit; it is not counted."
        )
    return sentences


def _about_runtime(table: StudyTable) -> list[str]:
    runtime = table.config.runs_on
    memory = "the arena that its planner lays out"
    if not runtime.plans_memory:
        memory = "what the resident memory of a process grows by, at its peak"
    sentence = (
        f"Score, size and latency are those of {runtime.title}'s file on this machine's CPU; "
        "latency is of one input on one thread."
    )
    sentences = [sentence]
    if any(stage.kind == "masking" for row in table.rows for stage in row.plan.stages()):
        gain = "nothing in flash" if table.counted == RAW else "bytes"
        sentences.append(f"Weights that are zero gain {gain}, and no time; fewer channels do.")
    if any(row.attribute("ram_bytes") for row in table.rows):
        sentences.append(f"RAM, in kB of 1,024 bytes: {memory}, of one input.")
    return sentences


def _about_published(table: StudyTable) -> list[str]:
    """Return how many rows that were made elsewhere ours reach, on the same data."""
    counts = [
        f"{len(dominated(table, source))} of {len(points)} compressed rows of {whose}"
        for source, whose in (("paper", "the paper"), ("re-run", "its re-run"))
        if (points := compressed_points(table, source))
    ]
    if not counts:
        return []
    sentence = (
        f"Reached: {' and '.join(counts)}, by a file that is no larger, is the most accurate of "
        "these on validation, and is no less accurate on test."
    )
    return [sentence]


def _about_confirmation(table: StudyTable) -> list[str]:
    made = table.attributes.get(CONFIRMATION)
    if made is None:
        return []
    failed = [
        f"Trial {made['trial']} cannot be scored with seed {seed}: {reason}"
        for seed, reason in made.get("failed", {}).items()
    ]
    if not made["seeds"]:
        return failed
    seeds = len(made["seeds"])
    with_what = (
        "one other seed, which tells no spread"
        if seeds == 1
        else f"{seeds} other seeds, mean ± standard deviation"
    )
    config = table.config
    share = config.metric_is_share
    values = made.get("test_score") or made["test_accuracy_pct"]
    scores = f"{spread(values, '.2f')} %" if share else spread(values, ".4g")
    sentence = (
        f"Trial {made['trial']} confirmed with {with_what}: test {table.metric} {scores}, "
        f"against {'its' if seeds == 1 else 'each'} seed's own baseline "
        f"{spread(made['test_delta_pct'], '+.2f')} {delta_unit(is_share=share)}, "
        f"{spread(made['bytes'], ',.0f')} bytes."
    )
    return [sentence, *failed]


def settings(table: StudyTable) -> dict[str, object]:
    """Return the study's config and the versions that made it, by name."""
    made_with: dict[str, str] = table.rows[0].attribute("versions") if table.rows else {}
    return asdict(table.config) | (made_with or {})
