# SPDX-License-Identifier: Apache-2.0
"""A client that speaks HTTP/2 frame by frame, well or badly, as a test wants it.

Frames are written by hand, so that a test can send what no library would; only HPACK is a
library's. Windows are the client's own business: `window` is what it announces for its streams, and
updates are sent when a test (or `read_answer`) says so.
"""
import collections
import json
import select
import socket
import struct

import hpack

from harness import DEADLINE_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION) = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED,
 FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL) = range(9)
ENHANCE_YOUR_CALM = 11

Frame = collections.namedtuple("Frame", "type flags stream payload")
Answer = collections.namedtuple("Answer", "status headers body")


class Reset(Exception):
    """The server reset a stream; args[0] is the code."""


class Gone(Exception):
    """GOAWAY came; args are the last stream and the code."""


def pack(type_, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([type_, flags]) \
        + struct.pack(">I", stream) + payload


class Client:
    def __init__(self, port, settings=None, window=None, tls=None):
        self.sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="127.0.0.1")
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buf = b""
        self.next_id = 1
        self.window = 65535  # the connection's, for what we send
        self.kept = collections.defaultdict(list)  # frames read while another stream was wanted
        self.control = []  # frames of the connection
        self.heads = collections.defaultdict(list)
        pairs = dict(settings or {})
        if window is not None:
            pairs[4] = window
        self.send(PREFACE + pack(SETTINGS, 0, 0, b"".join(
            struct.pack(">HI", k, v) for k, v in pairs.items())))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # ---- Sending

    def send(self, data):
        self.sock.sendall(data)

    def frame(self, type_, flags=0, stream=0, payload=b""):
        self.send(pack(type_, flags, stream, payload))

    def block(self, fields):
        return self.encoder.encode(fields, huffman=False)

    def open(self, method, path, fields=(), end=True, pseudo=None):
        """HEADERS of a new stream; its id."""
        stream, self.next_id = self.next_id, self.next_id + 2
        head = pseudo if pseudo is not None else [
            (":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                   self.block(list(head) + list(fields)))
        return stream

    def data(self, stream, data, end=False):
        self.window -= len(data)
        for i in range(0, max(len(data), 1), 16384):
            last = end and i + 16384 >= len(data)
            self.frame(DATA, END_STREAM if last else 0, stream, data[i:i + 16384])

    def post(self, path, body, fields=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        stream = self.open("POST", path, [("content-type", "application/json"),
                                          ("content-length", str(len(body)))] + list(fields),
                           end=False)
        self.data(stream, body, end=True)
        return stream

    def upload(self, path, body):
        """A POST that minds the server's windows, whatever its length. Reads while it waits."""
        raw = json.dumps(body).encode()
        stream = self.open("POST", path, [("content-type", "application/json")], end=False)
        window, sent = 65535, 0
        while sent < len(raw):
            n = min(16384, len(raw) - sent, window, self.window)
            if n <= 0:
                f = self.read_frame()
                if f.type == WINDOW_UPDATE and f.stream == stream:
                    window += struct.unpack(">I", f.payload)[0]
                continue
            self.data(stream, raw[sent:sent + n], end=sent + n == len(raw))
            sent += n
            window -= n
        return stream

    def reset(self, stream, code=CANCEL):
        self.frame(RST_STREAM, 0, stream, struct.pack(">I", code))

    def update(self, stream, n):
        self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))

    # ---- Reading

    def _exactly(self, n):
        while len(self.buf) < n:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("connection ended")
            self.buf += data
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read_frame(self):
        """The next frame, whatever it is. SETTINGS and PING are acknowledged; heads decoded."""
        head = self._exactly(9)
        length = int.from_bytes(head[:3], "big")
        f = Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), self._exactly(length))
        if f.type == SETTINGS and not f.flags & ACK:
            self.frame(SETTINGS, ACK)
        elif f.type == PING and not f.flags & ACK:
            self.frame(PING, ACK, 0, f.payload)
        elif f.type == WINDOW_UPDATE and f.stream == 0:
            self.window += struct.unpack(">I", f.payload)[0]
        elif f.type == HEADERS:
            block = f.payload
            flags = f.flags
            while not flags & END_HEADERS:
                more = self._exactly(9)
                assert more[3] == CONTINUATION
                flags |= more[4]
                block += self._exactly(int.from_bytes(more[:3], "big"))
            f = f._replace(payload=[(k if isinstance(k, str) else k.decode("latin-1"),
                                     v if isinstance(v, str) else v.decode("latin-1"))
                                    for k, v in self.decoder.decode(block)])
        return f

    def next_of(self, stream):
        """The stream's next frame. Reset and Gone are raised; other streams' frames are kept."""
        if self.kept[stream]:
            f = self.kept[stream].pop(0)
        else:
            while True:
                f = self.read_frame()
                if f.type == GOAWAY:
                    self.control.append(f)
                    code = struct.unpack(">II", f.payload[:8])
                    if code[1] != NO_ERROR:
                        raise Gone(*code)
                elif f.stream == stream:
                    break
                elif f.stream == 0:
                    self.control.append(f)
                else:
                    self.kept[f.stream].append(f)
        if f.type == RST_STREAM:
            raise Reset(struct.unpack(">I", f.payload)[0])
        return f

    def head(self, stream):
        """Status and fields; interim heads are skipped but noted in `heads`."""
        while True:
            f = self.next_of(stream)
            if f.type == WINDOW_UPDATE:
                continue
            assert f.type == HEADERS, f
            fields = dict(f.payload)
            status = int(fields.pop(":status"))
            self.heads[stream].append(status)
            if status >= 200:
                return status, fields, bool(f.flags & END_STREAM)

    def chunks(self, stream, update=True):
        """Each DATA frame's bytes until the stream ends."""
        while True:
            f = self.next_of(stream)
            if f.type != DATA:
                continue
            if f.payload and update:
                self.update(0, len(f.payload))
                if not f.flags & END_STREAM:
                    self.update(stream, len(f.payload))
            if f.payload:
                yield f.payload
            if f.flags & END_STREAM:
                return

    def answer(self, stream):
        status, headers, end = self.head(stream)
        return Answer(status, headers, b"" if end else b"".join(self.chunks(stream)))

    def request(self, method, path, fields=()):
        return self.answer(self.open(method, path, fields))

    def goaway(self):
        """Reads until GOAWAY with a code other than NO_ERROR, or any when the peer then closes."""
        last = None
        try:
            while True:
                f = self.read_frame()
                if f.type == GOAWAY:
                    last = struct.unpack(">II", f.payload[:8])
                    if last[1] != NO_ERROR:
                        return last
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return last

    def readable(self):
        """Has the server said something that was not read?"""
        return bool(self.buf) or bool(select.select([self.sock], [], [], 0)[0])

    def at_end(self):
        """True when the peer closes, whatever it says before."""
        try:
            while True:
                self.read_frame()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return True
        except (TimeoutError, socket.timeout):
            return False
