"""Keep only the good frames of a camera or a video.

    python camera_filter.py clip.avi                  # a video file; rtsp://host/stream for a stream
    python camera_filter.py 0 --threshold 0.6         # the first camera, stricter; Ctrl-C ends it

Writes kept frames as frame_000123.jpg and a line for every frame to scores.jsonl, both into --keep-dir.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cv2

import edge_iqa
from edge_iqa.errors import CameraError, EdgeIqaError

DEFAULT_THRESHOLD = 0.5  # on 0..1; for your own camera, look at the scores of a run with --threshold 0


def open_source(source: str) -> cv2.VideoCapture:
    """Open a camera by its number, a stream by its URL, or a video file."""
    if not source.isdecimal() and "://" not in source and not Path(source).is_file():
        raise CameraError(f"There is no video {source}", fix="name a file, a camera's number, or a URL")
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if capture.isOpened():
        return capture
    raise CameraError(f"{source} cannot be opened as a camera or video")


def filter_frames(source: str, threshold: float, folder: Path, counts: dict[str, int]) -> None:
    """Score every frame and write the good ones, counting them in ``counts``."""
    capture = open_source(source)
    fps = capture.get(cv2.CAP_PROP_FPS) if Path(source).is_file() else 0.0
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with edge_iqa.load() as scorer, open(folder / "scores.jsonl", "w") as log:  # the embedded model
        while capture.grab():  # false at the end of a video, or when a camera stops
            captured = time.perf_counter()
            number = sum(counts.values())
            readable, frame = capture.retrieve()
            if not readable:
                counts["broken"] += 1
                continue
            score = scorer(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).value  # OpenCV has BGR
            keep = score >= threshold
            if keep and not cv2.imwrite(str(folder / f"frame_{number:06d}.jpg"), frame):
                raise OSError(f"frame {number} cannot be written to {folder}")
            counts["kept" if keep else "dropped"] += 1
            time_s = number / fps if fps > 0 else captured - started
            decision, reason = ("keep", "good enough") if keep else ("drop", "below the threshold")
            age_ms = (time.perf_counter() - captured) * 1e3  # from the camera to the decision
            line: dict[str, object] = {"frame": number, "time_s": round(time_s, 3), "score": round(score, 4)}
            line |= {"decision": decision, "reason": reason, "age_ms": round(age_ms, 1)}
            log.write(json.dumps(line) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep only the good frames of a camera or a video.")
    parser.add_argument("source", help="a video file, a camera's number, or a stream's URL")
    parser.add_argument("--threshold", type=float, default=DEFAULT_THRESHOLD, help="default: %(default)s")
    parser.add_argument("--keep-dir", type=Path, default=Path("kept"), help="default: %(default)s")
    options = parser.parse_args()
    counts = {"kept": 0, "dropped": 0, "broken": 0}
    try:
        filter_frames(options.source, options.threshold, options.keep_dir, counts)
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a camera run ends
    except (EdgeIqaError, OSError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 2)
    print(", ".join(f"{n} {name}" for name, n in counts.items()), "in", options.keep_dir, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
