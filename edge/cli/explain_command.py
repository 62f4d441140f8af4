"""``edge-iqa explain CODE``: what an error code means."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer


def command(code: Annotated[str, typer.Argument(help="A code such as E204.")]) -> None:
    from edge_iqa.errors import InvalidInput, all_errors

    known = {error.code: error for error in all_errors()}
    found = known.get(code.upper())
    if found is None:
        raise InvalidInput(f"There is no error code {code!r}", fix=f"one of: {', '.join(sorted(known))}")
    print(f"{found.code} {found.__name__} (exit {found.exit_code})\n\n{inspect.getdoc(found)}")
