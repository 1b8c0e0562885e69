"""The one exception that bad input raises, and the one warning about a result."""


class DataError(ValueError):
    """Input that cannot be used: says what was found, what is wanted and what to do.

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
        self.found, self.do, self.file = found, do, str(file)
        place = f"{self.file}: " if self.file else ""
        super().__init__(f"{place}{found}" + (f" -> {do}" if do else ""))

    def __reduce__(self) -> "tuple[object, ...]":
        """Keep keyword-only fields when the error crosses a process boundary."""
        return _rebuild, (self.found, self.do, self.file)

    def within(self, file: object) -> "DataError":
        """The same error, naming the file it came from (an inner name is kept)."""
        return self if self.file else DataError(self.found, do=self.do, file=file)


class DoubtfulResult(UserWarning):
    """A result that may be wrong though it was computed: the sentence says where and why; the history has it too."""


def _rebuild(found: str, do: str, file: str) -> DataError:
    return DataError(found, do=do, file=file)
