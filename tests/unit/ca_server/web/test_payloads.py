from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ca_server.errors import Refusal, RefusalKind
from ca_server.web.payloads import read_time


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31t12:00:00z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00.5+02:00", datetime(2030, 1, 31, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2016-01-01T00:04:00+04:00", datetime(2015, 12, 31, 20, 4, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times_are_those_of_rfc_3339(text: str | None, moment: datetime | None) -> None:
    """RFC 8555 §7.1.3: times are in the format of RFC 3339, with any offset."""
    assert read_time(text, "notBefore") == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "2030-01-31 12:00:00Z",
        "2030-W05-4T12:00:00Z",
        "2030-02-31T12:00:00Z",
        "2030-01-31T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2030-01-31T12:00:00+99:99",
        "\uff12030-01-31T12:00:00Z",
    ],
)
def test_other_times_are_malformed(text: str) -> None:
    """Other formats, impossible days and times outside of the calendar are refused, naming the member."""
    with pytest.raises(Refusal, match="notBefore") as refused:
        read_time(text, "notBefore")
    assert refused.value.kind is RefusalKind.MALFORMED
