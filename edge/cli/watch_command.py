"""``edge-iqa watch``: keep the good frames of a camera or a video; or decide again on recorded scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SOURCE_HELP = (
    "A video, a folder of pictures, a camera (0, /dev/video0), a URL (rtsp://…), picamera, a GStreamer pipeline"
    " ('… ! …'), '-' for frames on stdin, test:640x480@30 for a test pattern, or env:NAME to take it from a variable."
)


def command(
    source: Annotated[str | None, typer.Argument(help=_SOURCE_HELP)] = None,
    policy: Annotated[
        str, typer.Option(help="slam, inspection, archive, surveillance, dataset, or a TOML file.")
    ] = "inspection",
    threshold: Annotated[float | None, typer.Option(help="Replaces the policy's threshold, 0 to 1.")] = None,
    keep_dir: Annotated[Path | None, typer.Option(help="Write kept frames here as JPEG.")] = None,
    keep_max_mb: Annotated[int, typer.Option(min=1, help="Limit of --keep-dir in megabytes; the oldest go.")] = 1024,
    keep_max_frames: Annotated[int, typer.Option(min=1, help="Limit of --keep-dir in frames; the oldest go.")] = 10000,
    rejects_dir: Annotated[Path | None, typer.Option(help="Write a sample of the dropped frames here.")] = None,
    rejects_every: Annotated[int, typer.Option(min=1, help="One in how many dropped frames of a reason.")] = 100,
    scores: Annotated[
        Path | None, typer.Option(help="Write a JSON line per frame here; stdout where nothing else is asked for.")
    ] = None,
    on_keep: Annotated[
        str | None,
        typer.Option(help="A command for each kept frame, without a shell; {frame} {score} {time_s} {reason} {path}."),
    ] = None,
    mqtt: Annotated[str | None, typer.Option(help="Publish kept frames' lines: mqtt://host:1883/topic.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Prometheus metrics at HOST:PORT/metrics.")] = None,
    preview: Annotated[str | None, typer.Option(help="A page with the live picture at HOST:PORT.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="A .eiqa bundle; the embedded one by default.")] = None,
    backend: Annotated[str, typer.Option(help="auto, onnxruntime, openvino, tflite or tensorrt.")] = "auto",
    precision: Annotated[str, typer.Option(help="int8 or fp32.")] = "int8",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the runtime.")] = None,
    max_cpu: Annotated[
        str | None, typer.Option(help="At most this share of one core, such as 50%: frames are skipped to hold it.")
    ] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="End after looking at this many frames.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT to ask of a camera, or of --raw frames.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.001, help="Frames per second to ask of a camera.")] = None,
    raw: Annotated[str | None, typer.Option(help="Headerless frames on stdin: rgb24, bgr24, gray8, i420.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Frames on stdin come from a camera: drop old ones.")] = False,
    stall_after: Annotated[float, typer.Option(min=0.1, help="Seconds without data until a camera is reopened.")] = 10,
    frozen_after: Annotated[
        float,
        typer.Option(min=0, help="Seconds of the very same picture until a camera is frozen; 0: never."),
    ] = 10,
    give_up_after: Annotated[
        float | None, typer.Option(min=0, help="End when a camera is gone for so many seconds; never by default.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Decide again on a scores.jsonl, without pictures and without SOURCE.")
    ] = None,
    tune: Annotated[
        str | None, typer.Option(help="With --replay: find the threshold for keep=30% and print the policy.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="With --replay: draw score, threshold, decisions as SVG.")] = None,
) -> None:
    from dataclasses import replace

    from edge_iqa.camera.policy_spec import load_policy
    from edge_iqa.errors import InvalidInput

    rules = load_policy(policy)
    if threshold is not None:
        rules = replace(rules, threshold=threshold)
    if replay is not None:
        from edge_iqa.cli.watch_replay import replay_scores

        if source is not None:
            raise InvalidInput("--replay needs no SOURCE", why=f"got {source!r}")
        replay_scores(rules, replay, tune, plot, scores)
        return
    if tune is not None or plot is not None:
        raise InvalidInput("--tune and --plot work on recorded scores", fix="add --replay scores.jsonl")
    if source is None:
        from edge_iqa.camera.source_open import KINDS

        raise InvalidInput("No SOURCE was named", fix=KINDS)

    from edge_iqa.cli.watch_run import Outputs, WatchRequest, parse_share, parse_size, watch

    width, height = parse_size(size)
    outputs = Outputs(
        keep_dir=keep_dir,
        keep_max_bytes=keep_max_mb << 20,
        keep_max_frames=keep_max_frames,
        rejects_dir=rejects_dir,
        rejects_every=rejects_every,
        scores=scores,
        on_keep=on_keep,
        mqtt=mqtt,
        metrics=metrics,
        preview=preview,
    )
    request = WatchRequest(
        source=source,
        policy=rules,
        outputs=outputs,
        bundle=bundle,
        backend=backend,
        precision=precision,
        threads=threads,
        max_cpu=None if max_cpu is None else parse_share(max_cpu),
        max_frames=max_frames,
        width=width,
        height=height,
        fps=fps,
        raw=raw,
        live=live,
        stall_s=stall_after,
        frozen_after_s=frozen_after or None,
        give_up_s=give_up_after,
    )
    code = watch(request)
    if code:
        raise typer.Exit(code)
