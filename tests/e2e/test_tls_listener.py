# SPDX-License-Identifier: Apache-2.0
"""The gateway's own TLS: who it is, who may come, what survives a reload, what cannot be cut."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import harness
import http2
from harness import CHAT_EVENTS, DONE, Client, chat, config, event

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")

PATH = "/openai/v1/chat/completions"


@pytest.fixture(scope="module")
def authority():
    return harness.Authority()


@pytest.fixture(scope="module")
def files(authority):
    return authority.issue("127.0.0.1", "localhost")


@pytest.fixture
def secure(gateway_of, provider, authority, files):
    """Starts a gateway with server.tls; more members of it as arguments."""

    def make(flags=(), to=None, **members):
        tls = {} if "certificates" in members else {"cert_file": files[0], "key_file": files[1]}
        tls.update(members)
        return gateway_of(dict(config(to or provider), server={"tls": tls}), flags=flags)

    return make


def served(client):
    """Does one request and says whether it was answered well."""
    a = client.request("POST", PATH, chat("m"))
    return a.status == 200 and a.json()["choices"][0]["message"]["content"] == "Hello."


def total(g, trust, name, reason=None):
    """A family's sum over the cores."""
    with Client(g.port, tls=trust) as c:
        lines = c.request("GET", "/metrics").body.decode().split("\n")
    return sum(float(l.split(" ")[1]) for l in lines if l.startswith(name + "{") and
               (reason is None or 'reason="%s"' % reason in l))


def wait_total(g, trust, name, value, reason=None):
    end = time.monotonic() + harness.DEADLINE_S
    while total(g, trust, name, reason) != value:
        assert time.monotonic() < end, "%s is not %s" % (name, value)


FAILURES = "ringgate_tls_handshake_failures_total"
IN_PROGRESS = "ringgate_tls_handshakes_in_progress"


# ---- Versions, names ----------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(secure, authority, version):
    g = secure()
    trust = authority.trust(version)
    trust.set_alpn_protocols(["http/1.1"])
    with Client(g.port, tls=trust) as c:
        assert c.sock.version() == {2: "TLSv1.2", 3: "TLSv1.3"}[version - 0x0301]
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            assert served(c)


@pytest.mark.smoke
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_http2_by_alpn(secure, provider_of, authority, version):
    """Small answers, large ones (more than one output, more than one record) and streams."""
    large = "x" * 700_000

    def script(call):
        if call.json().get("stream"):
            call.stream_head()
            for e in CHAT_EVENTS + [DONE]:
                call.chunk(e)
            call.stream_end()
            return
        call.reply(200, dict(harness.CHAT, echo=call.json()["messages"][0]["content"] * 2))

    g = secure(to=provider_of(script))
    trust = authority.trust(version)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    body = chat("m")
    body["messages"][0]["content"] = large
    with http2.Client(g.port, tls=trust) as c:
        assert c.sock.selected_alpn_protocol() == "h2"
        for _ in range(3):
            assert c.answer(c.post(PATH, chat("m"))).status == 200
        streams = [c.post(PATH, chat("m", stream=True)) for _ in range(5)]
        for stream in streams:
            a = c.answer(stream)
            assert (a.status, a.body) == (200, b"".join(CHAT_EVENTS + [DONE]))
        assert json.loads(c.answer(c.upload(PATH, body)).body)["echo"] == large * 2
        g.process.send_signal(signal.SIGTERM)
        assert c.at_end()


def test_start_line_says_https(secure):
    assert "serving on https://127.0.0.1:" in secure().line


def test_1_3_only(secure, authority):
    g = secure(min_version="1.3")
    with pytest.raises(ssl.SSLError):
        Client(g.port, tls=authority.trust(ssl.TLSVersion.TLSv1_2))
    assert served(Client(g.port, tls=authority.trust()))


def shown(port, authority, name):
    with Client(port, tls=authority.trust(), name=name) as c:
        return {n for _, n in c.sock.getpeercert()["subjectAltName"]}


def test_names_choose_the_certificate(secure, authority, files):
    star = authority.issue("*.example.test", "two.test")
    g = secure(certificates=[{"cert_file": c, "key_file": k} for c, k in (files, star)])
    assert shown(g.port, authority, "localhost") == {"127.0.0.1", "localhost"}
    assert shown(g.port, authority, "two.test") == {"*.example.test", "two.test"}
    assert shown(g.port, authority, "API.example.test") == {"*.example.test", "two.test"}
    for unknown in ("example.test", "a.b.example.test"):
        with pytest.raises(ssl.SSLCertVerificationError):  # the first one, which has not the name
            shown(g.port, authority, unknown)


def test_rsa_and_a_chain(secure, authority, tmp_path):
    run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True, cwd=tmp_path)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem",
        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    chain = tmp_path / "chain.pem"
    chain.write_text((tmp_path / "c.pem").read_text() + open(authority.ca, encoding="ascii").read())
    g = secure(cert_file=str(chain), key_file=str(tmp_path / "k.pem"))
    out = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % g.port, "-showcerts"],
                         input=b"", capture_output=True, check=False).stdout
    assert out.count(b"-----BEGIN CERTIFICATE-----") == 2


# ---- Client certificates ------------------------------------------------------------------------

def refused(port, trust):
    """True when the connection ends without an answer (in TLS 1.3 only the first read says so)."""
    try:
        with Client(port, tls=trust) as c:
            c.request("GET", "/health")
    except (ssl.SSLError, EOFError, ConnectionError):
        return True
    return False


def test_client_certificates(secure, authority):
    friends, strangers = harness.Authority(), harness.Authority()
    friend, stranger = friends.issue("friend"), strangers.issue("stranger")
    for auth, without in (("require", True), ("request", False)):
        g = secure(client_auth=auth, client_ca_file=friends.ca)
        assert served(Client(g.port, tls=authority.trust(show=friend)))
        assert refused(g.port, authority.trust(show=stranger))
        assert refused(g.port, authority.trust()) == without
        wait_total(g, authority.trust(show=friend), FAILURES, 2 if without else 1,
                   "client_certificate")


# ---- Resumption ---------------------------------------------------------------------------------

def session_of(g, trust):
    """A session with a ticket: in TLS 1.3 it comes with the first answer."""
    with Client(g.port, tls=trust) as c:
        assert served(c)
        return c.sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_on_every_core_and_after_a_reload(secure, authority, version):
    g = secure(flags=["--cores=3"])
    trust = authority.trust(version)
    session = session_of(g, trust)
    held = []
    for _ in range(24):  # held open, so that they are spread over the cores
        c = Client(g.port, tls=trust, session=session)
        assert c.sock.session_reused and served(c)
        session = c.sock.session
        held.append(c)
    text = held[0].request("GET", "/metrics").body.decode()
    for core in range(3):
        assert 'ringgate_tls_resumptions_total{core="%d"} 0' % core not in text.split("\n")
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    c = Client(g.port, tls=trust, session=session)
    assert c.sock.session_reused and served(c)
    for c in held:
        assert served(c)


def test_a_ticket_does_not_outlive_its_rules(secure, authority):
    friends = harness.Authority()
    g = secure()
    trust = authority.trust()
    session = session_of(g, trust)
    cfg = dict(config("http://127.0.0.1:1"), server={"tls": {
        "cert_file": authority.dir.name + "/1.pem", "key_file": authority.dir.name + "/1.key",
        "client_auth": "require", "client_ca_file": friends.ca}})
    g.write(cfg)
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        with Client(g.port, tls=trust, session=session) as c:
            assert not c.sock.session_reused
            c.request("GET", "/health")


# ---- Reload -------------------------------------------------------------------------------------

def test_changed_files_are_used_without_dropping_a_connection(secure, authority, tmp_path):
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def renew(pair):
        for source, target in zip(pair, (cert, key)):  # as certbot does it: a rename
            shutil.copy(source, str(target) + ".new")
            os.rename(str(target) + ".new", target)

    renew(authority.issue("127.0.0.1", "one.test"))
    g = secure(flags=["--cores=2"], cert_file=str(cert), key_file=str(key))
    with Client(g.port, tls=authority.trust()) as old:
        assert served(old)
        renew(authority.issue("127.0.0.1", "two.test"))
        g.wait_log("TLS certificates reloaded")
        assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "two.test"}
        cert.write_text("-----BEGIN CERTIFICATE-----\nbroken\n")
        line = g.wait_log("the old ones stay")
        assert "server.tls.cert_file" in line and "broken" not in line
        assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "two.test"}
        renew(authority.issue("127.0.0.1", "three.test"))
        g.wait_log("TLS certificates reloaded", 2)
        assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "three.test"}
        assert served(old)
    assert sum("the old ones stay" in l for l in g.log) == 1


def test_a_swapped_link_is_a_change(secure, authority, tmp_path):
    """As Kubernetes updates a secret: ..data leads to another folder."""
    for name, san in (("v1", "one.test"), ("v2", "two.test")):
        (tmp_path / name).mkdir()
        cert, key = authority.issue("127.0.0.1", san)
        shutil.copy(cert, tmp_path / name / "tls.crt")
        shutil.copy(key, tmp_path / name / "tls.key")
    (tmp_path / "..data").symlink_to("v1")
    for f in ("tls.crt", "tls.key"):
        (tmp_path / f).symlink_to("..data/" + f)
    g = secure(cert_file=str(tmp_path / "tls.crt"), key_file=str(tmp_path / "tls.key"))
    assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "one.test"}
    (tmp_path / "..new").symlink_to("v2")
    os.rename(tmp_path / "..new", tmp_path / "..data")
    g.wait_log("TLS certificates reloaded")
    assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "two.test"}


def test_a_folder_that_is_never_still_does_not_put_it_off(secure, authority, tmp_path):
    pair = authority.issue("127.0.0.1", "one.test")
    cert, key = shutil.copy(pair[0], tmp_path / "c.pem"), shutil.copy(pair[1], tmp_path / "k.pem")
    g = secure(cert_file=str(cert), key_file=str(key))
    stop = threading.Event()

    def scribble():
        while not stop.wait(0.05):
            (tmp_path / "noise").write_text("x")

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        pair = authority.issue("127.0.0.1", "two.test")
        shutil.copy(pair[0], tmp_path / "new.pem")
        shutil.copy(pair[1], key)
        os.rename(tmp_path / "new.pem", cert)
        g.wait_log("TLS certificates reloaded")
    finally:
        stop.set()
        writer.join()
    assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "two.test"}


def test_sighup_reads_the_files_and_a_bad_one_changes_nothing(secure, authority, provider):
    g = secure()
    fresh = authority.issue("127.0.0.1", "fresh.test")
    g.write(dict(config(provider), server={"tls": {"cert_file": fresh[0], "key_file": fresh[1]}}))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "fresh.test"}
    g.write(dict(config(provider), server={"tls": {"cert_file": fresh[0], "key_file": "gone.pem"}}))
    g.process.send_signal(signal.SIGHUP)
    assert "server.tls.key_file: cannot be read" in g.wait_log("server.tls")
    g.wait_log("not reloaded")
    assert shown(g.port, authority, "127.0.0.1") == {"127.0.0.1", "fresh.test"}
    g.write(config(provider) if not harness.ALWAYS_TLS else "{}")
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("needs a restart")
    with Client(g.port, tls=authority.trust()) as c:
        assert c.request("GET", "/health").status == 200


# ---- What is refused ----------------------------------------------------------------------------

@pytest.mark.smoke
def test_plain_http_is_told(secure, authority):
    g = secure()
    with Client(g.port) as c:
        a = c.request("GET", "/health")
        assert a.status == 400 and "TLS" in a.json()["error"]["message"]
        assert c.at_end()
    with Client(g.port) as c:  # with a body that is still coming
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
        assert c.head()[0] == 400
    wait_total(g, authority.trust(), FAILURES, 2, "plain_http")


def test_plain_port_beside_it(secure, authority):
    g = secure(plain_port=0, flags=["--cores=2"])
    plain = int(g.line.rsplit("http://127.0.0.1:", 1)[1].split('"')[0])
    assert plain != g.port
    for _ in range(4):
        assert served(Client(plain))
        assert served(Client(g.port, tls=authority.trust()))


def test_half_a_hello_does_not_hold_others_up(secure, authority):
    g = secure()
    slow = [Client(g.port) for _ in range(50)]
    for c in slow:
        c.send(b"\x16\x03\x01\x02\x00\x01")
    wait_total(g, authority.trust(), IN_PROGRESS, 50)
    assert served(Client(g.port, tls=authority.trust()))
    for c in slow:
        c.close()
    wait_total(g, authority.trust(), IN_PROGRESS, 0)
    assert total(g, authority.trust(), FAILURES, "closed") == 50


def test_renegotiation_is_refused(secure):
    g = secure()
    p = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % g.port, "-tls1_2"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = p.communicate(b"R\n", timeout=harness.DEADLINE_S)[0]
    assert b"RENEGOTIATING" in out and (b"no renegotiation" in out or b"alert" in out)


# ---- Messages over records ----------------------------------------------------------------------

@pytest.mark.smoke
def test_stream_events_come_one_by_one(secure, provider_of, authority):
    go = threading.Semaphore(0)

    def script(call):
        call.stream_head()
        for e in CHAT_EVENTS + [DONE]:
            assert go.acquire(timeout=harness.DEADLINE_S)
            call.chunk(e)
        call.stream_end()

    g = secure(to=provider_of(script))
    with Client(g.port, tls=authority.trust()) as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        go.release()
        c.head()
        events = c.events()
        for i, expected in enumerate(CHAT_EVENTS + [DONE]):
            assert next(events) == expected
            if i < len(CHAT_EVENTS):
                go.release()  # the next one is sent only now
        assert list(events) == []


@pytest.mark.parametrize("how", ["fin", "close_notify"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_cut_request_never_reaches_the_provider(secure, provider, authority, how, framing):
    g = secure()
    c = Client(g.port, tls=authority.trust())
    body = harness.json.dumps(chat("m")).encode()
    if framing == "length":
        c.send(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" %
               (PATH.encode(), len(body) + 1) + body)
    else:
        c.send(b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" %
               (PATH.encode(), len(body), body))
    if how == "fin":
        socket.socket.shutdown(c.sock, socket.SHUT_WR)  # below TLS
        assert c.at_end_or_error()
    else:
        with pytest.raises((ssl.SSLError, OSError)):
            c.sock.unwrap()  # sends close_notify, and none comes back for half a request
    assert served(Client(g.port, tls=authority.trust()))
    assert len(provider.seen) == 1


def test_a_client_that_leaves_cancels_upstream(secure, provider_of, authority):
    closed = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        if call.wait_closed():
            closed.set()

    g = secure(to=provider_of(script))
    c = Client(g.port, tls=authority.trust())
    c.send_request("POST", PATH, chat("m", stream=True))
    c.head()
    assert next(c.events()) == CHAT_EVENTS[0]
    c.close()
    assert closed.wait(harness.DEADLINE_S)


def test_head_pipelining_and_large_bodies(secure, provider_of, authority):
    big = harness.json.dumps({"choices": [], "pad": "y" * 3_000_000}).encode()
    p = provider_of(lambda call: call.reply(200, big))
    g = secure(to=p)
    body = harness.json.dumps(chat("m", pad="x" * 3_000_000)).encode()
    with Client(g.port, tls=authority.trust()) as c:
        for _ in range(2):
            assert c.request("POST", PATH, body).body == big
            assert p.call().body == body
        assert c.request("HEAD", "/health").body == b""
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        for _ in range(20):
            assert c.answer().status == 200
        c.send(b"POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               b"Content-Length: %d\r\n\r\n" % (PATH.encode(), len(body)))
        assert c.head()[0] == 100
        c.send(body)
        assert c.answer("POST").body == big
        assert c.request("GET", "/nowhere").status == 404
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert c.answer().status == 200
        assert c.at_end()  # with close_notify: a ragged end would raise


def test_drain_finishes_a_stream(secure, provider_of, authority):
    release = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        release.wait(harness.DEADLINE_S)
        call.chunk(event("[DONE]"))
        call.stream_end()

    g = secure(to=provider_of(script))
    idle = Client(g.port, tls=authority.trust())
    assert idle.request("GET", "/health").status == 200
    with Client(g.port, tls=authority.trust()) as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        c.head()
        events = c.events()
        next(events)
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("finishing the requests")
        a = idle.request("GET", "/health")
        assert a.status == 503 and a.headers["connection"] == "close" and idle.at_end()
        release.set()
        assert list(events) == [DONE]
    g.process.wait(harness.DEADLINE_S)


# ---- --check-config -----------------------------------------------------------------------------

def test_check_config_reads_the_files(tmp_path, files, authority):
    def check(tls):
        harness.json.dump(dict(config("http://127.0.0.1:1"), server={"tls": tls}),
                          open(tmp_path / "config.json", "w", encoding="ascii"))
        p = subprocess.run([harness.BIN, "--check-config", "-app-dir", str(tmp_path)],
                           capture_output=True, text=True, check=False,
                           env=dict(os.environ, CERT=files[0],
                                    KEY_PEM=open(files[1], encoding="ascii").read()))
        return p.returncode, p.stdout

    other = authority.issue("other.test")
    good = {"cert_file": "env.CERT", "key_file": "env.KEY_PEM"}
    assert check(good) == (0, "the configuration is fine\n")
    code, said = check(dict(good, key_file=other[1]))
    assert code == 1 and "server.tls.key_file: does not belong to the certificate" in said
    code, said = check({"certificates": [good, {"cert_file": "no.pem", "key_file": files[1]}]})
    assert code == 1
    assert "server.tls.certificates[1].cert_file: cannot be read: No such file" in said
    assert "BEGIN" not in said and "no.pem" not in said
    code, said = check(dict(good, client_auth="require"))
    assert code == 1 and "server.tls.client_ca_file: missing" in said
    code, said = check(dict(good, client_auth="always"))
    assert code == 1 and 'server.tls.client_auth: expected one of "none", "request"' in said
