"""The preview over HTTP: what it answers, and whom it refuses."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from preview_loop import HEIGHT, WIDTH, PreviewLoop

from edge_iqa.camera.address import Address, parse_address
from edge_iqa.camera.preview_guard import COOKIE, Guard
from edge_iqa.errors import AddressError

pytest.importorskip("starlette", reason="needs starlette: pip install 'edge-iqa[watch]'")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install 'edge-iqa[watch]'")

TOKEN = "a-token-of-the-test-0123"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def loop() -> Iterator[PreviewLoop]:
    running = PreviewLoop()
    yield running
    running.close()


@pytest.fixture(scope="module")
def locked() -> Iterator[PreviewLoop]:
    running = PreviewLoop(token=TOKEN)
    yield running
    running.close()


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()


def ask(loop: PreviewLoop, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """Send a request; in header names given as keywords, _ stands for -."""
    connection = http.client.HTTPConnection("127.0.0.1", loop.preview.address.port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def change(loop: PreviewLoop, document: Any, **headers: str) -> Answer:
    return ask(loop, "/policy", "POST", json.dumps(document).encode(), **{"Content_Type": "application/json"} | headers)


def first_picture(loop: PreviewLoop) -> Answer:
    answer = ask(loop, "/frame.jpg")
    while answer.status == 204:
        answer = ask(loop, "/frame.jpg")
    return answer


def test_page_and_its_parts_are_served_with_strict_headers(loop: PreviewLoop) -> None:
    for path, kind in (("/", "text/html"), ("/preview.css", "text/css"), ("/preview.js", "text/javascript")):
        answer = ask(loop, path)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
    assert ask(loop, "/../preview.py").status == 404


def test_picture_is_the_last_frame_at_the_width_asked_for(loop: PreviewLoop) -> None:
    answer = first_picture(loop)
    picture = cv2.imdecode(np.frombuffer(answer.body, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert int(answer.headers["X-Frame"]) >= 0
    small = cv2.imdecode(np.frombuffer(ask(loop, "/frame.jpg?width=160").body, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert small.shape[1] == 160
    assert ask(loop, "/frame.jpg?width=-99999999").status == 200


def test_state_brings_each_decision_once(loop: PreviewLoop) -> None:
    first_picture(loop)
    first = json.loads(ask(loop, "/state").body)
    assert first["schema_version"] == 1
    assert {"frame", "score", "decision", "reason", "threshold"} <= set(first["decisions"][0])
    second = json.loads(ask(loop, f"/state?after={first['serial']}").body)
    known = {item["frame"] for item in first["decisions"]}
    assert not known & {item["frame"] for item in second["decisions"]}
    restarted = json.loads(ask(loop, "/state?after=999999999").body)
    assert known <= {item["frame"] for item in restarted["decisions"]}


def test_threshold_is_given_to_the_running_loop(loop: PreviewLoop) -> None:
    answer = change(loop, {"threshold": 0.62}, Origin=f"http://{loop.preview.address}")
    assert (answer.status, json.loads(answer.body)) == (200, {"threshold": 0.62})
    assert loop.policy.threshold == 0.62
    assert loop.policy.min_gap_s == 0.05


@pytest.mark.parametrize("document", [{}, [], {"threshold": "0.5"}, {"threshold": True}, {"threshold": 1.5}, None])
def test_nonsense_changes_nothing(loop: PreviewLoop, document: Any) -> None:
    before = loop.policy
    assert change(loop, document).status == 400
    assert loop.policy == before


def test_broken_body_is_refused(loop: PreviewLoop) -> None:
    assert ask(loop, "/policy", "POST", b"{", **{"Content_Type": "application/json"}).status == 400
    assert ask(loop, "/policy", "POST", b"[" * 1000, **{"Content_Type": "application/json"}).status == 400
    assert ask(loop, "/policy", "POST", b" " * 5000, **{"Content_Type": "application/json"}).status == 413
    assert ask(loop, "/policy", "POST", b'{"threshold": NaN}', **{"Content_Type": "application/json"}).status == 400
    assert ask(loop, "/policy", "GET").status == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8080"},  # DNS rebinding: the attacker's name leads to 127.0.0.1
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.168.1.7"},
        {"Host": "[bad"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
def test_hostile_page_cannot_change_the_policy(loop: PreviewLoop, headers: dict[str, str]) -> None:
    before = loop.policy
    assert change(loop, {"threshold": 0.11}, **headers).status == 403
    assert loop.policy == before


def test_form_of_a_hostile_page_is_refused_even_without_an_origin(loop: PreviewLoop) -> None:
    before = loop.policy
    answer = ask(loop, "/policy", "POST", b'{"threshold": 0.11}', Content_Type="text/plain")
    assert answer.status == 415
    assert loop.policy == before


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Sec_Fetch_Site": "cross-site"}])
def test_hostile_page_cannot_see_the_camera(loop: PreviewLoop, headers: dict[str, str]) -> None:
    assert ask(loop, "/frame.jpg", **headers).status == 403
    assert ask(loop, "/state", **headers).status == 403


@pytest.mark.parametrize(
    "path", ["/", "/state", "/frame.jpg", "/preview.js", "/nothing", "/?token=wrong-token-0123456"]
)
def test_nothing_is_served_without_the_token(locked: PreviewLoop, path: str) -> None:
    assert ask(locked, path).status == 401
    assert ask(locked, path, Cookie=f"{COOKIE}={TOKEN}").status == 401
    assert ask(locked, path, Authorization="Bearer wrong-token-0123456").status == 401
    assert ask(locked, path, Cookie=f"{COOKIE}=\xe9").status == 401


def test_link_with_the_token_opens_a_session_and_hides_the_token(locked: PreviewLoop) -> None:
    assert f"token={TOKEN}" in locked.preview.url
    answer = ask(locked, f"/?token={TOKEN}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert TOKEN not in cookie
    assert ask(locked, "/state", Cookie=cookie.partition(";")[0]).status == 200


def test_token_as_a_header_serves_programs(locked: PreviewLoop) -> None:
    assert ask(locked, "/state", Authorization=f"Bearer {TOKEN}").status == 200
    assert change(locked, {"threshold": 0.4}).status == 401
    assert change(locked, {"threshold": 0.4}, Authorization=f"Bearer {TOKEN}").status == 200


def test_address_that_others_reach_gets_a_token_of_its_own() -> None:
    made = [Guard.for_address(Address("0.0.0.0", 8080), None).token for _ in range(2)]
    assert all(token is not None and len(token) >= 32 for token in made)
    assert made[0] != made[1]
    assert Guard.for_address(parse_address("127.0.0.1:1"), None).token is None


def test_token_from_the_environment_survives_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_IQA_PREVIEW_TOKEN", TOKEN)
    running = PreviewLoop("0.0.0.0:0")
    try:
        assert running.preview.url.endswith(f"/?token={TOKEN}")
        assert "0.0.0.0" not in running.preview.url
        assert ask(running, "/state", Authorization=f"Bearer {TOKEN}").status == 200
    finally:
        running.close()


def test_all_addresses_are_served_with_a_token_only() -> None:
    running = PreviewLoop("0.0.0.0:0")
    try:
        assert ask(running, "/state").status == 401
        assert ask(running, "/state", Authorization=f"Bearer {running.preview.guard.token}").status == 200
    finally:
        running.close()


@pytest.mark.parametrize("token", ["short", "x" * 15, "ümläut-and-long-enough", "line\nbreak-long-enough"])
def test_weak_token_is_refused(token: str) -> None:
    with pytest.raises(AddressError, match="token"):
        Guard.for_address(Address("0.0.0.0", 1), token)


def test_taken_address_is_an_error_of_ours(loop: PreviewLoop) -> None:
    with pytest.raises(AddressError, match="cannot be served"):
        PreviewLoop(str(loop.preview.address))


def test_close_ends_the_server_and_its_thread() -> None:
    running = PreviewLoop()
    assert ask(running, "/state").status == 200
    running.close()
    assert not running.preview._thread.is_alive()
    with pytest.raises(OSError, match="refused"):
        ask(running, "/state")
