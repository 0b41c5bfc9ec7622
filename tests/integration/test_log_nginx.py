"""nginx, set up as docs/how-to/run-a-log.md says, serves what a log publishes, and a client reads it from there."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests

from tests.fakes.log_world import SHARD, Authority, SequencerThread, fill, make_config, make_log, shard_of
from tests.peers import require
from transparency.client import LogClient
from transparency.entry import SealedEntry
from transparency.errors import TileMissingError
from transparency.merkle import inclusion_proof, leaf_hash, verify_inclusion
from transparency.sct import SctExtensions
from transparency.server.index_keeper import IndexKeeper
from transparency.server.log import Log
from transparency.server.publishing import delivery_of
from transparency.server.sequencer import Sequencer
from transparency.server.web import build_web

pytestmark = pytest.mark.peer

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-a-log.md"
ENTRIES = 600  # two whole tiles, and a partial one
_PATIENCE = 20.0
_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    include /etc/nginx/mime.types;
    server {{
        listen 127.0.0.1:{port};
{told}
    }}
}}
"""


@dataclass(frozen=True)
class Served:
    """A log, and the URL at which nginx stands before it."""

    log: Log
    authority: Authority
    url: str

    @property
    def client(self) -> LogClient:
        """Whoever was given the log's description."""
        return LogClient.of(self.log.describe())

    @property
    def public(self) -> Path:
        """The folder that nginx serves."""
        return self.log.config.publishing.directory


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve a log with 600 entries by nginx, and its submissions by its own web application behind that."""
    program, ports = require("nginx", "nginx-light"), _unused_ports(2)
    authority, url = Authority.make(), f"http://127.0.0.1:{ports[0]}"
    log = make_log(make_config(tmp_path / "log", authority, url=url))
    fill(log, ENTRIES)
    Sequencer(log, shard_of(log)).step()
    IndexKeeper(log, shard_of(log)).step()
    config = _config(tmp_path, *ports, log.config.publishing.directory)
    # -e keeps nginx from the machine's own error log, which it would open before it reads its settings.
    command = [program, "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(config)]
    behind = make_server("127.0.0.1", ports[1], build_web(log), handler_class=_Silent)
    thread = threading.Thread(target=behind.serve_forever)
    thread.start()
    nginx = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _await_port(nginx, ports[0])
        yield Served(log, authority, url)
    finally:
        nginx.terminate()
        nginx.communicate(timeout=_PATIENCE)
        behind.shutdown()
        thread.join(_PATIENCE)
        behind.server_close()
        log.storage.close()


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


def _config(folder: Path, port: int, behind: int, public: Path) -> Path:
    """Write nginx's settings: what the page tells, with this log's folder and ports in it."""
    (told,) = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert told.count("/var/lib/log/public") == 2
    assert told.count("127.0.0.1:14100") == 1
    told = told.replace("/var/lib/log/public", str(public)).replace("127.0.0.1:14100", f"127.0.0.1:{behind}")
    path = folder / "nginx.conf"
    path.write_text(_CONFIG.format(folder=folder, port=port, told=told))
    return path


def _unused_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _await_port(nginx: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while nginx.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    nginx.kill()
    pytest.fail(f"nginx does not start: {nginx.communicate(timeout=_PATIENCE)[1]}")


def test_a_client_reads_and_proves_everything_through_nginx(served: Served) -> None:
    """Checkpoint, whole and partial tiles and bundles: each is what the log signed."""
    shard = served.client.shard(shard_of(served.log).describe())
    _, checkpoint = shard.checkpoint_note()
    assert checkpoint.size == ENTRIES
    places = (0, 255, 256, ENTRIES - 1)
    entries = shard.entries(checkpoint, places)
    for place in places:
        proof = inclusion_proof(shard.reader(checkpoint), place, ENTRIES)
        verify_inclusion(place, ENTRIES, leaf_hash(entries[place].to_bytes()), proof, checkpoint.root)


def test_a_client_looks_labels_up_through_nginx(served: Served) -> None:
    """A whole bucket tells all indices of a label, and that there is nothing under another, held to the map's root."""
    shard = served.client.shard(shard_of(served.log).describe())
    _, checkpoint = shard.checkpoint_note()
    note, map_ = shard.map_checkpoint()
    wanted: SealedEntry = shard.entries(checkpoint, [7])[7]
    expected = tuple(place for place in range(ENTRIES) if place % 251 == 7)
    assert shard.bucket(note, map_, wanted.label).indices_of(wanted.label) == expected
    absent = bytes(30) + b"\x01\x00"
    assert shard.bucket(note, map_, absent).indices_of(absent) == ()


def test_every_published_file_comes_with_the_headers_that_the_log_itself_sends(served: Served) -> None:
    """Immutable are tiles and index, a checkpoint is kept for a moment, and each may be read from any page."""
    files = [path for path in served.public.rglob("*") if path.is_file()]
    assert len(files) > 8
    for file in files:
        path = file.relative_to(served.public).as_posix()
        answer, delivery = requests.get(f"{served.url}/{path}", timeout=5), delivery_of(path)
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        assert answer.headers["Content-Type"] == delivery.content_type
        assert answer.headers["Cache-Control"] == delivery.cache_control
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_what_is_not_there_yet_is_not_kept_for_good(served: Served) -> None:
    """A tile that the tree does not have is missing for a client, and no cache is told to remember that."""
    shard = shard_of(served.log).describe()
    with pytest.raises(TileMissingError):
        served.client.shard(shard).files.fetch("tile/0/002")
    missing = requests.get(f"{served.url}/{SHARD.name}/tile/0/002", timeout=5)
    assert missing.status_code == 404
    assert "Cache-Control" not in missing.headers


def test_submissions_go_through_nginx_to_the_log(served: Served) -> None:
    """Whatever is no file is the log's own: an authority gets its SCT, and the entry stands in the files."""
    client = served.client
    with SequencerThread(served.log):
        sct = client.add_pre_chain(served.authority.submission(1))
    index = SctExtensions.decode(sct.extensions).leaf_index
    shard = client.shard(shard_of(served.log).describe())
    _, checkpoint = shard.checkpoint_note()
    assert shard.entries(checkpoint, [index])[index].timestamp_ms == sct.timestamp_ms
    assert requests.get(f"{served.url}/log.json", timeout=5).content == served.log.describe().to_json()
    assert requests.get(f"{served.url}/log.db", timeout=5).status_code == 404
