"""What tests of several files need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail where the test, a library in C included, leaves a word on the standard error."""
    yield
    assert capfd.readouterr().err == ""
