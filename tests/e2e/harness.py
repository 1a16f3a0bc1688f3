# SPDX-License-Identifier: Apache-2.0
"""What an end-to-end test stands on: the real binary, raw sockets, a scripted provider.

Gateway   starts the binary named by RINGGATE_BIN with flags from RINGGATE_FLAGS on a free port.
Provider  a threaded mock: each request is handed to a script, which says byte by byte what goes
          back and when. Nothing sleeps: scripts and tests wait on events, always with a deadline.
Client    one raw connection, so that a test sees bytes, not a library's opinion of them.

With RINGGATE_TLS=1 every gateway that has a config.json listens with TLS and every client speaks
it: the suite is the same, and so must be what it sees.
"""
import json
import os
import queue
import re
import shlex
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import weakref
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("RINGGATE_BIN", os.path.join(ROOT, "build", "ringgate"))
FLAGS = shlex.split(os.environ.get("RINGGATE_FLAGS", ""))
DEADLINE_S = float(os.environ.get("RINGGATE_DEADLINE_S", "20"))
STARTED = re.compile(r"http(s?)://[^\s\"]*?:(\d+)")
ALWAYS_TLS = bool(os.environ.get("RINGGATE_TLS"))


class Authority:
    """Issues certificates for one test run; the openssl command makes them."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="ringgate-ca-")
        self.count = 0
        self._run("req", "-x509", *self.CURVE, "-keyout", "ca.key", "-out", "ca.pem",
                  "-days", "2", "-subj", "/CN=test authority")

    CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def _run(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.dir.name)

    @property
    def ca(self):
        return os.path.join(self.dir.name, "ca.pem")

    def issue(self, *names):
        """(certificate's path, key's path) for names and addresses."""
        self.count += 1
        base = str(self.count)
        alt = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
        with open(os.path.join(self.dir.name, "ext"), "w", encoding="ascii") as f:
            f.write("subjectAltName=%s\n" % alt)
        self._run("req", *self.CURVE, "-keyout", base + ".key", "-out", base + ".csr",
                  "-subj", "/CN=" + names[0])
        self._run("x509", "-req", "-in", base + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                  "-CAcreateserial", "-out", base + ".pem", "-days", "2", "-extfile", "ext")
        path = os.path.join(self.dir.name, base)
        return path + ".pem", path + ".key"

    def trust(self, version=None, show=None):
        """A client's context: one version only, a certificate to show."""
        ctx = ssl.create_default_context(cafile=self.ca)
        if version:
            ctx.minimum_version = ctx.maximum_version = version
        if show:
            ctx.load_cert_chain(*show)
        return ctx


_shared = {}


def shared_authority():
    """One authority, and a certificate for 127.0.0.1, for who does not care which."""
    if not _shared:
        _shared["authority"] = Authority()
        _shared["files"] = _shared["authority"].issue("127.0.0.1", "localhost")
        _shared["trust"] = _shared["authority"].trust()
    return _shared


class Gateway:
    """The binary under test. `config` is what config.json holds; None: no file. `program` is what
    starts it, when that is not the binary itself."""

    def __init__(self, config=None, flags=(), env=None, expect_start=True, program=None,
                 pass_fds=()):
        self.dir = tempfile.TemporaryDirectory(prefix="ringgate-e2e-")
        if config is not None:
            self.write(config)
        environ = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_KEY"))}
        environ.update(env or {})
        self.log = []
        self.ends_with = 0
        self.clients = weakref.WeakSet()
        # Rings go with the folder, not into /dev/shm: nobody would remove them.
        home = [self.dir.name, *(v for f, v in zip(flags, flags[1:]) if f == "-app-dir")][-1]
        self.process = subprocess.Popen(
            [*(program or (BIN,)), "-port", "0", "-host", "127.0.0.1", "-app-dir", self.dir.name,
             "-shared-dir", os.path.join(home, "shared"), *FLAGS, *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environ, pass_fds=pass_fds)
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        self.port = None
        if expect_start:
            line = self.wait_log("successfully started")
            found = STARTED.search(line)
            self.secure, self.port = found.group(1) == "s", int(found.group(2))
            self.line = line

    def write(self, config):
        if ALWAYS_TLS and isinstance(config, dict):
            cert, key = shared_authority()["files"]
            server = dict({"tls": {"cert_file": cert, "key_file": key}}, **config.get("server", {}))
            config = dict(config, server=server)
        if isinstance(config, dict):  # tests call it what they like; test_host.py has the check
            server = dict({"allowed_hosts": ["*"]}, **config.get("server", {}))
            config = dict(config, server=server)
        text = config if isinstance(config, str) else json.dumps(config)
        with open(os.path.join(self.dir.name, "config.json"), "w", encoding="utf-8") as f:
            f.write(text)

    def _read_log(self):
        for raw in self.process.stderr:
            with self.changed:
                self.log.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.log.append("<end>")
            self.changed.notify_all()

    def wait_log(self, text, count=1):
        """The count-th log line that holds `text`."""
        with self.changed:
            ok = self.changed.wait_for(
                lambda: sum(text in l for l in self.log) >= count or self.log[-1:] == ["<end>"],
                DEADLINE_S)
            found = [l for l in self.log if text in l]
            assert ok and len(found) >= count, "log has no %r:\n%s" % (text, "\n".join(self.log))
            return found[count - 1]

    def connect(self):
        """A client that speaks what the port does, and trusts the shared authority."""
        client = Client(self.port, tls=shared_authority()["trust"] if self.secure else None)
        self.clients.add(client)
        return client

    def wait_metric(self, line):
        """Asks /metrics until it holds `line`; False past the deadline."""
        end = time.monotonic() + DEADLINE_S
        with self.connect() as c:
            while time.monotonic() < end:
                if line in c.request("GET", "/metrics").body.decode().split("\n"):
                    return True
        return False

    def request(self, method, path, body=None, headers=()):
        with self.connect() as c:
            return c.request(method, path, body, headers)

    def post(self, path, body, headers=()):
        return self.request("POST", path, body, headers)

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.ends_with = -signal.SIGKILL

    def stop(self):
        """Ends the process as an operator would and asserts that it ended well. Clients leave
        first: an idle one would be waited for."""
        for c in list(self.clients):
            c.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("did not stop on SIGTERM:\n" + "\n".join(self.log))
        self.reader.join(DEADLINE_S)
        code = self.process.returncode
        self.dir.cleanup()
        assert code == self.ends_with, "exit %d:\n%s" % (code, "\n".join(self.log))


class Answer:
    def __init__(self, status, headers, body, head):
        self.status, self.headers, self.body, self.head = status, headers, body, head

    def json(self):
        return json.loads(self.body)


class Client:
    """A connection to the gateway (or anything) that reads HTTP/1.1 strictly."""

    def __init__(self, port, timeout=DEADLINE_S, tls=None, name="127.0.0.1", session=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name, session=session,
                                        suppress_ragged_eofs=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_request(self, method, path, body=None, headers=()):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost"]
        if body is not None:
            lines += ["Content-Type: application/json", "Content-Length: %d" % len(body)]
        lines += ["%s: %s" % h for h in headers]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    def request(self, method, path, body=None, headers=()):
        self.send_request(method, path, body, headers)
        return self.answer(method)

    def _more(self):
        data = self.sock.recv(65536)
        self.buf += data
        return data

    def read_until(self, mark):
        while mark not in self.buf:
            if not self._more():
                raise EOFError("connection ended; had %r" % self.buf[-200:])
        i = self.buf.index(mark) + len(mark)
        out, self.buf = self.buf[:i], self.buf[i:]
        return out

    def read_exactly(self, n):
        parts, got = [self.buf], len(self.buf)
        while got < n:
            parts.append(self.sock.recv(65536))
            got += len(parts[-1])
            if not parts[-1]:
                raise EOFError("connection ended; wanted %d had %d" % (n, got))
        self.buf = b"".join(parts)
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read_end(self):
        """Everything until the peer closes."""
        while self._more():
            pass
        out, self.buf = self.buf, b""
        return out

    def at_end(self):
        """True when the peer closed (FIN or RST) with nothing more to read."""
        try:
            return not self.buf and not self._more()
        except ConnectionResetError:
            return True

    def at_end_or_error(self):
        """The same, where a TLS end without close_notify is an end too."""
        try:
            return self.at_end()
        except ssl.SSLError:
            return True

    def head(self):
        raw = self.read_until(b"\r\n\r\n").decode("latin-1")
        first, *rest = raw[:-4].split("\r\n")
        status = int(first.split(" ")[1])
        headers = {}
        for line in rest:
            name, value = line.split(":", 1)
            headers.setdefault(name.lower(), value.strip())
        return status, headers, raw

    def chunk(self):
        """One HTTP chunk; b"" is the last."""
        size = int(self.read_until(b"\r\n").strip(), 16)
        data = self.read_exactly(size)
        assert self.read_exactly(2) == b"\r\n"
        return data

    def answer(self, method="GET"):
        status, headers, raw = self.head()
        while status == 100:
            status, headers, raw = self.head()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            parts = []
            while True:
                parts.append(self.chunk())
                if not parts[-1]:
                    break
            body = b"".join(parts)
        elif "content-length" in headers:
            body = self.read_exactly(int(headers["content-length"]))
        else:
            body = self.read_end()
        return Answer(status, headers, body, raw)

    def events(self):
        """Yields each SSE event's bytes as they come, out of a chunked answer."""
        data = b""
        while True:
            part = self.chunk()
            if not part:
                assert data == b"", "bytes after the last event: %r" % data
                return
            data += part
            while b"\n\n" in data:
                i = data.index(b"\n\n") + 2
                yield data[:i]
                data = data[i:]


class Call:
    """One request as the provider saw it, with the connection to answer on."""

    def __init__(self, provider, sock, number, head, body):
        self.provider, self.sock, self.connection = provider, sock, number
        first, *rest = head[:-4].decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.header_lines = rest
        self.headers = {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in rest}
        self.body = body
        self.closed = threading.Event()

    def json(self):
        return json.loads(self.body)

    def send(self, data):
        self.sock.sendall(data)

    def reply(self, status, body, headers=(), content_type="application/json"):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        lines = ["HTTP/1.1 %d X" % status, "Content-Type: " + content_type,
                 "Content-Length: %d" % len(body)] + ["%s: %s" % h for h in headers]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def stream_head(self, headers=()):
        lines = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream",
                 "Transfer-Encoding: chunked"] + ["%s: %s" % h for h in headers]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def stream_end(self):
        self.send(b"0\r\n\r\n")

    def wait_closed(self):
        """Blocks until the gateway closes this connection; False past the deadline."""
        self.sock.settimeout(DEADLINE_S)
        try:
            while self.sock.recv(4096):
                pass
            return True
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return True
        except (TimeoutError, socket.timeout):
            return False


class Provider:
    """A mock provider. `script(call)` answers; raising Hangup closes the connection."""

    def __init__(self, script=None, tls=None):
        self.script = script or default_script
        self.tls = tls
        self.calls = queue.Queue()
        self.seen = []
        self.connections = 0
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.sock.getsockname()[1]
        self.url = "http%s://127.0.0.1:%d" % ("s" if tls else "", self.port)
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.open = False
        self.sock.close()

    def _accept(self):
        while self.open:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections),
                             daemon=True).start()

    def _serve(self, sock, number):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            buf = b""
            while True:
                while b"\r\n\r\n" not in buf:
                    data = sock.recv(65536)
                    if not data:
                        return
                    buf += data
                i = buf.index(b"\r\n\r\n") + 4
                head, buf = buf[:i], buf[i:]
                m = re.search(rb"(?i)content-length: *(\d+)", head)
                need = int(m.group(1)) if m else 0
                parts, got = [buf], len(buf)
                while got < need:
                    parts.append(sock.recv(65536))
                    got += len(parts[-1])
                    if not parts[-1]:
                        return
                buf = b"".join(parts)
                body, buf = buf[:need], buf[need:]
                call = Call(self, sock, number, head, body)
                self.seen.append(call)
                self.calls.put(call)
                self.script(call)
        except (Hangup, OSError, ssl.SSLError):
            pass
        finally:
            sock.close()

    def call(self):
        """The next call that arrived; waits for it."""
        return self.calls.get(timeout=DEADLINE_S)


class Hangup(Exception):
    """A script raises it to close the connection where it stands."""


def reset(call):
    call.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    raise Hangup


CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
              "prompt_tokens_details": {"cached_tokens": 4}},
}


def chat_chunk(delta, finish=None):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def event(obj, name=None):
    text = obj if isinstance(obj, str) else json.dumps(obj)
    return (("event: %s\n" % name if name else "") + "data: %s\n\n" % text).encode()


USAGE_EVENT = event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                     "model": "gpt-4o-mini", "choices": [],
                     "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}})
DONE = b"data: [DONE]\n\n"
CHAT_EVENTS = [event(chat_chunk({"role": "assistant", "content": ""}))] + [
    event(chat_chunk({"content": w})) for w in ("Hel", "lo", ".")] + [
    event(chat_chunk({}, "stop"))]

RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed",
            "model": "gpt-4o-mini", "output": [{"type": "message", "id": "msg_1",
                                                "role": "assistant", "status": "completed",
                                                "content": [{"type": "output_text",
                                                             "text": "Hello.",
                                                             "annotations": []}]}],
            "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}}
RESPONSE_EVENTS = [
    event({"type": "response.created", "sequence_number": 0,
           "response": dict(RESPONSE, status="in_progress", output=[])}, "response.created"),
    event({"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1",
           "output_index": 0, "content_index": 0, "delta": "Hello."},
          "response.output_text.delta"),
    event({"type": "response.completed", "sequence_number": 2, "response": RESPONSE},
          "response.completed"),
]


def call_chat(call, body):
    """Answers with a call of the first tool."""
    name = body["tools"][0]["function"]["name"]
    tool = {"id": "call_1", "type": "function",
            "function": {"name": name, "arguments": '{"city":"Oslo"}'}}
    if not body.get("stream"):
        return call.reply(200, dict(CHAT, choices=[
            {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [tool]},
             "finish_reason": "tool_calls"}]))
    begin = dict(tool, index=0, function={"name": name, "arguments": ""})
    deltas = [{"role": "assistant", "content": None, "tool_calls": [begin]}] + [
        {"tool_calls": [{"index": 0, "function": {"arguments": a}}]}
        for a in ('{"city":', '"Oslo"}')]
    return send_stream(call, [event(chat_chunk(d)) for d in deltas]
                       + [event(chat_chunk({}, "tool_calls")), USAGE_EVENT, DONE])


def call_response(call, body):
    name = body["tools"][0]["name"]
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
            "status": "completed", "arguments": '{"city":"Oslo"}'}
    whole = dict(RESPONSE, output=[item])
    if not body.get("stream"):
        return call.reply(200, whole)
    events = [("response.created", {"response": dict(whole, status="in_progress", output=[])}),
              ("response.output_item.added", {"output_index": 0, "item": dict(
                  item, status="in_progress", arguments="")})]
    events += [("response.function_call_arguments.delta", {
        "item_id": "fc_1", "output_index": 0, "delta": a}) for a in ('{"city":', '"Oslo"}')]
    events += [("response.function_call_arguments.done", {
        "item_id": "fc_1", "output_index": 0, "arguments": '{"city":"Oslo"}'}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole})]
    return send_stream(call, [event(dict(members, type=kind, sequence_number=i), kind)
                              for i, (kind, members) in enumerate(events)])


def send_stream(call, events):
    call.stream_head()
    for e in events:
        call.chunk(e)
    call.stream_end()


def workers(gateway):
    """How many worker threads the gateway has. They are made at the first job. Without records: the
    store has two of its own."""
    task = "/proc/%d/task" % gateway.process.pid
    names = [open("%s/%s/comm" % (task, t), encoding="utf-8").read() for t in os.listdir(task)]
    return sum(n.strip() == "work" for n in names)


def packed(data, coding):
    """`data` as a client or provider compresses it; "bare" is deflate without zlib's frame."""
    bits = {"gzip": 31, "deflate": 15, "bare": -15}
    if coding in bits:
        c = zlib.compressobj(6, zlib.DEFLATED, bits[coding])
        return c.compress(data) + c.flush()
    command = {"br": ["brotli", "-c", "-q", "5"], "zstd": ["zstd", "-c", "-q"]}[coding]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def default_script(call):
    """A well-behaved OpenAI."""
    path = call.path.split("?")[0]
    if path.endswith("/models"):
        return call.reply(200, {"object": "list", "data": [
            {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"},
            {"id": "gpt-4o-mini", "object": "model", "created": 2, "owned_by": "openai"}]})
    body = call.json()
    if path.endswith("/chat/completions"):
        if body.get("tools"):
            return call_chat(call, body)
        if not body.get("stream"):
            return call.reply(200, CHAT)
        usage = (body.get("stream_options") or {}).get("include_usage")
        return send_stream(call, CHAT_EVENTS + ([USAGE_EVENT] if usage else []) + [DONE])
    if path.endswith("/responses/input_tokens"):
        return call.reply(200, {"object": "response.input_tokens", "input_tokens": 13})
    if path.endswith("/responses"):
        if body.get("tools"):
            return call_response(call, body)
        if body.get("stream"):
            return send_stream(call, RESPONSE_EVENTS)
        return call.reply(200, RESPONSE)
    if path.endswith("/embeddings"):
        return call.reply(200, {"object": "list", "model": body["model"], "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    if path.endswith("/completions"):
        return call.reply(200, {"id": "cmpl-1", "object": "text_completion", "created": 1,
                                "model": body["model"],
                                "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop",
                                             "logprobs": None}],
                                "usage": {"prompt_tokens": 1, "completion_tokens": 1,
                                          "total_tokens": 2}})
    return call.reply(404, {"error": {"message": "no such path " + path, "type": "x"}})


class Held:
    """A provider whose streams stay open until `release`."""

    def __init__(self):
        self.release = threading.Event()

    def __call__(self, call):
        if not call.json().get("stream"):
            return call.reply(200, CHAT)
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        self.release.wait(DEADLINE_S)
        call.chunk(CHAT_EVENTS[1] + DONE)
        call.stream_end()
        return None


def config(provider, name="openai", keys=None, network=None, client=None, **members):
    """A config.json with one provider at a mock."""
    entry = {"keys": keys or [{"name": "k1", "value": "sk-secret-1", "weight": 1,
                               "models": ["*"]}],
             "network_config": dict({"base_url": provider.url if hasattr(provider, "url")
                                     else provider}, **(network or {}))}
    entry.update(members)
    return {"client": client or {}, "providers": {name: entry}}


def chat(model="openai/gpt-4o-mini", **members):
    return dict({"model": model, "messages": [{"role": "user", "content": "Say hello."}]},
                **members)


# ---- Anthropic ---------------------------------------------------------------------------------

MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0,
              "output_tokens": 2},
}


def message_events(words=("Hel", "lo", "."), tool=None):
    """A stream of the Messages API: text in `words`, then maybe a call of `tool`."""
    start = dict(MESSAGE, content=[], stop_reason=None,
                 usage={"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1})
    out = [event({"type": "message_start", "message": start}, "message_start"),
           event({"type": "content_block_start", "index": 0,
                  "content_block": {"type": "text", "text": ""}}, "content_block_start"),
           event({"type": "ping"}, "ping")]
    out += [event({"type": "content_block_delta", "index": 0,
                   "delta": {"type": "text_delta", "text": w}}, "content_block_delta")
            for w in words]
    out.append(event({"type": "content_block_stop", "index": 0}, "content_block_stop"))
    if tool:
        name, arguments = tool
        out.append(event({"type": "content_block_start", "index": 1, "content_block": {
            "type": "tool_use", "id": "toolu_1", "name": name, "input": {}}},
            "content_block_start"))
        out += [event({"type": "content_block_delta", "index": 1, "delta": {
            "type": "input_json_delta", "partial_json": a}}, "content_block_delta")
            for a in arguments]
        out.append(event({"type": "content_block_stop", "index": 1}, "content_block_stop"))
    out += [event({"type": "message_delta", "delta": {
        "stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2}}, "message_delta"),
        event({"type": "message_stop"}, "message_stop")]
    return out


def anthropic_error(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}}


def anthropic_script(call):
    """A well-behaved Anthropic."""
    path = call.path.split("?")[0]
    if path.endswith("/models"):
        return call.reply(200, {"data": [
            {"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5",
             "created_at": "2025-09-29T00:00:00Z"},
            {"type": "model", "id": "claude-haiku-4-5", "display_name": "Claude Haiku 4.5",
             "created_at": "2025-10-01T00:00:00Z"}],
            "has_more": False, "first_id": "claude-sonnet-4-5", "last_id": "claude-haiku-4-5"})
    body = call.json()
    if path.endswith("/messages/count_tokens"):
        return call.reply(200, {"input_tokens": 17})
    if path.endswith("/messages"):
        tool = body.get("tools") and (body["tools"][0]["name"], ('{"city":', '"Oslo"}'))
        if body.get("stream"):
            return send_stream(call, message_events(tool=tool or None))
        if tool:
            return call.reply(200, dict(MESSAGE, stop_reason="tool_use", content=[
                {"type": "text", "text": "Hello."},
                {"type": "tool_use", "id": "toolu_1", "name": tool[0], "input": {"city": "Oslo"}}]))
        return call.reply(200, MESSAGE)
    if path.endswith("/complete"):
        return call.reply(200, {"type": "completion", "id": "compl_1", "completion": " Hi",
                                "stop_reason": "stop_sequence", "model": body["model"]})
    return call.reply(404, anthropic_error("not_found_error", "no such path " + path))


def messages(model="claude-sonnet-4-5", **members):
    return dict({"model": model, "max_tokens": 64,
                 "messages": [{"role": "user", "content": "Say hello."}]}, **members)


def both(openai, anthropic, client=None, **providers):
    """A config.json with an OpenAI and an Anthropic mock, and maybe others as made by config()."""
    made = config(openai, client=client)
    made["providers"].update(config(anthropic, "anthropic", keys=[
        {"name": "a1", "value": "sk-ant-secret", "weight": 1, "models": ["*"]}])["providers"])
    for extra in providers.values():
        made["providers"].update(extra["providers"])
    return made
