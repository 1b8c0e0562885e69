"""Memory: whether a training's batch fits is said after its first step, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spinecho.core.errors import DataError, setting, typed
from spinecho.io.limits import free_memory, human, out_of_memory, peak_memory
from spinecho.train import checkpoint
from spinecho.train.gradient import Recomputes
from spinecho.train.run import Run

_TIGHT = 0.7
"""Examples differ in size: later steps were seen to take up to a third more than the first"""


def told(run: Run) -> str:
    """A sentence on the memory that the first step took, if a larger example may not fit; else nothing."""
    peak, whole = _peak(run)
    if peak < _TIGHT * whole:
        return ""
    share = f"{human(peak)} of {human(whole)}"
    return typed(f"the first step took {share} of memory, and examples differ in size: if it runs out, {_less(run)}")


@contextmanager
def enough(run: Run) -> Iterator[None]:
    """Within it, memory that does not suffice is an error with what to do.

    Raises
    ------
    DataError
        Instead of what torch, CUDA or Python raise; it names the step that a checkpoint has.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        _, whole = _peak(run)
        where = f"the GPU ({human(whole)})" if _on_gpu(run) else f"this machine ({human(free_memory())} free)"
        last = checkpoint.newest(run.checkpoints) if run.checkpoints.is_dir() else None
        kept = "nothing was kept" if last is None else f"the checkpoint of step {last.step} stays"
        raise DataError(f"the memory of {where} is not enough; {kept}", do=_less(run), file=run.out) from error


def _less(run: Run) -> str:
    """What takes less memory; settings that a run may change when it goes on come first."""
    ways = []
    if any(isinstance(m, Recomputes) and not m.checkpointing for m in run.method.modules()):
        ways.append(f"continue with {setting('checkpointing')}")
    if not _on_gpu(run) and run.settings.workers:
        ways.append(f"continue with fewer {setting('workers')} than {run.settings.workers}")
    if run.settings.batch > 1:
        ways.append(f"start over with another {setting('out')} with {setting('batch')} below {run.settings.batch}")
    return " or ".join(ways or ["train a smaller network"])


def _peak(run: Run) -> tuple[int, int]:
    """Bytes that were taken at most, and that there are for this process."""
    if _on_gpu(run):
        device = next(run.method.parameters()).device
        free, _ = torch.cuda.mem_get_info(device)
        return torch.cuda.max_memory_reserved(device), free + torch.cuda.memory_reserved(device)
    return (peak := peak_memory()), peak + free_memory()


def _on_gpu(run: Run) -> bool:
    return next(run.method.parameters()).is_cuda
