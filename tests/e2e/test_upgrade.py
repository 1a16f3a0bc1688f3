# SPDX-License-Identifier: Apache-2.0
"""A new program takes the place of the one that runs: what is passed, who is served, what fails.

Each gateway is started by a path of its own, behind which a test puts another program. This process
adopts what the gateways leave behind (a subreaper), so it sees how each of them ends."""
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

import harness
import http2
from harness import (BIN, CHAT, CHAT_EVENTS, DEADLINE_S, DONE, Client, Gateway, Held, chat, config,
                     shared_authority)

OPENAI = "/openai/v1/chat/completions"
UPGRADED, TOOK_OVER = "upgraded, the new process serves", "took over from the process before"
FAILED = "upgrade failed, this process goes on serving"
PR_SET_CHILD_SUBREAPER = 36


class Line(Gateway):
    """A line of processes, each replacing the one before. `now` is the pid of the newest."""

    def __init__(self, cfg, flags=(), launcher=(), **kwargs):
        self.home = harness.tempfile.TemporaryDirectory(prefix="ringgate-program-")
        self.path = os.path.join(self.home.name, "ringgate")
        os.symlink(os.path.abspath(BIN), self.path)
        self.pids, self.codes = [], {}
        super().__init__(cfg, flags, program=(*launcher, self.path), **kwargs)
        self.now = self.process.pid

    def put(self, text):
        """Another program behind the path: a script."""
        new = self.path + ".new"
        with open(new, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(new, 0o755)
        os.rename(new, self.path)

    def put_binary(self, *more):
        """The binary again, with more flags."""
        self.put("#!/bin/bash\nexec -a \"$0\" %s \"$@\" %s\n" % (
            shlex.quote(os.path.abspath(BIN)), " ".join(more)))

    def ask(self):
        os.kill(self.now, signal.SIGUSR2)

    def upgraded(self, count):
        """Waits until the count-th upgrade is over; the old one's pid."""
        line = self.wait_log(UPGRADED, count)
        self.wait_log(TOOK_OVER, count)
        old = self.now
        self.now = json.loads(line)["pid"]
        self.pids.append(self.now)
        return old

    def upgrade(self):
        self.ask()
        return self.upgraded(len(self.pids) + 1)

    def ended(self, pid):
        """The exit status of a process that is ours or will be when its parent has ended."""
        end = time.monotonic() + DEADLINE_S
        while pid not in self.codes and time.monotonic() < end:
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    self.codes[pid] = os.waitstatus_to_exitcode(status)
            except ChildProcessError:
                pass  # its parent lives
            os.sched_yield()
        assert pid in self.codes, "process %d does not end" % pid
        return self.codes[pid]

    def metric(self, line):
        return line in self.request("GET", "/metrics").body.decode().split("\n")

    def stop(self):
        for c in list(self.clients):
            c.close()
        for pid in self.pids[-1:]:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass  # a test has ended it
        try:
            super().stop()
        finally:
            codes = [self.ended(pid) for pid in self.pids]
            self.home.cleanup()
        assert not any(codes), "exit %r:\n%s" % (codes, "\n".join(self.log))


@pytest.fixture(scope="module", autouse=True)
def adopt():
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def line_of():
    made = []

    def make(*args, **kwargs):
        made.append(Line(*args, **kwargs))
        return made[-1]

    yield make
    for g in made:
        g.stop()


class Flow:
    """A provider whose streams send an event for every `step`, until `release`."""

    def __init__(self):
        self.changed, self.steps, self.over = threading.Condition(), 0, False

    def step(self, over=False):
        with self.changed:
            self.steps += 1
            self.over = over
            self.changed.notify_all()

    def __call__(self, call):
        call.stream_head()
        sent = over = 0
        while not over:
            with self.changed:
                assert self.changed.wait_for(lambda s=sent: self.steps > s, DEADLINE_S)
                steps, over = self.steps - sent, self.over
            sent += steps
            call.chunk(CHAT_EVENTS[1] * steps)
        call.chunk(DONE)
        call.stream_end()


def flowing(clients):
    """The events of each one's stream, behind the first, which has come."""
    streams = []
    for c in clients:
        assert c.head()[0] == 200
        streams.append(c.events())
        assert next(streams[-1]) == CHAT_EVENTS[1]
    return streams


def run_dry(clients, streams, events):
    """So many more came, and the end."""
    for s in streams:
        assert b"".join(s) == CHAT_EVENTS[1] * events + DONE
    for c in clients:
        c.close()


def open_stream(g):
    c = g.connect()
    c.send_request("POST", OPENAI, chat("m", stream=True))
    status, _, _ = c.head()
    assert status == 200
    events = c.events()
    assert next(events) == CHAT_EVENTS[0]
    return events


def served(c):
    a = c.request("POST", OPENAI, chat("m"))
    return a.status == 200 and a.json() == CHAT


def refused(g):
    try:
        socket.create_connection(("127.0.0.1", g.port), DEADLINE_S).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


# ---- What it is for -----------------------------------------------------------------------------

@pytest.mark.smoke
def test_streams_go_on_and_idle_connections_are_told(line_of, provider_of):
    held, other = Held(), provider_of()
    g = line_of(config(provider_of(held)))
    streams = [open_stream(g) for _ in range(20)]
    used, fresh, asking = g.connect(), g.connect(), g.connect()
    assert served(used) and "connection" not in asking.request("GET", "/health").headers
    g.write(config(other))
    first = g.upgrade()
    assert g.now != first == g.process.pid
    # New connections are the new process's, which has read the file.
    assert served(g.connect()) and len(other.seen) == 1
    # Old ones are answered, and told with that.
    for c in used, fresh:
        a = c.request("POST", OPENAI, chat("m"))
        assert a.status == 200 and a.headers["connection"] == "close"
        assert c.at_end()
    assert len(other.seen) == 1
    # The port is alive: a balancer that asks the old process must not think otherwise.
    a = asking.request("GET", "/health")
    assert a.status == 200 and a.headers["connection"] == "close"
    assert g.process.poll() is None
    held.release.set()
    for events in streams:
        assert b"".join(events) == CHAT_EVENTS[1] + DONE
    for c in list(g.clients):
        c.close()
    assert g.process.wait(DEADLINE_S) == 0
    assert g.metric('ringgate_upgrades_total{result="succeeded"} 1')
    assert g.metric("ringgate_generation 2")


def test_http2_streams_go_on(line_of, provider_of):
    held = Held()
    p = provider_of(held)
    g = line_of(config(p))
    trust = None
    if g.secure:
        trust = shared_authority()["authority"].trust()
        trust.set_alpn_protocols(["h2"])
    with http2.Client(g.port, tls=trust) as c:
        streams = [c.post(OPENAI, chat("m", stream=True)) for _ in range(5)]
        for _ in streams:
            p.call()
        g.upgrade()
        held.release.set()
        for stream in streams:
            a = c.answer(stream)
            assert (a.status, a.body) == (200, CHAT_EVENTS[0] + CHAT_EVENTS[1] + DONE)
        assert c.at_end()
    assert g.process.wait(DEADLINE_S) == 0


@pytest.mark.skipif(harness.ALWAYS_TLS, reason="a client that waits cannot shake hands")
def test_who_waits_in_the_queue_is_served(line_of, provider):
    """The old process has all the clients it may have: the others wait in the kernel's queue, whose
    sockets the new one gets."""
    files, clients = 128, 96  # a quarter is for providers
    g = line_of(config(provider), flags=["--cores=1"],
                launcher=("prlimit", "--nofile=%d:%d" % (files, files)))
    held = [g.connect() for _ in range(clients)]
    assert all(served(c) for c in held)
    waiting = [g.connect() for _ in range(30)]
    for c in waiting:
        c.send_request("POST", OPENAI, chat("m"))
    page = held[0].request("GET", "/metrics").body.decode()
    accepted = re.findall(r"^ringgate_connections_accepted_total\{.*\} (\d+)$", page, re.M)
    assert sum(map(int, accepted)) == clients
    g.upgrade()
    for c in waiting:
        a = c.answer("POST")
        assert a.status == 200 and "connection" not in a.headers  # the new one's
    assert "connection" in held[1].request("GET", "/health").headers


@pytest.mark.smoke
@pytest.mark.parametrize("counts", [(1, 4), (4, 2), (2, 1, 3)])
def test_the_number_of_cores_may_change(line_of, provider, counts):
    g = line_of(config(provider), flags=["--cores=%d" % counts[0]])
    for n in counts[1:]:
        g.put_binary("--cores=%d" % n)
        clients = [g.connect() for _ in range(16)]
        g.upgrade()
        assert all(served(c) for c in clients)
        clients = [g.connect() for _ in range(16)]
        assert all(served(c) for c in clients)
        page = clients[0].request("GET", "/metrics").body.decode()
        live = re.findall(r"^ringgate_connections\{core=\"\d+\"\} (\d+)$", page, re.M)
        assert len(live) == n
        assert sum(map(int, live)) == 16
        assert n == 1 or max(map(int, live)) < 16  # how even is the bench's to say


def test_two_in_a_row_while_the_first_still_drains(line_of, provider_of):
    held = Held()
    g = line_of(config(provider_of(held)))
    first = open_stream(g)
    g.upgrade()
    second = open_stream(g)
    g.upgrade()
    third = open_stream(g)
    assert g.process.poll() is None and os.path.exists("/proc/%d" % g.pids[0])
    held.release.set()
    for events in first, second, third:
        assert b"".join(events) == CHAT_EVENTS[1] + DONE
    assert g.metric('ringgate_upgrades_total{result="succeeded"} 2')
    assert g.metric("ringgate_generation 3")


def test_systemd_follows_the_new_process(line_of, provider, tmp_path):
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name)
        s.settimeout(DEADLINE_S)
        g = line_of(config(provider), env={"NOTIFY_SOCKET": name})
        assert s.recv(4096) == b"READY=1"
        g.upgrade()
        assert s.recv(4096) == b"READY=1\nMAINPID=%d" % g.now
        assert g.process.wait(DEADLINE_S) == 0
        os.kill(g.now, signal.SIGTERM)
        assert s.recv(4096) == b"STOPPING=1"  # and nothing by the old one before


# ---- What fails ---------------------------------------------------------------------------------

HANGS = """#!%s
import json, os, sys
fds = {int(f): os.readlink("/proc/self/fd/" + f) for f in os.listdir("/proc/self/fd")
       if os.path.exists("/proc/self/fd/" + f)}
with open(sys.argv[0] + ".seen.new", "w") as f:
    json.dump({"pid": os.getpid(), "fds": fds, "env": dict(os.environ), "argv": sys.argv}, f)
os.rename(sys.argv[0] + ".seen.new", sys.argv[0] + ".seen")
while True:
    os.read(os.open(sys.argv[0] + ".fifo", os.O_RDONLY), 1)
""" % sys.executable


def seen(g):
    """What a program that hangs saw when it began."""
    end = time.monotonic() + DEADLINE_S
    while not os.path.exists(g.path + ".seen"):
        assert time.monotonic() < end, "the program was not started"
        os.sched_yield()
    with open(g.path + ".seen", encoding="utf-8") as f:
        return json.load(f)


def hang(g):
    os.mkfifo(g.path + ".fifo")
    g.put(HANGS)


def upgradable(provider, **server):
    return dict(config(provider), server=server)


def broken_config(g):
    g.write("{")


def ends(g):
    g.put("#!/bin/sh\nexit 7\n")


def crashes(g):
    g.put("#!/bin/sh\nkill -ABRT $$\n")


def gone(g):
    os.unlink(g.path)


def no_program(g):
    g.put("\0")


@pytest.mark.parametrize("breaks,reason", [
    (broken_config, "it ended with status 1"), (ends, "it ended with status 7"),
    (crashes, "it was ended by signal 6"), (hang, "it was silent for 1000 ms and was killed"),
    (gone, "No such file or directory"), (no_program, "Exec format error")])
def test_one_that_fails_changes_nothing(line_of, provider_of, breaks, reason):
    held = Held()
    p = provider_of(held)
    g = line_of(upgradable(p, upgrade_timeout_s=1), flags=["--cores=2"])
    stream, kept = open_stream(g), g.connect()
    assert served(kept)
    breaks(g)
    g.ask()
    line = json.loads(g.wait_log(FAILED))
    assert reason in line["error"] and line["level"] == "error"
    assert "connection" not in kept.request("POST", OPENAI, chat("m")).headers
    assert all(served(g.connect()) for _ in range(8))
    assert g.metric('ringgate_upgrades_total{result="failed"} 1')
    assert g.metric("ringgate_generation 1")
    held.release.set()
    assert b"".join(stream) == CHAT_EVENTS[1] + DONE
    # What was wrong is put right.
    g.put_binary()
    g.write(upgradable(p))
    g.upgrade()
    assert served(g.connect())
    assert g.metric('ringgate_upgrades_total{result="succeeded"} 1')


def test_what_the_new_program_gets(line_of, provider):
    """Its arguments, its descriptors and nothing else: no connection, no ring, no key."""
    g = line_of(upgradable(provider, upgrade_timeout_s=1), flags=["--cores=2"],
                env={"LISTEN_PID": "1", "LISTEN_FDS": "5"})
    client = g.connect()
    assert served(client)
    hang(g)
    g.ask()
    got = seen(g)
    words = got["env"]["RINGGATE_HANDOVER"].split(" ")
    assert words[0] == "1" and "LISTEN_FDS" not in got["env"]
    passed = [w.split("=") for w in words[1:]]
    assert [n for n, _ in passed] == ["link", "area", "main", "main"]
    assert {int(f) for f, _ in got["fds"].items()} - {0, 1, 2} == {int(f) for _, f in passed}
    assert got["argv"][1:] == ["-port", "0", "-host", "127.0.0.1", "-app-dir", g.dir.name,
                               "-shared-dir", os.path.join(g.dir.name, "shared"),
                               *harness.FLAGS, "--cores=2"]
    g.wait_log(FAILED)
    assert not os.path.exists("/proc/%d" % got["pid"])


# ---- Signals meanwhile --------------------------------------------------------------------------

def test_a_second_one_is_refused(line_of, provider):
    g = line_of(upgradable(provider, upgrade_timeout_s=1))
    hang(g)
    g.ask()
    seen(g)
    g.ask()
    assert json.loads(g.wait_log("upgrade refused"))["error"] == "one is under way"
    g.wait_log(FAILED)
    assert g.metric('ringgate_upgrades_total{result="refused"} 1')
    g.put_binary()
    g.upgrade()


def test_sigterm_calls_off_one_that_hangs(line_of, provider_of):
    held = Held()
    g = line_of(config(provider_of(held)))
    stream = open_stream(g)
    hang(g)
    g.ask()
    pid = seen(g)["pid"]
    os.kill(g.now, signal.SIGTERM)
    g.wait_log("upgrade called off")
    assert not os.path.exists("/proc/%d" % pid)
    held.release.set()
    assert b"".join(stream) == CHAT_EVENTS[1] + DONE
    for c in list(g.clients):
        c.close()
    assert g.process.wait(DEADLINE_S) == 0
    assert refused(g)


SLOW = """#!/bin/sh
read go <%s
exec %s "$@"
"""


def slow(g):
    """The binary, when something is written into the returned pipe."""
    fifo = g.path + ".go"
    os.mkfifo(fifo)
    g.put(SLOW % (shlex.quote(fifo), shlex.quote(os.path.abspath(BIN))))
    return fifo


def go(fifo):
    """Both ends are opened here, so that it does not matter whether somebody reads yet, or any
    more."""
    fd = os.open(fifo, os.O_RDWR)
    os.write(fd, b"\n")
    return fd


def test_sigterm_ends_both(line_of, provider):
    """The new one is about to serve: nobody is left, nothing is served any more."""
    g = line_of(config(provider))
    fifo = slow(g)
    g.ask()
    g.wait_log("upgrade begins")
    os.kill(g.now, signal.SIGTERM)
    g.wait_log("finishing the requests")
    fd = go(fifo)
    assert g.process.wait(DEADLINE_S) == 0
    os.close(fd)
    g.reader.join(DEADLINE_S)  # the log ends when no process holds it
    assert g.log[-1] == "<end>" and any("upgrade called off" in l for l in g.log)
    assert refused(g)


def test_sighup_is_for_both(line_of, provider):
    g = line_of(config(provider))
    fifo = slow(g)
    g.ask()
    g.wait_log("upgrade begins")
    os.kill(g.now, signal.SIGHUP)
    g.wait_log("configuration reloaded", 1)
    fd = go(fifo)
    g.upgraded(1)
    os.close(fd)
    g.wait_log("configuration reloaded", 2)
    assert served(g.connect())


def test_signals_to_the_one_that_drains(line_of, provider_of):
    """The first SIGTERM finds it draining already; the second ends its patience."""
    flow = Flow()
    g = line_of(config(provider_of(flow)), flags=["--cores=1"])
    flow.step()
    c = g.connect()
    c.send_request("POST", OPENAI, chat("m", stream=True))
    assert c.head()[0] == 200
    stream = c.events()
    assert next(stream) == CHAT_EVENTS[1]
    old = g.upgrade()
    os.kill(old, signal.SIGHUP)  # not its business any more
    os.kill(old, signal.SIGTERM)
    g.wait_log("finishing the requests")
    for count in 1, 2, 3:  # its loop has turned
        os.kill(old, signal.SIGUSR2)
        line = g.wait_log("upgrade refused", count)
        assert json.loads(line)["error"] == "this process is ending"
    flow.step()
    assert next(stream) == CHAT_EVENTS[1]
    os.kill(old, signal.SIGTERM)
    with pytest.raises((EOFError, ConnectionResetError, ssl.SSLEOFError)):
        list(stream)
    assert g.process.wait(DEADLINE_S) == 0
    assert g.request("GET", "/health").status == 200
    assert not any("reloaded" in l for l in g.log)
    flow.step(over=True)


def test_the_old_one_may_be_killed(line_of, provider):
    g = line_of(config(provider), flags=["--cores=2"])
    kept = g.connect()
    assert served(kept)
    g.upgrade()
    os.kill(g.process.pid, signal.SIGKILL)
    g.process.wait(DEADLINE_S)
    assert all(served(g.connect()) for _ in range(8))
    g.process.returncode = 0


def can_unshare():
    return subprocess.run(["unshare", "--fork", "--pid", "true"], capture_output=True,
                          check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("unshare") or not can_unshare(), reason="needs unshare --pid")
def test_process_1_is_not_replaced(gateway_of, provider):
    g = gateway_of(config(provider), program=("unshare", "--fork", "--pid", BIN))
    with open("/proc/{0}/task/{0}/children".format(g.process.pid), encoding="ascii") as f:
        first = int(f.read())
    os.kill(first, signal.SIGUSR2)
    assert "process 1 cannot be replaced" in g.wait_log("upgrade refused")
    assert g.post(OPENAI, chat("m")).status == 200
    os.kill(first, signal.SIGTERM)
    assert g.process.wait(DEADLINE_S) == 0


# ---- TLS ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tls():
    shared = shared_authority()
    cert, key = shared["files"]
    return {"cert_file": cert, "key_file": key}


@pytest.mark.smoke
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(line_of, provider, tls, version):
    g = line_of(dict(config(provider), server={"tls": tls}), flags=["--cores=2"])
    trust = shared_authority()["authority"].trust(version)
    with Client(g.port, tls=trust) as c:
        assert served(c) and not c.sock.session_reused
        session = c.sock.session
    for _ in range(2):
        g.upgrade()
        for _ in range(4):
            with Client(g.port, tls=trust, session=session) as c:
                assert c.sock.session_reused and served(c)
                session = c.sock.session


def test_the_plain_port_is_passed_too_and_may_go(line_of, provider, tls):
    g = line_of(dict(config(provider), server={"tls": dict(tls, plain_port=0)}))
    plain = int(g.line.rsplit("http://127.0.0.1:", 1)[1].split('"')[0])
    g.upgrade()
    assert served(Client(plain)) and served(g.connect())
    g.write(dict(config(provider), server={"tls": tls}))
    g.upgrade()
    assert "127.0.0.1:%d" % plain in g.wait_log("no longer listening")
    assert served(g.connect())
    assert g.ended(g.pids[0]) == 0
    with pytest.raises(ConnectionRefusedError):
        Client(plain)


# ---- systemd's sockets --------------------------------------------------------------------------

ACTIVATE = """
import os, sys
fds, names = sys.argv[1].split(","), sys.argv[2]
high = [os.dup2(int(f), 100 + i) for i, f in enumerate(fds)]
for i, f in enumerate(high):
    os.dup2(f, 3 + i)
    os.close(f)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(sys.argv[3], sys.argv[3:])
"""


def activated(make, cfg, socks, names="", **kwargs):
    fds = [s.fileno() for s in socks]
    return make(cfg, launcher=(sys.executable, "-c", ACTIVATE, ",".join(map(str, fds)), names),
                pass_fds=fds, **kwargs)


def listener(listening=True):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    if listening:
        s.listen(64)
    return s, s.getsockname()[1]


@pytest.mark.smoke
def test_a_socket_of_systemd_is_taken_and_passed_on(line_of, provider):
    with listener()[0] as s:
        port = s.getsockname()[1]
        early = socket.create_connection(("127.0.0.1", port))  # before there is a process
        g = activated(line_of, config(provider), [s], flags=["--cores=3"])
        assert g.port == port
        if not g.secure:
            early.sendall(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
            assert early.recv(4096).startswith(b"HTTP/1.1 200")
        early.close()
        for _ in range(3):
            clients = [g.connect() for _ in range(12)]
            assert all(served(c) for c in clients)
            page = clients[0].request("GET", "/metrics").body.decode()
            live = re.findall(r"^ringgate_connections\{core=\"\d+\"\} (\d+)$", page, re.M)
            assert len(live) == 3 and max(map(int, live)) < 11  # one core accepts, and hands over
            for c in clients:
                c.close()
            g.upgrade()
        assert served(g.connect())


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd's command")
def test_systemd_itself_passes_a_socket(line_of, provider):
    """It starts the program when somebody connects; who connected is the first to be served."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    g = line_of(config(provider), expect_start=False, launcher=(
        "systemd-socket-activate", "--listen=127.0.0.1:%d" % port, "--fdname=main"))
    g.wait_log("Listening on 127.0.0.1:%d" % port)
    first = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    found = harness.STARTED.search(g.wait_log("successfully started"))
    g.secure, g.port = found.group(1) == "s", int(found.group(2))
    assert g.port == port
    if not g.secure:
        first.sendall(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        assert first.recv(4096).startswith(b"HTTP/1.1 200")
    first.close()
    g.upgrade()
    assert served(g.connect())


def test_names_stand_above_addresses(line_of, provider, tls):
    (a, first), (b, second) = listener(), listener()
    with a, b:
        g = activated(line_of, dict(config(provider), server={"tls": dict(tls, plain_port=1)}),
                      [a, b], "plain:main")
        for _ in range(2):
            assert g.port == second
            assert served(Client(first)) and served(g.connect())
            g.upgrade()


@pytest.mark.parametrize("listening,flags,says", [
    (True, ["-port", "1"], "which is not configured"),
    (False, [], "is not a listening TCP socket")])
def test_a_socket_that_does_not_fit_is_an_error(gateway_of, provider, listening, flags, says):
    s, port = listener(listening)
    with s:
        fd = s.fileno()
        g = Gateway(config(provider), flags=flags, expect_start=False, pass_fds=[fd],
                    program=(sys.executable, "-c", ACTIVATE, str(fd), "", BIN))
        assert says in g.wait_log("LISTEN_FDS: descriptor 3")
        assert g.process.wait(DEADLINE_S) == 1


# ---- Under load ---------------------------------------------------------------------------------

class Load:
    """Clients that ask all the time: kept connections until an answer says that it was the last,
    new ones for each request, streams. Whatever is not a whole good answer is a failure."""

    def __init__(self, g, threads):
        self.g, self.over, self.failures = g, threading.Event(), []
        self.counts = [0] * threads
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]
        for t in self.threads:
            t.start()

    def _one(self, c, stream):
        if not stream:
            a = c.request("POST", OPENAI, chat("m"))
            assert a.status == 200 and a.json() == CHAT, a.head
            return a.headers
        c.send_request("POST", OPENAI, chat("m", stream=True))
        status, headers, _ = c.head()
        assert status == 200 and b"".join(c.events()) == b"".join(CHAT_EVENTS) + DONE
        return headers

    def _run(self, i):
        c = None
        while not self.over.is_set() and not self.failures:
            try:
                c = c or self.g.connect()
                headers = self._one(c, stream=i % 4 == 1)
                self.counts[i] += 1
                if i % 4 == 2 or headers.get("connection") == "close":
                    c.close()
                    c = None
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append("%d after %d: %r" % (i, self.counts[i], e))
        if c:
            c.close()

    def go_on(self, n):
        """Until each client has had n more answers."""
        aims = [c + n for c in self.counts]
        end = time.monotonic() + DEADLINE_S
        while not self.failures and any(c < a for c, a in zip(self.counts, aims)):
            assert time.monotonic() < end, "clients do not go on: %r" % self.counts
            os.sched_yield()

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join(DEADLINE_S)
        assert not self.failures, "%r\n%s" % (self.failures, "\n".join(self.g.log[-30:]))
        assert all(self.counts)
        return sum(self.counts)


@pytest.mark.soak
@pytest.mark.parametrize("what", [signal.SIGTERM, signal.SIGUSR2])
def test_live_streams_finish(line_of, provider_of, what):
    """200 of them, with events before, while and after the process is asked to end; ten times."""
    for _ in range(10):
        flow = Flow()
        g = line_of(config(provider_of(flow)), flags=["--cores=2"])
        clients = [g.connect() for _ in range(200)]
        for c in clients:
            c.send_request("POST", OPENAI, chat("m", stream=True))
        flow.step()
        streams = flowing(clients)
        os.kill(g.now, what)
        flow.step()
        if what == signal.SIGTERM:
            g.wait_log("finishing the requests")
        else:
            g.upgraded(1)
        flow.step()
        flow.step(over=True)
        run_dry(clients, streams, 3)
        assert g.process.wait(DEADLINE_S) == 0
        assert not any("left" in l for l in g.log)


def rounds(name):
    return pytest.mark.parametrize("count", [
        pytest.param(3, id="3 " + name),
        pytest.param(100, id="100 " + name, marks=pytest.mark.soak)])


@rounds("upgrades")
def test_upgrades_under_load(line_of, provider, count):
    g = line_of(config(provider), flags=["--cores=2"])
    load = Load(g, 8)
    for _ in range(count):
        g.upgrade()
        load.go_on(10)
    print("%d requests" % load.end())
    assert g.metric("ringgate_generation %d" % (count + 1))


@rounds("reloads")
def test_reloads_under_load(line_of, provider_of, tls, count):
    """Of the configuration and of the certificates, which change each time."""
    providers = [provider_of(), provider_of()]
    files = [shared_authority()["authority"].issue("127.0.0.1") for _ in range(2)]

    def cfg(i):
        cert, key = files[i % 2]
        return dict(config(providers[i % 2]), server={"tls": {"cert_file": cert, "key_file": key}})

    g = line_of(cfg(0), flags=["--cores=2"])
    load = Load(g, 8)
    for i in range(count):
        g.write(cfg(i + 1))
        os.kill(g.now, signal.SIGHUP)
        g.wait_log("configuration reloaded", i + 1)
        load.go_on(10)
    print("%d requests" % load.end())
    assert all(p.seen for p in providers)
