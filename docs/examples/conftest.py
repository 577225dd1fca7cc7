"""A pytest fixture: explores requests to your service, and fails with the interleaving that breaks it.

Copy it into `conftest.py`. It needs pytest and `onlyone` on the path (or its place in the variable ONLYONE).

    def test_one_chat_for_two_requests(explore):
        explore("curl http://app/chats --json '{\"with\": \"bob\"}'", command=["python", "app.py"])
"""

import os
import subprocess

import pytest

VERDICTS = {1: "violated", 2: "wrong usage", 3: "inconclusive", 4: "could not be set up"}


@pytest.fixture
def explore(tmp_path):
    def run(*requests, command, options=(), timeout=300):
        """`requests` are curl lines, `command` starts the service, `options` are further ones of `onlyone explore`."""
        arguments = [os.environ.get("ONLYONE", "onlyone"), "explore", "--quiet", "--out", str(tmp_path / "reports")]
        for request in requests:
            arguments += ["--curl", request]
        done = subprocess.run(
            [*arguments, *options, "--", *command], capture_output=True, text=True, timeout=timeout
        )
        if done.returncode != 0:
            verdict = VERDICTS.get(done.returncode, f"ended with {done.returncode}")
            pytest.fail(f"{verdict}\n{done.stdout}{done.stderr}", pytrace=False)

    return run
