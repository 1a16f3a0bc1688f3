# SPDX-License-Identifier: Apache-2.0
"""Exact books: whatever becomes of the process, who got an answer finds it in the books, once."""
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from books import (KEY, PATH, Crowd, books, check_rows, count, newest, request_id, sums, until,
                   usage)
from harness import CHAT, CHAT_EVENTS, DONE, USAGE_EVENT, chat, message_events
from test_governance import IN, OUT, Hold, budget, crowd, governed, limits, quota
from test_governance import usage as tokens_of
from test_upgrade import (  # pylint: disable=unused-import
    Flow, Line, adopt, flowing, line_of, run_dry)

ROUNDS = int(os.environ.get("RINGGATE_CRASH_ROUNDS", "200"))
SERVED = {"status": "success"}  # refusals have rows as well, and requests in flight


def settled(g, expected, say=""):
    """Counters are what the rows' sum is: money to 10⁻¹² dollars, as far as JSON tells it."""
    used = usage(g)
    assert used[1:] == expected[1:], "%s: used %r, rows say %r" % (say, used, expected)
    assert used[0] == pytest.approx(expected[0], rel=1e-9), say


@pytest.mark.parametrize("rounds", [
    pytest.param(20, id="20 rounds"), pytest.param(ROUNDS, id="soak", marks=pytest.mark.soak)])
def test_a_kill_at_any_moment(gateway_of, provider, tmp_path, rounds):
    """Two cores, six clients, whole answers and streams; killed again and again in the middle."""
    flags = ["-cores", "2", "-shared-dir", str(tmp_path / "shared")]
    rng = random.Random(os.environ.get("RINGGATE_SEED", "1"))
    g = gateway_of(books(provider), flags=flags)
    app = ["-app-dir", g.dir.name]
    total, expected, answers = 0, (0, 0, 0), 0
    for n in range(rounds):
        load = Crowd(g, "round-%d" % n)
        load.go_on(rng.randint(1, 150))
        g.kill()
        load.end()
        g = gateway_of(books(provider), flags=[*flags, *app])
        rows = check_rows(g, load.whole, total)
        assert all(r["status"] == "success" for r in rows)
        total += len(rows)
        answers += len(load.whole)
        expected = tuple(map(sum, zip(expected, sums(rows))))
        settled(g, expected, "round %d" % n)
    assert answers >= rounds
    print("%d rounds: %d answers, %d rows" % (rounds, answers, total))


@pytest.mark.parametrize("how", ["clean", "kill", "reboot"])
@pytest.mark.parametrize("unit", ["money", "requests", "tokens"])
def test_a_limit_holds_over_a_restart(gateway_of, provider_of, tmp_path, unit, how):
    """A hundred are allowed: fifty before a restart, and of five hundred at once fifty after it. A
    reboot is a clean end, and shared memory that is gone."""
    body = chat("openai/gpt-4o", max_tokens=50)
    one = len(json.dumps(body).encode()) // 3 + 1
    hold = Hold(tokens_of(one, 50))
    p = provider_of(hold)
    g = {"money": lambda: budget(100 * (one * IN + 50 * OUT)),
         "requests": lambda: limits(request_max_limit=100, request_reset_duration="1M"),
         "tokens": lambda: limits(token_max_limit=100 * (one + 50), token_reset_duration="1M"),
         }[unit]()
    if unit == "money":
        g["budgets"][0]["reset_duration"] = "1M"
    conf = governed(p, g, client={"enable_logging": True})
    shared = tmp_path / "shared"
    flags = ["-cores", "4", "-shared-dir", str(shared)]
    first = gateway_of(conf, flags=flags)
    hold.go.set()
    assert crowd(first, 50, body, p) == [200] * 50
    if how == "kill":
        first.kill()
    else:
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(20) == 0
    if how == "reboot":
        shutil.rmtree(shared)
    hold.go.clear()
    second = gateway_of(conf, flags=[*flags, "-app-dir", first.dir.name])
    got = crowd(second, 500, body, p)
    assert 45 <= got.count(200) <= 50
    assert got.count(200) + got.count(402 if unit == "money" else 429) == 500
    assert len(p.seen) == 50 + got.count(200) == until(
        lambda: count(second, **SERVED) >= 50 + got.count(200) and count(second, **SERVED),
        "rows are missing")
    told = quota(second)
    if unit == "money":
        assert told["budgets"][0]["current_usage"] == pytest.approx(
            (50 + got.count(200)) * (one * IN + 50 * OUT), abs=1e-9)
    elif unit == "requests":
        assert told["rate_limit"]["request_current_usage"] == 50 + got.count(200)
    else:
        assert told["rate_limit"]["token_current_usage"] == (50 + got.count(200)) * (one + 50)


# ---- A client that leaves ------------------------------------------------------------------------

CHAT_STREAM = [*CHAT_EVENTS, USAGE_EVENT]
MESSAGES_STREAM = message_events()


def leave(g, p, path, body, name, sent):
    """A client that reads `sent` events, which is all that the provider has sent, and leaves."""
    with g.connect() as c:
        c.send_request("POST", path, dict(body, user=str(sent)) if path == PATH else dict(
            body, metadata={"user_id": str(sent)}), headers=[("x-bf-vk", KEY),
                                                             ("x-request-id", name)])
        c.head()
        events = c.events()
        for _ in range(sent):
            next(events)
    until(lambda: p.left.count(name), "the provider's connection stays open")


def leaving_script(events):
    def script(call):
        body = call.json()
        sent = int(body.get("user") or body["metadata"]["user_id"])
        call.stream_head()
        for e in events[:sent]:
            call.chunk(e)
        assert call.wait_closed()
        call.provider.left.append("leaves-%d" % sent)
    return script


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_a_client_that_leaves_is_charged_once(gateway_of, provider_of, tmp_path, dialect):
    """After each event: one row, with what the provider told, else what was reserved and a mark
    that it is; and the counters are the rows' sum."""
    events = CHAT_STREAM if dialect == "chat" else MESSAGES_STREAM[:-1]
    p = provider_of(leaving_script(events))
    p.left = []
    conf = books(p)
    path, body = PATH, chat("gpt-4o", stream=True, max_tokens=50,
                            stream_options={"include_usage": True})
    if dialect == "messages":
        path = "/anthropic/v1/messages"
        body = {"model": "claude-sonnet-4-5", "max_tokens": 50, "stream": True,
                "messages": [{"role": "user", "content": "Hi"}]}
        conf["providers"]["anthropic"] = conf["providers"].pop("openai")
        conf["governance"]["virtual_keys"][0]["provider_configs"][0]["provider"] = "anthropic"
    g = gateway_of(conf, flags=["-cores", "2", "-shared-dir", str(tmp_path / "shared")])
    for sent in range(1, len(events) + 1):
        leave(g, p, path, body, "leaves-%d" % sent, sent)
    until(lambda: count(g) >= len(events), "rows are missing")
    rows = {request_id(r): r for r in newest(g, count(g))}
    assert len(rows) == len(events) == count(g)
    for sent in range(1, len(events) + 1):
        row = rows["leaves-%d" % sent]
        if dialect == "chat":
            told = USAGE_EVENT in events[:sent]
            known = 9 * IN + 2 * OUT
            length = len(json.dumps(dict(body, user=str(sent))))
            reserved = (length // 3 + 1) * IN + 50 * OUT
        else:  # $3 in, $0.30 of the cache, $15 out
            told = any(b"message_delta" in e for e in events[:sent])
            known = 5 * 3e-6 + 4 * 0.3e-6 + 2 * 15e-6
            length = len(json.dumps(dict(body, metadata={"user_id": str(sent)})))
            reserved = (length // 3 + 1) * 3e-6 + 50 * 15e-6
        assert row["cost"] == pytest.approx(known if told else reserved, abs=1e-11), sent
        assert row.get("cost_estimated", False) is not told, sent
        assert ("token_usage" in row) is told, sent
    dollars, requests, _ = usage(g)
    assert requests == len(events)
    assert dollars == pytest.approx(sum(r["cost"] for r in rows.values()), abs=1e-10)


# ---- Upgrades ------------------------------------------------------------------------------------

STREAMS = 50


def live_streams(g, n):
    """So many that have begun, by names of their own; (client, its events) each."""
    clients = [g.connect() for _ in range(STREAMS)]
    for i, c in enumerate(clients):
        c.send_request("POST", PATH, chat("live", stream=True), headers=[
            ("x-request-id", "live-%d-%d" % (n, i))])
    return clients


@pytest.mark.parametrize("upgrades", [
    pytest.param(3, id="3 upgrades"), pytest.param(100, id="100 upgrades", marks=pytest.mark.soak)])
def test_upgrades_lose_no_row_and_pass_no_limit(line_of, provider_of, tmp_path, upgrades):
    """Clients that share a limit of so many requests, and fifty streams that live through each."""
    flows = {}

    def script(call):
        body = call.json()
        if body["model"] == "live":
            return flows["now"](call)
        if body.get("stream"):
            call.stream_head()
            for e in [*CHAT_EVENTS, USAGE_EVENT, DONE]:
                call.chunk(e)
            return call.stream_end()
        return call.reply(200, CHAT)

    allowed = 50 * upgrades
    g = line_of(books(provider_of(script), requests=allowed),
                flags=["-cores", "2", "-shared-dir", str(tmp_path / "shared")])
    load = Crowd(g, "load", headers=(), goes_on=True)
    permits = threading.Semaphore(0)
    limited = Crowd(g, "limited", goes_on=True, permits=permits)
    names = []
    for n in range(upgrades):
        flow = flows["now"] = Flow()
        clients = live_streams(g, n)
        flow.step()
        streams = flowing(clients)
        permits.release(25)  # some before, some while, some behind
        old = g.upgrade()
        permits.release(25)
        load.go_on(50)
        flow.step()
        flow.step(over=True)
        run_dry(clients, streams, 2)
        assert (g.process.wait(20) if old == g.process.pid else g.ended(old)) == 0
        names += ["live-%d-%d" % (n, i) for i in range(STREAMS)]
        until(lambda n=n: limited.answers() == 50 * (n + 1) or limited.failures,
              "answers are missing")
    permits.release(20)
    until(lambda: limited.answers() == allowed + 20 or limited.failures, "answers are missing")
    for crowded in load, limited:
        crowded.end()
    assert (len(limited.whole), len(limited.refused)) == (allowed, 20)
    assert usage(g)[1] == allowed
    names += limited.whole
    names += load.whole
    until(lambda: count(g, **SERVED) >= len(names), lambda: "%d rows of %d" % (
        count(g, **SERVED), len(names)))
    rows = check_rows(g, names, 0, **SERVED)
    assert len(rows) == len(names)
    assert sum(r.get("virtual_key_id") == "vk" for r in rows) == allowed
    print("%d upgrades: %d answers, %d refused, %d rows" % (
        upgrades, len(names), len(limited.refused), len(rows)))


# ---- A full disk ---------------------------------------------------------------------------------

MIB = 1 << 20
DISK, MIN_FREE = 256, 64  # MiB: without content below 64, without rows below 32, the reserve is 16


class Disk:
    """A file system of its own, which a file takes the space of."""

    def __init__(self, path):
        self.path, self.ballast = path, os.path.join(path, "ballast")

    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def leave(self, size):
        """Leaves so many bytes; 0: takes all there is."""
        over = size - self.free()
        if over > 0:
            os.truncate(self.ballast, os.path.getsize(self.ballast) - over)
            return
        with open(self.ballast, "ab") as f:
            try:
                while self.free() > size:
                    f.write(bytes(min(MIB, max(4096, self.free() - size))))
                    f.flush()
            except OSError as e:
                assert e.errno == errno.ENOSPC and size == 0

    def give_back(self):
        os.unlink(self.ballast)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % DISK, "ringgate", str(path)],
                          capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("cannot mount a file system: %s" % made.stderr.decode().strip())
    yield Disk(str(path))
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def metric(g, name):
    text = g.request("GET", "/metrics").body.decode()
    return int(re.search(r"^ringgate_store_%s (\d+)$" % re.escape(name), text, re.M).group(1))


def level(g, name, meanwhile=lambda: None):
    def is_it():
        meanwhile()
        return metric(g, 'level{level="%s"}' % name) == 1
    until(is_it, lambda: "the level does not become %s:\n%s\n%s" % (name, "\n".join(
        g.log[-20:]), g.request("GET", "/metrics").body.decode().partition("ringgate_store")[2]))


def has_content(g, row):
    return "raw_request" in json.loads(g.request("GET", "/api/logs/" + row["id"]).body)


def test_a_full_disk_costs_content_then_rows_and_never_usage(disk, gateway_of, provider, tmp_path,
                                                             monkeypatch):
    """Under load: the answers go on; what is given up is counted; who was answered is charged, also
    when it is killed there; and everything is kept again when there is space."""
    conf = books(provider, store={"min_free_mb": MIN_FREE})
    flags = ["-cores", "2", "-shared-dir", str(tmp_path / "shared")]
    with monkeypatch.context() as here:  # the application folder of this one only
        here.setattr(tempfile, "tempdir", disk.path)
        g = gateway_of(conf, flags=flags)
    load = Crowd(g, "before")
    load.go_on(50)
    until(lambda: count(g, **SERVED) > 0, "no row")
    assert has_content(g, newest(g, 1, **SERVED)[0]) and metric(g, "content_dropped_total") == 0
    # The databases give some back, too, when logs have been written into files.
    level(g, "no_content", lambda: disk.leave(48 * MIB))
    load.go_on(50)
    until(lambda: metric(g, "content_dropped_total") > 0, "no content was given up")
    level(g, "no_rows", lambda: disk.leave(28 * MIB))
    load.go_on(50)
    until(lambda: metric(g, "rows_dropped_total") > 0, "no row was given up")
    said = "the space that is reserved for usage has been given back"
    until(lambda: disk.leave(0) or any(said in line for line in g.log), "the reserve is kept")
    before = load.answers()
    load.go_on(200)
    g.kill()
    load.end()
    assert load.answers() >= before + 200 and not load.refused
    # Without a byte no database opens, and it says so; with what the reserve had, one does.
    flags += ["-app-dir", g.dir.name]
    disk.leave(0)
    g = gateway_of(conf, flags=flags, expect_start=False)
    g.wait_log("No space left on device")
    g.ends_with = g.process.wait(20)
    assert g.ends_with == 1
    disk.leave(MIN_FREE // 4 * MIB)
    g = gateway_of(conf, flags=flags)
    used = usage(g)[1]
    assert len(load.whole) <= used <= len(load.whole) + len(load.threads)
    disk.give_back()
    level(g, "all")
    load = Crowd(g, "after")
    load.go_on(50)
    load.end()
    until(lambda: metric(g, "queued_bytes") == 0, "the rings are not drained")
    used += len(load.whole)
    assert usage(g)[1] == used == count(g)  # facts of each are found, with a row or without
    rows = newest(g, len(load.whole))
    assert {request_id(r) for r in rows} == set(load.whole)
    assert all(has_content(g, r) for r in rows[:20])
