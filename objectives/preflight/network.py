"""All that is tried of a network, and of each method, before anything trains."""

from collections.abc import Sequence

from torch import nn

from models.errors import BadInputError
from models.layers import compressible_layers
from objectives.context import Context
from objectives.errors import TrialError
from objectives.plan import STAGES
from objectives.preflight.answers import check_answer, check_repeats
from objectives.preflight.files import check_files, check_score
from objectives.preflight.steps import check_labels, check_steps
from objectives.preflight.training import check_training


def require_layers(context: Context, network: nn.Module) -> None:
    """Raise `BadInputError` unless some layer of `network` is to be compressed."""
    if not context.layers_of(network):
        raise BadInputError(
            f"No layer that can be compressed matches {', '.join(context.layers)}. "
            f"There are: {', '.join(compressible_layers(network)) or 'none'}."
        )


def check_network(context: Context) -> None:
    """See that the network takes the data, answers as its task wants, trains, and has layers.

    The files of the new network, uncompressed and at 8 bits, must answer as it does, and it must
    take a training step while quantized. A network that is known to do all that is not tried,
    which takes seconds.

    Raises:
        BadInputError: It does not; the text names the layer where there is one.
    """
    if context.recipe.lr_decay == "cosine" and not context.data.knows_length:
        raise BadInputError(
            "`--lr-decay cosine` needs the number of batches in an epoch, which the training "
            "loader does not tell: give it a length."
        )
    network = context.build_network()
    inputs = context.data.training_inputs(2)
    check_answer(network.eval(), inputs, context)
    check_labels(network, context)
    if not context.model.exports:
        check_repeats(network, context)
    check_training(network, context)
    check_steps(context.build_network(), context)
    if not context.model.exports:
        check_files(context)
    check_score(context)
    require_layers(context, context.network_of(context.untrained()))


def check_methods(methods: Sequence[str], context: Context) -> None:
    """See that each of `methods` can do something to the network.

    Raises:
        BadInputError: They cannot; the text says why.
    """
    try:
        for kind in STAGES.values():
            if not {kind.part, kind.former_name}.isdisjoint(methods):
                trained = kind.attempt(context)
                if trained is not None:
                    check_training(trained, context)
    except TrialError as err:
        raise BadInputError(str(err)) from err
