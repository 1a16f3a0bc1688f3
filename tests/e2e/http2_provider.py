# SPDX-License-Identifier: Apache-2.0
"""A provider that speaks HTTP/2 frame by frame, well or badly, as a script wants it.

Like harness.Provider, but calls of one connection run at once, a thread each. A Call has the same
verbs (`reply`, `stream_head`, `chunk`, `stream_end`), so scripts written for HTTP/1 serve here too,
and beside them what only HTTP/2 can do: resets, trailers, interim heads, GOAWAY.
"""
import collections
import json
import queue
import socket
import ssl
import struct
import threading

import hpack

from harness import DEADLINE_S, default_script
from http2 import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NO_ERROR,
                   PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, pack)

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4


class Call:
    def __init__(self, connection, stream, fields):
        self.provider, self.conn, self.stream = connection.provider, connection, stream
        self.connection = connection.number
        self.fields = fields
        self.headers = dict(fields)
        self.method, self.path = self.headers.get(":method"), self.headers.get(":path")
        self.body = b""
        self.complete = threading.Event()
        self.reset_code = None
        self.was_reset = threading.Event()

    def json(self):
        return json.loads(self.body)

    # ---- Answering

    def head(self, status, fields=(), end=False):
        self.conn.headers(self.stream, [(":status", str(status))] + list(fields), end)

    def data(self, data, end=False):
        """Within the gateway's windows; waits for them."""
        while True:
            n = min(len(data), 16384, self.conn.take_window(self.stream, len(data)))
            part, data = data[:n], data[n:]
            self.conn.frame(DATA, END_STREAM if end and not data else 0, self.stream, part)
            if not data:
                return

    def reply(self, status, body, headers=(), content_type="application/json"):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.head(status, [("content-type", content_type), ("content-length", str(len(body)))]
                  + [(k.lower(), v) for k, v in headers])
        self.data(body, end=True)

    def stream_head(self, headers=()):
        self.head(200, [("content-type", "text/event-stream")] + list(headers))

    def chunk(self, data):
        self.data(data)

    def stream_end(self):
        self.conn.frame(DATA, END_STREAM, self.stream)

    def reset(self, code):
        self.conn.frame(RST_STREAM, 0, self.stream, struct.pack(">I", code))

    def wait_reset(self):
        """The code with which the gateway takes this call back; None past the deadline."""
        self.was_reset.wait(DEADLINE_S)
        return self.reset_code


class Connection:
    def __init__(self, provider, sock, number):
        self.provider, self.sock, self.number = provider, sock, number
        self.lock = threading.RLock()
        self.moved = threading.Condition(self.lock)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.calls = {}
        self.window, self.initial = 65535, 65535  # the gateway's
        self.windows = {}
        self.settings = {}
        self.pings = 0
        self.goaway_code = None
        self.ended = threading.Event()
        self.peak = 0  # calls at once

    # ---- Sending

    def frame(self, type_, flags=0, stream=0, payload=b""):
        with self.lock:
            self.sock.sendall(pack(type_, flags, stream, payload))
            if type_ in (DATA, HEADERS) and flags & END_STREAM or type_ == RST_STREAM:
                self.calls.pop(stream, None)

    def headers(self, stream, fields, end=False):
        with self.lock:
            block = self.encoder.encode(fields, huffman=False)
            first, rest = block[:16384], block[16384:]
            flags = (END_STREAM if end else 0) | (0 if rest else END_HEADERS)
            self.sock.sendall(pack(HEADERS, flags, stream, first))
            while rest:
                first, rest = rest[:16384], rest[16384:]
                self.sock.sendall(pack(CONTINUATION, 0 if rest else END_HEADERS, stream, first))
            if end:
                self.calls.pop(stream, None)

    def take_window(self, stream, wanted):
        with self.moved:
            if wanted == 0:
                return 0

            def room():
                return min(self.window, self.windows.get(stream, 0))
            if not self.moved.wait_for(lambda: room() > 0 or stream not in self.windows,
                                       DEADLINE_S):
                raise TimeoutError("no window")
            if stream not in self.windows:
                raise BrokenPipeError("reset")
            n = min(wanted, room(), 16384)
            self.window -= n
            self.windows[stream] -= n
            return n

    def goaway(self, last, code=NO_ERROR):
        self.frame(GOAWAY, 0, 0, struct.pack(">II", last, code))

    # ---- Reading

    def exactly(self, n):
        out = b""
        while len(out) < n:
            data = self.sock.recv(n - len(out))
            if not data:
                raise EOFError
            out += data
        return out

    def run(self):
        if self.exactly(len(PREFACE)) != PREFACE:
            raise EOFError("no preface")
        if self.provider.settings is not None:
            self.frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v)
                                                for k, v in self.provider.settings.items()))
        while True:
            head = self.exactly(9)
            payload = self.exactly(int.from_bytes(head[:3], "big"))
            self.take(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    def take(self, type_, flags, stream, payload):
        if type_ == SETTINGS and not flags & ACK:
            with self.moved:
                pairs = struct.iter_unpack(">HI", payload)
                self.settings.update(pairs)
                self.initial = self.settings.get(INITIAL_WINDOW_SIZE, 65535)
                self.moved.notify_all()
            self.frame(SETTINGS, ACK)
        elif type_ == PING and not flags & ACK:
            self.pings += 1
            if not self.provider.mute:
                self.frame(PING, ACK, 0, payload)
        elif type_ == WINDOW_UPDATE:
            with self.moved:
                n = struct.unpack(">I", payload)[0]
                if stream == 0:
                    self.window += n
                elif stream in self.windows:
                    self.windows[stream] += n
                self.moved.notify_all()
        elif type_ == HEADERS:
            assert flags & END_HEADERS
            fields = [(k if isinstance(k, str) else k.decode("latin-1"),
                       v if isinstance(v, str) else v.decode("latin-1"))
                      for k, v in self.decoder.decode(payload)]
            self.begin(stream, fields, bool(flags & END_STREAM))
        elif type_ == DATA:
            self.body(stream, payload, bool(flags & END_STREAM))
        elif type_ == RST_STREAM:
            self.was_reset(stream, struct.unpack(">I", payload)[0])
        elif type_ == GOAWAY:
            self.goaway_code = struct.unpack(">II", payload[:8])[1]

    def begin(self, stream, fields, whole):
        call = Call(self, stream, fields)
        with self.moved:
            self.calls[stream] = call
            self.windows[stream] = self.initial
            self.peak = max(self.peak, len(self.calls))
        if self.provider.early:
            self.provider.start(call)
        if whole:
            self.whole(call)

    def body(self, stream, payload, whole):
        call = self.calls.get(stream)
        if payload and not self.provider.stingy:
            self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload)))
            if not whole:
                self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", len(payload)))
        if call:
            call.body += payload
            if whole:
                self.whole(call)

    def whole(self, call):
        call.complete.set()
        if not self.provider.early:
            self.provider.start(call)

    def was_reset(self, stream, code):
        with self.moved:
            call = self.calls.pop(stream, None)
            self.windows.pop(stream, None)
            self.moved.notify_all()
        if call:
            call.reset_code = code
            call.was_reset.set()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class H2Provider:
    """`script(call)` runs for each whole request (`early`: when its head has come)."""

    def __init__(self, script=None, tls=None, settings=None, early=False, mute=False, stingy=False):
        self.script = script or default_script
        self.tls, self.early, self.mute, self.stingy = tls, early, mute, stingy
        self.settings = {} if settings is None else settings
        self.calls = queue.Queue()
        self.seen = []
        self.connections = []
        self.failures = []
        self.chosen = collections.Counter()  # ALPN
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.sock.getsockname()[1]
        self.url = "http%s://127.0.0.1:%d" % ("s" if tls else "", self.port)
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.open = False
        self.sock.close()
        for c in self.connections:
            c.close()

    def start(self, call):
        self.seen.append(call)
        self.calls.put(call)
        threading.Thread(target=self._answer, args=(call,), daemon=True).start()

    def call(self):
        """The next call that arrived; waits for it."""
        return self.calls.get(timeout=DEADLINE_S)

    def _answer(self, call):
        try:
            self.script(call)
        except (OSError, ssl.SSLError):
            pass
        except Exception as e:  # a test looks at them
            self.failures.append(e)
            raise

    def _accept(self):
        while self.open:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        connection = None
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.chosen[sock.selected_alpn_protocol()] += 1
            connection = Connection(self, sock, len(self.connections) + 1)
            self.connections.append(connection)
            connection.run()
        except (EOFError, OSError, ssl.SSLError):
            pass
        finally:
            sock.close()
            if connection:
                connection.ended.set()
