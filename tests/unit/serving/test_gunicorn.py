from __future__ import annotations

import multiprocessing
import socket
import time
from pathlib import Path
from typing import NoReturn

import pytest
from gunicorn import util

from serving import gunicorn
from serving.errors import ConfigurationError, ServingError, StorageError
from serving.gunicorn import WebProgram, listen, serve
from serving.settings import Listener, Tls

_TIMEOUT = 60


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_server_listens_where_it_is_told(host: str) -> None:
    """IPv4, IPv6 and `localhost` are listened at."""
    with listen(Listener(bind=f"{host}:0")) as listener:
        assert listener.getsockname()[0] in {"127.0.0.1", "::1"}


def test_an_answer_waits_for_no_acknowledgement_however_early_the_client_connected() -> None:
    """A connection that is made before the web has started sends the second part of an answer at once, too."""
    with listen(Listener(bind="127.0.0.1:0")) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use_is_told_with_its_setting() -> None:
    """The message names `server.bind` and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=rf"^server\.bind: {bind} is in use by another program; stop"):
            listen(Listener(bind=bind))


def test_another_machines_address_is_told() -> None:
    """An address that this machine does not have says so."""
    with pytest.raises(ConfigurationError, match="is no address of this machine"):
        listen(Listener(bind="192.0.2.1:14000"))


def test_another_error_of_the_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the system says is repeated."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(97, "Address family not supported")

    monkeypatch.setattr(socket, "create_server", fail)
    with pytest.raises(ConfigurationError, match="cannot be opened: Address family not supported"):
        listen(Listener())


def test_nothing_is_served_where_the_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS files and an application that are of no use are told before anybody could connect."""

    def away() -> NoReturn:
        msg = "the database is away"
        raise StorageError(msg)

    monkeypatch.setattr(gunicorn, "listen", lambda _server: pytest.fail("it must not listen"))
    with pytest.raises(ServingError, match=r"^the database is away$"):
        serve(WebProgram("p", Listener(), away), print)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        serve(WebProgram("p", Listener(tls=Tls(tmp_path / "a", tmp_path / "b")), object), print)


def test_a_process_that_is_told_to_end_while_it_begins_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop does not wait for it in vain, until its patience is over."""
    fork = multiprocessing.get_context("fork")
    beginning, begins = fork.Pipe(duplex=False)

    def begin_slowly() -> None:  # gunicorn calls it before a process has its own way with signals
        begins.send(None)
        time.sleep(0.5)

    monkeypatch.setattr(util, "seed", begin_slowly)
    program = WebProgram("p", Listener(bind="127.0.0.1:0", graceful_seconds=300), lambda: print)
    server = fork.Process(target=lambda: serve(program, lambda _url: None))
    server.start()
    try:
        assert beginning.poll(_TIMEOUT)
        server.terminate()
        server.join(_TIMEOUT)
        assert server.exitcode == 0
    finally:
        server.kill()
        server.join()
