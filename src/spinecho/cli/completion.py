"""What the shell completes after `spinecho`: a bash script, which zsh reads as well; commands, options, methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Annotated, get_args, get_origin, get_type_hints

from spinecho.core.option import HIDDEN, INLINE, Option
from spinecho.methods import registry

_SCRIPT = """# bash completion of spinecho; made by `spinecho --completion`
_spinecho() {{
  local words="" word=${{COMP_WORDS[COMP_CWORD]}}
  if (( COMP_CWORD == 1 )); then
    words="{commands}"
  else
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD-1]}}" in
{methods}
    esac
    [[ $words ]] || case ${{COMP_WORDS[1]}} in
{options}
    esac
    [[ $word == -* || $words != *--* ]] || words=""
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _spinecho spinecho
"""


def script(modules: Mapping[str, ModuleType]) -> str:
    """The script for commands by name, each with its `Arguments`."""
    listed = [f'      {name}) words="{" ".join(options(m.Arguments))}";;' for name, m in modules.items()]
    methods = [
        f'      "{task} --method") words="{" ".join(o.name for o in registry.offers(task))}";;'
        for task in registry.tasks()
    ]
    return _SCRIPT.format(commands=" ".join(modules), methods="\n".join(methods), options="\n".join(listed))


def options(kind: type) -> Iterator[str]:
    """Names of the options, those of dataclasses among them included."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        bare, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        option = next((m for m in marks if isinstance(m, Option)), Option())
        if INLINE in marks and isinstance(bare, type) and is_dataclass(bare):
            yield from options(bare)
        elif not option.positional and HIDDEN not in marks:
            name = (option.name or field.name).replace("_", "-")
            yield f"--no-{name}" if field.default is True else f"--{name}"
