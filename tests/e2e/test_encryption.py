# SPDX-License-Identifier: Apache-2.0
"""`encryption_key`: the store's rows are sealed with it, and nobody gets to see it."""
import hashlib
import json
import os
import signal
import subprocess

import pytest

import harness
from harness import BIN, DEADLINE_S, chat, config
from test_stored import PUT, VIRTUAL_KEY, ask, key
from test_upgrade import FAILED, adopt, line_of  # noqa: F401  pylint: disable=unused-import

RIGHT = "correct horse battery staple"
WRONG = "incorrect horse battery staple"
NEEDED = "are encrypted: encryption_key (or BIFROST_ENCRYPTION_KEY) is needed; nothing was changed"
NOT_IT = "is not the one that the rows in"
VARIABLE = "BIFROST_ENCRYPTION_KEY"


def wanted(provider, key=None):
    conf = dict(config(provider, client={"enable_logging": True}), version=2)
    if key is not None:
        conf["encryption_key"] = key
    return conf


class Home:
    """An app-dir that outlives the gateways in it."""

    def __init__(self, path):
        self.path = path
        self.flags = ["-app-dir", str(path), "-shared-dir", str(path / "shared")]

    def write(self, conf):
        conf = dict(conf, server={"allowed_hosts": ["*"]})
        (self.path / "config.json").write_text(json.dumps(conf), encoding="utf-8")

    def files(self):
        """Every file below the store, and what is in it."""
        found = {}
        for folder, _, names in os.walk(self.path / "store"):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path):
                    continue  # a socket
                with open(path, "rb") as f:
                    found[path] = hashlib.sha256(f.read()).hexdigest()
        return found

    def run(self, *words, env=None):
        environ = {k: v for k, v in os.environ.items() if k != VARIABLE}
        return subprocess.run([BIN, *words, *self.flags], capture_output=True, text=True,
                              timeout=DEADLINE_S, env=dict(environ, **(env or {})), check=False)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def started(home):
    """A gateway in `home`, which the test ends itself or the fixture does."""
    made = []

    def make(conf, **kwargs):
        home.write(conf)
        made.append(harness.Gateway(flags=home.flags, **kwargs))
        return made[-1]

    yield make
    for g in made:
        g.stop()


def refused(home, env=None):
    """Starts, and does not: what it says about it, once."""
    a = home.run("-port", "0", env=env)
    assert a.returncode == 1 and a.stdout == ""
    (line,) = [l for l in a.stderr.split("\n") if l.startswith("ringgate: not started")]
    assert RIGHT not in a.stderr and WRONG not in a.stderr
    return line


def serves(g):
    return g.post("/v1/chat/completions", chat()).status == 200


def test_a_wrong_key_does_not_start_and_changes_nothing(home, started, provider):
    g = started(wanted(provider, RIGHT))
    assert serves(g)
    g.stop()
    before = home.files()
    assert before
    home.write(wanted(provider, WRONG))
    assert NOT_IT in refused(home)
    home.write(wanted(provider))
    assert NEEDED in refused(home)
    assert NOT_IT in refused(home, env={VARIABLE: WRONG})
    assert home.files() == before
    a = home.run("-check-config", env={VARIABLE: WRONG})
    assert a.returncode == 1 and NOT_IT in a.stdout and "not usable" in a.stdout
    assert home.run("-check-config", env={VARIABLE: RIGHT}).returncode == 0
    assert home.files() == before
    # By the environment it is the same key.
    g = started(wanted(provider), env={VARIABLE: RIGHT})
    assert serves(g)


def test_after_a_kill_too(home, started, provider):
    """What the first start has written is in a log that was never flushed."""
    g = started(wanted(provider, "env.MINE"), env={"MINE": RIGHT})
    g.kill()
    before = home.files()
    home.write(wanted(provider, WRONG))
    assert NOT_IT in refused(home)
    assert home.files() == before
    assert serves(started(wanted(provider, RIGHT)))


def test_a_variable_that_is_not_set_does_not_start_in_the_clear(home, provider):
    home.write(wanted(provider, "env.NOT_THERE"))
    a = home.run("-port", "0")
    assert a.returncode == 1 and not (home.path / "store").exists()
    assert "config.json: encryption_key: environment variable NOT_THERE is not set" in a.stderr


def test_a_reload_does_not_change_it(home, started, provider):
    g = started(wanted(provider, RIGHT))
    for count, (key, words) in enumerate([(WRONG, "not the one the store is open with"),
                                          (None, "is missing")], 1):
        home.write(wanted(provider, key))
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("configuration not reloaded, the old one stays", count)
        assert any(words in l for l in g.log)
    home.write(wanted(provider, RIGHT))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    assert serves(g)


def test_a_first_key_needs_a_restart(home, started, provider):
    g = started(wanted(provider))
    home.write(wanted(provider, RIGHT))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    assert any("encryption_key: the store was opened without one" in l for l in g.log)
    g.stop()
    g = started(wanted(provider, RIGHT))
    g.stop()
    home.write(wanted(provider, WRONG))
    assert NOT_IT in refused(home)


def test_an_upgrade_has_the_same_one(home, line_of, provider):  # noqa: F811
    conf = wanted(provider, RIGHT)
    home.write(conf)
    g = line_of(None, flags=home.flags)
    assert serves(g)
    home.write(wanted(provider, WRONG))
    g.ask()
    g.wait_log(FAILED)
    assert any(NOT_IT in l for l in g.log)
    assert serves(g)  # the one that was there
    home.write(conf)
    g.upgrade()
    assert serves(g)
    assert g.request("GET", "/api/logs").status in (200, 503)  # it may still stand by


def test_backup_and_repair_keep_it(home, started, provider, tmp_path_factory):
    g = started(wanted(provider, RIGHT))
    assert serves(g)
    copy = Home(tmp_path_factory.mktemp("copy"))
    a = home.run("backup", str(copy.path / "store"))  # asks the one that runs
    assert a.returncode == 0, a.stderr
    g.kill()
    a = home.run("repair")
    assert a.returncode == 0, a.stderr
    for place in (home, copy):
        place.write(wanted(provider, WRONG))
        assert NOT_IT in refused(place)
        place.write(wanted(provider))
        assert NEEDED in refused(place)
    alone = Home(tmp_path_factory.mktemp("alone"))
    assert home.run("backup", str(alone.path / "store")).returncode == 0
    alone.write(wanted(provider, WRONG))
    assert NOT_IT in refused(alone)
    for place in (home, copy, alone):
        place.write(wanted(provider, RIGHT))
        a = harness.Gateway(flags=place.flags)
        assert serves(a)
        a.stop()


def test_rows_of_the_store_are_sealed(home, line_of, provider):  # noqa: F811
    """Written, read at a start, and handed on in an upgrade."""
    row = json.dumps(key("stored"))
    subprocess.run([PUT, str(home.path / "store"), str(home.path / "shared"), VIRTUAL_KEY,
                    "vk-stored", row], check=True, timeout=DEADLINE_S,
                   env=dict(os.environ, **{VARIABLE: RIGHT}))
    seen = b""
    for path in home.files():
        with open(path, "rb") as f:
            seen += f.read()
    assert b"vk-stored" in seen and b"sk-bf-stored" not in seen  # ids are no secrets
    conf = dict(config(provider, client={"enforce_auth_on_inference": True}), version=2,
                encryption_key=RIGHT)
    home.write(dict(conf, encryption_key=WRONG))
    assert NOT_IT in refused(home)
    a = home.run("-check-config")
    assert a.returncode == 1 and NOT_IT in a.stdout
    home.write(conf)
    g = line_of(None, flags=home.flags)
    assert ask(g, "stored") == 200 and ask(g, "other") == 403
    g.upgrade()
    assert ask(g, "stored") == 200


def test_nobody_gets_to_see_it(home, started, provider):
    g = started(wanted(provider, "env.MINE"), env={"MINE": RIGHT, "LOG_LEVEL": "debug"})
    assert serves(g)
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    seen = g.request("GET", "/metrics").body + g.request("GET", "/health").body
    with open("/proc/%d/cmdline" % g.process.pid, "rb") as f:
        seen += f.read()
    with open("/proc/%d/limits" % g.process.pid, encoding="ascii") as f:
        assert "Max core file size        0 " in f.read()
    g.stop()
    seen += "\n".join(g.log).encode()
    for folder, _, names in os.walk(home.path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                seen += f.read()
    assert RIGHT.encode() not in seen
