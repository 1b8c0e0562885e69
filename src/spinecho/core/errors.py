"""The one exception that bad input raises, and the one warning about a result; how both speak of a setting."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_Atom = str | float | Path
_MARK = "\x0e{option}\x1f{python}\x0f"
_MARKED = re.compile("\x0e([^\x0e\x0f\x1f]*)\x1f([^\x0e\x0f\x1f]*)\x0f")


class DataError(ValueError):
    """Input that cannot be used: says what was found, what was expected and what to do.

    A `setting(...)` in the sentences reads `volume=3` here and `--volume 3` on the command line (`typed`).

    Parameters
    ----------
    found
        What is wrong, as one sentence with the numbers in it ("csm has 8 coils, k-space 12").
    do
        What the user can do about it ("compress both or neither"); may name a command.
    file
        The file it was found in, if any.
    """

    def __init__(self, found: str, *, do: str = "", file: object = "") -> None:
        self.marked = found, do
        self.found, self.do, self.file = plain(found), plain(do), str(file)
        super().__init__(self._sentence(self.found, self.do))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep keyword-only fields when the error crosses a process boundary."""
        return _rebuild, (*self.marked, self.file)

    def within(self, file: object) -> DataError:
        """A new error that names the file it came from (an inner name is kept); never itself, to be raised from it."""
        return self.but(file=self.file or file)

    def but(self, *, found: str | None = None, do: str | None = None, file: object = None) -> DataError:
        """The error with other parts; `marked` has its own (found, do) to build them from: settings stay settings."""
        own_found, own_do = self.marked
        return type(self)(
            own_found if found is None else found,
            do=own_do if do is None else do,
            file=self.file if file is None else file,
        )

    def typed(self) -> str:
        """The error as the command line says it: settings are options."""
        return self._sentence(*(typed(text) for text in self.marked))

    def _sentence(self, problem: str, do: str) -> str:
        place = f"{self.file}: " if self.file else ""
        return f"{place}{problem}" + (f" -> {do}" if do else "")


class DoubtfulResult(UserWarning):
    """A result that was computed but may be wrong: the sentence says where and why, and is in the history too."""


def setting(name: str, value: _Atom | tuple[_Atom, ...] | None = None) -> str:
    """A setting as a marked piece of a sentence, which `plain` and `typed` put into words.

    Parameters
    ----------
    name
        The field of the options, with underscores.
    value
        The value it has or should have; None: the name alone.
    """
    option = f"--{name.replace('_', '-')}"
    if value is None:
        return _MARK.format(option=option, python=name)
    if isinstance(value, bool):
        typed_form = option if value else f"--no-{option[2:]}"
    else:
        words = value if isinstance(value, tuple) else (value,)
        typed_form = " ".join([option, *map(_word, words)])
    return _MARK.format(option=typed_form, python=f"{name}={_python(value)}")


def plain(text: str) -> str:
    """The text with its settings as Python has them: `volume=3`."""
    return _MARKED.sub(lambda mark: mark[2], text)


def typed(text: str) -> str:
    """The text with its settings as options of the command line: `--volume 3`."""
    return _MARKED.sub(lambda mark: mark[1], text)


def _python(value: _Atom | tuple[_Atom, ...]) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_python, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float):
        return _number(value)
    return repr(value) if isinstance(value, int) else repr(str(value))


def _word(value: _Atom) -> str:
    """A value as one word of a command line; in double quotes where they suffice, as they do in every shell."""
    text = _number(value) if isinstance(value, float) else str(value)
    if not text.isprintable():
        return ascii(text)
    return shlex.quote(text) if set('"$`\\!') & set(text) or shlex.quote(text) == text else f'"{text}"'


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _rebuild(problem: str, do: str, file: str) -> DataError:
    return DataError(problem, do=do, file=file)
