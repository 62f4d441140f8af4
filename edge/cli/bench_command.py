"""``edge-iqa bench``: latency and score drift on this machine's runtimes, with a verdict per row."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_iqa.benchmarks.run import BenchRequest
    from edge_iqa.cli.bench_outputs import BenchOutputs


def command(
    bundle: Annotated[Path | None, typer.Argument(help="A .eiqa bundle; the embedded one by default.")] = None,
    device: Annotated[
        str,
        typer.Option(
            help="cpu (every CPU runtime), onnxruntime, openvino, openvino:gpu, openvino:npu, tflite, jetson, "
            "jetson:dla0 or jetson:dla1."
        ),
    ] = "cpu",
    precision: Annotated[str, typer.Option(help="all, int8, fp32, or on a Jetson fp16.")] = "all",
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
    md: Annotated[Path | None, typer.Option(help="Write a report as Markdown.")] = None,
    save_flips: Annotated[
        Path | None, typer.Option(help="A folder for the pictures whose keep/drop is exchanged, with a table.")
    ] = None,
    waterfall: Annotated[
        bool, typer.Option(help="Follow the same pictures from teacher to camera: what each step changes.")
    ] = True,
    teacher: Annotated[
        Path | None, typer.Option(help="A teacher (.safetensors) for the waterfall; needs torch.")
    ] = None,
    scores_csv: Annotated[
        Path | None, typer.Option(help="Human scores of the --images: a CSV with the columns file and mos.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Measure there over ssh: user@host[:port]; only the runtimes are needed there.")
    ] = None,
    hosts: Annotated[Path | None, typer.Option(help="Measure on every machine of a TOML file.")] = None,
    host_python: Annotated[str, typer.Option(help="The Python there that has the runtimes.")] = "python3",
    host_folder: Annotated[str | None, typer.Option(help="Where to work there; ~/.cache/edge-iqa by default.")] = None,
    ssh_config: Annotated[Path | None, typer.Option(help="A configuration file for ssh.")] = None,
    max_p90_ms: Annotated[float | None, typer.Option(help="Bar: 90th percentile of the latency, ms.")] = None,
    min_srcc: Annotated[float | None, typer.Option(help="Bar: rank correlation with the reference.")] = None,
    max_drift: Annotated[float | None, typer.Option(help="Bar: largest difference of a score.")] = None,
    max_flips: Annotated[int | None, typer.Option(help="Bar: pictures whose keep/drop is exchanged.")] = None,
    streams: Annotated[
        int | None, typer.Option(min=1, max=64, help="Also pictures per second with so many scorers at once.")
    ] = None,
    sustained: Annotated[
        str | None, typer.Option(help="Also a run without a pause of this duration per row (10m): p90 over time.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Measure nothing; print what known devices' hardware allows at best.")
    ] = False,
) -> None:
    from edge_iqa.benchmarks.opinion_tables import read_opinions
    from edge_iqa.benchmarks.run import BenchRequest, run_bench
    from edge_iqa.benchmarks.sampling import plan_for
    from edge_iqa.benchmarks.sustained import parse_duration
    from edge_iqa.benchmarks.verdict import Bars
    from edge_iqa.cli.bench_hosts import HostOptions, bench_all_hosts, bench_one_host
    from edge_iqa.cli.bench_outputs import BenchOutputs, show
    from edge_iqa.errors import ImageError

    outputs = BenchOutputs(json, csv, html, md, save_flips)
    outputs.check()
    elsewhere = HostOptions(host, hosts, host_python, host_folder, ssh_config)
    elsewhere.check()
    bars = Bars(max_p90_ms, min_srcc, max_drift, max_flips)
    request = BenchRequest(
        bundle,
        device,
        plan_for(mode),
        precision,
        images,
        threads,
        threshold,
        drift_images,
        bars=bars,
        streams=streams,
        sustained_s=None if sustained is None else parse_duration(sustained),
        waterfall=waterfall,
        teacher=teacher,
        opinions=() if scores_csv is None else read_opinions(scores_csv),
    )
    if estimate:
        _estimate(request, outputs)
        return
    if hosts is not None:
        bench_all_hosts(elsewhere, request, outputs)
        return
    outcome = run_bench(request) if host is None else bench_one_host(elsewhere, request)
    outputs.write(outcome)
    show(outcome)
    outcome.raise_problems()
    if outcome.failed_pictures:
        print(f"{len(outcome.failed_pictures)} pictures could not be read and were left out:", file=sys.stderr)
        print("\n".join(f"  {error.what}" for error in outcome.failed_pictures[:5]), file=sys.stderr)
        raise typer.Exit(ImageError.exit_code)


def _estimate(request: BenchRequest, outputs: BenchOutputs) -> None:
    from edge_iqa.benchmarks.report_estimates import estimate_csv, estimate_lines, print_estimates
    from edge_iqa.benchmarks.report_files import json_text
    from edge_iqa.benchmarks.report_html import html_text
    from edge_iqa.benchmarks.report_markdown import markdown_text
    from edge_iqa.benchmarks.run import estimate_bench
    from edge_iqa.cli.output import open_output

    result = estimate_bench(request)
    texts = {
        outputs.json: json_text,
        outputs.csv: lambda found: estimate_csv(found.estimates),
        outputs.html: html_text,
        outputs.markdown: markdown_text,
    }
    for path, text in texts.items():
        if path is not None:
            with open_output(path) as stream:
                stream.write(text(result))
    print_estimates(result, sys.stdout)
    sys.stdout.flush()
    for line in estimate_lines(result):
        print(line, file=sys.stderr)
