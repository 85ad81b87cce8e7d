"""Each reason is told once."""

from optuna.trial import FrozenTrial, TrialState, create_trial

from search.results.failures import AGAIN, failure_sentences, kind_of
from search.storage.queue import FAILURE
from search.workers.announce import trial_line


def failed(number: int, reason: str) -> FrozenTrial:
    trial = create_trial(state=TrialState.FAIL, user_attrs={FAILURE: reason})
    trial.number = number
    return trial


def test_twelve_trials_that_failed_alike_are_one_sentence() -> None:
    trials = [failed(number, f"trial-{number:04d}.onnx: no answer.") for number in range(12)]
    trials.insert(3, failed(20, "The loss became nan."))
    alike, other, what_to_do = failure_sentences(trials)
    assert alike.startswith("Trial 0 {} failed: trial-0000.onnx: no answer. 11 more failed for")
    assert other == "Trial 20 {} failed: The loss became nan."
    assert what_to_do == AGAIN
    assert failure_sentences([]) == []


def test_what_the_reader_knows_is_not_told_again() -> None:
    told = {kind_of("trial-0000.onnx: no answer.")}
    trials = [failed(number, f"trial-{number:04d}.onnx: no answer.") for number in (0, 7)]
    known, what_to_do = failure_sentences(trials, told)
    assert known == "Failed, as was said above: trials 0, 7."
    assert "no answer" in trial_line(trials[0])
    assert trial_line(trials[1], told).endswith("failed for the same reason as before")
    assert what_to_do == AGAIN
