# SPDX-License-Identifier: Apache-2.0
"""Start, configuration, reload, stop, TLS to providers."""
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from harness import BIN, CHAT, CHAT_EVENTS, DEADLINE_S, DONE, FLAGS, Gateway, chat, config


def check(tmp_path, cfg, *flags):
    (tmp_path / "config.json").write_text(cfg if isinstance(cfg, str) else json.dumps(cfg))
    return subprocess.run([BIN, "--check-config", "-app-dir", str(tmp_path), *FLAGS, *flags],
                          capture_output=True, text=True, timeout=20)


GOOD = config("http://127.0.0.1:1")


def test_check_config_accepts(tmp_path):
    assert check(tmp_path, GOOD).returncode == 0


@pytest.mark.parametrize("change,path", [
    (lambda c: c.update(provdiers={}), "provdiers"),
    (lambda c: c["providers"]["openai"].update(kyes=[]), "providers.openai.kyes"),
    (lambda c: c["providers"]["openai"]["network_config"].update(max_retries=-1),
     "providers.openai.network_config.max_retries"),
    (lambda c: c["providers"]["openai"]["network_config"].update(max_retries="3"),
     "providers.openai.network_config.max_retries"),
    (lambda c: c.update(version=3), "version"),
])
def test_check_config_names_the_member_at_fault(tmp_path, change, path):
    cfg = json.loads(json.dumps(GOOD))
    change(cfg)
    got = check(tmp_path, cfg)
    assert got.returncode != 0 and path in got.stderr + got.stdout
    assert "sk-secret" not in got.stderr + got.stdout


@pytest.mark.parametrize("part", [
    {"client": {"enforce_scim_auth": True}},
    {"governance": {"routing_rules": [{"id": "r", "name": "r", "targets": [{"weight": 1}]}]}},
])
def test_what_restricts_access_refuses_to_start_unless_allowed(tmp_path, part):
    cfg = dict(json.loads(json.dumps(GOOD)), **part)
    assert check(tmp_path, cfg).returncode != 0
    got = check(tmp_path, cfg, "--allow-unenforced")
    assert got.returncode == 0 and list(part)[0] in got.stderr + got.stdout


def test_known_but_not_served_is_a_warning(tmp_path):
    got = check(tmp_path, dict(GOOD, mcp={"client_configs": [
        {"name": "files", "connection_type": "http", "connection_string": "http://127.0.0.1:1"}]}))
    assert got.returncode == 0 and "mcp" in got.stderr + got.stdout


def test_not_json_is_refused(tmp_path):
    assert check(tmp_path, "{").returncode != 0


def test_a_port_that_is_taken_ends_the_start(provider):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        g = Gateway(config(provider), flags=["-port", str(port)], expect_start=False)
        g.wait_log("cannot listen on 127.0.0.1 port %d: Address already in use" % port)
        assert g.process.wait(DEADLINE_S) == 1


def test_start_without_a_file_takes_the_environment(gateway_of):
    g = gateway_of(env={"OPENAI_API_KEY": "sk-env-secret"})
    assert g.request("GET", "/health").status == 200
    assert "sk-env-secret" not in "\n".join(g.log)


def test_key_from_the_environment(gateway_of, provider):
    g = gateway_of(config(provider, keys=[{"name": "k", "value": "env.MY_SECRET", "weight": 1,
                                           "models": ["*"]}]), env={"MY_SECRET": "sk-from-env"})
    assert g.post("/v1/chat/completions", chat()).status == 200
    assert provider.call().headers["authorization"] == "Bearer sk-from-env"


def test_version_1_reads_an_empty_list_as_all(gateway_of, provider):
    keys = [{"name": "k", "value": "v", "weight": 1, "models": []}]
    g = gateway_of(config(provider, keys=keys))
    assert g.post("/v1/chat/completions", chat()).status == 400
    g = gateway_of(dict(config(provider, keys=keys), version=1))
    assert g.post("/v1/chat/completions", chat()).status == 200


def test_reload_takes_the_new_file_and_drops_nothing(gateway_of, provider_of):
    release = threading.Event()

    def slow(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        release.wait(20)
        call.chunk(CHAT_EVENTS[1] + DONE)
        call.stream_end()

    old, new = provider_of(slow), provider_of()
    g = gateway_of(config(old))
    with g.connect() as c, g.connect() as other:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        c.head()
        events = c.events()
        assert next(events) == CHAT_EVENTS[0]
        g.write(config(new))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        assert other.request("POST", "/v1/chat/completions", chat()).status == 200
        assert len(new.seen) == 1
        g.write("{")
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("not reloaded")
        assert other.request("POST", "/v1/chat/completions", chat()).status == 200
        release.set()
        assert b"".join(events) == CHAT_EVENTS[1] + DONE
    for _ in range(3):
        g.write(config(new))
        g.process.send_signal(signal.SIGHUP)
    assert g.post("/v1/chat/completions", chat()).status == 200


def test_sigterm_lets_a_stream_finish(gateway_of, provider_of):
    release = threading.Event()

    def slow(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        release.wait(20)
        call.chunk(DONE)
        call.stream_end()

    g = gateway_of(config(provider_of(slow)))
    with g.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        c.head()
        events = c.events()
        next(events)
        g.process.send_signal(signal.SIGTERM)
        g.wait_log("finishing the requests")
        release.set()
        assert list(events) == [DONE]
    g.process.wait(20)


def openssl(tmp_path):
    """A certificate authority and a certificate of its for 127.0.0.1."""
    run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True, cwd=tmp_path)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=localhost")
    (tmp_path / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    run("x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "s.pem", "-days", "2", "-extfile", "ext")
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(tmp_path / "s.pem", tmp_path / "s.key")
    return ctx, (tmp_path / "ca.pem").read_text()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
class TestTls:
    def test_private_ca(self, gateway_of, provider_of, tmp_path):
        ctx, ca = openssl(tmp_path)
        p = provider_of(tls=ctx)
        g = gateway_of(config(p, network={"ca_cert_pem": ca}))
        for _ in range(3):
            a = g.post("/openai/v1/chat/completions", chat("gpt-4o-mini"))
            assert a.body == json.dumps(CHAT).encode()
            a = g.post("/openai/v1/chat/completions", chat("gpt-4o-mini", stream=True))
            assert a.body == b"".join(CHAT_EVENTS) + DONE

    def test_large_bodies(self, gateway_of, provider_of, tmp_path):
        ctx, ca = openssl(tmp_path)
        big = json.dumps({"choices": [], "pad": "y" * 3_000_000}).encode()
        p = provider_of(lambda call: call.reply(200, big), tls=ctx)
        g = gateway_of(config(p, network={"ca_cert_pem": ca}))
        body = json.dumps(chat("m", pad="x" * 2_000_000)).encode()
        for _ in range(2):
            assert g.post("/openai/v1/chat/completions", body).body == big
            assert p.call().body == body

    def test_unknown_ca_is_refused(self, gateway_of, provider_of, tmp_path):
        ctx, _ = openssl(tmp_path)
        p = provider_of(tls=ctx)
        a = gateway_of(config(p)).post("/v1/chat/completions", chat())
        assert a.status == 502 and "certificate" in a.json()["error"]["message"]
        assert not p.seen

    def test_insecure_skip_verify(self, gateway_of, provider_of, tmp_path):
        ctx, _ = openssl(tmp_path)
        g = gateway_of(config(provider_of(tls=ctx), network={"insecure_skip_verify": True}))
        assert g.post("/v1/chat/completions", chat()).status == 200

    def test_stream_cut_without_close_notify_is_not_whole(self, gateway_of, provider_of, tmp_path):
        ctx, ca = openssl(tmp_path)

        def script(call):
            call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"choices\":[")
            call.sock.shutdown(socket.SHUT_RDWR)

        g = gateway_of(config(provider_of(script, tls=ctx), network={"ca_cert_pem": ca}))
        assert g.post("/openai/v1/chat/completions", chat("m")).status == 502
