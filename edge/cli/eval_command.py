"""``edge-iqa eval``: agreement with people, from a CSV of opinion scores or of better/worse pairs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_iqa.benchmarks.opinion import Comparison

FAILURES_SHOWN = 10


def command(
    root: Annotated[Path, typer.Option(help="The folder that the file names in the table are relative to.")],
    csv: Annotated[Path | None, typer.Option(help="Pictures and human scores, higher is better.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Pictures in columns better, worse and kind.")] = None,
    image_column: Annotated[str, typer.Option(help="Column of file names in --csv.")] = "file",
    score_column: Annotated[str, typer.Option(help="Column of human scores in --csv.")] = "mos",
    subset_column: Annotated[
        str | None, typer.Option(help="Column that divides --csv; 'subset' is used if there is one.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="A .eiqa bundle; the embedded one by default.")] = None,
    backend: Annotated[str, typer.Option(help="auto, onnxruntime, openvino, tflite or tensorrt.")] = "auto",
    precision: Annotated[str, typer.Option(help="int8 or fp32.")] = "int8",
    threads: Annotated[int | None, typer.Option(help="Threads of the runtime; its own default if not given.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="A .safetensors network instead of a bundle, in PyTorch at full resolution.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="A sharpness measure instead of a bundle: laplacian or tenengrad.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the result here; '-' for stdout, without the table.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write file,score here for every picture that was scored.")
    ] = None,
) -> None:
    from edge_iqa.benchmarks.opinion import compare_opinions, compare_pairs, score_pictures
    from edge_iqa.benchmarks.opinion_tables import pictures_of, read_opinions, read_pairs
    from edge_iqa.cli.eval_report import as_json, as_table, report_document, write_predictions
    from edge_iqa.cli.eval_scorers import baseline_scorer, bundle_scorer, network_scorer
    from edge_iqa.cli.output import check_output, open_output
    from edge_iqa.errors import ImageError, InvalidInput
    from edge_iqa.progress import track

    if sum(option is not None for option in (bundle, model, baseline)) > 1:
        raise InvalidInput("Only one of --bundle, --model and --baseline can be evaluated", fix="run the command twice")
    json_file = None if json is None or str(json) == "-" else json
    for output in (json_file, predictions):
        if output is not None:
            check_output(output)

    compare: Callable[[Mapping[str, float]], Comparison]
    if csv is not None and pairs is None:
        table, opinions = csv, read_opinions(csv, image_column, score_column, subset_column)
        files, compare = pictures_of(opinions), partial(compare_opinions, opinions)
    elif pairs is not None and csv is None:
        table, judged = pairs, read_pairs(pairs)
        files, compare = pictures_of(judged), partial(compare_pairs, judged)
    else:
        raise InvalidInput("There must be one table to compare with", fix="name either --csv or --pairs")

    if baseline is not None:
        scorer = baseline_scorer(baseline)
    elif model is not None:
        scorer = network_scorer(model)
    else:
        scorer = bundle_scorer(bundle, backend, precision, threads)
    scored = score_pictures(track(files, "scoring"), root, scorer.score)
    comparison = compare(scored.scores)

    document = as_json(report_document(scorer, table, scored, comparison))
    if predictions is not None:
        with open_output(predictions) as stream:
            write_predictions(stream, scored)
    if json_file is not None:
        with open_output(json_file) as stream:
            stream.write(document + "\n")
    print(document if json is not None and json_file is None else as_table(scorer, table, comparison))
    if scored.errors:
        print(f"{len(scored.errors)} of {len(files)} pictures could not be scored:", file=sys.stderr)
        for error in list(scored.errors.values())[:FAILURES_SHOWN]:
            print(f"  {error.code}: {error.what}", file=sys.stderr)
        raise typer.Exit(ImageError.exit_code)
