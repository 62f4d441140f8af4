"""``edge-iqa watch --replay``: a policy on recorded scores, tuned for a share to keep, and drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_iqa.camera.decision_plot import decision_plot
from edge_iqa.camera.policy_spec import Policy, policy_text
from edge_iqa.camera.replay import read_scores, replay, summarize
from edge_iqa.camera.scores_log import decision_line
from edge_iqa.camera.tune import parse_target, tune
from edge_iqa.cli.output import check_output, open_output


def replay_scores(
    policy: Policy, recorded_path: Path, tune_for: str | None, plot: Path | None, scores: Path | None
) -> None:
    """Print the decisions as JSON lines, or with ``tune_for`` the tuned policy as TOML; counts go to stderr."""
    share = None if tune_for is None else parse_target(tune_for)
    for path in (plot, scores):
        if path is not None:
            check_output(path)
    recorded = read_scores(recorded_path)
    if share is not None:
        tuned = tune(policy, recorded, share)
        policy = tuned.policy
        print(policy_text(policy), end="")
        print(f"threshold {policy.threshold:g} keeps {tuned.kept_share:.1%} of {tuned.frames} frames", file=sys.stderr)
        if tuned.note:
            print(tuned.note, file=sys.stderr)
    decisions = replay(policy, recorded)
    text = "".join(json.dumps(decision_line(decision)) + "\n" for decision in decisions)
    if scores is not None:
        with open_output(scores) as stream:
            stream.write(text)
    elif share is None:
        print(text, end="")
    if plot is not None:
        with open_output(plot) as stream:
            stream.write(decision_plot(decisions, policy.name))
    summary = summarize(recorded, decisions)
    print(
        f"{summary.frames} frames: {summary.kept} kept ({summary.kept_share:.1%}), "
        f"{summary.changed} decided otherwise than recorded",
        file=sys.stderr,
    )
    for reason, count in sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {count} {reason.replace('_', ' ')}", file=sys.stderr)
