# SPDX-License-Identifier: Apache-2.0
"""Attacks by the hundreds beside a client that behaves: it hardly notices, and memory is bounded.

The gateway has one core of the machine to itself; the client (bench/load, open loop), the mock
provider and the attackers share another, where attackers make way for the client: it is the gateway
that is measured. The client's 99th percentile under attack is held against
the one it has alone in the same minute, in rounds of which the middle one counts: a machine that is
busy with something else is not an attack. Timing is asserted here, so these run with `make soak`
only; test_slow.py, test_caps.py and test_http2.py have each attack small and without a clock.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import harness

pytestmark = [pytest.mark.soak,
              pytest.mark.skipif(harness.ALWAYS_TLS, reason="attacks are in clear text"),
              pytest.mark.skipif("/asan/" in harness.BIN, reason="times mean nothing here"),
              pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")]

PATH = "/openai/v1/chat/completions"
TOOLS = os.path.join(os.path.dirname(harness.BIN), "bench")
SECONDS = 8
ROUNDS = 3
P99_TIMES = 3


def on(core, *command, idle=False):
    """A command for one core; `idle`: it makes way for whoever wakes up there."""
    return ["taskset", "-c", str(core), *(["chrt", "-i", "0"] if idle else []), *command]


class World:
    """A gateway on one core, a mock provider and whoever talks on another."""

    def __init__(self, folder):
        cores = sorted(os.sched_getaffinity(0))
        self.here, self.there = cores[0], cores[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.mock = subprocess.Popen(on(self.there, os.path.join(TOOLS, "mock"), "--port",
                                        str(port)), stdout=subprocess.PIPE)
        self.mock.stdout.readline()
        server = {"head_timeout_ms": 1000, "body_timeout_ms": 1000, "send_timeout_ms": 1000}
        config = dict(harness.config("http://127.0.0.1:%d" % port), server=server)
        binary, harness.BIN = harness.BIN, "taskset"
        try:
            harness.BIN = os.path.join(folder, "pinned")
            with open(harness.BIN, "w", encoding="ascii") as f:
                f.write('#!/bin/sh\nexec taskset -c %d "%s" "$@"\n' % (self.here, binary))
            os.chmod(harness.BIN, 0o755)
            self.gateway = harness.Gateway(config, flags=["-cores", "1"])
        finally:
            harness.BIN = binary
        self.body = os.path.join(folder, "body.json")
        with open(self.body, "w", encoding="ascii") as f:
            json.dump(harness.chat("m", pad="x" * 800), f)

    def load(self):
        """What the well-behaved client saw."""
        out = subprocess.run(
            on(self.there, os.path.join(TOOLS, "load"), "--port", str(self.gateway.port), "--path",
               PATH, "--body", self.body, "--rate", "500", "--connections", "16", "--seconds",
               str(SECONDS - 2), "--warmup", "1"), check=True, capture_output=True)
        return json.loads(out.stdout)

    def under(self, *attack):
        """Rounds of the client's figures alone and beside the attack, in the order of what these
        differ by; what the attacker said last; how much memory the gateway took."""
        before, rounds = self.memory(), []
        for _ in range(ROUNDS):
            alone = self.load()
            assert alone["errors"] == 0
            beside, said = self.beside(attack)
            assert beside["errors"] == 0
            rounds.append((alone["p99_us"], beside["p99_us"]))
        return sorted(rounds, key=lambda r: r[1] / r[0]), said, self.memory() - before

    def beside(self, attack):
        """The client's figures and the attacker's words."""
        with subprocess.Popen(on(self.there, *attack, idle=True), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              cwd=os.path.dirname(os.path.abspath(__file__))) as attacker:
            beside = self.load()
            said = attacker.communicate(timeout=60)[0].decode("utf-8", "replace")
        return beside, said

    def memory(self):
        with open("/proc/%d/statm" % self.gateway.process.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def sheds(self, reason):
        text = self.gateway.request("GET", "/metrics").body.decode()
        return sum(int(n) for n in re.findall(
            r'_total\{core="\d+",(?:reason|role="server",limit)="%s"\} (\d+)' % reason, text))

    def stop(self):
        self.gateway.stop()
        self.mock.send_signal(signal.SIGTERM)
        self.mock.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    if not os.path.exists(os.path.join(TOOLS, "load")):
        pytest.skip("this build has no load client")
    w = World(str(tmp_path_factory.mktemp("attacks")))
    yield w
    w.stop()


def judge(rounds, memory, name):
    print("%s: p99 alone and beside %s us; %+d kB" % (
        name, ", ".join("%s %s" % r for r in rounds), memory // 1024))
    alone, beside = rounds[ROUNDS // 2]
    assert memory < 64 << 20
    assert beside <= P99_TIMES * alone


# (mode, further arguments, what it is shed for)
SLOW = [
    ("-H", ["-i", "1", "-x", "24"], "slow_head"),
    ("-B", ["-i", "1", "-s", "8192", "-x", "10", "-t", "POST"], "slow_body"),
    ("-R", ["-a", "10", "-b", "3000", "-t", "HEAD"], None),
    ("-X", ["-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "10"], None),
]


@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")
@pytest.mark.parametrize("mode,further,reason", SLOW, ids=[s[0] for s in SLOW])
def test_slowhttptest(world, mode, further, reason):
    """300 connections at 150 a second; the tool's own probes must be answered throughout."""
    path = "/metrics" if mode == "-X" else PATH if mode == "-B" else "/health"
    before = world.sheds(reason) if reason else 0
    rounds, said, memory = world.under(
        "slowhttptest", mode, "-c", "300", "-r", "150", "-l", str(SECONDS), "-p", "3", "-u",
        "http://127.0.0.1:%d%s" % (world.gateway.port, path), *further)
    assert "service available" in said, said
    assert not re.search(r"service available:\W*(\x1b\[[0-9;]*m)*NO", said), said
    judge(rounds, memory, "slowhttptest " + mode)
    if reason:
        assert world.sheds(reason) >= before + 100


@pytest.mark.parametrize("mode,limit", [("rapid-reset", "reset"),
                                        ("continuation", "continuation")])
def test_http2_floods(world, mode, limit):
    before = world.sheds(limit)
    rounds, said, memory = world.under(sys.executable, "attack.py", mode, str(world.gateway.port),
                                       str(SECONDS))
    figures = json.loads(said)
    assert figures["shut_out"] == figures["connections"] > 10, said
    judge(rounds, memory, "%s, %d connections, %d MB" % (
        mode, figures["connections"], figures["bytes"] >> 20))
    assert world.sheds(limit) >= before + figures["connections"] // 2
