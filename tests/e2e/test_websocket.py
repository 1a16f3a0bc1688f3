# SPDX-License-Identifier: Apache-2.0
"""WebSockets of net/ws.h against somebody else's implementation, both ways."""
import asyncio
import os
import subprocess

import harness
import pytest
import websockets

ECHO = os.path.join(os.path.dirname(os.path.realpath(harness.BIN)), "tests", "programs", "ws_echo")
SIZES = (0, 1, 125, 126, 127, 4096, 65535, 65536, 70000, 1 << 20)


@pytest.fixture
def server():
    p = subprocess.Popen([ECHO, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield int(p.stdout.readline())
    p.stdin.close()
    assert p.wait(harness.DEADLINE_S) == 0


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, harness.DEADLINE_S))


def connect(port, **options):
    return websockets.connect("ws://127.0.0.1:%d/chat?x=1" % port, max_size=None, **options)


def test_a_client_of_ours_is_anybodys_server(server):
    async def talk():
        async with connect(server) as ws:  # it offers permessage-deflate: not taken up
            assert ws.extensions == []
            for size in SIZES:
                text = ("ä€😀x" * size)[:size]
                await ws.send(text)
                assert await ws.recv() == text
                await ws.send(bytes(size))
                assert await ws.recv() == bytes(size)
            await ws.send(["frag", "mented", "", " text"])
            assert await ws.recv() == "fragmented text"
            await (await ws.ping(b"there?"))
            await ws.close(4000, "enough")
        assert (ws.close_code, ws.close_reason) == (4000, "")
    run(talk())


def test_many_at_once(server):
    async def one(n):
        async with connect(server) as ws:
            for i in range(20):
                await ws.send("%d/%d" % (n, i))
                assert await ws.recv() == "%d/%d" % (n, i)

    async def all_of_them():
        await asyncio.gather(*(one(n) for n in range(50)))
    run(all_of_them())


def test_what_breaks_the_protocol_is_closed(server):
    async def talk():
        ws = await connect(server)
        await ws.ensure_open()
        ws.transport.write(b"\x83\x80\0\0\0\0")  # an opcode that nobody has defined
        await ws.wait_closed()
        assert ws.close_code == 1002
    run(talk())


@pytest.mark.parametrize("options", [{}, {"compression": None}])
def test_a_server_is_visited(options):
    async def echo(ws):
        async for message in ws:
            await ws.ping()
            await ws.send(message)

    async def talk():
        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None, **options) as s:
            port = s.sockets[0].getsockname()[1]
            p = await asyncio.create_subprocess_exec(ECHO, "visit", str(port),
                                                     stdout=subprocess.PIPE)
            out, _ = await p.communicate()
            assert (p.returncode, out) == (0, b"same 1000\n")
    run(talk())
