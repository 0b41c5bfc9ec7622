"""Constraints on an anchor at the command line: the options that set them, and the words that tell them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from answerback.failure import Failure

if TYPE_CHECKING:
    from policies.terms import Terms
    from trust_store.toml_text import Value

KEYS: Mapping[str, str] = {
    "prefix": "prefixes",
    "purpose": "purposes",
    "issued-not-after": "issued_not_after",
    "until": "until",
    "method": "methods",
    "longest-life": "longest_life_hours",
    "authority-key": "authority_keys",
    "scts": "scts",
    "log": "logs",
    "log-operator": "log_operators",
}
"""The options by name, each with its key in `trust.toml`."""

_LIFE = re.compile(r"([0-9]{1,5})([dh])", re.ASCII)


def _hours(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Read how long a certificate may live, such as `8d` or `36h`, as a number of hours."""
    if text is None:
        return None
    found = _LIFE.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no length of time: write it as 8d or 36h"
        raise click.BadParameter(msg)
    return int(found[1]) * (24 if found[2] == "d" else 1)


_DAY = click.DateTime(["%Y-%m-%d"])
_OPTIONS = (
    click.option(
        "--prefix",
        "prefixes",
        multiple=True,
        metavar="+1202",
        help="Only for numbers that begin so. May be repeated.",
    ),
    click.option(
        "--purpose",
        "purposes",
        multiple=True,
        type=click.Choice(["call", "message", "record"]),
        help="Only for this use. May be repeated.",
    ),
    click.option("--until", type=_DAY, metavar="DATE", help="Only until this day (UTC)."),
    click.option(
        "--issued-not-after", type=_DAY, metavar="DATE", help="Only certificates issued up to this day (UTC)."
    ),
    click.option(
        "--method",
        "methods",
        multiple=True,
        type=click.Choice(["sms-reply", "sms-code", "authority-token", "sms-routes"]),
        help="Only numbers that were proved in this way. May be repeated.",
    ),
    click.option(
        "--longest-life",
        "longest_life_hours",
        callback=_hours,
        metavar="8d|36h",
        help="Only certificates that live no longer than this.",
    ),
    click.option(
        "--authority-key",
        "authority_keys",
        multiple=True,
        type=click.Choice(["p256", "p384"]),
        help="Only where every authority's key is of this kind. May be repeated.",
    ),
    click.option(
        "--scts",
        type=click.IntRange(0, 16),
        metavar="COUNT",
        help="Only certificates that the logs of so many operators took.  [default: as in your settings]",
    ),
    click.option(
        "--log", "logs", multiple=True, metavar="NAME", help="Only this log of yours counts for it. May be repeated."
    ),
    click.option(
        "--log-operator",
        "log_operators",
        multiple=True,
        metavar="NAME",
        help="Only logs of this operator count for it. May be repeated.",
    ),
)


def constraint_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each constraint; `given` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(options: Mapping[str, Any]) -> dict[str, Value | None]:
    """Return the constraints that were given, by their keys in `trust.toml`; the others are None."""
    return {key: _value(options[key]) for key in KEYS.values()}


def as_terms(values: Mapping[str, Value | None], *, name: str, operator: str) -> Terms:
    """Return terms with these constraints. Raises StirError where a prefix is none."""
    from policies.terms import KeyType, Purpose, Terms
    from stir.telephone_number import NumberPrefix
    from stir.validation_method import ValidationMethod

    made: dict[str, Callable[[Any], object]] = {
        "prefixes": lambda texts: tuple(NumberPrefix.parse(text) for text in texts),
        "purposes": lambda texts: tuple(Purpose(text) for text in texts),
        "methods": lambda texts: tuple(ValidationMethod(text) for text in texts),
        "authority_keys": lambda texts: tuple(KeyType(text) for text in texts),
        "longest_life_hours": lambda hours: timedelta(hours=hours),
    }
    read: dict[str, Any] = {
        key.removesuffix("_hours"): made[key](value) if key in made else value
        for key, value in values.items()
        if value is not None
    }
    return Terms(name=name, operator=operator, source="", **read)


def described(terms: Terms) -> dict[str, object]:
    """Return constraints as data, by their keys in `trust.toml`; None where one is not set."""
    from trust_store.editing import written_constraints

    values = written_constraints(terms)
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in values.items()}


def in_words(terms: Terms) -> str:
    """Say how far an anchor is believed."""
    parts = [_listed(prefix.e164 for prefix in terms.prefixes) if terms.prefixes is not None else "any number"]
    if terms.purposes is not None:
        parts.append(f"for {_listed(f'{purpose}s' for purpose in terms.purposes)} only")
    if terms.issued_not_after is not None:
        parts.append(f"if issued up to {terms.issued_not_after}")
    if terms.until is not None:
        parts.append(f"until {terms.until}")
    if terms.methods is not None:
        parts.append(f"if proved by {_listed(method.label for method in terms.methods)}")
    if terms.longest_life is not None:
        parts.append(f"if certified for {terms.longest_life // timedelta(hours=1)} hours at most")
    if terms.authority_keys is not None:
        parts.append(f"with authorities' keys of the kind {_listed(terms.authority_keys)}")
    return ", ".join((*parts, *_logs_in_words(terms)))


def require_some(values: Mapping[str, Value | None]) -> None:
    """Refuse to change nothing."""
    if not values:
        msg = f"say how to limit it: {', '.join(f'--{name}' for name in KEYS)}, or --clear one of them"
        raise Failure(msg)


def _logs_in_words(terms: Terms) -> list[str]:
    parts = []
    if terms.scts is not None:
        parts.append(f"with timestamps of the logs of {terms.scts} operator{'' if terms.scts == 1 else 's'}")
    if terms.logs is not None:
        parts.append(f"of the logs {_listed(terms.logs)} alone")
    if terms.log_operators is not None:
        parts.append(f"of logs of {_listed(terms.log_operators)} alone")
    return parts


def _listed(words: Any) -> str:  # noqa: ANN401  # an iterable of text
    return ", ".join(words) or "none"


def _value(option: Any) -> Value | None:  # noqa: ANN401  # whatever click made of it
    if isinstance(option, datetime):
        return option.date()
    return None if option == () else option
