"""Give a network the structure that a state's tensors have: layers split in two, other shapes.

A state says nothing of its structure but by its tensors, and these are enough:

- where it has `X.0.weight` and `X.1.weight` and the network a layer X, that layer was split into
  two, the second reading what the first gives (see `objectives.stages.factorize`);
- weights are plain: where the network computes one from others, as weight norm does, it is that
  from the end of its first training on;
- where a weight has another shape, its module has as many channels as that says. A depthwise
  convolution, a group a channel, has as many groups as channels; others keep their groups.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import UninitializedBuffer
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm, SpectralNormLoadStateDictPreHook
from torch.nn.utils.weight_norm import WeightNorm

from models.errors import BadInputError
from objectives.network.fold import BATCH_NORMS, CONVOLUTIONS

SPLITTABLE = (nn.Linear, *CONVOLUTIONS)


class SplitLayer(nn.Sequential):
    """Two layers in the place of one."""


def make_tensors_plain_(network: nn.Module) -> None:
    """Make all floats of `network` float32, in place, and its buffers memory of their own.

    Raises:
        BadInputError: A tensor is sparse; the text names it.
    """
    tensors = network.state_dict()
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided:
            raise BadInputError(f"The network's '{name}' is sparse: keep it dense.")
    if any(each.is_floating_point() and each.dtype != torch.float32 for each in tensors.values()):
        network.float()
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            is_there = not isinstance(buffer, UninitializedBuffer)
            if is_there and 0 in buffer.stride():  # it is expanded: nothing can be loaded into it
                setattr(module, name, buffer.contiguous())


def make_weights_plain_(network: nn.Module) -> None:
    """Put, in place, the number itself where `network` computes a weight, for evaluation.

    So it is with torch's parametrizations, as weight norm, and with what it had before these:
    weight norm and spectral norm as hooks, and pruning.
    """
    network.eval()  # while it trains spectral norm changes with each look
    for module in network.modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type] # a ModuleDict
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
                _forget_spectral_norm_(module)
            elif isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)


def _forget_spectral_norm_(module: nn.Module) -> None:
    """Take away, in place, the hook that `remove_spectral_norm` overlooks, as torch wraps it."""
    hooks = module._load_state_dict_pre_hooks
    for key, hook in list(hooks.items()):
        if isinstance(getattr(hook, "hook", hook), SpectralNormLoadStateDictPreHook):
            del hooks[key]


def split_layers_(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Split, in place, the layers that `weights` has in two; the new ones are not initialized."""
    for name, layer in list(network.named_modules()):
        first = weights.get(f"{name}.0.weight")
        if isinstance(layer, SPLITTABLE) and first is not None:
            replace_layer_(network, layer, split_layer(layer, rank=first.shape[0]))


def can_be_split(layer: nn.Module) -> bool:
    """Return whether `split_layer` takes `layer`: dense, or a convolution of one group."""
    return type(layer) in SPLITTABLE and getattr(layer, "groups", 1) == 1


def split_layer(layer: nn.Module, rank: int) -> SplitLayer:
    """Return two layers, not initialized, that take and give what `layer` does.

    A dense layer becomes two, inputs -> rank -> outputs; a convolution one that gives `rank`
    channels and one of size 1 behind it. The bias is the second's.
    """
    if isinstance(layer, nn.Linear):
        return SplitLayer(
            nn.Linear(layer.in_features, rank, bias=False),
            nn.Linear(rank, layer.out_features, bias=layer.bias is not None),
        )
    assert isinstance(layer, CONVOLUTIONS)
    kind = type(layer)
    first = kind(
        layer.in_channels,
        rank,
        layer.kernel_size,  # type: ignore[arg-type] # of as many axes as `kind` has
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=False,
        padding_mode=layer.padding_mode,
    )
    return SplitLayer(first, kind(rank, layer.out_channels, 1, bias=layer.bias is not None))


def replace_layer_(network: nn.Module, layer: nn.Module, by: nn.Module) -> None:
    """Put `by` in the place of `layer`, in place, under each of the names that it has."""
    names = [
        name for name, module in network.named_modules(remove_duplicate=False) if module is layer
    ]
    for name in names:
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, by)


def fit_shapes_(network: nn.Module, weights: Mapping[str, Tensor]) -> list[nn.Module]:
    """Give, in place, each tensor of `network` the shape that its namesake in `weights` has.

    Returns:
        The modules that were changed; their tensors are not initialized.
    """
    changed = []
    fitted: dict[Tensor, Tensor] = {}  # a tied weight stays one
    for prefix, module in network.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        misfits = {}
        for name, tensor in own:
            stored = weights.get(f"{prefix}.{name}" if prefix else name)
            if stored is not None and stored.shape != tensor.shape:
                new = torch.empty_like(stored)
                is_parameter = isinstance(tensor, nn.Parameter)
                misfits[name] = fitted.setdefault(
                    tensor, nn.Parameter(new) if is_parameter else new
                )
        for name, tensor in misfits.items():
            setattr(module, name, tensor)
        if misfits:
            _count_channels_(module)
            changed.append(module)
    return changed


def _count_channels_(module: nn.Module) -> None:
    """Set, in place, what `module` knows of its size to what its tensors have."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, CONVOLUTIONS):
        outputs, inputs_of_group = module.weight.shape[:2]
        if module.groups == module.out_channels > 1:  # depthwise
            module.groups = outputs
        module.out_channels, module.in_channels = outputs, inputs_of_group * module.groups
    elif isinstance(module, BATCH_NORMS):
        values = module.running_mean if module.affine is False else module.weight
        assert values is not None
        module.num_features = len(values)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = module.weight.shape
