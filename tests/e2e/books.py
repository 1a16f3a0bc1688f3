# SPDX-License-Identifier: Apache-2.0
"""What tests of exact books stand on: clients that know what they were told, and the books."""
import datetime
import json
import threading
import time
import urllib.parse

from harness import CHAT_EVENTS, DEADLINE_S, DONE, chat, config

PATH = "/openai/v1/chat/completions"
KEY = "sk-bf-books"
PAGE = 1000
ALL_EVENTS = b"".join(CHAT_EVENTS) + DONE


def books(provider, money=1e6, requests=10**9, tokens=10**12, server=None, store=None, client=None):
    """A config.json that keeps records and counts everything of one virtual key."""
    made = config(provider, client=dict({"enable_logging": True}, **(client or {})))
    made["version"] = 2
    made["logs_store"] = dict({"enabled": True}, **(store or {}))
    made["server"] = server or {}
    made["governance"] = {
        "budgets": [{"id": "b", "max_limit": money, "reset_duration": "1M",
                     "virtual_key_id": "vk"}],
        "rate_limits": [{"id": "r", "request_max_limit": requests, "request_reset_duration": "1M",
                         "token_max_limit": tokens, "token_reset_duration": "1M"}],
        "virtual_keys": [{"id": "vk", "name": "books", "value": KEY, "rate_limit_id": "r",
                          "provider_configs": [{"provider": "openai", "allowed_models": ["*"],
                                                "key_ids": ["*"]}]}]}
    return made


def until(what, says):
    """Asks until it is true; what it said then."""
    end = time.monotonic() + DEADLINE_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, says() if callable(says) else says
        time.sleep(0.005)


def page(g, **parameters):
    """Rows of what has ended; of a refused target, too."""
    parameters = dict({"status": "success,error"}, **parameters)
    a = g.request("GET", "/api/logs?" + urllib.parse.urlencode(parameters))
    return json.loads(a.body) if a.status == 200 else None


def count(g, **filters):
    return until(lambda: page(g, limit=1, **filters), "/api/logs does not answer")[
        "pagination"]["total_count"]


def newest(g, n, **filters):
    """The last n rows. Page by page in time: an offset has a limit."""
    rows, behind = {}, {}
    while len(rows) < n:
        found = page(g, limit=min(PAGE, n - len(rows) + 10), **filters, **behind)["logs"]
        fresh = [r for r in found if r["id"] not in rows]
        assert fresh, "%d rows of %d" % (len(rows), n)
        rows.update((r["id"], r) for r in fresh)
        if len(rows) >= n:
            break
        last = datetime.datetime.fromisoformat(found[-1]["created_at"].replace("Z", "+00:00"))
        behind = {"end_time": (last + datetime.timedelta(microseconds=1)).isoformat()}
    return list(rows.values())[:n]


def request_id(row):
    return row["metadata"]["request_id"]


def usage(g):
    """(dollars, requests, tokens) that the key has used."""
    a = g.request("GET", "/api/governance/virtual-keys/quota", headers=[("x-bf-vk", KEY)])
    assert a.status == 200, a.body
    told = json.loads(a.body)
    limit = told["rate_limit"]
    return (told["budgets"][0]["current_usage"], limit["request_current_usage"],
            limit["token_current_usage"])


def sums(rows):
    """The same by the rows: of a request whose usage was told."""
    return (sum(r.get("cost", 0) for r in rows), len(rows),
            sum(r["token_usage"]["total_tokens"] for r in rows))


class Crowd:
    """Clients that ask all the time, each request by a name of its own, whole answers and streams.
    `whole` are the names whose answer has come to its end. What a client meets when the gateway is
    killed is no failure, unless it `goes_on`; an answer that is not good is one. With `permits`, a
    semaphore, each request takes one."""

    def __init__(self, g, name, threads=6, headers=(("x-bf-vk", KEY),), goes_on=False,
                 permits=None):
        self.g, self.name, self.headers, self.goes_on = g, name, list(headers), goes_on
        self.permits = permits
        self.whole, self.refused, self.failures = [], [], []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]
        for t in self.threads:
            t.start()

    def _one(self, c, name, stream):
        c.send_request("POST", PATH, chat("gpt-4o", stream=stream), headers=self.headers + [
            ("x-request-id", name)])
        a = c.answer("POST")
        if a.status in (402, 429):
            self.refused.append(name)
        elif a.status != 200 or (stream and a.body != ALL_EVENTS):
            self.failures.append("%s: %d %r" % (name, a.status, a.body[-300:]))
        else:
            self.whole.append(name)
        return a.headers.get("connection") == "close"

    def _run(self, i):
        c, n = None, 0
        while not self.over.is_set() and not self.failures:
            if self.permits and not self.permits.acquire(timeout=0.05):
                continue
            n += 1
            try:
                c = c or self.g.connect()
                if self._one(c, "%s-%d-%d" % (self.name, i, n), stream=i % 2 == 1):
                    c.close()
                    c = None
            except (OSError, EOFError) as e:
                if self.goes_on:
                    self.failures.append("%s-%d-%d: %r" % (self.name, i, n, e))
                break
        if c:
            c.close()

    def answers(self):
        return len(self.whole) + len(self.refused)

    def go_on(self, n):
        """Until there were n more answers."""
        aim = self.answers() + n
        until(lambda: self.answers() >= aim or self.failures, lambda: "%d of %d answers\n%s" % (
            self.answers(), aim, "\n".join(self.g.log[-20:])))

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join(DEADLINE_S)
            assert not t.is_alive()
        assert not self.failures, "%r\n%s" % (self.failures, "\n".join(self.g.log[-20:]))


def check_rows(g, answered, total_before, **filters):
    """Every answer has its row, and no request has two. The rows since."""
    rows = newest(g, count(g, **filters) - total_before, **filters)
    names = [request_id(r) for r in rows]
    assert len(set(names)) == len(names), "twice: %r" % [n for n in names if names.count(n) > 1][:5]
    missing = set(answered) - set(names)
    assert not missing, "answered, and no row: %r" % sorted(missing)[:5]
    return rows
