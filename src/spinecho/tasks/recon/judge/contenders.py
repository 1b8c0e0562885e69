"""Who reconstructs: methods, none with a noise floor, and oracles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.evaluate import versions
from spinecho.evaluate.judge import Asked, Case, Contender, Outcome
from spinecho.tasks.recon.judge import oracle
from spinecho.tasks.recon.judge.bart import bart_version
from spinecho.tasks.recon.judge.case import shows_floor
from spinecho.tasks.recon.judge.scans import Inputs
from spinecho.tasks.recon.run import recon

_JUDGES = ("metrics/image.py", "metrics/inside.py", "tasks/recon/judge/protocol.py")
_SEARCHES = ("tasks/recon/judge/oracle.py", "tasks/recon/judge/bart.py")


def contender(word: str) -> Contender | None:
    """An oracle; None for the methods themselves.

    Raises
    ------
    DataError
        Where bart is missing.
    """
    if word not in oracle.NAMES:
        return None
    if word == "oracle":
        bart_version()
    return Oracle(word)


def run(inputs: Inputs, wanted: Asked) -> Outcome:
    """The image of a method, on the CPU, without the noise power of all coils that some methods show.

    Raises
    ------
    DataError
        If that was asked for: the judge gives it to every whole image itself.
    """
    settings = dict(wanted.settings)
    if shows_floor(wanted.name):
        if settings.get("noise_floor"):
            do = "leave noise_floor out: whole images are judged with it, whatever made them"
            raise DataError("images are judged inside the object without a noise floor", do=do)
        settings["noise_floor"] = False
    return _outcome(recon(inputs.kspace, wanted.name, **settings).values)


@dataclass(frozen=True)
class Oracle:
    """The best of many weights, chosen on the truth."""

    name: str
    is_oracle: bool = True

    def version(self, case: Case) -> str:
        """For bart's that is bart's own and how it is called, so that changes in our methods do not repeat its hour."""
        if self.name == "oracle":
            return versions.joined(self.name, bart_version(), versions.of_code(*_JUDGES, *_SEARCHES))
        return versions.joined(self.name, versions.of_task("recon"))

    def run(self, inputs: Inputs) -> Outcome:
        """The best image, and what was chosen."""
        chosen = oracle.choose(self.name, inputs.kspace, inputs.truth.values)
        return replace(_outcome(chosen.values), note=chosen.note)


def _outcome(values: Tensor) -> Outcome:
    values = values.cpu()  # waits for the GPU, too
    return Outcome(result=values, n_parts=max(1, values.shape[:-4].numel()))
