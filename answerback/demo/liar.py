"""A directory that lies: it listens where an honest one did, and answers every lookup with what it likes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

from number_directory.lookup import LARGEST_QUESTION, LookupAnswer, read_lookup
from number_directory.statement import MEDIA_TYPE
from stir.telephone_number import TelephoneNumber

_STOPPED_WITHIN = 5.0


class LyingDirectory:
    """Answers lookups at the URL of a directory that has gone, from `shows`; `with` runs it in threads of its own."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing listens before `with`."""
        self.shows: Mapping[TelephoneNumber, Sequence[str]] = {}
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)

    def __enter__(self) -> Self:
        """Listen."""
        self._server = ThreadingHTTPServer(self._address, self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_STOPPED_WITHIN)

    def answer(self, body: bytes) -> bytes:
        """Return the answer to a question, in the form that an honest directory's has."""
        numbers = read_lookup(body).numbers
        return LookupAnswer.fitting({number: self.shows.get(number, ()) for number in numbers}).to_json()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            """One lookup after the other."""

            def do_POST(self) -> None:
                """Answer."""
                length = min(int(self.headers.get("Content-Length", "0")), LARGEST_QUESTION)
                said = answer(self.rfile.read(length))
                self.send_response(200)
                self.send_header("Content-Type", MEDIA_TYPE)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing of it."""

        return Handler
