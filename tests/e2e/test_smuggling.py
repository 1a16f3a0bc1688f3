# SPDX-License-Identifier: Apache-2.0
"""Request smuggling and answer splitting: bytes in, what may follow them.

Whoever reads a message's end elsewhere than its neighbour does can be made to see a message that
nobody sent. So each row is a class of disagreement, as bytes, with the rule that settles it and the
outcome. A refused request is answered once, its connection closed, nothing behind it interpreted,
and no provider hears of it. A refused answer is 502 to its own client and to nobody else, and its
connection is closed.

The three tables are the inventory: class x face (clients over HTTP/1 and HTTP/2, providers).
"""
import json
import queue
import threading

import pytest

import harness
import http2
from harness import DEADLINE_S, chat, config

BODY = json.dumps(chat("gpt-4o-mini")).encode()
LINE = b"POST /openai/v1/chat/completions HTTP/1.1\r\n"
POST = LINE + b"Host: a\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: a\r\n"
# What an attacker wants read as a request of its own.
INNER = b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY), BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"


def length(n):
    return b"Content-Length: %d\r\n" % n


class World:
    """A gateway before a provider that answers a call with given bytes once, and else well."""

    def __init__(self):
        self.bytes = None
        self.closed = queue.Queue()
        self.provider = harness.Provider(self.script)
        self.gateway = harness.Gateway(config(self.provider, network={"max_retries": 0}))

    def script(self, call):
        raw, self.bytes = self.bytes, None
        if raw is None:
            call.reply(200, {"fresh": True})
        else:
            call.send(raw)
            self.closed.put(call.wait_closed())

    def h2(self):
        tls = harness.shared_authority()["trust"] if self.gateway.secure else None
        return http2.Client(self.gateway.port, tls=tls)


@pytest.fixture(scope="module")
def world():
    w = World()
    yield w
    w.gateway.stop()
    w.provider.close()


# ---- Clients, HTTP/1: refused --------------------------------------------------------------------

# (name, rule, bytes, status). INNER stands behind each where a lenient reader would find it.
REFUSED = [
    # Two lengths for one body.
    ("CL.TE", "9112 6.1, 6.3", POST + length(5) + CHUNKED + b"\r\n" + LAST + INNER, 400),
    ("TE.CL", "9112 6.1, 6.3", POST + CHUNKED + length(4) + b"\r\n5c\r\n" + INNER, 400),
    ("CL.TE, length 0", "9112 6.3", POST + length(0) + CHUNKED + b"\r\n" + LAST + INNER, 400),
    ("CL.TE in HTTP/1.0", "9112 6.1",
     POST.replace(b"1.1", b"1.0") + length(5) + CHUNKED + b"\r\n" + LAST + INNER, 400),
    ("TE in HTTP/1.0", "9112 6.1",
     POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + LAST + INNER, 400),
    ("two lengths", "9112 6.3", POST + length(0) + length(len(INNER)) + b"\r\n" + INNER, 400),
    ("one length twice", "9112 6.3", POST + length(5) * 2 + b"\r\nhello" + INNER, 400),
    ("length list", "9112 6.3", POST + b"Content-Length: 5, 5\r\n\r\nhello" + INNER, 400),
    ("unequal length list", "9112 6.3", POST + b"Content-Length: 0, 5\r\n\r\nhello" + INNER, 400),
    ("lengths in another case", "9110 5.1",
     POST + b"content-length: 0\r\nCONTENT-LENGTH: 5\r\n\r\nhello" + INNER, 400),
    # A length that readers read differently.
    ("length +5", "9110 8.6", POST + b"Content-Length: +5\r\n\r\nhello" + INNER, 400),
    ("length -1", "9110 8.6", POST + b"Content-Length: -1\r\n\r\n" + INNER, 400),
    ("length -0", "9110 8.6", POST + b"Content-Length: -0\r\n\r\n" + INNER, 400),
    ("length 0x5", "9110 8.6", POST + b"Content-Length: 0x5\r\n\r\nhello" + INNER, 400),
    ("length 5.0", "9110 8.6", POST + b"Content-Length: 5.0\r\n\r\nhello" + INNER, 400),
    ("length 5e0", "9110 8.6", POST + b"Content-Length: 5e0\r\n\r\nhello" + INNER, 400),
    ("length 1_0", "9110 8.6", POST + b"Content-Length: 1_0\r\n\r\nhellohello" + INNER, 400),
    ("length 5 5", "9110 8.6", POST + b"Content-Length: 5 5\r\n\r\nhello" + INNER, 400),
    ("length 5;", "9110 8.6", POST + b"Content-Length: 5;\r\n\r\nhello" + INNER, 400),
    ("length empty", "9110 8.6", POST + b"Content-Length:\r\n\r\n" + INNER, 400),
    ("length of another script", "9110 8.6",
     POST + b"Content-Length: \xd9\xa5\r\n\r\nhello" + INNER, 400),
    ("length 2^64", "9110 8.6",
     POST + b"Content-Length: 18446744073709551616\r\n\r\n" + INNER, 400),
    ("length 2^63", "9110 8.6", POST + b"Content-Length: 9223372036854775808\r\n\r\n" + INNER, 400),
    ("length with NUL", "9110 5.5", POST + b"Content-Length: 5\0\r\n\r\nhello" + INNER, 400),
    # A coding one reader knows and the other does not.
    ("TE.TE", "9112 6.1", POST + CHUNKED * 2 + b"\r\n" + LAST + INNER, 400),
    ("TE.TE identity", "9112 6.1",
     POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + LAST + INNER, 400),
    ("TE chunked, chunked", "9112 7.1",
     POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST + INNER, 501),
    ("TE chunked, identity", "9112 6.1",
     POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + LAST + INNER, 501),
    ("TE gzip, chunked", "9112 6.1",
     POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST + INNER, 501),
    ("TE identity", "9112 6.1",
     POST + b"Transfer-Encoding: identity\r\n" + b"\r\n" + LAST + INNER, 501),
    ("TE xchunked", "9112 6.1", POST + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST + INNER, 501),
    ("TE chunked;q=1", "9112 6.1",
     POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + LAST + INNER, 501),
    ("TE \"chunked\"", "9112 6.1",
     POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n" + LAST + INNER, 501),
    ("TE empty", "9112 6.1", POST + b"Transfer-Encoding:\r\n\r\n" + LAST + INNER, 501),
    ("TE ,chunked", "9112 6.1", POST + b"Transfer-Encoding: ,chunked\r\n\r\n" + LAST + INNER, 501),
    ("TE behind VT", "9110 5.5",
     POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST + INNER, 400),
    ("TE behind FF", "9110 5.5",
     POST + b"Transfer-Encoding: \x0cchunked\r\n\r\n" + LAST + INNER, 400),
    ("TE behind NUL", "9110 5.5",
     POST + b"Transfer-Encoding: \0chunked\r\n\r\n" + LAST + INNER, 400),
    ("TE behind NBSP", "9112 6.1",
     POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n" + LAST + INNER, 501),
    # A field one reader sees and the other does not.
    ("space before the colon", "9112 5.1",
     POST + b"Transfer-Encoding : chunked\r\n\r\n" + LAST + INNER, 400),
    ("tab before the colon", "9112 5.1",
     POST + b"Content-Length\t: 5\r\n\r\nhello" + INNER, 400),
    ("space in the name", "9110 5.1", POST + b"Content Length: 5\r\n\r\nhello" + INNER, 400),
    ("space before the first name", "9112 2.2",
     LINE + b" Host: a\r\n" + length(0) + b"\r\n" + INNER, 400),
    ("space before a name", "9112 5.2", POST + b" Content-Length: 5\r\n\r\nhello" + INNER, 400),
    ("obs-fold", "9112 5.2",
     POST + b"X: b\r\n Content-Length: 5\r\n\r\nhello" + INNER, 400),
    ("obs-fold by a tab", "9112 5.2",
     POST + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n" + LAST + INNER, 400),
    ("obs-fold of nothing", "9112 5.2", POST + b"X: b\r\n \r\n\r\n" + INNER, 400),
    ("no colon", "9112 5", POST + b"Content-Length 5\r\n\r\nhello" + INNER, 400),
    ("no name", "9112 5", POST + b": 5\r\n\r\n" + INNER, 400),
    ("NUL in a name", "9110 5.1", POST + b"Content\0-Length: 5\r\n\r\nhello" + INNER, 400),
    ("obs-text in a name", "9110 5.1", POST + b"X\xff: 5\r\n\r\n" + INNER, 400),
    ("separator in a name", "9110 5.1", POST + b"X(y): 5\r\n\r\n" + INNER, 400),
    ("NUL in a value", "9110 5.5", POST + b"X: a\0b\r\n\r\n" + INNER, 400),
    ("DEL in a value", "9110 5.5", POST + b"X: a\x7fb\r\n\r\n" + INNER, 400),
    ("ESC in a value", "9110 5.5", POST + b"X: a\x1bb\r\n\r\n" + INNER, 400),
    # An end of line one reader sees.
    ("bare LF", "9112 2.2", POST.replace(b"\r\n", b"\n") + b"\n" + INNER, 400),
    ("bare LF behind a field", "9112 2.2",
     POST + b"X: y\nContent-Length: 5\r\n\r\nhello" + INNER, 400),
    ("bare LF as the blank line", "9112 2.2", POST + b"X: y\r\n\n" + INNER, 400),
    ("LF LF", "9112 2.2", POST + b"X: y\n\n" + INNER, 400),
    ("bare CR in a value", "9112 2.2",
     POST + b"X: y\rContent-Length: 5\r\n\r\nhello" + INNER, 400),
    ("bare CR in a name", "9112 2.2", POST + b"\rContent-Length: 5\r\n\r\nhello" + INNER, 400),
    ("CR CR LF", "9112 2.2", POST + b"X: y\r\r\n\r\n" + INNER, 400),
    ("bare CR in the request line", "9112 2.2",
     b"GET /health\rHTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("two empty lines in front", "9112 2.2", b"\r\n\r\n" + GET + b"\r\n" + INNER, 400),
    ("LF in front", "9112 2.2", b"\n" + GET + b"\r\n" + INNER, 400),
    # The request line.
    ("two spaces", "9112 3", b"GET  /health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("tab between", "9112 3", b"GET\t/health\tHTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("space behind the version", "9112 3",
     b"GET /health HTTP/1.1 \r\nHost: a\r\n\r\n" + INNER, 400),
    ("space in the target", "9112 3.2", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("control in the target", "9112 3.2", b"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("NUL in the target", "9112 3.2", b"GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("obs-text in the target", "9112 3.2", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("fragment in the target", "9112 3.2", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("target without slash", "9112 3.2", b"GET health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("asterisk without OPTIONS", "9112 3.2.4", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("HTTP/0.9", "9112 3", b"GET /health\r\n\r\n" + INNER, 400),
    ("HTTP/1.10", "9112 2.3", b"GET /health HTTP/1.10\r\nHost: a\r\n\r\n" + INNER, 400),
    ("HTTP/01.1", "9112 2.3", b"GET /health HTTP/01.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("http/1.1", "9112 2.3", b"GET /health http/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("HTTP/2.0", "9112 2.3", b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n" + INNER, 505),
    ("get", "9110 9.1", b"get /health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 405),
    ("method with a separator", "9110 9.1",
     b"GE(T /health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    # Authority and absolute form.
    ("authority form", "9112 3.2.3", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("CONNECT", "9112 3.2.3", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 405),
    ("absolute form without authority", "9110 4.2.1",
     b"GET http:///health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("absolute form with a user", "9110 4.2.4",
     b"GET http://u@a/health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("absolute form with a bad port", "9110 4.2.1",
     b"GET http://a:b/health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("absolute form of another scheme", "9112 3.2.2",
     b"GET ftp://a/health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, 400),
    ("no Host", "9112 3.2", b"GET /health HTTP/1.1\r\n\r\n" + INNER, 400),
    ("absolute form, no Host", "9112 3.2", b"GET http://a/health HTTP/1.1\r\n\r\n" + INNER, 400),
    ("two Hosts", "9112 3.2", GET + b"Host: b\r\n\r\n" + INNER, 400),
    ("one Host twice", "9112 3.2", GET + b"Host: a\r\n\r\n" + INNER, 400),
    ("Host list", "9112 3.2", b"GET /health HTTP/1.1\r\nHost: a, b\r\n\r\n" + INNER, 400),
    ("Host with a path", "9112 3.2", b"GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n" + INNER, 400),
    ("Host with a user", "9112 3.2", b"GET /health HTTP/1.1\r\nHost: u@a\r\n\r\n" + INNER, 400),
    ("Host with a space", "9112 3.2", b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n" + INNER, 400),
    ("Host with two ports", "9112 3.2",
     b"GET /health HTTP/1.1\r\nHost: a:80:81\r\n\r\n" + INNER, 400),
    ("Host with a named port", "9112 3.2",
     b"GET /health HTTP/1.1\r\nHost: a:x\r\n\r\n" + INNER, 400),
    ("Host with a huge port", "9112 3.2",
     b"GET /health HTTP/1.1\r\nHost: a:65536\r\n\r\n" + INNER, 400),
    ("Host with an open bracket", "9112 3.2",
     b"GET /health HTTP/1.1\r\nHost: [::1\r\n\r\n" + INNER, 400),
    ("Host with a bracket behind", "9112 3.2",
     b"GET /health HTTP/1.1\r\nHost: [::1]a\r\n\r\n" + INNER, 400),
    # Chunks.
    ("chunk size 0x5", "9112 7.1", POST + CHUNKED + b"\r\n0x5\r\nhello\r\n" + LAST + INNER, 400),
    ("chunk size +5", "9112 7.1", POST + CHUNKED + b"\r\n+5\r\nhello\r\n" + LAST + INNER, 400),
    ("chunk size -1", "9112 7.1", POST + CHUNKED + b"\r\n-1\r\n" + INNER, 400),
    ("chunk size 5_", "9112 7.1", POST + CHUNKED + b"\r\n5_\r\nhello\r\n" + LAST + INNER, 400),
    ("chunk size of 17 digits", "9112 7.1",
     POST + CHUNKED + b"\r\n10000000000000005\r\nhello\r\n" + LAST + INNER, 400),
    ("chunk size of many zeros", "9112 7.1",
     POST + CHUNKED + b"\r\n0000000000000000005\r\nhello\r\n" + LAST + INNER, 400),
    ("chunk size empty", "9112 7.1", POST + CHUNKED + b"\r\n\r\nhello\r\n" + LAST + INNER, 400),
    ("space before the size", "9112 7.1",
     POST + CHUNKED + b"\r\n 5\r\nhello\r\n" + LAST + INNER, 400),
    ("space behind the size", "9112 7.1",
     POST + CHUNKED + b"\r\n5 \r\nhello\r\n" + LAST + INNER, 400),
    ("bare LF behind the size", "9112 7.1",
     POST + CHUNKED + b"\r\n5\nhello\r\n" + LAST + INNER, 400),
    ("bare CR behind the size", "9112 7.1",
     POST + CHUNKED + b"\r\n5\rhello\r\n" + LAST + INNER, 400),
    ("LF in an extension (TERM.EXT)", "9112 7.1.1",
     POST + CHUNKED + b"\r\n5;\nxx\r\nhello\r\n" + LAST + INNER, 400),
    ("CR in an extension (EXT.TERM)", "9112 7.1.1",
     POST + CHUNKED + b"\r\n5;a\rb\r\nhello\r\n" + LAST + INNER, 400),
    ("NUL in an extension", "9112 7.1.1",
     POST + CHUNKED + b"\r\n5;a\0\r\nhello\r\n" + LAST + INNER, 400),
    ("endless extension", "9112 7.1.1",
     POST + CHUNKED + b"\r\n5;" + b"a" * 300 + b"\r\nhello\r\n" + LAST + INNER, 400),
    ("extensions above 8 kB", "9112 7.1.1",
     POST + CHUNKED + b"\r\n" + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 60 + LAST + INNER, 400),
    ("data longer than its size", "9112 7.1",
     POST + CHUNKED + b"\r\n5\r\nhelloXX" + LAST + INNER, 400),
    ("LF behind the data", "9112 7.1", POST + CHUNKED + b"\r\n5\r\nhello\n" + LAST + INNER, 400),
    ("CR CR behind the data", "9112 7.1",
     POST + CHUNKED + b"\r\n5\r\nhello\r\r" + LAST + INNER, 400),
    ("two bytes behind the data (SPILL)", "9112 7.1",
     POST + CHUNKED + b"\r\n5\r\nhelloZZ0\r\n\r\n" + INNER, 400),
    ("LF behind the last chunk", "9112 7.1", POST + CHUNKED + b"\r\n0\n\n" + INNER, 400),
    ("LF as the end", "9112 7.1", POST + CHUNKED + b"\r\n0\r\n\n" + INNER, 400),
    ("fold in the trailers", "9112 7.1.2",
     POST + CHUNKED + b"\r\n0\r\nX: y\r\n z\r\n\r\n" + INNER, 400),
    ("space before a trailer's colon", "9112 7.1.2",
     POST + CHUNKED + b"\r\n0\r\nX : y\r\n\r\n" + INNER, 400),
    ("endless trailers", "9112 7.1.2",
     POST + CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * 2000 + b"\r\n" + INNER, 400),
    # An expectation one reader waits for (0.CL by Expect).
    ("unknown expectation", "9110 10.1.1",
     GET + b"Expect: y 100-continue\r\n" + length(len(INNER)) + b"\r\n" + INNER, 417),
]


def answers(raw):
    """How many answers begin in these bytes."""
    return raw.count(b"HTTP/1.1 ")


@pytest.mark.parametrize("name,rule,raw,status", REFUSED, ids=[r[0] for r in REFUSED])
def test_refused_and_nothing_behind_it_is_read(world, name, rule, raw, status):
    before = len(world.provider.seen)
    with world.gateway.connect() as c:
        c.send(raw)
        got = c.read_end()
    assert got.startswith(b"HTTP/1.1 %d " % status), (name, rule, got)
    assert answers(got) == 1 and b"\r\nConnection: close\r\n" in got
    assert len(world.provider.seen) == before


# ---- Clients, HTTP/1: read as the rule says ------------------------------------------------------

WHOLE = length(len(BODY)) + b"\r\n" + BODY

# (name, rule, bytes, statuses of all answers, requests that reach the provider)
READ = [
    # CL.0: a length is a length wherever it stands; what it covers is nobody's request.
    ("CL.0, GET", "9110 8.6", GET + length(len(INNER)) + b"\r\n" + INNER + GET + b"\r\n",
     [200, 200], 0),
    ("CL.0, unknown route", "9110 8.6",
     b"POST /nothing HTTP/1.1\r\nHost: a\r\n" + length(len(INNER)) + b"\r\n" + INNER + GET
     + b"\r\n",
     [404, 200], 0),
    ("CL.0, wrong method", "9110 8.6",
     b"PUT /health HTTP/1.1\r\nHost: a\r\n" + length(len(INNER)) + b"\r\n" + INNER + GET + b"\r\n",
     [405, 200], 0),
    ("CL.0, OPTIONS", "9110 8.6",
     b"OPTIONS * HTTP/1.1\r\nHost: a\r\n" + length(len(INNER)) + b"\r\n" + INNER + GET + b"\r\n",
     [200, 200], 0),
    ("CL.0, HEAD", "9110 9.3.2",
     b"HEAD /health HTTP/1.1\r\nHost: a\r\n" + length(len(INNER)) + b"\r\n" + INNER + GET + b"\r\n",
     [200, 200], 0),
    # 0.CL: without a length there is no body, whatever looks like one.
    ("0.CL, a name that is not the length", "9110 5.1",
     POST + b"Content_Length: 5\r\n" + WHOLE + GET + b"\r\n", [200, 200], 1),
    ("0.CL, GET without a length", "9112 6.3", GET + b"\r\n" + INNER, [200, 200], 1),
    ("leading zeros", "9110 8.6",
     POST + b"Content-Length: 000%d\r\n\r\n" % len(BODY) + BODY + GET + b"\r\n", [200, 200], 1),
    ("white space around a length", "9110 5.5",
     POST + b"Content-Length: \t %d \t\r\n\r\n" % len(BODY) + BODY + GET + b"\r\n", [200, 200], 1),
    ("TE CHUNKED", "9112 7", POST + b"Transfer-Encoding: CHUNKED\r\n\r\n%x\r\n%s\r\n" % (
        len(BODY), BODY) + LAST + GET + b"\r\n", [200, 200], 1),
    ("extensions and trailers", "9112 7.1.1, 7.1.2",
     POST + CHUNKED + b"\r\n%x;a=\"b;\";c\r\n%s\r\n0;d\r\nContent-Length: 5\r\nHost: b\r\n\r\n" % (
         len(BODY), BODY) + GET + b"\r\n", [200, 200], 1),
    # A chunked body nobody reads ends the connection: where the next request begins is not looked
    # for.
    ("unread chunks", "9112 9.3", GET + CHUNKED + b"\r\n5\r\nhello\r\n" + LAST + INNER, [200], 0),
    ("one empty line in front", "9112 2.2", b"\r\n" + GET + b"\r\n" + INNER, [200, 200], 1),
    ("absolute form wins over Host", "9112 3.2.2",
     b"GET http://b/health HTTP/1.1\r\nHost: a\r\n\r\n" + INNER, [200, 200], 1),
    ("Host in brackets", "9112 3.2", b"GET /health HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", [200], 0),
    ("Host with an empty port", "9110 4.2.3",
     b"GET /health HTTP/1.1\r\nHost: a:\r\n\r\n", [200], 0),
    ("obs-text in a value", "9110 5.5", GET + b"X: \xe9\xff\r\n\r\n", [200], 0),
    # Offers to speak something else on this connection are not taken up (h2c smuggling).
    ("upgrade to h2c", "9113 3.1",
     GET
     + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
     + INNER, [200, 200], 1),
    ("HTTP/1.0 closes", "9112 9.3", GET.replace(b"1.1", b"1.0") + b"\r\n" + INNER, [200], 0),
    ("Connection: close ends reading", "9112 9.6", GET + b"Connection: close\r\n\r\n" + INNER,
     [200], 0),
]


ENDS = {"unread chunks", "HTTP/1.0 closes", "Connection: close ends reading"}


@pytest.mark.parametrize("name,rule,raw,statuses,calls", READ, ids=[r[0] for r in READ])
def test_read_as_the_rule_says(world, name, rule, raw, statuses, calls):
    """A well-formed last request behind it is answered too, unless the row ends its connection."""
    before = len(world.provider.seen)
    with world.gateway.connect() as c:
        c.send(raw + b"GET /robots.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = c.read_end()
    found = [int(p[:3]) for p in got.split(b"HTTP/1.1 ")[1:]]
    assert found == (statuses if name in ENDS else statuses + [200]), (name, rule, got)
    assert len(world.provider.seen) == before + calls


# ---- Clients, HTTP/2 -----------------------------------------------------------------------------

PSEUDO = [(":method", "POST"), (":scheme", "http"), (":authority", "a"),
          (":path", "/openai/v1/chat/completions")]


def pseudo(**changes):
    return [(k, changes.get(k[1:], v)) for k, v in PSEUDO if changes.get(k[1:], v) is not None]


# (name, rule, pseudo-fields, fields): what would be another request in HTTP/1.1.
DOWNGRADE = [
    ("H2.TE", "9113 8.2.2", PSEUDO, [("transfer-encoding", "chunked")]),
    ("H2.CL, two", "9113 8.1.1", PSEUDO, [("content-length", "0"), ("content-length", "5")]),
    ("H2.CL, malformed", "9110 8.6", PSEUDO, [("content-length", "+5")]),
    ("H2.CL, list", "9110 8.6", PSEUDO, [("content-length", "5, 5")]),
    ("connection", "9113 8.2.2", PSEUDO, [("connection", "close")]),
    ("upgrade", "9113 8.2.2", PSEUDO, [("upgrade", "h2c")]),
    ("te", "9113 8.2.2", PSEUDO, [("te", "chunked")]),
    ("CRLF in a value", "9113 8.2.1", PSEUDO, [("x", "a\r\ntransfer-encoding: chunked")]),
    ("LF in a value", "9113 8.2.1", PSEUDO, [("x", "a\nb: c")]),
    ("CR in a value", "9113 8.2.1", PSEUDO, [("x", "a\rb")]),
    ("NUL in a value", "9113 8.2.1", PSEUDO, [("x", "a\0b")]),
    ("space around a value", "9113 8.2.1", PSEUDO, [("x", " a")]),
    ("colon in a name", "9113 8.2.1", PSEUDO, [("x: y\r\ntransfer-encoding", "chunked")]),
    ("space in a name", "9113 8.2.1", PSEUDO, [("content-length ", "5")]),
    ("upper case in a name", "9113 8.2.1", PSEUDO, [("Transfer-Encoding", "chunked")]),
    ("unknown pseudo-field", "9113 8.3", PSEUDO + [(":x", "y")], []),
    ("pseudo-field behind", "9113 8.3", pseudo(path=None), [("x", "y"), (":path", "/health")]),
    ("pseudo-field twice", "9113 8.3.1", PSEUDO + [(":path", "/health")], []),
    ("no path", "9113 8.3.1", pseudo(path=None), []),
    ("CRLF in the path", "9113 8.3.1", pseudo(path="/ HTTP/1.1\r\nX: y"), []),
    ("space in the path", "9113 8.3.1", pseudo(path="/a b"), []),
    ("no slash", "9113 8.3.1", pseudo(path="health"), []),
    ("space in the method", "9113 8.3.1", pseudo(method="GET /x HTTP/1.1\r\nX: y\r\n\r\nGET"), []),
    ("scheme", "9113 8.3.1", pseudo(scheme="http://evil/?"), []),
    ("authority with a user", "9113 8.3.1", pseudo(authority="u@a"), []),
    ("authority with CRLF", "9113 8.2.1", pseudo(authority="a\r\nX: y"), []),
    ("authority and Host disagree", "9113 8.3.1", PSEUDO, [("host", "b")]),
    ("two Hosts", "9112 3.2", pseudo(authority=None), [("host", "a"), ("host", "b")]),
]


@pytest.mark.parametrize("name,rule,head,fields", DOWNGRADE, ids=[r[0] for r in DOWNGRADE])
def test_http2_heads_that_mean_more_in_http1(world, name, rule, head, fields):
    before = len(world.provider.seen)
    with world.h2() as c:
        stream = c.open("", "", fields, end=False, pseudo=head)
        with pytest.raises(http2.Reset) as reset:
            c.answer(stream)
        assert reset.value.args[0] == http2.PROTOCOL_ERROR, (name, rule)
        assert c.request("GET", "/health").status == 200  # the connection goes on
    assert len(world.provider.seen) == before


@pytest.mark.parametrize("authority", ["a:x", "a:1:2", "[::1", "a:65536"])
def test_http2_authorities_follow_the_rule_of_http1(world, authority):
    with world.h2() as c:
        stream = c.open("", "", pseudo=pseudo(authority=authority, method="GET", path="/health"))
        assert c.answer(stream).status == 400


# ---- What goes up --------------------------------------------------------------------------------

def test_nothing_a_client_frames_by_reaches_the_provider(gateway, provider):
    """The request to the provider is written anew: one length, one Host, none of the client's."""
    raw = POST + CHUNKED + b"\r\n%x;ext\r\n%s\r\n0\r\nX-Trailer: t\r\n\r\n" % (len(BODY), BODY)
    with gateway.connect() as c:
        c.send(raw)
        assert c.answer().status == 200
    call = provider.call()
    names = [l.split(":")[0].lower() for l in call.header_lines]
    assert names.count("content-length") == 1 and names.count("host") == 1
    assert call.headers["host"] == "127.0.0.1:%d" % provider.port
    assert not {"transfer-encoding", "te", "trailer", "upgrade", "expect", "x-trailer"} & set(names)
    assert call.body == BODY


def test_fields_named_by_connection_do_not_go_up(gateway, provider):
    """RFC 9110 7.6.1: they were meant for this hop."""
    fields = [("x-bf-eh-kept", "1"), ("x-bf-eh-mine", "2"), ("Connection", "X-BF-EH-Mine")]
    assert gateway.post("/v1/chat/completions", chat(), fields).status == 200
    up = provider.call().headers
    assert up["kept"] == "1" and "mine" not in up


# ---- Providers -----------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"poison\":1}"

# (name, rule, bytes of the answer): 502.
MALFORMED = [
    ("CL and TE", "9112 6.1, 6.3", OK + length(5) + CHUNKED + b"\r\n" + LAST + POISON),
    ("two lengths", "9112 6.3", OK + length(2) + length(40) + b"\r\n{}" + POISON),
    ("unequal length list", "9112 6.3", OK + b"Content-Length: 2, 40\r\n\r\n{}" + POISON),
    ("length +2", "9110 8.6", OK + b"Content-Length: +2\r\n\r\n{}" + POISON),
    ("length -1", "9110 8.6", OK + b"Content-Length: -1\r\n\r\n{}" + POISON),
    ("length 0x2", "9110 8.6", OK + b"Content-Length: 0x2\r\n\r\n{}" + POISON),
    ("length empty", "9110 8.6", OK + b"Content-Length:\r\n\r\n{}" + POISON),
    ("length 2^64", "9110 8.6", OK + b"Content-Length: 18446744073709551618\r\n\r\n{}" + POISON),
    ("TE twice", "9112 6.1", OK + CHUNKED * 2 + b"\r\n" + LAST + POISON),
    ("TE gzip, chunked", "9112 6.1", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST),
    ("TE identity", "9112 6.1", OK + b"Transfer-Encoding: identity\r\n\r\n{}"),
    ("TE xchunked", "9112 6.1", OK + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST),
    ("TE in HTTP/1.0", "9112 6.1", OK.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + LAST),
    ("TE behind VT", "9110 5.5", OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST),
    ("space before the colon", "9112 5.1", OK + b"Content-Length : 2\r\n\r\n{}"),
    ("obs-fold", "9112 5.2", OK + b"X: a\r\n b\r\n" + length(2) + b"\r\n{}"),
    ("no name", "9112 5", OK + b": a\r\n" + length(2) + b"\r\n{}"),
    ("no colon", "9112 5", OK + b"X\r\n" + length(2) + b"\r\n{}"),
    ("NUL in a value", "9110 5.5", OK + b"X: a\0b\r\n" + length(2) + b"\r\n{}"),
    ("bare CR in a value", "9112 2.2", OK + b"X: a\rSet-Cookie: b\r\n" + length(2) + b"\r\n{}"),
    ("bare LF in a value", "9112 2.2", OK + b"X: a\nSet-Cookie: b\r\n" + length(2) + b"\r\n{}"),
    ("bare LF", "9112 2.2", (OK + length(2)).replace(b"\r\n", b"\n") + b"\n{}"),
    ("CR CR LF", "9112 2.2", OK + b"X: a\r\r\n" + length(2) + b"\r\n{}"),
    ("obs-text in a name", "9110 5.1", OK + b"X\xff: a\r\n" + length(2) + b"\r\n{}"),
    ("status of two digits", "9112 4", OK.replace(b"200", b"20") + length(2) + b"\r\n{}"),
    ("status of four digits", "9112 4", OK.replace(b"200", b"2000") + length(2) + b"\r\n{}"),
    ("status 099", "9110 15", OK.replace(b"200", b"099") + length(2) + b"\r\n{}"),
    ("status 600", "9110 15", OK.replace(b"200", b"600") + length(2) + b"\r\n{}"),
    ("status -20", "9112 4", OK.replace(b"200", b"-20") + length(2) + b"\r\n{}"),
    ("two spaces", "9112 4", OK.replace(b" 200", b"  200") + length(2) + b"\r\n{}"),
    ("CR in the reason", "9112 4", OK.replace(b" OK", b" O\rK") + length(2) + b"\r\n{}"),
    ("NUL in the reason", "9112 4", OK.replace(b" OK", b" O\0K") + length(2) + b"\r\n{}"),
    ("HTTP/2.0", "9112 2.3", OK.replace(b"1.1", b"2.0") + length(2) + b"\r\n{}"),
    ("HTTP/0.9", "9112 2.3", b"{\"choices\":[]}"),
    ("an empty line in front", "9112 2.2", b"\r\n" + OK + length(2) + b"\r\n{}"),
    ("101", "9110 15.2.2", b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    ("endless 1xx", "9110 15.2", b"HTTP/1.1 102 X\r\n\r\n" * 20 + OK + length(2) + b"\r\n{}"),
    ("chunk size 0x2", "9112 7.1", OK + CHUNKED + b"\r\n0x2\r\n{}\r\n" + LAST),
    ("chunk size -1", "9112 7.1", OK + CHUNKED + b"\r\n-1\r\n{}\r\n" + LAST),
    ("chunk size of 17 digits", "9112 7.1",
     OK + CHUNKED + b"\r\n10000000000000002\r\n{}\r\n" + LAST),
    ("space behind the size", "9112 7.1", OK + CHUNKED + b"\r\n2 \r\n{}\r\n" + LAST),
    ("bare LF behind the size", "9112 7.1", OK + CHUNKED + b"\r\n2\n{}\r\n" + LAST),
    ("LF in an extension", "9112 7.1.1", OK + CHUNKED + b"\r\n2;\nx\r\n{}\r\n" + LAST),
    ("data longer than its size", "9112 7.1", OK + CHUNKED + b"\r\n2\r\n{}XX\r\n" + LAST),
    ("fold in the trailers", "9112 7.1.2",
     OK + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: a\r\n b\r\n\r\n"),
]


PATH = "/openai/v1/chat/completions"


def two_calls(world, raw):
    """The answer made of `raw`, and the next one on the same client's connection."""
    before = len(world.provider.seen)
    world.bytes = raw
    with world.gateway.connect() as c:
        first = c.request("POST", PATH, chat("m"))
        assert world.closed.get(timeout=DEADLINE_S)  # the gateway has closed it
        second = c.request("POST", PATH, chat("m"))
    assert second.status == 200 and second.json() == {"fresh": True}
    one, two = world.provider.seen[before:]
    assert one.connection != two.connection
    return first


@pytest.mark.parametrize("name,rule,raw", MALFORMED, ids=[r[0] for r in MALFORMED])
def test_malformed_answers_are_502_and_poison_nobody(world, name, rule, raw):
    a = two_calls(world, raw)
    assert a.status == 502, (name, rule, a.head)
    assert "set-cookie" not in a.headers and b"poison" not in a.body


# (name, rule, bytes, status, body): read as the rule says; the connection is not used again.
ONCE = [
    ("bytes behind a length", "9112 9.2", OK + length(2) + b"\r\n{}" + POISON, 200, b"{}"),
    ("bytes behind the last chunk", "9112 9.2",
     OK + CHUNKED + b"\r\n2\r\n{}\r\n" + LAST + POISON, 200, b"{}"),
    ("a body behind 204", "9112 6.3", b"HTTP/1.1 204 X\r\n" + length(2) + b"\r\n{}" + POISON,
     204, b""),
    ("a body behind 304", "9112 6.3", b"HTTP/1.1 304 X\r\n" + length(2) + b"\r\n{}" + POISON,
     502, None),  # nobody asked on a condition
    ("chunks behind 204", "9112 6.3", b"HTTP/1.1 204 X\r\n" + CHUNKED + b"\r\n" + LAST + POISON,
     204, b""),
    ("Connection: close", "9112 9.6", OK + length(2) + b"Connection: close\r\n\r\n{}", 200, b"{}"),
    ("HTTP/1.0", "9112 9.3", OK.replace(b"1.1", b"1.0") + length(2) + b"\r\n{}", 200, b"{}"),
]


@pytest.mark.parametrize("name,rule,raw,status,body", ONCE, ids=[r[0] for r in ONCE])
def test_an_answer_with_something_behind_it_is_its_connections_last(world, name, rule, raw, status,
                                                                    body):
    a = two_calls(world, raw)
    assert a.status == status and body in (None, a.body), (name, rule)
    assert b"poison" not in a.body


# (name, rule, bytes): two bytes of body, and the connection is good for the next call.
KEPT = [
    ("equal length list", "9112 6.3", OK + b"Content-Length: 2, 2\r\n\r\n{}"),
    ("equal lengths", "9112 6.3", OK + length(2) * 2 + b"\r\n{}"),
    ("no reason", "9112 4", OK.replace(b" OK", b"") + length(2) + b"\r\n{}"),
    ("a few 1xx", "9110 15.2",
     b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" + OK + length(2) + b"\r\n{}"),
    ("extensions and trailers", "9112 7.1",
     OK + CHUNKED + b"\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nContent-Length: 9\r\nSet-Cookie: x\r\n\r\n"),
]


@pytest.mark.parametrize("name,rule,raw", KEPT, ids=[r[0] for r in KEPT])
def test_lenient_where_the_rule_is(gateway_of, provider_of, name, rule, raw):
    p = provider_of(lambda call: call.send(raw))
    with gateway_of(config(p)).connect() as c:
        for _ in range(2):
            a = c.request("POST", PATH, chat("m"))
            assert (a.status, a.body) == (200, b"{}"), (name, rule)
            assert "set-cookie" not in a.headers
    assert p.connections == 1


def test_an_answer_before_its_request_is_nobodys(gateway_of, provider_of):
    """A provider that speaks on an idle connection poisons the pool of whoever reads on."""
    spoke = threading.Event()

    def script(call):
        call.reply(200, {"fresh": True})
        if len(call.provider.seen) == 1:
            asked.wait(DEADLINE_S)  # the answer was read whole: the connection is idle
            call.send(POISON)
            closed.put(call.wait_closed())
            spoke.set()

    asked, closed = threading.Event(), queue.Queue()
    g = gateway_of(config(provider_of(script)))
    with g.connect() as c:
        assert c.request("POST", PATH, chat("m")).json() == {"fresh": True}
        asked.set()
        assert closed.get(timeout=DEADLINE_S) and spoke.wait(DEADLINE_S)
        assert c.request("POST", PATH, chat("m")).json() == {"fresh": True}


@pytest.mark.parametrize("stream", [False, True])
def test_hop_by_hop_and_framing_fields_of_an_answer_end_here(gateway_of, provider_of, stream):
    """What a provider says about its connection, and what only the gateway may say."""
    hop = [("Connection", "x-hop, keep-alive"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"),
           ("Proxy-Authenticate", "Basic"), ("Trailer", "X-T"), ("Upgrade", "h2c"),
           ("Set-Cookie", "a=b"), ("Access-Control-Allow-Origin", "*"),
           ("X-Bf-Provider", "evil"), ("X-End", "1")]

    def script(call):
        if stream:
            call.stream_head(hop)
            call.chunk(b"data: [DONE]\n\n")
            return call.stream_end()
        return call.reply(200, {}, hop)

    g = gateway_of(config(provider_of(script)))
    a = g.post("/openai/v1/chat/completions", chat("m", stream=stream))
    assert a.status == 200 and a.headers["x-end"] == "1"
    assert a.headers.get("x-bf-provider") == "openai"
    assert not {"x-hop", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "set-cookie",
                "access-control-allow-origin"} & set(a.headers)
    assert a.head.lower().count("content-length") + a.head.lower().count("transfer-encoding") == 1
