"""The command line: one file per verb, errors turned into messages and exit codes in one place.

stdout is data, stderr is for people. Exit codes: 0 fine; 1 a bar was missed; 2 wrong use; 3 finished, but
some inputs failed; 4 this machine cannot do it; 5 bundle or model refused; 70 a fault of the tool itself,
whose traceback is shown where the environment variable EDGE_IQA_TRACEBACK is set.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from edge_iqa.errors import EdgeIqaError

# verb → one line of help; the module edge_iqa.cli.<verb>_command holds the function `command`
VERBS = {
    "score": "Score pictures, folders of pictures, or a list from stdin.",
    "watch": "Keep the good frames of a camera or a video, for weeks; tune the rules on a record.",
    "bench": "Measure latency and score drift of a bundle on this machine's runtimes.",
    "compare": "Compare two results of the bench: latency with confidence, drift, verdicts.",
    "eval": "Compare scores with human opinion: a published dataset, a CSV, better/worse pairs; or check their sanity.",
    "quantize": "Distill a teacher into an int8 student for every runtime.",
    "verify": "Check a bundle's golden pictures on every runtime of this machine.",
    "export": "Write a bundle's models as plain files for use without edge-iqa.",
    "slim": "Write a smaller bundle, with the models of some runtimes only.",
    "train": "Train a teacher from a folder of photographs, without human scores.",
    "import": "Convert a HiRQA or HiRQA-S checkpoint of the authors to safetensors.",
    "doctor": "Say what this machine can run, what is missing, and how to mend it.",
    "degrade": "Damage a picture as the training does, or draw a contact sheet of every degradation.",
    "explain": "Explain an error code.",
}


def build_app() -> Any:
    """Return the Typer application with every verb."""
    import typer

    app = typer.Typer(
        name="edge-iqa",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Is this frame good enough to use? Image quality on small computers.",
    )

    @app.callback(invoke_without_command=True)
    def version(show: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
        if show:
            from edge_iqa import __version__

            print(__version__)
            raise typer.Exit

    for verb, text in VERBS.items():
        module = importlib.import_module(f"edge_iqa.cli.{verb}_command")
        app.command(verb, help=text)(_closed_pipe_is_fine(module.command))
    return app


def _closed_pipe_is_fine(command: Callable[..., None]) -> Callable[..., None]:
    """Let a reader of stdout stop early, as ``head`` does; Typer would make exit code 1 of it."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end

    return run


def main() -> None:
    """Run the command line and leave the process with the documented exit code."""
    app = build_app()
    try:
        app()
    except EdgeIqaError as error:
        print(error, file=sys.stderr)
        if error.code != "E000":
            print(f"  more: edge-iqa explain {error.code}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("EDGE_IQA_TRACEBACK"):
            raise
        print(f"E000: a fault of edge-iqa: {type(error).__name__}: {error}", file=sys.stderr)
        print("  fix: please report it with what EDGE_IQA_TRACEBACK=1 shows in addition", file=sys.stderr)
        sys.exit(EdgeIqaError.exit_code)
