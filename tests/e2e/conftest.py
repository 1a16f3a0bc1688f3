# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a provider, a gateway in front of it; both are gone when the test ends."""
import pytest

import harness


@pytest.fixture(autouse=True)
def no_rings_stay(request):
    """A core's ring takes 64 MB, and pytest keeps the folders of three runs."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for ring in folder.rglob("ring-*") if folder else ():
        ring.unlink()


@pytest.fixture
def provider_of():
    made = []

    def make(script=None, tls=None):
        made.append(harness.Provider(script, tls))
        return made[-1]

    yield make
    for p in made:
        p.close()


@pytest.fixture
def provider(provider_of):
    return provider_of()


@pytest.fixture
def gateway_of():
    made = []

    def make(*args, **kwargs):
        made.append(harness.Gateway(*args, **kwargs))
        return made[-1]

    yield make
    for g in reversed(made):  # the folder of the first may be a later one's
        g.stop()


@pytest.fixture
def gateway(gateway_of, provider):
    return gateway_of(harness.config(provider))
