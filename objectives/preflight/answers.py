"""What a network answers: in the shape of its task, the same again, and alone as among others."""

from contextlib import suppress

import torch
from torch import Tensor, nn

from models.errors import BadInputError, first_line
from models.inputs import Given, outputs_of, returned, tensors_of
from models.tasks import MULTICLASS
from objectives.artifact.agreement import TOLERANCE, distance
from objectives.context import Context

TRIED_INPUTS = 32


def answers_fit(context: Context) -> bool:
    """Return whether a new network answers as the task of the data wants it."""
    try:
        network = context.build_network().eval()
        check_answer(network, context.data.training_inputs(2), context)
    except BadInputError:
        return False
    return True


def check_answer(network: nn.Module, inputs: Given, context: Context, *, seed: int = 0) -> Tensor:
    """Return what `network`, as it is, answers `inputs` with.

    Raises:
        BadInputError: It does not.
    """
    when = "While it trains, the" if network.training else "The"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            outputs = outputs_of(returned(network, inputs.clone()))  # which it may change
    except BadInputError:
        raise
    except Exception as err:
        shapes = " and ".join(str(tuple(each.shape)) for each in tensors_of(inputs))
        raise BadInputError(
            f"{when} network cannot take inputs of shape {shapes}: {first_line(err)}"
        ) from err
    data = context.data
    for name, each in outputs.items():
        told_below = len(outputs) == 1 and data.task.name != "own"
        if each.shape[:1] != (len(inputs),) and not told_below:
            raise BadInputError(
                f"{when} network must return a row for each of {len(inputs)} inputs, but its "
                f"output '{name}' has shape {tuple(each.shape)}."
            )
    answers = next(iter(outputs.values()))
    _, targets = next(data.batches("validation"))
    targets = targets[:1].expand(len(inputs), *targets.shape[1:])
    with suppress(BadInputError):
        data.task.answers(answers, targets, data.num_classes)
        return answers
    wanted, got = data.task.answer_shape(targets, data.num_classes), tuple(answers.shape)
    hint = ""
    if len(outputs) > 1:
        hint = f" Of {', '.join(outputs)} it is the first, or what is called `logits`."
    if data.task == MULTICLASS and got in {(len(inputs),), (len(inputs), 1)}:
        hint = " One logit of yes or no is `--task binary`, a number `--task regression`."
    raise BadInputError(
        f"{when} network must return answers of shape {wanted} ({data.task.name}), but got {got}."
        f"{hint}"
    )


def check_repeats(network: nn.Module, context: Context) -> None:
    """Raise `BadInputError` unless an answer is the same again, and alone as among others."""
    inputs = context.data.training_inputs(TRIED_INPUTS)
    alone = {size: check_answer(network, inputs[:size], context) for size in (1, 4)}
    together = check_answer(network, inputs, context).numpy()
    again = check_answer(network, inputs, context, seed=1).numpy()
    if distance(again, together) > TOLERANCE:
        raise BadInputError(
            "The network's answers to the same inputs differ, as it answers at random: in "
            "`forward`, `F.dropout` needs `training=self.training`."
        )
    for size, answer in alone.items():
        if distance(answer.numpy(), together[:size], together) > TOLERANCE:
            raise BadInputError(
                f"The network's answer to an input depends on what else is in its batch: among "
                f"{len(inputs)} it is another one than among {size}."
            )
