"""Distort photographs and see the score fall: one row per distortion, mean score over the photographs at each level.

    python examples/distort_and_score.py FOLDER OUTPUT [--bundle student.eiqa]

Needs the extra `train`, whose distortions it borrows. The distorted pictures are written to OUTPUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import edge_iqa
from edge_iqa.decode import read_image
from edge_iqa.models.degradations import degrade

DISTORTIONS = ("gaublur", "motionblur", "sensornoise", "jpeg", "lowlight", "haze")
LEVELS = (0, 1, 3, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description="Distort photographs and score them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--bundle", type=Path, help="a second bundle to show beside the embedded one")
    options = parser.parse_args()
    photographs = sorted(options.folder.glob("*.jpg"))
    options.output.mkdir(parents=True, exist_ok=True)

    bundles = {"embedded student": None}
    if options.bundle is not None:
        bundles[options.bundle.name] = options.bundle
    scorers = {name: edge_iqa.load(path) for name, path in bundles.items()}
    means: dict[tuple[str, str, int], list[float]] = {}
    for photograph in photographs:
        pristine = read_image(photograph).astype(np.float32) / 255
        for distortion in DISTORTIONS:
            for level in LEVELS:
                picture = np.round(degrade(pristine, distortion, level, seed=0) * 255).astype(np.uint8)
                if level > 0:
                    target = options.output / f"{photograph.stem}_{distortion}_{level}.jpg"
                    cv2.imwrite(str(target), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
                for name, scorer in scorers.items():
                    means.setdefault((name, distortion, level), []).append(scorer(picture).value)

    for name in scorers:
        print(f"\n{name}: mean score of {len(photographs)} photographs, 0..1, higher is better")
        print("distortion     " + "".join(f"{'pristine' if level == 0 else f'level {level}':>10}" for level in LEVELS))
        for distortion in DISTORTIONS:
            row = [float(np.mean(means[name, distortion, level])) for level in LEVELS]
            print(f"{distortion:<15}" + "".join(f"{value:10.3f}" for value in row))


if __name__ == "__main__":
    main()
