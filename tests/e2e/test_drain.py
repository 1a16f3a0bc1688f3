# SPDX-License-Identifier: Apache-2.0
"""The way down: what is accepted, what is told, what finishes, and when it is over."""
import signal
import socket
import ssl

import pytest

from harness import CHAT_EVENTS, DEADLINE_S, DONE, Held, chat, config

OPENAI = "/openai/v1/chat/completions"


def drain_config(provider, **server):
    return dict(config(provider), server=server)


def begin(g):
    g.process.send_signal(signal.SIGTERM)
    g.wait_log("finishing the requests")


def wait_closed(g):
    """Until the port refuses connections."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", g.port), DEADLINE_S).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass  # it went into the queue of a socket that was just being closed


def ended(g):
    return g.process.wait(DEADLINE_S)


def open_stream(c):
    c.send_request("POST", OPENAI, chat("m", stream=True))
    status, headers, _ = c.head()
    assert status == 200
    events = c.events()
    assert next(events) == CHAT_EVENTS[0]
    return headers, events


def test_accepting_goes_on_for_the_delay(gateway_of, provider):
    g = gateway_of(drain_config(provider, drain_delay_s=2))
    with g.connect() as idle:
        assert idle.request("GET", "/health").status == 200
        begin(g)
        for _ in range(2):  # new connections
            a = g.request("GET", "/health")
            assert a.status == 503 and a.headers["connection"] == "close"
            a = g.post(OPENAI, chat("m"))
            assert a.status == 200 and a.headers["connection"] == "close"
        assert idle.request("GET", "/health").status == 503
        assert idle.at_end()
    g.wait_log("accepting no more connections")
    assert ended(g) == 0
    wait_closed(g)


def test_an_idle_connection_is_told_by_its_next_answer(gateway_of, provider):
    g = gateway_of(config(provider))
    with g.connect() as used, g.connect() as fresh:
        assert "connection" not in used.request("POST", OPENAI, chat("m")).headers
        begin(g)
        wait_closed(g)
        for c in used, fresh:
            a = c.request("POST", OPENAI, chat("m"))
            assert a.status == 200 and a.headers["connection"] == "close"
            assert c.at_end()
    assert ended(g) == 0
    assert not any("left" in l for l in g.log)


def test_an_idle_connection_is_closed_at_the_deadline(gateway_of, provider):
    g = gateway_of(drain_config(provider, drain_timeout_s=1))
    with g.connect() as c:
        assert c.request("POST", OPENAI, chat("m")).status == 200
        begin(g)
        assert c.read_end() == b""  # and no reset
    assert ended(g) == 0
    g.wait_log("closing the connections that are left")


@pytest.mark.parametrize("timeout", [0, 1])
def test_what_runs_at_the_deadline_is_reset(gateway_of, provider_of, timeout):
    held = Held()
    g = gateway_of(drain_config(provider_of(held), drain_timeout_s=timeout))
    with g.connect() as c:
        _, events = open_stream(c)
        g.process.send_signal(signal.SIGTERM)
        with pytest.raises((EOFError, ConnectionResetError, ssl.SSLEOFError)):
            next(events)
    assert ended(g) == 0
    g.wait_log("resetting the requests that are left")
    held.release.set()


def test_a_second_signal_ends_the_delay_too(gateway_of, provider):
    g = gateway_of(drain_config(provider, drain_delay_s=3600, drain_timeout_s=3600))
    with g.connect() as c:
        assert c.request("GET", "/health").status == 200
        begin(g)
        g.process.send_signal(signal.SIGINT)
        assert c.at_end()
    assert ended(g) == 0


@pytest.mark.parametrize("delay", [0, 1])
def test_live_streams_finish(gateway_of, provider_of, delay):
    held = Held()
    g = gateway_of(drain_config(provider_of(held), drain_delay_s=delay))
    clients = [g.connect() for _ in range(200)]
    streams = [open_stream(c) for c in clients]
    begin(g)
    wait_closed(g)
    held.release.set()
    for headers, events in streams:
        assert "connection" not in headers  # promised before
        assert b"".join(events) == CHAT_EVENTS[1] + DONE
    for c in clients[:20]:  # the promise is kept
        a = c.request("POST", OPENAI, chat("m"))
        assert a.status == 200 and a.headers["connection"] == "close"
        assert c.at_end()
    for c in clients:
        c.close()
    assert ended(g) == 0
    assert not any("left" in l for l in g.log)


def test_streams_that_begin_in_the_delay_finish(gateway_of, provider_of):
    held = Held()
    g = gateway_of(drain_config(provider_of(held), drain_delay_s=2))
    begin(g)
    with g.connect() as c:
        headers, events = open_stream(c)
        assert headers["connection"] == "close"
        g.wait_log("accepting no more connections")
        held.release.set()
        assert b"".join(events) == CHAT_EVENTS[1] + DONE
        assert c.at_end()
    assert ended(g) == 0


def test_the_settings_in_force_are_the_last_read(gateway_of, provider):
    g = gateway_of(drain_config(provider, drain_delay_s=3600))
    g.write(drain_config(provider, drain_timeout_s=0))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    begin(g)
    assert ended(g) == 0


def test_systemd_is_told(gateway_of, provider, tmp_path):
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name)
        s.settimeout(DEADLINE_S)
        g = gateway_of(config(provider), env={"NOTIFY_SOCKET": name})
        assert s.recv(4096) == b"READY=1"
        assert g.request("GET", "/health").status == 200
        for text in config(provider), "{":  # a reload that fails ends as well
            g.write(text)
            g.process.send_signal(signal.SIGHUP)
            assert s.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert s.recv(4096) == b"READY=1"
        g.process.send_signal(signal.SIGTERM)
        assert s.recv(4096) == b"STOPPING=1"
        assert ended(g) == 0
