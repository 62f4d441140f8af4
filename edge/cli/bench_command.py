"""``edge-iqa bench``: latency and score drift on this machine's runtimes, with a verdict per row."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    bundle: Annotated[Path | None, typer.Argument(help="A .eiqa bundle; the embedded one by default.")] = None,
    device: Annotated[
        str,
        typer.Option(help="cpu (every CPU runtime), onnxruntime, openvino, tflite, jetson or jetson:dla0."),
    ] = "cpu",
    precision: Annotated[str, typer.Option(help="all, int8 or fp32.")] = "all",
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures; embedded photographs, also distorted, by default."),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="Per row at least: normal 60 s, 1024 samples; quick 10 s, 128; rapid 6 s, 64.")
    ] = "quick",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of every runtime; all CPUs by default.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Keep/drop threshold for flips; the median score by default.")
    ] = None,
    drift_images: Annotated[int, typer.Option(min=2, help="At most this many pictures are scored for drift.")] = 300,
    json: Annotated[Path | None, typer.Option(help="Write everything, raw samples included, as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a line per row as CSV.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report as one HTML file.")] = None,
    max_p90_ms: Annotated[float | None, typer.Option(help="Bar: 90th percentile of the latency, ms.")] = None,
    min_srcc: Annotated[float | None, typer.Option(help="Bar: rank correlation with the reference.")] = None,
    max_drift: Annotated[float | None, typer.Option(help="Bar: largest difference of a score.")] = None,
    max_flips: Annotated[int | None, typer.Option(help="Bar: pictures whose keep/drop is exchanged.")] = None,
) -> None:
    from edge_iqa.benchmarks.report_files import csv_text, json_text
    from edge_iqa.benchmarks.report_html import html_text
    from edge_iqa.benchmarks.report_table import advice_lines, print_table
    from edge_iqa.benchmarks.run import BenchRequest, run_bench
    from edge_iqa.benchmarks.sampling import plan_for
    from edge_iqa.benchmarks.verdict import Bars
    from edge_iqa.cli.output import check_output, open_output
    from edge_iqa.errors import ImageError

    outputs = {path: text for path, text in ((json, json_text), (csv, csv_text), (html, html_text)) if path}
    for path in outputs:
        check_output(path)
    bars = Bars(max_p90_ms, min_srcc, max_drift, max_flips)
    outcome = run_bench(
        BenchRequest(bundle, device, plan_for(mode), precision, images, threads, threshold, drift_images, bars=bars)
    )
    for path, text in outputs.items():
        with open_output(path) as stream:
            stream.write(text(outcome.result))
    print_table(outcome.result, sys.stdout)
    sys.stdout.flush()
    for line in advice_lines(outcome.result):
        print(line, file=sys.stderr)
    outcome.raise_problems()
    if outcome.failed_pictures:
        print(f"{len(outcome.failed_pictures)} pictures could not be read and were left out:", file=sys.stderr)
        print("\n".join(f"  {error.what}" for error in outcome.failed_pictures[:5]), file=sys.stderr)
        raise typer.Exit(ImageError.exit_code)
