import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from toys import FewDigits, toy_context, toy_plan

from objectives.artifact.export import export_onnx
from objectives.artifact.measure import Measurement, measure_file
from objectives.artifact.sizes import gzip_bytes
from objectives.cache.stage_cache import StageCache
from objectives.network.state import NetworkState, copy_weights
from objectives.pipeline import Pipeline
from objectives.recipe import Recipe
from objectives.result import Cost
from objectives.runtimes import runtime_named

GRID = [(sparsity, bits) for sparsity in (0.0, 0.5, 0.9) for bits in (32, 16, 8)]


def a_pipeline(folder: Path, digits: FewDigits) -> Pipeline:
    return Pipeline(toy_context(digits), StageCache(folder / "cache"), folder / "baseline.onnx")


def test_a_grid_trains_each_stage_once_and_a_second_pass_nothing(
    tmp_path: Path, digits: FewDigits
) -> None:
    plans = [toy_plan(*point) for point in GRID]
    pipeline = a_pipeline(tmp_path, digits)
    expected = pipeline.pending_epochs(plans)
    assert expected == 1 + 2 + 3  # one baseline, two prunings, three QATs
    epochs = [pipeline.run(plan, tmp_path / "a.onnx").cost.epochs_trained for plan in plans]
    assert epochs == [1, 0, 1, 1, 0, 1, 1, 0, 1]
    again = a_pipeline(tmp_path, digits)
    assert again.pending_epochs(plans) == 0
    assert again.run(plans[-1], tmp_path / "a.onnx").cost.epochs_trained == 0


def test_a_setting_that_is_new_leaves_what_is_cached_where_it_says_what_was_done_before(
    tmp_path: Path, digits: FewDigits
) -> None:
    plan = toy_plan()
    keys = [
        next(a_pipeline(tmp_path, digits)._keys(plan.with_stages(train)))[0]
        for train in (plan.train, replace(plan.train, optimizer="sgd"))
    ]
    settings = [json.loads(key.description)["settings"] for key in keys]
    assert [each.get("optimizer") for each in settings] == [None, "sgd"]
    in_bf16 = replace(plan, recipe=Recipe(mixed_precision="bf16"))
    recipes = [
        json.loads(next(a_pipeline(tmp_path, digits)._keys(each))[0].description)["recipe"]
        for each in (plan, in_bf16)
    ]
    assert [each.get("mixed_precision") for each in recipes] == [None, "bf16"]


def test_the_version_of_distillation_is_in_the_keys_of_stages_that_distill(
    tmp_path: Path, digits: FewDigits
) -> None:
    plan = replace(toy_plan(0.5), recipe=Recipe(distill_weight=0.5))
    keys = [json.loads(key.description) for key, _ in a_pipeline(tmp_path, digits)._keys(plan)]
    assert [key["recipe"].get("version") for key in keys] == [None, Recipe.version]


def test_a_file_that_was_measured_is_still_written_for_its_runtime(
    tmp_path: Path, digits: FewDigits
) -> None:
    pipeline = Pipeline(
        toy_context(digits),
        StageCache(tmp_path / "cache"),
        tmp_path / "baseline.onnx",
        runtime=runtime_named("openvino"),
    )
    files = [tmp_path / f"{number}.onnx" for number in range(2)]
    for file in files:
        pipeline.run(toy_plan(bits=2), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    types = {each.data_type for each in onnx.load(files[1]).graph.initializer}
    assert onnx.TensorProto.INT4 in types
    assert onnx.TensorProto.INT2 not in types  # which OpenVINO does not take


def test_a_file_that_is_the_baselines_is_measured_once(
    tmp_path: Path, digits: FewDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure(path: Path, *args: Any, **kwargs: Any) -> Measurement:
        measured.append(path.name)
        return measure_file(path, *args, **kwargs)

    monkeypatch.setattr("objectives.pipeline.measure_file", measure)
    pipeline = a_pipeline(tmp_path, digits)
    uncompressed = pipeline.run(toy_plan(), tmp_path / "0.onnx")
    assert uncompressed.measurement.latency_ms == uncompressed.baseline.measurement.latency_ms
    pipeline.run(toy_plan(0.5), tmp_path / "1.onnx")
    assert measured == ["baseline.onnx", "1.onnx"]


def test_same_plan_same_bytes_without_a_cache(tmp_path: Path, digits: FewDigits) -> None:
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        a_pipeline(folder, digits).run(toy_plan(0.5, 8), folder / "artifact.onnx")
        contents.append((folder / "artifact.onnx").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("bits", [16, 8])
def test_a_state_in_another_order_gives_the_same_bytes(bits: int, digits: FewDigits) -> None:
    """A state that is read from a file names its tensors in an order of its own."""
    context = toy_context(digits)
    begin = NetworkState(weights=copy_weights(context.build_network()))
    state = toy_plan(0, bits, qat_epochs=0).get("quantize").apply(begin, context)
    mixed = replace(state, formats=dict(reversed(state.formats.items())))
    assert list(mixed.formats) != list(state.formats)
    assert export_onnx(mixed, context) == export_onnx(state, context)


def test_reduction_factor_is_baseline_bytes_over_bytes_of_the_file(
    tmp_path: Path, digits: FewDigits
) -> None:
    result = a_pipeline(tmp_path, digits).run(toy_plan(0.9, 8), tmp_path / "artifact.onnx")
    sizes = [
        gzip_bytes((tmp_path / name).read_bytes()) for name in ("baseline.onnx", "artifact.onnx")
    ]
    assert result.reduction_factor == sizes[0] / sizes[1]
    assert result.stage_keys.keys() == {"train", "prune", "quantize"}
    stages = {"train", "prune", "quantize", "export", "measure", "code"}
    assert result.cost.stage_seconds.keys() == stages


def test_the_uncompressed_plan_is_worth_nothing(tmp_path: Path, digits: FewDigits) -> None:
    result = a_pipeline(tmp_path, digits).run(toy_plan(), tmp_path / "artifact.onnx")
    assert result.reduction_factor == 1
    assert result.test_delta_pct == result.val_delta_pct == 0
    assert result.quality(result.val_delta_pct) == result.saving(result.val_delta_pct) == 0


def test_a_pruning_at_sparsity_0_is_the_baseline_itself(tmp_path: Path, digits: FewDigits) -> None:
    pipeline = a_pipeline(tmp_path, digits)
    pipeline.run(toy_plan(), tmp_path / "artifact.onnx")
    assert (tmp_path / "artifact.onnx").read_bytes() == (tmp_path / "baseline.onnx").read_bytes()


def test_quality_is_eq_5_of_the_plan_and_the_measured_file(
    tmp_path: Path, digits: FewDigits
) -> None:
    import math

    result = a_pipeline(tmp_path, digits).run(toy_plan(0.5, 8), tmp_path / "artifact.onnx")
    sigmoid = 1 / (1 + math.exp(-result.reduction_factor))
    assert result.quality(2.0) == pytest.approx(0.75 * math.tanh(2.0) * sigmoid)


def test_epochs_are_told_by_their_place_in_the_plan_also_where_stages_are_cached(
    tmp_path: Path, digits: FewDigits
) -> None:
    told: list[int] = []
    pipeline = a_pipeline(tmp_path, digits)
    plan = toy_plan(0.5, 8, epochs=2, qat_epochs=2)
    pipeline.run(plan, tmp_path / "a.onnx", lambda epoch, _: told.append(epoch))
    assert told == [1, 2, 3, 4]
    told.clear()
    other = plan.with_stages(replace(plan.get("quantize"), symmetric=False))
    pipeline.run(other, tmp_path / "a.onnx", lambda epoch, _: told.append(epoch))
    assert told == [3, 4]


def test_what_a_plan_took_is_known_where_it_does_not_end(
    tmp_path: Path, digits: FewDigits
) -> None:
    class EnoughError(Exception):
        pass

    def stop(epoch: int, _: float) -> None:
        if epoch == 2:
            raise EnoughError

    cost = Cost()
    with pytest.raises(EnoughError):
        a_pipeline(tmp_path, digits).run(
            toy_plan(0.5, 8, epochs=3), tmp_path / "a.onnx", stop, cost
        )
    assert cost.epochs_trained == 3 + 2  # the baseline's too
    assert cost.stage_seconds["prune"] > 0


def test_a_plan_would_wait_for_the_stage_that_another_process_trains(
    tmp_path: Path, digits: FewDigits
) -> None:
    pipeline, elsewhere = a_pipeline(tmp_path, digits), a_pipeline(tmp_path, digits)
    told = []

    def look(*_: object) -> None:
        told.append([elsewhere.would_wait(toy_plan(sparsity, 8)) for sparsity in (0.5, 0.9)])

    pipeline.run(toy_plan(0.5, 32), tmp_path / "a.onnx", look)
    assert told == [[True, False]]
    assert not elsewhere.would_wait(toy_plan(0.5, 8))
