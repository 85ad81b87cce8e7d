"""Convolutions of other kinds, and other norms."""

from torch import Tensor, nn
from torch.nn import functional

from benchmarks.conformance.registry import network


@network
class Transposed(nn.Module):
    """transposed: ConvTranspose2d with batch norm, an upsampling, a pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.up, self.norm = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 8, 3, stride=4)
        self.head = nn.Linear(2, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.interpolate(self.norm(self.up(self.down(x))).relu(), scale_factor=0.5)
        x = functional.pixel_shuffle(self.last(x), 2)
        return self.head(x.mean((2, 3)))


@network
class Paddings(nn.Module):
    """paddings and groups: circular, reflected, replicated, dilated, grouped, "same"."""

    def __init__(self) -> None:
        super().__init__()
        self.circular = nn.Conv2d(1, 8, 3, padding=1, stride=2, padding_mode="circular")
        self.reflected = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", groups=2)
        self.replicated = nn.Conv2d(8, 8, 3, padding=2, dilation=2, padding_mode="replicate")
        self.same = nn.Conv2d(8, 8, (3, 2), padding="same")
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reflected(self.circular(x).relu()).relu()
        return self.head(self.same(self.replicated(x).relu()).relu().mean((2, 3)))


@network
class OneAndThree(nn.Module):
    """1-D and 3-D convolutions: over rows, then over a volume of them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.one_norm = nn.Conv1d(32, 6, 3, bias=False), nn.BatchNorm1d(6)
        self.three, self.three_norm = nn.Conv3d(1, 4, (1, 2, 3), (1, 1, 2)), nn.BatchNorm3d(4)
        self.head = nn.Linear(4 * 3 * 14, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.one_norm(self.one(x.squeeze(1))).relu()  # (N, 6, 30)
        volume = self.three_norm(self.three(rows.view(-1, 1, 3, 2, 30))).relu()
        return self.head(volume.flatten(1))


@network
class Norms(nn.Module):
    """norms: group, layer, instance, RMS and local response normalization, PReLU, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.group = nn.Conv2d(1, 8, 3, 2), nn.GroupNorm(2, 8)
        self.second, self.instance = nn.Conv2d(8, 8, 3, 2), nn.InstanceNorm2d(8, affine=True)
        self.local, self.slope = nn.LocalResponseNorm(3), nn.PReLU(8)
        self.body, self.layer = nn.Linear(8, 16), nn.LayerNorm(16)
        self.rms, self.drop = nn.RMSNorm(16), nn.Dropout(0.2)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.group(self.first(x)).relu()
        x = self.slope(self.local(self.instance(self.second(x)))).mean((2, 3))
        return self.head(self.drop(self.rms(self.layer(self.body(x)).relu())))


@network
class SqueezeExcite(nn.Module):
    """squeeze and excite: channels that weigh channels, hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 16, 3, 2, bias=False), nn.BatchNorm2d(16)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.project, self.project_norm = nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.hardswish(self.norm(self.stem(x)))
        gate = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu())
        x = self.project_norm(self.project(x * functional.hardsigmoid(gate)))
        return self.head(x.amax((2, 3)))


class StandardizedConv(nn.Conv2d):
    """A convolution whose weight is standardized whenever it computes (arXiv:1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        spread = self.weight.std((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (spread + 1e-5)
        return functional.conv2d(x, weight, self.bias, self.stride)


@network
class Standardized(nn.Module):
    """weight standardization: the layer computes with its weight first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = StandardizedConv(1, 8, 3, 2), nn.GroupNorm(4, 8)
        self.second = StandardizedConv(8, 16, 3, 2, bias=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.norm(self.first(x)).relu()).relu()
        return self.head(x.mean((2, 3)))
