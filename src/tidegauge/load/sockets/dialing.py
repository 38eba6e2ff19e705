"""How a WebSocket comes up: TCP, the upgrade of RFC 6455, and what is refused on the way.

    url, headers -> dial -> (a connected socket that never waits, bytes that already came after the answer)

It waits in its greenlet, through gevent; the socket it hands out is a bare one, for a reader inside gevent's loop.
Compression is not offered: to unpack would cost the generator more than all the rest.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from gevent import monkey
from gevent import socket as waiting

from tidegauge.errors import TidegaugeError

ACCEPT_SALT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ANSWER_BYTES_MAX: Final = 16 * 1024
SCHEMES: Final = {"ws": 80, "http": 80}

BareSocket: Any = monkey.get_original("socket", "socket")


class Refused(Exception):
    """The server is not there, or does not want us; the text says which."""


def dial(
    url: str, headers: Mapping[str, str], *, within_s: float, receive_buffer_bytes: int | None = None
) -> tuple[Any, bytes]:
    """A small `receive_buffer_bytes` makes a client whose slowness the server feels soon."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise TidegaugeError(f"{url} is no WebSocket that we can open", "Give ws://HOST:PORT/PATH; TLS is not spoken.")
    port = parts.port or SCHEMES[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    key = base64.b64encode(os.urandom(16))
    lines = {
        "Host": f"{parts.netloc.rpartition('@')[2]}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    for name, value in lines.items():
        if "\n" in name + value or "\r" in name + value:
            raise TidegaugeError(f"The header {name!r} has a line break in it", "Is the token a whole line too long?")
    request = f"GET {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    connection = None
    try:
        with gevent.Timeout(within_s, Refused(f"no answer within {within_s:g} s")):
            connection = _connect(parts.hostname, port, receive_buffer_bytes)
            connection.sendall(request.encode("latin-1"))
            rest = _upgraded(connection, key)
        bare = BareSocket(connection.family, connection.type, connection.proto, fileno=connection.detach())
        bare.setblocking(False)
    except OSError as error:
        raise Refused(error.strerror or str(error)) from error
    finally:
        if connection is not None:
            connection.close()  # nothing, once it is detached
    return bare, rest


def _connect(host: str, port: int, receive_buffer_bytes: int | None) -> Any:
    failure: OSError = OSError(f"the name {host} has no address")
    for family, kind, protocol, _, address in waiting.getaddrinfo(host, port, 0, waiting.SOCK_STREAM):
        connection = waiting.socket(family, kind, protocol)
        try:
            if receive_buffer_bytes is not None:  # before the connection: it decides on the window
                connection.setsockopt(waiting.SOL_SOCKET, waiting.SO_RCVBUF, receive_buffer_bytes)
            connection.setsockopt(waiting.IPPROTO_TCP, waiting.TCP_NODELAY, 1)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


def _upgraded(connection: Any, key: bytes) -> bytes:
    """Reads the answer to its end; returns what came behind it."""
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        if len(answer) > ANSWER_BYTES_MAX:
            raise Refused(f"the answer to the upgrade is longer than {ANSWER_BYTES_MAX} bytes")
        piece = connection.recv(4096)
        if not piece:
            raise Refused("the server closed instead of answering the upgrade")
        answer += piece
    first, *lines = answer[:end].decode("latin-1").split("\r\n")
    _, _, status = first.partition(" ")
    if not status.startswith(str(HTTPStatus.SWITCHING_PROTOCOLS.value)):
        raise Refused(f"the upgrade was answered with {status[:100] or 'no HTTP'}")
    said = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    expected = base64.b64encode(hashlib.sha1(key + ACCEPT_SALT, usedforsecurity=False).digest()).decode()
    if said.get("sec-websocket-accept") != expected or said.get("upgrade", "").lower() != "websocket":
        raise Refused("the answer to the upgrade is not one of a WebSocket")
    if said.get("sec-websocket-extensions"):
        raise Refused("the server compresses although that was not offered")
    return answer[end + 4 :]
