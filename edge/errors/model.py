"""Bundles, networks, graphs and training."""

from __future__ import annotations

from edge_iqa.errors.base import EdgeIqaError


class WeightsMissing(EdgeIqaError):
    """Pretrained weights that a training method starts from are not on this machine.

    Methods that start from an image-text model (``qualiclip``, ``sfd-iqa``, and the second branch of ``grepq``) load it
    by open_clip, from a file or by a tag; text alignment in ``hirqa`` needs a text encoder. Nothing is replaced by
    random weights. Fetch the weights on a machine with a connection and name the file in the recipe.
    """

    code = "E400"
    exit_code = 4


class ResumeRefused(EdgeIqaError):
    """``--resume`` found a checkpoint that another recipe, seed or set of photographs made.

    Going on from it would give a teacher that no recipe describes. Use the recipe and the photographs of the first run,
    or start again without ``--resume``.
    """

    code = "E401"
    exit_code = 2


class BundleRefused(EdgeIqaError):
    """The bundle is not one that can be trusted to score correctly.

    A bundle is one ``.eiqa`` file: a zip with fixed names, no links, bounded sizes, and a manifest that holds the
    sha256 of every file. A missing, added, altered or oversized file, or a schema newer than this tool, is refused
    before anything in it is used. Fetch the bundle again or rebuild it with ``edge-iqa quantize``.
    """

    code = "E500"
    exit_code = 5


class BundleBroken(BundleRefused):
    """The file is not one whole, plain zip as edge-iqa writes it.

    It is cut short, its compressed data is damaged, it is encrypted or compressed in another way, or it has bytes
    before, between or after its files. A bundle that went through another zip program ends here too, even with
    the same files in it. Fetch it again and compare its sha256 with the publisher's.
    """

    code = "E503"


class BundleAltered(BundleRefused):
    """A file in the bundle is not the one that the manifest lists: another sha256 or size, missing, or added.

    Damage in transit and tampering look the same here. The manifest itself is not signed: where an attacker may
    rewrite the whole bundle, compare the sha256 of the ``.eiqa`` file with the publisher's.
    """

    code = "E504"


class BundleUnsafe(BundleRefused):
    """The bundle holds a name, a link or a special file that no bundle may hold, or one name twice.

    Names are fixed, so that nothing in a bundle can point outside of it. Such a file was not written by edge-iqa;
    do not use it.
    """

    code = "E505"


class BundleTooLarge(BundleRefused):
    """The bundle has, or would unpack to, more bytes than allowed, or unpacks to more than 200 times its size.

    The sizes are read from the headers before anything is unpacked, so that a small hostile file cannot take all
    memory.
    """

    code = "E506"


class ManifestRefused(BundleRefused):
    """The manifest is missing, is not JSON, has unknown or missing keys, or a schema version of another edge-iqa.

    A ``schema_version`` above the one that this version reads means: update edge-iqa. Anything else means that the
    bundle is damaged or was written by something else.
    """

    code = "E507"


class GoldenRefused(BundleRefused):
    """The golden pictures, or the document of what is expected of them, are missing or cannot be read.

    ``edge-iqa verify`` needs them; scoring does not. Rebuild the bundle with ``edge-iqa quantize``.
    """

    code = "E508"


class ModelRefused(EdgeIqaError):
    """A checkpoint does not fit the network: keys are missing, unexpected, or have another shape.

    The first differences are listed. Checkpoints are read with ``torch.load(weights_only=True)`` only; a file that
    needs arbitrary code to load is refused.
    """

    code = "E501"
    exit_code = 5


class GraphUnsupported(ModelRefused):
    """A graph holds an operator, attribute or layout that the target format cannot express exactly.

    The node's name and the rule are in the message. Nothing was written.
    """

    code = "E502"


class BackendMismatch(EdgeIqaError):
    """A runtime returned something other than the contract: one finite float32 score in [0, 1] per picture."""

    code = "E510"
    exit_code = 5
