"""Shifted-window attention on images of any size, each block modulated by a few numbers: the prompt."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Telling(nn.Module):
    """The prompt as features that all blocks of a network share.

    Source: Perez et al. 2018, FiLM, arXiv:1709.07871.
    """

    def __init__(self, n_numbers: int, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_numbers, width), nn.Linear(width, width)

    def forward(self, prompt: Float[Tensor, "n numbers"]) -> Float[Tensor, "n width"]:
        return F.silu(self.second(F.silu(self.first(prompt))))


class ToldNorm(nn.Module):
    """Tokens of mean 0 and variance 1, scaled and shifted by what is told; the plain norm at first."""

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Float[Tensor, "n *grid c"], told: Float[Tensor, "n width"]) -> Float[Tensor, "n *grid c"]:
        scale, shift = self.film(told).reshape(len(x), *[1] * (x.ndim - 2), -1).chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class Mixing(nn.Sequential):
    """What a block does to each token by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))


def attended(
    qkv: Float[Tensor, "n t c3"], heads: int, bias: Float[Tensor, "*groups heads t t"]
) -> Float[Tensor, "n t c"]:
    """softmax(q k^T / sqrt(d) + bias) v; n is cut into as many groups as the bias has."""
    n, t, c3 = qkv.shape
    q, k, v = qkv.reshape(n, t, 3, heads, c3 // 3 // heads).permute(2, 0, 3, 1, 4)
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    groups = weights.reshape(-1, *bias.shape) + bias
    seen = groups.softmax(-1).reshape(weights.shape).to(v.dtype) @ v
    return seen.transpose(1, 2).reshape(n, t, c3 // 3)


def tiled(x: Shaped[Tensor, "n y x c"], side: int) -> Shaped[Tensor, "tiles t c"]:
    """Squares of side x side tokens, those of an image one after another; y and x are multiples of the side."""
    n, height, width, c = x.shape
    rows = x.reshape(n, height // side, side, width // side, side, c)
    return rows.transpose(2, 3).reshape(-1, side * side, c)


def untiled(tiles: Shaped[Tensor, "tiles t c"], height: int, width: int) -> Shaped[Tensor, "n y x c"]:
    """The inverse of `tiled`."""
    side, c = round(tiles.shape[1] ** 0.5), tiles.shape[-1]
    rows = tiles.reshape(-1, height // side, width // side, side, side, c)
    return rows.transpose(2, 3).reshape(-1, height, width, c)


def acquainted(
    size: tuple[int, int], side: int, shift: int, device: torch.device | None = None
) -> Bool[Tensor, "tiles t t"]:
    """Which tokens of a tile see each other, once an image was padded and rolled back by a shift.

    Those do that were as far apart before: what comes in from the other end is no neighbour. Padding sees only itself.

    Parameters
    ----------
    size
        Of the image before it was padded to a multiple of the side.
    """
    places: list[Tensor] = []
    padded = [n + -n % side for n in size]
    for n, whole in zip(size, padded, strict=True):
        here = torch.arange(whole, device=device)
        there = torch.roll(here, -shift)
        places.append(torch.stack([there - here, (there < n).long()], -1))
    rows, columns = places
    marks = torch.cat(torch.broadcast_tensors(rows[:, None], columns[None]), -1)
    inside = marks[..., [1]] * marks[..., [3]]
    tiles = tiled(torch.cat([marks[..., [0]], marks[..., [2]], inside], -1)[None], side)
    return (tiles[:, :, None] == tiles[:, None]).all(-1)


class WindowAttention(nn.Module):
    """Each token looks at those of its tile; how far away they are counts by a learned number for each distance."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.enter, self.leave = nn.Linear(channels, 3 * channels, bias=False), nn.Linear(channels, channels)
        self.distance = nn.Parameter(torch.zeros(heads, (2 * side - 1) ** 2))
        place = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
        apart = place[:, :, None] - place[:, None] + side - 1
        self.register_buffer("which", apart[0] * (2 * side - 1) + apart[1], persistent=False)

    which: Tensor

    def forward(
        self, x: Float[Tensor, "n y x c"], sees: Bool[Tensor, "tiles t t"], shift: int
    ) -> Float[Tensor, "n y x c"]:
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.side, 0, -height % self.side))
        padded = x.shape[1:3]
        tiles = tiled(torch.roll(x, (-shift, -shift), (1, 2)) if shift else x, self.side)
        bias = self.distance[:, self.which].masked_fill(~sees[:, None], -torch.inf)
        tiles = self.leave(attended(self.enter(tiles), self.heads, bias))
        x = untiled(tiles, padded[0], padded[1])
        x = torch.roll(x, (shift, shift), (1, 2)) if shift else x
        return x[:, :height, :width]


class WindowBlock(nn.Module):
    """x + attention(norm(x)), then x + mixing(norm(x))."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.before, self.after = ToldNorm(channels), ToldNorm(channels)
        self.attention, self.mixing = WindowAttention(channels, heads, side), Mixing(channels)

    def forward(self, x: Tensor, told: Tensor, sees: Tensor, shift: int) -> Tensor:
        x = x + self.attention(self.before(x, told), sees, shift)
        return x + self.mixing(self.after(x, told))


class ShiftedWindows(nn.Module):
    """Groups of two blocks, tiles of the second shifted by half a side, with a convolution and a skip around each.

    Parameters
    ----------
    n_in, n_out
        Channels in and out.
    channels
        Of a token, which is a square of `shuffle` x `shuffle` pixels.
    groups
        Of two blocks each.
    heads
        Of each attention; they divide the channels.
    side
        Tokens along a side of a tile.
    n_numbers
        In the prompt.

    Shapes: (n, n_in, y, x) and (n, n_numbers) to (n, n_out, y, x), any size; an untrained network returns zeros. What
    is padded to whole tiles is seen by nobody.

    Source: Liu et al. 2021, Swin transformer, arXiv:2103.14030; Huang et al. 2022, SwinMR,
    doi:10.1016/j.neucom.2022.04.051, for groups with a convolution. How we differ: tokens are 2 x 2 pixels, norms are
    modulated by a prompt, padding is masked, distances count by a plain table, and there is no dropout.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        channels: int,
        groups: int,
        *,
        heads: int = 3,
        side: int = 8,
        n_numbers: int = 1,
        shuffle: int = 2,
    ) -> None:
        super().__init__()
        self.side, self.shuffle = side, shuffle
        self.checkpointing = False
        """compute activations again in the backward pass instead of keeping them"""
        self.gain = (9 * channels) ** -0.5
        """of what leaves, so that a first step of Adam moves the image little, however many channels there are"""
        self.telling = Telling(n_numbers)
        self.enter = nn.Conv2d(n_in * shuffle**2, channels, 3, padding=1)
        self.blocks = nn.ModuleList(WindowBlock(channels, heads, side) for _ in range(2 * groups))
        self.joins = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(groups))
        self.leave = nn.Conv2d(channels, n_out * shuffle**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Float[Tensor, "n c y x"], prompt: Float[Tensor, "n numbers"]) -> Float[Tensor, "n c2 y x"]:
        size = x.shape[-2:]
        x = F.pad(x, (0, -size[1] % self.shuffle, 0, -size[0] % self.shuffle))
        x, told = self.enter(F.pixel_unshuffle(x, self.shuffle)), self.telling(prompt)
        grid = (x.shape[-2], x.shape[-1])
        sees = [acquainted(grid, self.side, s, x.device) for s in (0, self.side // 2)]
        for i in range(len(self.joins)):
            if self.checkpointing and torch.is_grad_enabled():
                x = cast(Tensor, checkpoint(self._group, i, x, told, sees, use_reentrant=False))
            else:
                x = self._group(i, x, told, sees)
        x = F.pixel_shuffle(self.leave(x) * self.gain, self.shuffle)
        return x[..., : size[0], : size[1]]

    def _group(self, i: int, x: Tensor, told: Tensor, sees: list[Tensor]) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        for j, shift in enumerate((0, self.side // 2)):
            tokens = self.blocks[2 * i + j](tokens, told, sees[j], shift)
        return x + self.joins[i](tokens.permute(0, 3, 1, 2))
