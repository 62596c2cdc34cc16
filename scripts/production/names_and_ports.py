"""The two small servers that a container engine would bring: published ports, and names.

`forward` listens on this machine's loopback and hands each connection to a service inside; `answer_names` is the
resolver that HAProxy asks for the addresses of replicas. Both run until they are killed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress

CHUNK = 65536
HEADER = struct.Struct("!6H")
TYPE_A, CLASS_IN = 1, 1


async def forward(listener: socket.socket, address: str, port: int) -> None:
    """Hand every connection on `listener` to `address:port`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))

    async with await asyncio.start_server(connected, sock=listener) as server:
        await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.close()


def answer(question: bytes, addresses: Mapping[str, str]) -> bytes:
    """The answer to one DNS question (RFC 1035): the address of a name that we know, else "no such name"."""
    number, _, _, _, _, _ = HEADER.unpack_from(question)
    labels, at = [], HEADER.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    asked = question[HEADER.size : at + 5]
    kind, _ = struct.unpack_from("!2H", question, at + 1)
    address = addresses.get(".".join(labels).lower())
    records = b""
    if address is not None and kind == TYPE_A:
        # 0xC00C: "the name that stands at byte 12"; two seconds to live.
        records = struct.pack("!HHHIH", 0xC00C, TYPE_A, CLASS_IN, 2, 4) + socket.inet_aton(address)
    flags = 0x8580 if address is not None else 0x8583
    return HEADER.pack(number, flags, 1, 1 if records else 0, 0, 0) + asked + records


def answer_names(listening: str, addresses: Mapping[str, str]) -> None:
    """Answer DNS questions on UDP port 53 of `listening`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listening, 53))
        while True:
            question, asker = server.recvfrom(CHUNK)
            with suppress(struct.error, IndexError):
                server.sendto(answer(question, addresses), asker)
