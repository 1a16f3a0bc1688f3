# SPDX-License-Identifier: Apache-2.0
"""The way to providers: through proxies, round proxies, and where it never leads."""
import shutil
import signal
import ssl
import threading

import pytest

import harness
from harness import CHAT_EVENTS, DONE, chat, config
from proxies import HttpProxy, SocksProxy

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")

PATH = "/openai/v1/chat/completions"
HOST = "provider.test"  # nobody but the proxy can resolve it
SECRET = "p4ssw0rd-of-the-proxy"
USER = ("user", SECRET)


@pytest.fixture
def proxy_of():
    made = []

    def make(kind, **kwargs):
        made.append(kind(**kwargs))
        return made[-1]

    yield make
    for p in made:
        p.close()


@pytest.fixture(scope="module")
def authority():
    return harness.Authority()


@pytest.fixture
def secure_provider(provider_of, authority):
    def make(script=None):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(*authority.issue(HOST))
        return provider_of(script, tls=ctx)

    return make


def ca(authority):
    with open(authority.ca, encoding="ascii") as f:
        return f.read()


def through(proxy, provider, url=None, network=None, **members):
    """A config.json whose provider is behind the proxy."""
    kind = "socks5" if isinstance(proxy, SocksProxy) else "http"
    entry = dict({"type": kind, "url": proxy.url}, **members)
    scheme = "https" if getattr(provider, "tls", None) else "http"
    made = config(url or "%s://%s:%d" % (scheme, HOST, provider.port), network=network,
                  proxy_config=entry)
    return made


def error_of(answer):
    return answer.json()["error"]["message"]


def assert_no_secret(g, *answers):
    text = "\n".join(g.log) + "".join(a.head + a.body.decode() for a in answers)
    assert SECRET not in text and "dXNlcjp" not in text  # "user:" in base64


# ---- Through -------------------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("user", [None, USER])
def test_socks_carries_requests_and_resolves(gateway_of, provider, proxy_of, user):
    proxy = proxy_of(SocksProxy, names={HOST: provider.port}, user=user)
    login = {"username": user[0], "password": user[1]} if user else {}
    g = gateway_of(through(proxy, provider, **login))
    with g.connect() as c:
        for _ in range(3):
            a = c.request("POST", PATH, chat("m"))
            assert a.status == 200, a.body
            assert a.json()["choices"][0]["message"]["content"] == "Hello."
    assert proxy.asked == [(HOST, provider.port)]  # a name, once: the connection was kept
    assert provider.connections == 1
    for call in provider.seen:
        assert not any("proxy" in name for name in call.headers)
    assert_no_secret(g)


@pytest.mark.smoke
@needs_openssl
@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_a_secure_provider_behind_a_tunnel(gateway_of, secure_provider, authority, proxy_of, kind):
    provider = secure_provider()
    proxy = proxy_of(kind, names={HOST: provider.port}, user=USER)
    g = gateway_of(through(proxy, provider, network={"ca_cert_pem": ca(authority)},
                           username=USER[0], password=USER[1]))
    with g.connect() as c:
        for _ in range(2):
            a = c.request("POST", PATH, chat("m"))
            assert a.status == 200, a.body
        c.send_request("POST", PATH, chat("m", stream=True))
        status, _, _ = c.head()
        assert status == 200
        assert list(c.events()) == CHAT_EVENTS + [DONE]
    assert len(proxy.asked) == 1
    call = provider.seen[0]
    assert call.headers["host"] == "%s:%d" % (HOST, provider.port)
    assert "proxy-authorization" not in call.headers
    assert b"sk-secret-1" not in proxy.raw  # the key is sealed before the proxy sees it
    assert_no_secret(g)


@needs_openssl
def test_the_authority_of_an_inspecting_proxy(gateway_of, secure_provider, authority, proxy_of):
    provider = secure_provider()
    proxy = proxy_of(HttpProxy, names={HOST: provider.port})
    g = gateway_of(through(proxy, provider))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and "certificate verification failed" in error_of(a)
    g = gateway_of(through(proxy, provider, ca_cert_pem=ca(authority)))
    assert g.post(PATH, chat("m")).status == 200


@pytest.mark.smoke
def test_http_goes_in_absolute_form(gateway_of, provider):
    """The mock stands in for the proxy: what it sees is what a proxy sees."""
    made = config("http://%s:8000/v1" % HOST, proxy_config={
        "type": "http", "url": "http://user:%s@127.0.0.1:%d" % (SECRET, provider.port)})
    g = gateway_of(made)
    with g.connect() as c:
        for _ in range(2):
            assert c.request("POST", PATH, chat("m")).status == 200
        c.send_request("POST", PATH, chat("m", stream=True))
        c.head()
        assert list(c.events()) == CHAT_EVENTS + [DONE]
    assert provider.connections == 1
    for call in provider.seen:
        assert call.path == "http://%s:8000/v1/chat/completions" % HOST
        assert call.headers["host"] == HOST + ":8000"
        assert call.headers["proxy-authorization"].startswith("Basic dXNlcjp")
        assert call.headers["authorization"] == "Bearer sk-secret-1"
    assert_no_secret(g)


def test_a_stream_arrives_event_by_event(gateway_of, provider_of, proxy_of):
    provider = provider_of(lambda call: None)
    proxy = proxy_of(SocksProxy, names={HOST: provider.port})
    g = gateway_of(through(proxy, provider))
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        call = provider.call()
        call.stream_head()
        events = None
        for e in CHAT_EVENTS:
            call.chunk(e)
            if events is None:
                assert c.head()[0] == 200
                events = c.events()
            assert next(events) == e
        call.chunk(DONE)
        call.stream_end()
        assert next(events) == DONE


def test_a_client_that_leaves_closes_the_tunnel(gateway_of, provider_of, proxy_of):
    gone = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        if call.wait_closed():
            gone.set()

    proxy = proxy_of(SocksProxy)
    provider = provider_of(script)
    proxy.names[HOST] = provider.port
    g = gateway_of(through(proxy, provider))
    c = g.connect()
    c.send_request("POST", PATH, chat("m", stream=True))
    assert c.head()[0] == 200
    c.reset()
    assert gone.wait(harness.DEADLINE_S)


# ---- Failures: which hop, and no secret ----------------------------------------------------------

@pytest.mark.parametrize("kind,step,status,text", [
    (HttpProxy, "close", 502, "the proxy closed the connection"),
    (HttpProxy, "garbage", 502, "the proxy's answer is malformed"),
    (HttpProxy, "behind", 502, "the proxy's answer is malformed"),
    (HttpProxy, "refuse", 502, "the proxy refused to connect to the provider"),
    (HttpProxy, "unreachable", 502, "the proxy could not reach the provider"),
    (HttpProxy, "silent", 504, "the proxy did not answer in time"),
    (SocksProxy, "close", 502, "the proxy closed the connection"),
    (SocksProxy, "garbage", 502, "the proxy's answer is malformed"),
    (SocksProxy, "none", 502, "the proxy did not accept the credentials"),
    (SocksProxy, "denied", 502, "the proxy did not accept the credentials"),
    (SocksProxy, 2, 502, "the proxy refused to connect to the provider"),
    (SocksProxy, 5, 502, "the proxy could not reach the provider"),
    (SocksProxy, "silent", 504, "timed out"),
])
def test_a_proxy_that_fails(gateway_of, provider, proxy_of, kind, step, status, text):
    proxy = proxy_of(kind, names={HOST: provider.port}, user=USER, step=step)
    scheme = "https" if kind is HttpProxy else "http"
    network = {"default_request_timeout_in_seconds": 1} if step == "silent" else {}
    g = gateway_of(through(proxy, provider, url="%s://%s:%d" % (scheme, HOST, provider.port),
                           network=network, username=USER[0], password=USER[1]))
    a = g.post(PATH, chat("m"))
    assert a.status == status
    if step != "silent":  # one second is the request's and the connection's: either may say so
        assert text in error_of(a)
    assert not provider.seen
    assert_no_secret(g, a)


def test_credentials_that_are_refused(gateway_of, provider, proxy_of):
    proxy = proxy_of(HttpProxy, user=("user", "another"))
    g = gateway_of(through(proxy, provider, url="https://%s" % HOST, network={"max_retries": 3},
                           username=USER[0], password=USER[1]))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and error_of(a) == "the proxy did not accept the credentials"
    assert len(proxy.asked) == 1  # asking again would not help
    assert_no_secret(g, a)


def test_407_in_absolute_form(gateway_of, provider_of):
    proxy = provider_of(lambda call: call.reply(407, b"who are you, user?", headers=[
        ("Proxy-Authenticate", "Basic realm=\"x\"")], content_type="text/plain"))
    g = gateway_of(config("http://%s:8000" % HOST, proxy_config={
        "type": "http", "url": proxy.url, "username": USER[0], "password": USER[1]}))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and error_of(a) == "the proxy did not accept the credentials"
    assert "proxy-authenticate" not in a.headers
    assert_no_secret(g, a)


def test_nobody_is_at_the_proxys_address(gateway_of, provider, proxy_of):
    proxy = proxy_of(SocksProxy)
    proxy.close()
    g = gateway_of(through(proxy, provider))
    a = g.post(PATH, chat("m"))
    assert a.status == 502
    assert error_of(a) == "the proxy refused the connection or is unreachable"


def test_a_failed_proxy_is_tried_again(gateway_of, provider, proxy_of):
    proxy = proxy_of(SocksProxy, names={HOST: provider.port}, step=[5])
    g = gateway_of(through(proxy, provider, network={
        "max_retries": 1, "retry_backoff_initial": 100, "retry_backoff_max": 100}))
    assert g.post(PATH, chat("m")).status == 200
    assert len(proxy.asked) == 2


def test_a_kept_tunnel_that_has_closed_is_replaced(gateway_of, provider_of, proxy_of):
    def script(call):
        harness.default_script(call)
        raise harness.Hangup

    provider = provider_of(script)
    proxy = proxy_of(SocksProxy, names={HOST: provider.port})
    g = gateway_of(through(proxy, provider))
    with g.connect() as c:
        for _ in range(5):
            assert c.request("POST", PATH, chat("m")).status == 200
    assert len(provider.seen) == 5 and len(proxy.asked) == 5


# ---- The environment, reloads --------------------------------------------------------------------

def test_the_environment_chooses(gateway_of, provider, proxy_of):
    proxy = proxy_of(SocksProxy, names={HOST: provider.port, "direct.test": provider.port})
    made = config("http://%s:%d" % (HOST, provider.port), proxy_config={"type": "environment"})
    made["providers"].update(config(provider, name="groq",
                                    proxy_config={"type": "environment"})["providers"])
    made["providers"].update(config("http://direct.test:%d" % provider.port, name="xai",
                                    proxy_config={"type": "environment"})["providers"])
    g = gateway_of(made, env={"HTTP_PROXY": proxy.url, "NO_PROXY": "direct.test"})
    assert g.post("/v1/chat/completions", chat("openai/m")).status == 200
    assert proxy.asked == [(HOST, provider.port)]
    assert g.post("/v1/chat/completions", chat("groq/m")).status == 200  # loopback: direct
    a = g.post("/v1/chat/completions", chat("xai/m"))
    assert a.status == 502 and "could not be resolved" in error_of(a)  # direct, and unknown here
    assert len(proxy.asked) == 1


def test_a_reload_changes_the_way(gateway_of, provider, proxy_of):
    first = proxy_of(SocksProxy, names={HOST: provider.port})
    second = proxy_of(SocksProxy, names={HOST: provider.port}, user=USER)
    g = gateway_of(through(first, provider))
    with g.connect() as c:
        assert c.request("POST", PATH, chat("m")).status == 200
        g.write(through(second, provider, username=USER[0], password=USER[1]))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("configuration reloaded")
        assert c.request("POST", PATH, chat("m")).status == 200  # not through the old one's tunnel
    assert len(first.asked) == 1 and len(second.asked) == 1
    assert_no_secret(g)


def test_a_running_stream_keeps_its_proxy(gateway_of, provider_of, proxy_of):
    provider = provider_of(lambda call: None if call.json().get("stream")
                           else harness.default_script(call))
    first = proxy_of(SocksProxy, names={HOST: provider.port})
    g = gateway_of(through(first, provider))
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        call = provider.call()
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        c.head()
        events = c.events()
        assert next(events) == CHAT_EVENTS[0]
        g.write(config(provider))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("configuration reloaded")
        assert g.post(PATH, chat("m")).status == 200  # direct
        call.chunk(DONE)
        call.stream_end()
        assert next(events) == DONE
    assert len(first.asked) == 1


# ---- Where no request goes -----------------------------------------------------------------------

def test_private_addresses_on_request(gateway_of, provider):
    made = config("http://10.255.255.1:9", network={"allow_private_network": False})
    g = gateway_of(made)
    a = g.post(PATH, chat("m"))
    assert a.status == 502
    assert error_of(a) == "the host is a private address and allow_private_network is false"
    g = gateway_of(config(provider, network={"allow_private_network": False}))
    assert g.post(PATH, chat("m")).status == 200  # loopback is always the operator's own


def test_a_metadata_name_is_refused_also_behind_a_proxy(gateway_of, provider, proxy_of):
    proxy = proxy_of(SocksProxy, names={"metadata.google.internal": provider.port})
    g = gateway_of(through(proxy, provider, url="http://metadata.google.internal"),
                   expect_start=False)
    g.wait_log("a link-local or metadata address is never a provider")
    assert g.process.wait(harness.DEADLINE_S) != 0
    g.process.returncode = 0
    assert not proxy.asked
