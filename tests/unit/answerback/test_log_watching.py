from __future__ import annotations

import subprocess
import sys

import pytest

TIMEOUT = 60
BEGIN = """
import os, signal, subprocess, sys, threading
from answerback.log_watching import watch
"""
MANY_SIGNALS = """
def send() -> None:
    for _ in range(200):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

def look() -> tuple[()]:
    threading.Thread(target=send).start()
    return ()

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)  # those that come after the watch
print(watch(look, None, (), 60))
"""
AN_INHERITED_SIGNAL = """
ASK = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM).name)"

def look() -> tuple[()]:
    subprocess.run([sys.executable, "-c", ASK], check=True)
    os.kill(os.getpid(), signal.SIGTERM)
    return ()

before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
watch(look, None, (), 60)
print((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before)
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param(MANY_SIGNALS, "False\n", id="signals that come at once, and twice"),
        pytest.param(AN_INHERITED_SIGNAL, "set() SIG_DFL\nTrue\n", id="what is run meanwhile can be ended"),
    ],
)
def test_a_signal_ends_a_watch_and_is_kept_from_no_command(script: str, said: str) -> None:
    """A watch ends though signals interrupt each other; commands inherit none that is blocked or handled."""
    command = [sys.executable, "-c", BEGIN + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (0, said), done.stderr
