"""Attention and sequences."""

import torch
from torch import Tensor, nn

from benchmarks.conformance.registry import network


@network
class MultiHead(nn.Module):
    """multi-head attention: nn.MultiheadAttention, also across."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attend = nn.Linear(32, 16), nn.MultiheadAttention(16, 4, batch_first=True)
        self.across = nn.MultiheadAttention(16, 2, batch_first=True, kdim=32, vdim=32)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1)
        z = self.embed(rows)
        z = z + self.attend(z, z, z, need_weights=False)[0]
        return self.head((z + self.across(z, rows, rows)[0]).mean(1))


@network
class Encoder(nn.Module):
    """transformer encoder: torch's, with a position table and a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.token = nn.Linear(32, 16), nn.Parameter(torch.zeros(1, 1, 16))
        self.positions = nn.Embedding(33, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.embed(x.squeeze(1))
        rows = torch.cat([self.token.expand(len(x), -1, -1), rows], 1)
        rows = rows + self.positions(torch.arange(33, device=x.device))
        return self.head(self.encoder(rows)[:, 0])


@network
class Unpacked(nn.Module):
    """unpacked attention: q, k, v of one dense layer, a causal mask in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv = nn.Linear(32, 24), nn.Linear(24, 72)
        self.project, self.norm = nn.Linear(24, 24), nn.LayerNorm(24)
        self.head = nn.Linear(24, 10)
        self.register_buffer("mask", torch.ones(32, 32).tril().bool())
        self.mask: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.squeeze(1))
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, t, 3, 4, 6).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1) / 6**0.5).masked_fill(~self.mask, -1e9)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, 24)
        return self.head((x + self.project(mixed)).mean(1))


@network
class Recurrent(nn.Module):
    """LSTM and GRU: over rows."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Linear(32, 12), nn.LSTM(12, 8, batch_first=True)
        self.gru = nn.GRU(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows, _ = self.lstm(self.embed(x.squeeze(1)).tanh())
        rows, _ = self.gru(rows)
        return self.head(rows.mean(1))
