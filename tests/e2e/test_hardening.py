# SPDX-License-Identifier: Apache-2.0
"""What attackers and bad luck do: each test is named for what once broke, or must never."""
import re
import signal
import socket
import ssl
import threading
import time

import harness


# ---- Clients that leave --------------------------------------------------------------------------

def test_client_that_sends_and_leaves_at_once(gateway):
    """The request's send to the provider ends well while it is being stopped."""
    assert gateway.post("/v1/chat/completions", harness.chat()).status == 200
    for leave in ("close", "reset", "shutdown") * 40:
        c = gateway.connect()
        c.send_request("POST", "/v1/chat/completions", harness.chat())
        if leave == "reset":
            c.reset()
            continue
        c.sock.shutdown(socket.SHUT_WR)
        if leave == "shutdown":
            try:
                c.read_end()
            except ConnectionResetError:
                pass
        c.close()
    assert gateway.post("/v1/chat/completions", harness.chat()).status == 200


def test_cancelled_requests_give_their_slots_back(gateway_of, provider_of):
    """Clients that leave while they wait, or while the provider is silent, cost no slot."""
    p = provider_of(lambda call: call.wait_closed())
    g = gateway_of(harness.config(
        p, concurrency_and_buffer_size={"concurrency": 3, "buffer_size": 100}))
    for leave in (harness.Client.close, harness.Client.reset):
        clients = [g.connect() for _ in range(30)]
        for c in clients:
            c.send_request("POST", "/v1/chat/completions", harness.chat("openai/dead"))
        for _ in range(3):
            p.call()
        for c in reversed(clients):  # those in the queue first, mostly
            leave(c)
    clients = [g.connect() for _ in range(3)]
    for c in clients:
        c.send_request("POST", "/v1/chat/completions", harness.chat("openai/alive"))
    alive = 0
    while alive < 3:  # requests whose client left late may still pass by
        alive += p.call().json()["model"] == "alive"
    for c in clients:
        c.close()


def test_idle_clients_leave_descriptors_for_providers(gateway_of, provider, tmp_path, monkeypatch):
    """With every descriptor a client's, each request would be 502 until the idle ones time out."""
    limited = tmp_path / "limited"
    limited.write_text('#!/bin/sh\nulimit -n 96\nexec "%s" "$@"\n' % harness.BIN)
    limited.chmod(0o755)
    monkeypatch.setattr(harness, "BIN", str(limited))
    # The store would hold some forty of them.
    g = gateway_of(harness.config(provider, client={"enable_logging": False}))
    first = g.connect()
    assert first.request("GET", "/health").status == 200
    idle = [harness.Client(g.port) for _ in range(100)]
    held = 0
    while held < 60:
        page = first.request("GET", "/metrics").body.decode()
        held = sum(int(n) for n in re.findall(r"ringgate_connections\{[^}]*\} (\d+)", page))
    assert first.request("POST", "/v1/chat/completions", harness.chat()).status == 200
    for c in idle:
        c.reset()
    # What waited in the backlog comes in one go and may fill the core once more before its resets
    # are seen; who comes then is turned away and comes again.
    end, status = time.monotonic() + harness.DEADLINE_S, 0
    while status != 200 and time.monotonic() < end:
        try:
            status = g.post("/v1/chat/completions", harness.chat()).status
        except (OSError, EOFError):
            status = 0
    assert status == 200
    first.close()


def test_requests_above_the_limit_are_shed_and_those_before_go_on(gateway_of, provider_of):
    release = threading.Event()

    def script(call):
        release.wait(harness.DEADLINE_S)
        harness.default_script(call)

    p = provider_of(script)
    g = gateway_of(harness.config(p), flags=["-cores", "1", "-requests-max", "2"])
    held = [g.connect() for _ in range(2)]
    for c in held:
        c.send_request("POST", "/v1/chat/completions", harness.chat())
        p.call()
    with g.connect() as c:
        a = c.request("POST", "/v1/chat/completions", harness.chat())
        assert a.status == 503 and a.json()["is_bifrost_error"] is True
        assert c.at_end()
    release.set()
    for c in held:
        assert c.answer().status == 200
    for c in held:
        assert c.request("POST", "/v1/chat/completions", harness.chat()).status == 200
        c.close()
    assert len(p.seen) == 4


def test_provider_that_refuses_in_the_middle_of_an_upload(gateway_of):
    """It answers and reads no further: the client gets the answer, not a timeout."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve():
        for _ in range(3):
            sock, _ = server.accept()
            sock.recv(1000)
            sock.sendall(b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\n{}")
            kept.append(sock)
        done.wait(harness.DEADLINE_S)

    kept = []
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    g = gateway_of(harness.config("http://127.0.0.1:%d" % server.getsockname()[1]))
    body = harness.chat(pad="x" * 5_000_000)
    for _ in range(3):
        assert g.post("/v1/chat/completions", body).status == 413
    done.set()
    thread.join()
    for sock in kept + [server]:
        sock.close()


# ---- Providers that do as they like --------------------------------------------------------------

def test_compressed_event_stream_passes_as_it_comes(gateway_of, provider_of):
    """A coding that is not decoded: bytes pass, none waits for the rest."""
    packed = bytes(range(256)) * 2  # nobody looks inside
    received = threading.Event()

    def script(call):
        call.stream_head([("Content-Encoding", "compress")])
        call.chunk(packed[:20])
        assert received.wait(harness.DEADLINE_S)
        call.chunk(packed[20:])
        call.stream_end()

    g = gateway_of(harness.config(provider_of(script)))
    for path in "/v1", "/openai/v1":
        received.clear()
        with g.connect() as c:
            c.send_request("POST", path + "/chat/completions", harness.chat(stream=True))
            status, headers, _ = c.head()
            assert status == 200 and headers["content-encoding"] == "compress"
            data = c.chunk()
            received.set()
            while part := c.chunk():
                data += part
            assert data == packed


def test_a_clients_fields_do_not_crowd_out_ours(gateway, provider):
    many = [("x-bf-eh-h%d" % i, "v") for i in range(110)]
    assert gateway.post("/v1/chat/completions", harness.chat(), many).status == 200
    up = provider.call().headers
    assert up["content-type"] == "application/json"
    assert up["accept-encoding"] == "identity"
    assert up["authorization"] == "Bearer sk-secret-1"


def test_bytes_behind_an_answer_reach_no_other_request(gateway_of, provider_of):
    """A second answer nobody asked for: its connection is not used again."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

    def script(call):
        good = answer % (2, b"{}")
        poison = answer % (12, b'{"poison":1}')
        call.send(good + poison)

    p = provider_of(script)
    g = gateway_of(harness.config(p))
    with g.connect() as c:
        for _ in range(5):
            assert c.request("POST", "/openai/v1/chat/completions", harness.chat()).body == b"{}"
    assert p.connections == 5


# ---- Operators -----------------------------------------------------------------------------------

def test_reloads_under_load_fail_no_request(gateway_of, provider_of):
    p = provider_of()
    g = gateway_of(harness.config(p))
    wrong, stop = [], threading.Event()

    def load(stream):
        with g.connect() as c:
            while not stop.is_set():
                a = c.request("POST", "/v1/chat/completions", harness.chat(stream=stream))
                if a.status != 200 or (stream and not a.body.endswith(harness.DONE)):
                    wrong.append(a.body)

    threads = [threading.Thread(target=load, args=(i % 2 == 0,)) for i in range(8)]
    for t in threads:
        t.start()
    for i in range(30):
        slots = {"concurrency": 1 + i % 5, "buffer_size": 100}
        g.write(harness.config(p, concurrency_and_buffer_size=slots))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("configuration reloaded", i + 1)
    stop.set()
    for t in threads:
        t.join()
    assert wrong == []


def test_second_sigterm_ends_at_once(gateway_of, provider_of):
    def script(call):
        call.stream_head()
        call.chunk(harness.CHAT_EVENTS[0])
        call.wait_closed()

    g = gateway_of(harness.config(provider_of(script)))
    clients = [g.connect() for _ in range(20)]
    for c in clients:
        c.send_request("POST", "/v1/chat/completions", harness.chat(stream=True))
        c.head()
    g.process.send_signal(signal.SIGTERM)
    g.wait_log("finishing the requests")
    g.process.send_signal(signal.SIGTERM)
    assert g.process.wait(harness.DEADLINE_S) == 0
    for c in clients:
        with c:
            try:
                assert not c.read_end().endswith(b"0\r\n\r\n")  # cut short, and it shows
            except (ConnectionResetError, ssl.SSLEOFError):
                pass
