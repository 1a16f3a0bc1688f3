# SPDX-License-Identifier: Apache-2.0
"""Who may talk to it by what name, which pages may read answers, and what a crash leaves behind."""
import os
import re
import subprocess

import pytest

import harness
import http2
from harness import ALWAYS_TLS, chat, config


def strict(provider, hosts=None):
    """As an operator writes it: the harness leaves a config that names no list open to all."""
    return dict(config(provider), server={"allowed_hosts": [] if hosts is None else hosts})


def get(gateway, host, target="/health", version="1.1"):
    with gateway.connect() as c:
        lines = ["GET %s HTTP/%s" % (target, version), "Connection: close"]
        lines += [] if host is None else ["Host: " + host]
        c.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        return c.answer()


@pytest.fixture
def local(gateway_of, provider):
    return gateway_of(strict(provider))


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "LOCALHOST:80", "127.0.0.1",
                                  "127.0.0.1:65535", "[::1]", "[::1]:8080"])
def test_this_machines_names_are_served(local, host):
    assert get(local, host).status == 200


@pytest.mark.parametrize("target", ["/health", "/metrics", "/nothing", "/v1/models",
                                    "/api/version"])
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "0.0.0.0", ""])
def test_a_name_rebound_to_loopback_is_421(local, provider, host, target):
    a = get(local, host, target)
    assert a.status == 421 and b"example" not in a.body
    assert "access-control-allow-origin" not in a.headers
    assert not provider.seen


def test_a_rebound_page_can_ask_nothing(local, provider):
    fields = [("Origin", "http://evil.example:8080")]
    with local.connect() as c:
        c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example:8080\r\n"
               b"Origin: http://evil.example:8080\r\nContent-Length: 2\r\n\r\n{}")
        assert c.answer().status == 421
        c.send(b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: evil.example:8080\r\n"
               b"Origin: http://evil.example:8080\r\n\r\n")
        assert c.answer().status == 421
        assert c.request("GET", "/health", headers=fields).status == 200  # by its own name
    assert not provider.seen


def test_the_targets_authority_is_the_name(local):
    assert get(local, "localhost", "http://evil.example/health").status == 421
    assert get(local, "evil.example", "http://localhost/health").status == 200


def test_http_1_0_may_name_none(local):
    assert get(local, None, version="1.0").status == 200


@pytest.mark.skipif(ALWAYS_TLS, reason="prior knowledge is in clear text")
def test_authorities_of_http2_are_names_too(local):
    for authority, status in (("localhost:1", 200), ("evil.example", 421)):
        with http2.Client(local.port) as c:
            stream = c.open("", "", pseudo=[(":method", "GET"), (":scheme", "http"),
                                            (":authority", authority), (":path", "/health")])
            assert c.answer(stream).status == status


def test_names_an_operator_adds(gateway_of, provider):
    g = gateway_of(strict(provider, ["gw.example", "*.in.example"]))
    for host, status in (("gw.example", 200), ("GW.EXAMPLE:443", 200), ("a.in.example", 200),
                         ("in.example", 421), ("evil.example", 421), ("localhost", 200)):
        assert get(g, host).status == status, host


def test_elsewhere_nobody_is_asked_unless_there_is_a_list(gateway_of, provider):
    wide = ["-host", "0.0.0.0"]
    assert get(gateway_of(strict(provider), flags=wide), "any.example").status == 200
    g = gateway_of(strict(provider, ["gw.example"]), flags=wide)
    assert get(g, "any.example").status == 421 and get(g, "gw.example").status == 200


@pytest.mark.parametrize("name", ["a:80", "a/b", "", "*a.com", "a.*.com", "u@a"])
def test_a_list_that_is_a_mistake_does_not_start(gateway_of, provider, name):
    g = harness.Gateway(strict(provider, [name]), expect_start=False)
    g.wait_log("server.allowed_hosts[0]")
    assert g.process.wait(harness.DEADLINE_S) != 0
    g.dir.cleanup()


# ---- Pages of others -----------------------------------------------------------------------------

# (allowed_origins, origin, path, let in, with credentials). bifrost-behaviour.md 9.4, but that a
# bare * never grants credentials outside the inference routes.
ORIGINS = [
    (["*"], "https://evil.example", "/v1/models", True, True),
    (["*"], "https://evil.example", "/api/version", True, False),
    (["*"], "https://evil.example", "/metrics", True, False),
    (["https://app.example"], "https://app.example", "/api/version", True, True),
    (["https://app.example", "*"], "https://app.example", "/api/version", True, True),
    (["https://*.app.example"], "https://x.app.example", "/api/version", True, True),
    (["https://*.app.example"], "https://x.y.app.example", "/api/version", False, False),
    (["https://app.example"], "https://evil.example", "/api/version", False, False),
    ([], "http://localhost:3000", "/api/version", True, True),
    ([], "http://localhost:3000.evil.example", "/api/version", False, False),
    ([], "null", "/api/version", False, False),
]


@pytest.mark.parametrize("allowed,origin,path,let_in,credentials", ORIGINS)
def test_origins(gateway_of, provider, allowed, origin, path, let_in, credentials):
    g = gateway_of(config(provider, client={"allowed_origins": allowed}))
    fields = [("Origin", origin)]
    with g.connect() as c:
        preflight = c.request("OPTIONS", path, headers=fields)
        assert preflight.status == (200 if let_in else 403)
        for a in (preflight, c.request("GET", path, headers=fields)):
            assert a.headers.get("access-control-allow-origin") == (origin if let_in else None)
            assert a.headers.get("access-control-allow-credentials") == \
                ("true" if credentials else None)
            if let_in:
                assert a.headers["vary"] == "Origin"
                assert a.headers["access-control-max-age"] == "86400"
                assert a.headers["access-control-allow-methods"] == \
                    "GET, POST, PUT, DELETE, PATCH, OPTIONS, HEAD"


# ---- Every answer --------------------------------------------------------------------------------

def test_no_answer_is_sniffed(gateway_of, provider_of):
    """Also relayed ones, whatever the provider says, and refusals that met no route."""
    def script(call):
        call.reply(200, harness.CHAT, [("X-Content-Type-Options", "other")])

    g = gateway_of(config(provider_of(script)))
    answers = [g.request("GET", "/health"), g.request("GET", "/nothing"),
               g.request("PUT", "/health"), g.post("/v1/chat/completions", chat()),
               g.post("/openai/v1/chat/completions", chat("m"))]
    with g.connect() as c:
        c.send(b"GARBAGE\r\n\r\n")
        answers.append(c.answer())
    for a in answers:
        assert a.headers["x-content-type-options"] == "nosniff"
        assert a.head.lower().count("x-content-type-options") == 1


@pytest.mark.skipif(ALWAYS_TLS, reason="prior knowledge is in clear text")
def test_no_answer_over_http2_is_sniffed(gateway_of, provider_of):
    p = provider_of(lambda call: call.reply(200, {}, [("X-Content-Type-Options", "other")]))
    with http2.Client(gateway_of(config(p)).port) as c:
        for stream in (c.open("GET", "/health"), c.open("BREW", "/health"),
                       c.post("/openai/v1/chat/completions", chat("m"))):
            assert c.answer(stream).headers["x-content-type-options"] == "nosniff"


# ---- What a crash leaves behind ------------------------------------------------------------------

def core_limit(gateway):
    with open("/proc/%d/limits" % gateway.process.pid, encoding="ascii") as f:
        return re.search(r"Max core file size +(\S+) +(\S+)", f.read()).groups()


def owner(gateway):
    """A process that is not dumpable has its /proc files given to root, whoever it is."""
    return os.stat("/proc/%d/environ" % gateway.process.pid).st_uid


@pytest.mark.skipif(ALWAYS_TLS, reason="the shared authority's files are root's")
def test_secrets_stay_in(gateway_of, provider, tmp_path, monkeypatch):
    """No core dump and no /proc/PID/mem for others of the same user."""
    if os.getuid() != 0:
        pytest.skip("becomes another user")
    nobody = 65534
    os.chmod(tmp_path, 0o755)
    as_nobody = tmp_path / "as-nobody"
    as_nobody.write_text('#!/bin/sh\nulimit -c unlimited\n'
                         'exec setpriv --reuid %d --regid %d --clear-groups "%s" "$@"\n'
                         % (nobody, nobody, harness.BIN))
    as_nobody.chmod(0o755)
    monkeypatch.setattr(harness, "BIN", str(as_nobody))
    for flags, kept in (((), True), (("-core-dumps",), False)):
        g = open_to(nobody, provider, flags)
        try:
            assert (core_limit(g) == ("0", "0")) is kept
            assert owner(g) == (0 if kept else nobody)
            read = subprocess.run(
                ["setpriv", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups",
                 "head", "-c", "1", "/proc/%d/environ" % g.process.pid], capture_output=True)
            assert (read.returncode != 0) is kept
        finally:
            g.stop()


def open_to(user, provider, flags):
    """A gateway whose folder `user` may read."""
    g = harness.Gateway.__new__(harness.Gateway)
    made = harness.tempfile.TemporaryDirectory

    def shared(**kwargs):
        d = made(**kwargs)
        os.chown(d.name, user, user)
        return d

    harness.tempfile.TemporaryDirectory = shared
    try:
        g.__init__(config(provider), flags=flags)
    finally:
        harness.tempfile.TemporaryDirectory = made
    return g


def test_the_flag_is_in_the_usage():
    usage = subprocess.run([harness.BIN, "-help"], capture_output=True, check=True).stdout.decode()
    assert re.search(r"-core-dumps +\S", usage)
