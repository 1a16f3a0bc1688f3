# SPDX-License-Identifier: Apache-2.0
"""Proxies that speak TLS themselves: https:// in proxy_config and in the environment."""
import json
import shutil
import signal
import ssl

import pytest

import harness
from harness import CHAT_EVENTS, DONE, chat, config
from http2_provider import H2Provider
from proxies import HttpProxy, TlsFront

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")

PATH = "/openai/v1/chat/completions"
HOST = "provider.test"  # nobody but the proxy can resolve it
SECRET = "p4ssw0rd-of-the-proxy"
USER = ("user", SECRET)


@pytest.fixture(scope="module")
def authority():
    return harness.Authority()


@pytest.fixture
def served(authority):
    """A server's TLS for these names."""
    def make(*names):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(*authority.issue(*names))
        return ctx

    return make


@pytest.fixture
def front_of(served):
    """TLS in front of whatever listens on a port; `port` has its, `kind` the proxy behind."""
    made = []

    def make(port=None, name="127.0.0.1", **kwargs):
        proxy = None
        if port is None:
            proxy = HttpProxy(**kwargs)
            made.append(proxy)
        made.append(TlsFront(port or proxy.port, served(name)))
        return made[-1], proxy

    yield make
    for p in reversed(made):
        p.close()


def ca(authority):
    with open(authority.ca, encoding="ascii") as f:
        return f.read()


def through(front, url, authority, network=None, **members):
    entry = dict({"type": "http", "url": front.url, "ca_cert_pem": ca(authority)}, **members)
    return config(url, network=network, proxy_config=entry)


def login():
    return {"username": USER[0], "password": USER[1]}


def error_of(answer):
    return answer.json()["error"]["message"]


def assert_no_secret(g, *answers):
    text = "\n".join(g.log) + "".join(a.head + a.body.decode() for a in answers)
    assert SECRET not in text and "dXNlcjp" not in text  # "user:" in base64


# ---- Through -------------------------------------------------------------------------------------

@pytest.mark.smoke
def test_tls_inside_tls(gateway_of, provider_of, served, front_of, authority):
    provider = provider_of(tls=served(HOST))
    front, proxy = front_of(names={HOST: provider.port}, user=USER)
    g = gateway_of(through(front, "https://%s:%d" % (HOST, provider.port), authority, **login()))
    with g.connect() as c:
        for _ in range(2):
            a = c.request("POST", PATH, chat("m"))
            assert a.status == 200, a.body
        c.send_request("POST", PATH, chat("m", stream=True))
        assert c.head()[0] == 200
        assert list(c.events()) == CHAT_EVENTS + [DONE]
    assert proxy.asked == [("CONNECT", "%s:%d" % (HOST, provider.port))]  # once: it was kept
    assert front.connections == provider.connections == 1
    assert front.raw.startswith(b"CONNECT ") and b"sk-secret-1" not in front.raw
    assert not any("proxy" in name for call in provider.seen for name in call.headers)
    assert_no_secret(g)


def test_large_bodies_both_ways(gateway_of, provider_of, served, front_of, authority):
    def script(call):
        call.reply(200, dict(harness.CHAT, pad=call.json()["pad"]))

    provider = provider_of(script, tls=served(HOST))
    front, _ = front_of(names={HOST: provider.port})
    g = gateway_of(through(front, "https://%s:%d" % (HOST, provider.port), authority))
    pad = "".join(chr(33 + i * i % 90) for i in range(3 << 20)).replace("\\", "/").replace('"', "'")
    with g.connect() as c:
        for _ in range(2):
            a = c.request("POST", PATH, chat("m", pad=pad))
            assert a.status == 200 and a.json()["pad"] == pad
    assert front.connections == 1


@pytest.mark.parametrize("secure", [True, False])
def test_http2_inside(gateway_of, served, front_of, authority, secure):
    tls = served(HOST)
    tls.set_alpn_protocols(["h2"])
    provider = H2Provider(tls=tls if secure else None)
    front, proxy = front_of(names={HOST: provider.port})
    try:
        scheme = "https" if secure else "http"
        g = gateway_of(through(front, "%s://%s:%d" % (scheme, HOST, provider.port), authority,
                               network={"enforce_http2": True}))
        with g.connect() as c:
            for _ in range(2):
                assert c.request("POST", PATH, chat("m")).status == 200
        assert len(proxy.asked) == front.connections == len(provider.connections) == 1
    finally:
        provider.close()


def test_plain_http_goes_in_absolute_form(gateway_of, provider, front_of, authority):
    """The mock stands in for the proxy behind the TLS."""
    front, _ = front_of(port=provider.port)
    g = gateway_of(through(front, "http://%s:8000/v1" % HOST, authority, **login()))
    with g.connect() as c:
        for _ in range(2):
            assert c.request("POST", PATH, chat("m")).status == 200
    assert front.connections == 1
    for call in provider.seen:
        assert call.path == "http://%s:8000/v1/chat/completions" % HOST
        assert call.headers["proxy-authorization"].startswith("Basic dXNlcjp")
    assert_no_secret(g)


def test_the_environment_names_one(gateway_of, provider_of, served, front_of, authority):
    provider = provider_of(tls=served(HOST))
    front, proxy = front_of(names={HOST: provider.port})
    made = config("https://%s:%d" % (HOST, provider.port), network={"ca_cert_pem": ca(authority)},
                  proxy_config={"type": "environment"})
    g = gateway_of(made, env={"HTTPS_PROXY": front.url})
    assert g.post(PATH, chat("m")).status == 200
    assert len(proxy.asked) == 1


def test_a_reload_keeps_the_connection_and_a_new_authority_does_not(gateway_of, provider_of, served,
                                                                    front_of, authority):
    provider = provider_of(tls=served(HOST))
    front, _ = front_of(names={HOST: provider.port})
    made = through(front, "https://%s:%d" % (HOST, provider.port), authority)
    g = gateway_of(made)
    more = ca(authority) + ca(harness.Authority())
    with g.connect() as c:  # one client, one core
        for text, connections in ((ca(authority), 1), (more, 2)):
            assert c.request("POST", PATH, chat("m")).status == 200
            made["providers"]["openai"]["proxy_config"]["ca_cert_pem"] = text
            g.write(made)
            g.process.send_signal(signal.SIGHUP)
            g.wait_log("configuration reloaded", connections)
            assert c.request("POST", PATH, chat("m")).status == 200
            assert front.connections == connections


# ---- Failures ------------------------------------------------------------------------------------

@pytest.mark.parametrize("name,trusted,text", [
    ("elsewhere.test", True, "verification of the proxy's certificate failed"),
    ("127.0.0.1", False, "verification of the proxy's certificate failed"),
])
def test_a_proxy_that_is_not_the_one(gateway_of, provider, front_of, authority, name, trusted,
                                     text):
    front, proxy = front_of(name=name, names={HOST: provider.port}, user=USER)
    g = gateway_of(through(front, "https://" + HOST, authority if trusted else harness.Authority(),
                           **login()))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and error_of(a) == text
    assert not proxy.asked and front.raw == b""  # no credential has left
    assert_no_secret(g, a)


class PlainProxy(HttpProxy):
    """Takes a ClientHello for a request."""

    url = property(lambda self: "https://127.0.0.1:%d" % self.port)

    def serve(self, sock, step):
        self.read(sock, 5)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_proxy_without_tls(gateway_of, authority):
    proxy = PlainProxy()
    g = gateway_of(through(proxy, "https://" + HOST, authority, **login()))
    a = g.post(PATH, chat("m"))
    proxy.close()
    assert a.status == 502 and error_of(a) == "TLS handshake with the proxy failed"
    assert_no_secret(g, a)


@pytest.mark.parametrize("step,status,text", [
    ("close", 502, "the proxy closed the connection"),
    ("garbage", 502, "the proxy's answer is malformed"),
    ("behind", 502, "the proxy's answer is malformed"),
    ("refuse", 502, "the proxy refused to connect to the provider"),
    ("unreachable", 502, "the proxy could not reach the provider"),
    ("silent", 504, None),  # the request's second and the connection's are one: either may say so
])
def test_a_proxy_that_fails(gateway_of, provider, front_of, authority, step, status, text):
    front, proxy = front_of(names={HOST: provider.port}, step=step)
    network = {"default_request_timeout_in_seconds": 1} if step == "silent" else {}
    g = gateway_of(through(front, "https://" + HOST, authority, network=network))
    a = g.post(PATH, chat("m"))
    assert a.status == status
    assert text is None or error_of(a) == text
    assert proxy.asked == [("CONNECT", HOST + ":443")]


def test_credentials_that_are_refused(gateway_of, provider, front_of, authority):
    front, proxy = front_of(user=("user", "another"))
    g = gateway_of(through(front, "https://" + HOST, authority, network={"max_retries": 3},
                           **login()))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and error_of(a) == "the proxy did not accept the credentials"
    assert len(proxy.asked) == 1
    assert_no_secret(g, a)


def test_a_provider_that_is_not_the_one(gateway_of, provider_of, served, front_of, authority):
    provider = provider_of(tls=served("elsewhere.test"))
    front, proxy = front_of(names={HOST: provider.port})
    g = gateway_of(through(front, "https://%s:%d" % (HOST, provider.port), authority))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and error_of(a) == "certificate verification failed"
    assert len(proxy.asked) == 1 and not provider.seen
    assert b"sk-secret-1" not in front.raw and json.dumps(SECRET).encode() not in front.raw


def test_no_tls_to_a_socks_proxy(gateway_of, provider):
    g = gateway_of(config(provider, proxy_config={"type": "socks5", "url": "https://p.test"}),
                   expect_start=False)
    g.wait_log("providers.openai.proxy_config.url: the scheme belongs to another type of proxy")
    assert g.process.wait(harness.DEADLINE_S) != 0
    g.process.returncode = 0  # said and done
