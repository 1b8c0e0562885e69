"""Attention among the lines of k-space: stretches of a line as tokens, any number of lines of any length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from spinecho.nets.windows import Mixing, Telling, ToldNorm, attended


class LineBlock(nn.Module):
    """x + attention(norm(x)) among all lines, then x + mixing(norm(x))."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after, self.mixing = ToldNorm(channels), ToldNorm(channels), Mixing(channels)
        self.enter, self.leave = nn.Linear(channels, 3 * channels, bias=False), nn.Linear(channels, channels)
        self.near = nn.Sequential(nn.Linear(1, 16), nn.SiLU(), nn.Linear(16, heads, bias=False))

    def forward(self, x: Float[Tensor, "n part line c"], told: Tensor) -> Float[Tensor, "n part line c"]:
        n_lines = x.shape[-2]
        place = torch.arange(n_lines, device=x.device).to(told)
        apart = place[:, None] - place
        bias = self.near((apart.sign() * (1 + apart.abs()).log2() / 8)[..., None]).permute(2, 0, 1)
        qkv = self.enter(self.before(x, told)).flatten(0, 1)
        x = x + self.leave(attended(qkv, self.heads, bias)).reshape(x.shape)
        return x + self.mixing(self.after(x, told))


class LineAttention(nn.Module):
    """Every line looks at all others, stretch by stretch along the readout.

    Parameters
    ----------
    n_in, n_out
        Channels of a sample in and out.
    channels
        Of a token: a stretch of `length` samples of one line.
    blocks, heads
        One after another; of each.
    n_numbers
        In the prompt.

    Shapes: (n, n_in, line, sample) and (n, n_numbers) to (n, n_out, line, sample); zeros before it is trained. What is
    padded to whole stretches is zeros at the end of each line.

    Source: Liu et al. 2022, Swin transformer v2, arXiv:2111.09883, for distances that count by a small network of their
    logarithm (here between lines, any number of them); Vaswani et al. 2017, arXiv:1706.03762, for attention.
    """

    def __init__(
        self, n_in: int, n_out: int, channels: int, blocks: int, *, heads: int = 3, length: int = 8, n_numbers: int = 1
    ) -> None:
        super().__init__()
        self.length = length
        self.gain = channels**-0.5
        """of what leaves, so that a first step of Adam moves the samples little"""
        self.telling = Telling(n_numbers)
        self.enter = nn.Linear(n_in * length, channels)
        self.blocks = nn.ModuleList(LineBlock(channels, heads) for _ in range(blocks))
        self.leave = nn.Linear(channels, n_out * length)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, x: Float[Tensor, "n c line sample"], prompt: Float[Tensor, "n numbers"]
    ) -> Float[Tensor, "n c2 line sample"]:
        n_samples, told = x.shape[-1], self.telling(prompt)
        x = F.pad(x, (0, -n_samples % self.length)).unflatten(-1, (-1, self.length))
        tokens = self.enter(x.permute(0, 3, 2, 1, 4).flatten(-2))
        for block in self.blocks:
            tokens = block(tokens, told)
        made = (self.leave(tokens) * self.gain).unflatten(-1, (-1, self.length)).permute(0, 3, 2, 1, 4)
        return made.flatten(-2)[..., :n_samples]
