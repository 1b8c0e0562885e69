"""Who reconstructs: methods as they are, classical ones with the noise floor of the truth, oracles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from spinecho.calib.noise import rss_noise, with_noise_power
from spinecho.calib.prepare import prewhiten
from spinecho.core.errors import DataError
from spinecho.evaluate import versions
from spinecho.evaluate.judge import Case, Contender, Outcome
from spinecho.evaluate.methods import Asked, asked
from spinecho.tasks.recon.judge import oracle
from spinecho.tasks.recon.judge.bart import bart_version
from spinecho.tasks.recon.judge.case import shows_floor
from spinecho.tasks.recon.judge.scans import Inputs
from spinecho.tasks.recon.run import build, recon

_FLOOR = "+floor"
_JUDGES = ("metrics/image.py", "tasks/recon/judge/protocol.py")
_SEARCHES = ("tasks/recon/judge/oracle.py", "tasks/recon/judge/bart.py")


def contender(word: str) -> Contender | None:
    """An oracle or METHOD+floor; None for the methods themselves.

    Raises
    ------
    DataError
        Where bart is missing, or a method has the noise floor already.
    """
    if word in oracle.NAMES:
        if word == "oracle":
            bart_version()
        return Oracle(word)
    if not word.endswith(_FLOOR):
        return None
    wanted = asked(word.removesuffix(_FLOOR))
    build(wanted.name, wanted.settings)
    if shows_floor(wanted.name):
        do = "write METHOD+floor for a classical method; learned ones have the noise floor already"
        raise DataError(f"{word} is no method", do=do)
    return Floored(word, wanted)


def run(inputs: Inputs, wanted: Asked) -> Outcome:
    """The image of a method, on the CPU.

    A simulated truth is free of noise: there, methods that show the noise power of all coils leave it out.
    """
    settings = dict(wanted.settings)
    if inputs.truth.kind == "simulated" and shows_floor(wanted.name):
        settings.setdefault("noise_floor", False)
    return _outcome(recon(inputs.kspace, wanted.name, **settings).values)


@dataclass(frozen=True)
class Floored:
    """A method's image with the noise power of all coils, as learned methods show it: the truth of a real scan has it,
    so that a comparison without it says more of air than of anatomy."""

    name: str
    asked: Asked
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """As that of the method."""
        return versions.joined(_FLOOR, versions.of_method("recon", self.asked.name, self.asked.settings))

    def run(self, inputs: Inputs) -> Outcome:
        """The method's image, with the noise added where the truth is real."""
        outcome = run(inputs, self.asked)
        if inputs.truth.kind != "real":
            return outcome
        noise = rss_noise(prewhiten(inputs.kspace))
        return replace(outcome, result=with_noise_power(outcome.result, noise))


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
