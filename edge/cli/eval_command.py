"""``edge-iqa eval``: agreement with people: a CSV of scores, pairs, a published dataset; or the sanity set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_iqa.cli.eval_scorers import EvalScorer
    from edge_iqa.cli.eval_sources import EvalSource

FAILURES_SHOWN = 10


def command(
    root: Annotated[
        Path | None, typer.Option(help="The folder of the dataset, or that the file names in a table are relative to.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Pictures and human scores, higher is better.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Pictures in columns better, worse and kind.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="live, csiq, tid2013, kadid10k, clive, koniq10k, flive or spaq, as published, in --root."),
    ] = None,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Noise, flat colour, degraded photographs: is the order sensible?")
    ] = False,
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
        list[str] | None,
        typer.Option(
            help="A classical measure in the same table: laplacian, tenengrad, brisque or niqe; may be repeated."
        ),
    ] = None,
    only_baselines: Annotated[
        bool, typer.Option("--only-baselines", help="Evaluate the baselines alone, without a bundle or network.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the result here; '-' for stdout, without the table.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write file,score here for every picture that was scored.")
    ] = None,
) -> None:
    from edge_iqa.cli.output import check_output, open_output
    from edge_iqa.errors import ImageError, InvalidInput

    baselines = list(dict.fromkeys(baseline or ()))
    if bundle is not None and model is not None:
        raise InvalidInput("Only one of --bundle and --model can be evaluated", fix="run the command twice")
    if only_baselines and (bundle is not None or model is not None or not baselines):
        raise InvalidInput("--only-baselines goes with --baseline, and without --bundle and --model")
    if sanity and predictions is not None:
        raise InvalidInput("--sanity writes no predictions", fix="leave out --predictions")
    json_file = None if json is None or str(json) == "-" else json
    for output in (json_file, predictions):
        if output is not None:
            check_output(output)
    source = _source(root, csv, pairs, dataset, sanity, (image_column, score_column, subset_column))
    scorers = _scorers(bundle, backend, precision, threads, model, baselines, only_baselines)

    if source is None:
        from edge_iqa.cli.eval_report import as_json
        from edge_iqa.cli.eval_sanity import check_all, raise_failures, sanity_document, sanity_table

        checked = check_all(scorers)
        document, table = as_json(sanity_document(checked)), sanity_table(checked)
    else:
        from edge_iqa.benchmarks.opinion import score_pictures
        from edge_iqa.cli.eval_report import Evaluated, as_json, as_table, report_document, write_predictions
        from edge_iqa.progress import track

        results = []
        assert root is not None
        for scorer in scorers:
            sized = scorer if source.resolution is None else scorer.at(source.resolution)
            scored = score_pictures(track(source.files, f"scoring, {scorer.name}"), root, sized.score)
            results.append(Evaluated(scorer, scored, source.compare(scored.scores)))
        document, table = as_json(report_document(source, results)), as_table(source, results)
        if predictions is not None:
            with open_output(predictions) as stream:
                write_predictions(stream, results)
    if json_file is not None:
        with open_output(json_file) as stream:
            stream.write(document + "\n")
    print(document if json is not None and json_file is None else table)
    if source is None:
        raise_failures(checked)
        return
    errors = {file: error for result in results for file, error in result.scored.errors.items()}
    if errors:
        print(f"{len(errors)} of {len(source.files)} pictures could not be scored:", file=sys.stderr)
        for error in list(errors.values())[:FAILURES_SHOWN]:
            print(f"  {error.code}: {error.what}", file=sys.stderr)
        raise typer.Exit(ImageError.exit_code)


def _source(
    root: Path | None,
    csv: Path | None,
    pairs: Path | None,
    dataset: str | None,
    sanity: bool,
    columns: tuple[str, str, str | None],
) -> EvalSource | None:
    """Return what to compare with, None for the sanity set; raises InvalidInput unless exactly one thing is named."""
    from edge_iqa.cli.eval_sources import dataset_source, opinions_source, pairs_source
    from edge_iqa.errors import InvalidInput

    named = sum(option is not None for option in (csv, pairs, dataset)) + sanity
    if named != 1:
        raise InvalidInput(
            "There must be one thing to compare with", fix="name one of --dataset, --csv or --pairs, or --sanity"
        )
    if sanity:
        return None
    if root is None:
        raise InvalidInput("The folder of the pictures is not named", fix="name it with --root")
    if dataset is not None:
        return dataset_source(dataset, root)
    if csv is not None:
        return opinions_source(csv, *columns)
    assert pairs is not None
    return pairs_source(pairs)


def _scorers(
    bundle: Path | None,
    backend: str,
    precision: str,
    threads: int | None,
    model: Path | None,
    baselines: list[str],
    only_baselines: bool,
) -> list[EvalScorer]:
    """Return the scorers in the order of the table: bundle or network, then the baselines."""
    from edge_iqa.cli.eval_scorers import baseline_scorer, bundle_scorer, network_scorer

    others = [baseline_scorer(name) for name in baselines]
    if only_baselines:
        return others
    own = network_scorer(model) if model is not None else bundle_scorer(bundle, backend, precision, threads)
    return [own, *others]
