"""Pictures that cannot be scored."""

from __future__ import annotations

from edge_iqa.errors.base import EdgeIqaError


class ImageError(EdgeIqaError):
    """One picture could not be scored. In a folder, the other pictures are still scored; the exit status is 3."""

    code = "E200"
    exit_code = 3


class ImageNotFound(ImageError):
    """There is no file at this path. Relative paths are taken from the current directory."""

    code = "E201"


class ImageUnreadable(ImageError):
    """The path exists but cannot be read as a file: no permission, a directory, or a special file.

    Folders are walked only where a folder is expected (``edge-iqa score FOLDER``), not inside a list of files.
    """

    code = "E202"


class ImageFormat(ImageError):
    """The file's first bytes are not those of an accepted picture format (JPEG, PNG, WebP, BMP, TIFF, PNM).

    The name's ending is not looked at. A text file renamed to ``.jpg`` ends here.
    """

    code = "E203"


class ImageCorrupt(ImageError):
    """The header is that of a picture, but the data is broken or cut short.

    A half-decoded picture has a grey or repeated lower part, and its score would be meaningless, so none is given.
    Copy the file again from its source.
    """

    code = "E204"


class ImageTooLarge(ImageError):
    """The header announces more pixels, or the file has more bytes, than the limit.

    The size is read from the header before any pixel is decoded, so that a small hostile file cannot take all
    memory. The limit is 100 megapixels and 256 MiB; scale the picture down first.
    """

    code = "E205"
