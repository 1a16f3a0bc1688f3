# SPDX-License-Identifier: Apache-2.0
"""Governance whose rows lie in the store: beside the file's, over reloads and upgrades."""
import json
import os
import signal
import subprocess

import harness
import pytest
from harness import BIN, chat, config
from test_upgrade import adopt, line_of  # noqa: F401 (fixtures)

PUT = os.path.join(os.path.dirname(os.path.realpath(BIN)), "tests", "programs", "store_put")
PATH = "/v1/chat/completions"
VIRTUAL_KEY, BUDGET, RATE_LIMIT = "4", "5", "6"  # enum store_kind


def put(folder, *rows):
    """(kind, row) …"""
    words = []
    for kind, row in rows:
        text = row if isinstance(row, str) else json.dumps(row)
        words += [kind, "x" if isinstance(row, str) else row["id"], text]
    subprocess.run([PUT, str(folder / "store"), str(folder / "rings"), *words], check=True,
                   timeout=harness.DEADLINE_S)


def key(name, **members):
    return dict({"id": "vk-" + name, "name": name, "value": "sk-bf-" + name,
                 "provider_configs": [{"provider": "openai", "allowed_models": ["*"],
                                       "key_ids": ["*"]}]}, **members)


def ask(g, name):
    return g.post(PATH, chat(), headers=[("x-bf-vk", "sk-bf-" + name)]).status


def flags(folder):
    return ["-app-dir", str(folder), "-shared-dir", str(folder / "shared")]


@pytest.fixture
def folder(tmp_path, provider):
    """Two requests an hour for `stored`; `filed` stands in the file, and in the store otherwise."""
    conf = dict(config(provider, client={"enforce_auth_on_inference": True}), version=2,
                governance={"virtual_keys": [key("filed")]})
    conf["server"] = {"allowed_hosts": ["*"]}
    if harness.ALWAYS_TLS:
        cert, private = harness.shared_authority()["files"]
        conf["server"]["tls"] = {"cert_file": cert, "key_file": private}
    (tmp_path / "config.json").write_text(json.dumps(conf))
    put(tmp_path, (VIRTUAL_KEY, key("stored", rate_limit_id="two")),
        (VIRTUAL_KEY, dict(key("filed"), is_active=False)),
        (RATE_LIMIT, {"id": "two", "request_max_limit": 2, "request_reset_duration": "1h"}))
    return tmp_path


def test_a_stored_key_and_its_limit(gateway_of, folder):
    g = gateway_of(flags=flags(folder))
    assert ask(g, "filed") == 200
    assert [ask(g, "stored") for _ in range(3)] == [200, 200, 429]
    assert ask(g, "nobody") == 403


def test_they_outlive_a_reload(gateway_of, folder):
    g = gateway_of(flags=flags(folder))
    assert ask(g, "stored") == 200
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    assert [ask(g, "stored") for _ in range(2)] == [200, 429]
    conf = json.loads((folder / "config.json").read_text())
    conf["config_store"] = {"enabled": False}
    (folder / "config.json").write_text(json.dumps(conf))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded", 2)
    assert ask(g, "stored") == 403 and ask(g, "filed") == 200


def test_they_outlive_upgrades(line_of, folder):  # noqa: F811
    g = line_of(None, flags=flags(folder))
    assert ask(g, "stored") == 200
    g.upgrade()
    g.process.wait(harness.DEADLINE_S)
    g.ended(g.upgrade())
    assert [ask(g, "stored") for _ in range(2)] == [200, 429]


def test_a_row_that_is_wrong_stops_the_start(gateway_of, folder):
    put(folder, (BUDGET, {"id": "b", "max_limit": 1, "reset_duration": "1h",
                          "virtual_key_id": "vk-gone"}))
    g = gateway_of(flags=flags(folder), expect_start=False)
    g.ends_with = 1
    assert g.process.wait(harness.DEADLINE_S) != 0
    g.wait_log("config.json and the store: governance.budgets[0].virtual_key_id: ")
    put(folder, (BUDGET, "{},{}"))
    g = gateway_of(flags=flags(folder), expect_start=False)
    g.ends_with = 1
    assert g.process.wait(harness.DEADLINE_S) != 0
    g.wait_log("budgets: x: ")
    assert "sk-bf" not in "\n".join(g.log)
