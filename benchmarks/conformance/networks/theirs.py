"""Networks of timm and torchvision, untrained."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from benchmarks.conformance.registry import NETWORKS


class _Theirs(nn.Module):
    """A network for pixels of three channels, given one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.expand(-1, 3, -1, -1))


TIMM = (
    "convnext_atto",
    "resnet10t",
    "mobilenetv3_small_050",
    "regnety_002",
    "efficientnet_lite0",
    "ghostnet_050",
    "repvgg_a0",
    "edgenext_xx_small",
    "vit_tiny_patch16_224",
)
TORCHVISION = ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1")


def _timm(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        sized: Any = {"img_size": 32, "patch_size": 8} if name.startswith("vit_") else {}
        network: nn.Module = timm.create_model(name, num_classes=10, in_chans=1, **sized)
        return network

    return build


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchvision

        return _Theirs(torchvision.models.get_model(name, weights=None, num_classes=10))

    return build


NETWORKS |= {f"timm {name}": _timm(name) for name in TIMM}
NETWORKS |= {f"torchvision {name}": _torchvision(name) for name in TORCHVISION}
