"""Fit NIQE's pristine model: a Gaussian of the features of sharp patches of undistorted photographs.

    python -m edge_iqa.benchmarks.niqe_fit FOLDER [FOLDER ...] -o niqe.safetensors [--without NAME ...]

A patch is sharp where its mean local deviation is above 0.75 of the highest in its photograph (Mittal et al., 2013; see
``niqe``). The same photographs give the same numbers. Needs safetensors (extra ``train``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

import edge_iqa
from edge_iqa.benchmarks.niqe import SCHEMA_VERSION, Array, PatchGaussian, fit_gaussian, luma
from edge_iqa.benchmarks.niqe_features import FEATURES, patch_statistics
from edge_iqa.cli.output import check_output
from edge_iqa.cli.score_command import PICTURE_SUFFIXES
from edge_iqa.decode import decode_image
from edge_iqa.errors import InvalidInput
from edge_iqa.lazy import need
from edge_iqa.progress import track

SHARPNESS_SHARE = 0.75


def sharp_features(features: Array, sharpness: Array) -> Array:
    """Return those rows of one photograph's ``features`` ``(P, 36)`` whose patch is sharp and has a fit."""
    if not len(features):
        return features
    kept: Array = features[(sharpness > SHARPNESS_SHARE * sharpness.max()) & np.isfinite(features).all(1)]
    return kept


def fit_model(folders: Sequence[Path], without: Collection[str] = ()) -> tuple[PatchGaussian, dict[str, str]]:
    """Fit the photographs in ``folders`` except those whose file name is in ``without``; return also facts of the data.

    Raises InvalidInput where a folder has no photograph, where a name of ``without`` is in none, or where fewer patches
    are sharp than there are features; ImageError for a file that cannot be read.
    """
    kept: list[Array] = []
    digest = hashlib.sha256()
    files = [path for folder in folders for path in _photographs(folder)]
    unknown = set(without) - {path.name for path in files}
    if unknown:
        raise InvalidInput(f"There is no photograph {min(unknown)!r} to leave out")
    files = [path for path in files if path.name not in without]
    for path in track(files, "fitting NIQE"):
        content = path.read_bytes()
        digest.update(hashlib.sha256(content).digest())
        kept.append(sharp_features(*patch_statistics(luma(decode_image(content, str(path))))))
    patches = np.vstack(kept) if kept else np.empty((0, FEATURES))
    if len(patches) <= FEATURES:
        raise InvalidInput(f"{len(patches)} sharp patches are too few", fix=f"more than {FEATURES} are needed")
    facts = {
        "schema_version": SCHEMA_VERSION,
        "edge_iqa": edge_iqa.__version__,
        "folders": json.dumps([folder.resolve().name for folder in folders]),
        "photographs": str(len(files)),
        "patches": str(len(patches)),
        "left_out": json.dumps(sorted(without)),
        "sha256": digest.hexdigest(),
    }
    return fit_gaussian(patches), facts


def write_model(path: Path, model: PatchGaussian, facts: dict[str, str]) -> None:
    """Write mean ``(36,)`` and covariance ``(36, 36)``, float64, as safetensors; ``facts`` go into its header."""
    need("safetensors", "train")
    from safetensors.numpy import save_file

    save_file({"mean": model.mean, "covariance": model.covariance}, path, metadata=facts)


def _photographs(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise InvalidInput(f"There is no photograph in {folder}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit NIQE's pristine model to undistorted photographs.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="file names to leave out")
    options = parser.parse_args()
    check_output(options.output)
    model, facts = fit_model(options.folders, options.without)
    write_model(options.output, model, facts)
    print(f"{facts['photographs']} photographs, {facts['patches']} sharp patches, sha256 {facts['sha256']}")


if __name__ == "__main__":
    main()
