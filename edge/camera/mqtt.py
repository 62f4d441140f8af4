"""A sink that publishes decisions to an MQTT broker; reconnecting and queueing are paho-mqtt's."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.scores_log import decision_line
from edge_iqa.camera.sinks import FramesLost, Sink
from edge_iqa.errors import SinkError
from edge_iqa.lazy import need

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

PASSWORD_VARIABLE = "EDGE_IQA_MQTT_PASSWORD"  # noqa: S105 - the name of a variable, not a password
DEFAULT_TOPIC = "edge-iqa"


@dataclass(frozen=True)
class Broker:
    """Where to publish; ``topic`` is the prefix of all topics. The password is not part of the text form."""

    host: str
    port: int = 1883
    topic: str = DEFAULT_TOPIC
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_broker(url: str) -> Broker:
    """Read ``mqtt://[user[:password]@]host[:port][/topic]``, or ``mqtts://`` for TLS; raises SinkError.

    A password is better given in the environment variable EDGE_IQA_MQTT_PASSWORD: arguments are seen by all users of
    a machine.
    """
    fix = "mqtt://host:1883/topic, or mqtts:// for TLS"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SinkError("The address of the MQTT broker cannot be read", why=str(error), fix=fix) from error
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.query or "#" in url:
        raise SinkError("The address of the MQTT broker is not one", fix=fix)
    topic = unquote(parts.path.strip("/")) or DEFAULT_TOPIC
    if any(character in topic for character in "+#\0"):
        raise SinkError("An MQTT topic to publish on has no +, # or NUL", why=f"it is {topic!r}")
    tls = parts.scheme == "mqtts"
    return Broker(
        host=parts.hostname,
        port=port or (8883 if tls else 1883),
        topic=topic,
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else os.environ.get(PASSWORD_VARIABLE),
    )


class MqttSink(Sink):
    """Publishes each kept frame's line of scores.jsonl, without the picture, on ``TOPIC/decision``.

    ``all_decisions`` publishes dropped frames too. ``TOPIC/status`` holds ``online``, and ``offline`` after the end
    or when the connection breaks (retained, last will). Messages are sent at least once (quality of service 1): while
    the broker is away, up to ``max_queued`` wait for it and the rest is lost and counted. Those that waited may arrive
    after newer ones (paho-mqtt sends them once the broker has answered): each has its frame's number. ``warn`` is
    told of connections refused and lost.
    """

    name = "mqtt"
    needs_pixels = False

    def __init__(
        self,
        broker: Broker,
        *,
        all_decisions: bool = False,
        max_queued: int = 1000,
        warn: Callable[[str], None] = lambda text: None,
        close_timeout_s: float = 3.0,
    ) -> None:
        need("paho", "watch")
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.broker = broker
        self.all_decisions = all_decisions
        self._warn = warn
        self._close_timeout_s = close_timeout_s
        self._lock = threading.Lock()
        self._waiting: set[int] = set()  # numbers of decisions that the broker has not acknowledged
        self._waiting_status: set[int] = set()
        self._early: set[int] = set()  # acknowledged before publish() returned their number
        self._client: Client = Client(CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(max_queued)
        self._client.reconnect_delay_set(min_delay=1, max_delay=60)
        self._client.will_set(f"{broker.topic}/status", "offline", qos=1, retain=True)
        if broker.username is not None:
            self._client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            self._client.tls_set()
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(broker.host, broker.port)
        self._client.loop_start()

    @property
    def pending(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        with self._lock:
            return len(self._waiting)

    def wants(self, decision: Decision) -> bool:
        return decision.keep or self.all_decisions

    def handle(self, frame: Frame, decision: Decision) -> None:
        from paho.mqtt.client import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS

        message = self._client.publish(f"{self.broker.topic}/decision", json.dumps(decision_line(decision)), qos=1)
        if message.rc not in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):  # without a connection it waits for one
            raise FramesLost(1, "the broker is away and as many messages as allowed wait for it")
        self._expect(message.mid, self._waiting)

    def close(self) -> None:
        deadline = time.monotonic() + self._close_timeout_s
        while self.pending and time.monotonic() < deadline:
            time.sleep(0.02)
        undelivered = self.pending
        if self._client.is_connected():
            with contextlib.suppress(ValueError, RuntimeError):
                self._publish_status("offline").wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()
        if undelivered:
            raise FramesLost(undelivered, f"{undelivered} messages were not delivered before the end")

    def _publish_status(self, text: str) -> MQTTMessageInfo:
        message = self._client.publish(f"{self.broker.topic}/status", text, qos=1, retain=True)
        self._expect(message.mid, self._waiting_status)
        return message

    def _expect(self, number: int, waiting: set[int]) -> None:
        """Note that an acknowledgement is due; the broker's may have come before. Never locked while paho works."""
        with self._lock:
            if number in self._early:
                self._early.remove(number)
            else:
                waiting.add(number)

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._warn(f"mqtt: {self._where()} refuses the connection: {reason}; it is tried again")
        else:
            self._publish_status("online")

    def _on_connect_fail(self, client: Client, data: Any) -> None:
        self._warn(f"mqtt: {self._where()} cannot be reached; it is tried again")

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._warn(f"mqtt: the connection to {self._where()} broke; it is tried again")

    def _on_publish(self, client: Client, data: Any, number: int, reason: Any, properties: Any) -> None:
        with self._lock:
            for waiting in (self._waiting, self._waiting_status):
                if number in waiting:
                    waiting.remove(number)
                    return
            self._early.add(number)

    def _where(self) -> str:
        return f"{self.broker.host}:{self.broker.port}"
