# SPDX-License-Identifier: Apache-2.0
"""The commands about the store: what they say when there is nothing to do it with."""
import subprocess

import harness


def run(*words):
    return subprocess.run([harness.BIN, *words], capture_output=True, text=True, timeout=30)


def test_backup_needs_a_folder():
    for words in (("backup",), ("backup", "-app-dir", "/tmp")):
        a = run(*words)
        assert a.returncode == 1 and a.stdout == ""
        assert a.stderr == "ringgate: backup: the folder to write the backup to is missing\n"


def test_no_store_is_named(tmp_path):
    store = tmp_path / "store"
    a = run("backup", str(tmp_path / "to"), "-app-dir", str(tmp_path))
    assert a.returncode == 1 and str(store) in a.stderr
    assert not (tmp_path / "to").exists()
    a = run("repair", "-app-dir", str(tmp_path))
    assert a.returncode == 1 and str(store) in a.stderr
    assert not store.exists()


def test_flags_of_a_command_are_the_programs(tmp_path):
    a = run("repair", "-no-such-flag")
    assert a.returncode == 1 and "unknown flag" in a.stderr
    # An empty folder of a store is repaired: there is nothing in it.
    (tmp_path / "store").mkdir()
    a = run("repair", "-app-dir", str(tmp_path))
    assert a.returncode == 0 and a.stdout == "what could be read is a store again\n"
