# SPDX-License-Identifier: Apache-2.0
"""tools/run: what README.md tells a newcomer to type is answered, and what the tool prints."""
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE_S = 60
COMMAND = re.compile(r"^ +(curl (?:.*\\\n)*.*(?:\n {8,}.*)*)", re.M)


def commands(text):
    return [shlex.split(m.replace("\\\n", " ")) for m in COMMAND.findall(text)]


def readme():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        return commands(f.read())


@pytest.fixture(scope="module", name="printed")
def run_without_a_key():
    """tools/run on a free port; what it printed and the port."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    env = {k: v for k, v in os.environ.items() if not k.endswith("_KEY")}
    process = subprocess.Popen([os.path.join(ROOT, "tools", "run"), "-port", str(port)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=env, text=True)
    watchdog = threading.Timer(DEADLINE_S, process.terminate)
    watchdog.start()
    text = ""
    for line in process.stdout:
        text += line
        if "Ctrl-C" in line:
            break
    yield text, port
    watchdog.cancel()
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)
    process.stdout.close()


def answer(command, port):
    command = [a.replace("localhost:8080", "localhost:%d" % port) for a in command]
    out = subprocess.run([*command, "-sS", "--fail-with-body", "-m", str(DEADLINE_S)],
                         capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout


def check(command, got):
    streamed = '"stream": true' in " ".join(command)
    if streamed:
        assert got.startswith("data: {") and got.endswith("data: [DONE]\n\n")
    elif any("/anthropic/" in a for a in command):
        assert json.loads(got)["content"][0]["text"]
    else:
        assert json.loads(got)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("command", readme(), ids=lambda c: next(a for a in c if "http" in a))
def test_readme_lines_are_answered(printed, command):
    check(command, answer(command, printed[1]))


def test_printed_lines_are_answered(printed):
    lines = commands(printed[0])
    assert len(lines) == len(readme()) == 3
    for command in lines:
        check(command, answer(command, printed[1]))
