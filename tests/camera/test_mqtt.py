"""Messages through a real mosquitto, which is also killed and started again while the sink runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from decided import decision, frame

from edge_iqa.camera.mqtt import Broker, MqttSink, parse_broker
from edge_iqa.camera.sinks import FramesLost
from edge_iqa.errors import SinkError

pytest.importorskip("paho.mqtt", reason="needs paho-mqtt: pip install 'edge-iqa[watch]'")
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

PASSWORD = "a password"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="needs the program mosquitto")


def until(condition: Callable[[], object], timeout_s: float = 30.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Mosquitto:
    """A broker on loopback that can be killed and started again; it may ask for a user and password."""

    def __init__(self, folder: Path, password: bool = False) -> None:
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", f"allow_anonymous {str(not password).lower()}"]
        if os.getuid() == 0:
            lines.append("user root")  # the user it would become cannot read the test's folder
        if password:
            file = folder / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), "camera", PASSWORD], check=True, timeout=60)
            file.chmod(0o644)
            lines.append(f"password_file {file}")
        self.config.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        assert until(lambda: reachable(self.port))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Listener:
    """Collects what the broker hands out on every topic; goes on after the broker was away."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, str]] = []
        self.ready = False
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *rest: client.subscribe("#", qos=1)
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._take
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        assert until(lambda: self.ready)

    def _subscribed(self, *rest: Any) -> None:
        self.ready = True

    def _take(self, client: Client, data: Any, message: Any) -> None:
        self.messages.append((message.topic, message.payload.decode()))

    def frames(self) -> list[int]:
        return [json.loads(text)["frame"] for topic, text in self.messages if topic.endswith("/decision")]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    mosquitto.start()
    yield mosquitto
    mosquitto.kill()


@needs_mosquitto
def test_kept_frames_and_status_arrive(broker: Mosquitto) -> None:
    listener = Listener(broker.port)
    sink = MqttSink(Broker("127.0.0.1", broker.port, "site/cam 1"))
    for number in range(5):
        if sink.wants(decision(number, keep=number != 2)):
            sink.handle(frame(number), decision(number))
    assert until(lambda: len(listener.frames()) == 4)
    sink.close()
    assert until(lambda: ("site/cam 1/status", "offline") in listener.messages)
    listener.close()
    assert sorted(listener.frames()) == [0, 1, 3, 4]
    assert ("site/cam 1/status", "online") in listener.messages
    lines = [json.loads(text) for topic, text in listener.messages if topic == "site/cam 1/decision"]
    assert min(lines, key=itemgetter("frame")) == {
        "frame": 0,
        "time_s": 0.0,
        "score": 0.75,
        "decision": "keep",
        "reason": "good",
        "age_ms": 12.5,
    }


@needs_mosquitto
def test_broker_killed_and_back_gets_what_waited(broker: Mosquitto) -> None:
    warnings: list[str] = []
    sink = MqttSink(Broker("127.0.0.1", broker.port), warn=warnings.append)
    sink.handle(frame(0), decision(0))
    assert until(lambda: sink.pending == 0)
    broker.kill()
    assert until(lambda: any("broke" in text for text in warnings))
    for number in range(1, 6):
        sink.handle(frame(number), decision(number))
    assert sink.pending == 5
    broker.start()
    listener = Listener(broker.port)
    assert until(lambda: sink.pending == 0)
    sink.handle(frame(6), decision(6))
    assert until(lambda: 6 in listener.frames())
    sink.close()
    listener.close()


@needs_mosquitto
def test_will_says_offline_when_the_program_is_gone_without_a_word(broker: Mosquitto) -> None:
    listener = Listener(broker.port)
    sink = MqttSink(Broker("127.0.0.1", broker.port))
    assert until(lambda: ("edge-iqa/status", "online") in listener.messages)
    connection = sink._client.socket()
    assert connection is not None
    sink._client.loop_stop()  # as a kill: nothing is sent any more
    connection.shutdown(socket.SHUT_RDWR)
    assert until(lambda: ("edge-iqa/status", "offline") in listener.messages)
    listener.close()


def test_broker_that_never_comes_costs_counted_messages_only() -> None:
    warnings: list[str] = []
    sink = MqttSink(Broker("127.0.0.1", free_port()), max_queued=3, warn=warnings.append, close_timeout_s=0.1)
    lost = 0
    for number in range(5):
        try:
            sink.handle(frame(number), decision(number))
        except FramesLost as error:
            lost += error.count
    assert lost == 2
    assert until(lambda: any("cannot be reached" in text for text in warnings))
    with pytest.raises(FramesLost) as caught:
        sink.close()
    assert caught.value.count == 3


@needs_mosquitto
@pytest.mark.parametrize(("password", "works"), [(PASSWORD, True), ("wrong", False)])
def test_password(tmp_path: Path, password: str, works: bool) -> None:
    mosquitto = Mosquitto(tmp_path, password=True)
    warnings: list[str] = []
    sink = MqttSink(
        Broker("127.0.0.1", mosquitto.port, username="camera", password=password),
        warn=warnings.append,
        close_timeout_s=0.1,
    )
    try:
        mosquitto.start()
        sink.handle(frame(0), decision(0))
        if works:
            assert until(lambda: sink.pending == 0)
            sink.close()
        else:
            assert until(lambda: any("refuses the connection" in text for text in warnings))
            assert password not in " ".join(warnings)
            with pytest.raises(FramesLost):
                sink.close()
    finally:
        mosquitto.kill()


def test_address_of_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_IQA_MQTT_PASSWORD", "from outside")
    assert parse_broker("mqtt://broker") == Broker("broker", 1883, "edge-iqa", password="from outside")
    full = parse_broker("mqtts://me:p%40ss@broker:99/site/cam/")
    assert full == Broker("broker", 99, "site/cam", True, "me", "p@ss")
    assert parse_broker("mqtts://broker").port == 8883
    assert "p@ss" not in repr(full)


@pytest.mark.parametrize("url", ["broker", "http://broker", "mqtt://", "mqtt://b:port", "mqtt://b/a/#", "mqtt://b/+"])
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SinkError):
        parse_broker(url)
