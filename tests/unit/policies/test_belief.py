from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import belief, verdicts
from policies.errors import PolicyError
from policies.facts import (
    CallFacts,
    CertificateFacts,
    LieFacts,
    LoggingFacts,
    PathFacts,
    ProofFacts,
    RevocationFacts,
    RevocationState,
    TimestampFacts,
    Use,
)
from policies.terms import Deny, KeyType, Purpose, RevocationMode, Settings, Terms
from policies.verdicts import QUESTIONS, Finding, Outcome, Rule, Verdict
from stir.passport import Passport, message_integrity
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CALLER = TelephoneNumber.parse("+12025550123")
OTHER = TelephoneNumber.parse("+12025550199")
CALLED = TelephoneNumber.parse("+442079460018")
DC = NumberPrefix.parse("+1202")
LONDON = NumberPrefix.parse("+4420")

CALL = CallFacts(CALLER, CALLED, NOW, Purpose.CALL)
USE = Use(CALLER, NOW, Purpose.CALL)
MESSAGE = CallFacts(CALLER, CALLED, NOW, Purpose.MESSAGE, b"hello")
STATEMENT = Passport(orig=CALLER, dest=(CALLED.digits,), issued_at=int(NOW.timestamp()))
TEXT_STATEMENT = replace(STATEMENT, ppt="msg", message_integrity=message_integrity(b"hello"))
TERMS = Terms(name="example-ca", operator="Example", source="trust.toml:5")
GOOD = RevocationFacts(RevocationState.GOOD, "good")
UNKNOWN = RevocationFacts(RevocationState.UNKNOWN, "its list is not at hand")
REVOKED = RevocationFacts(RevocationState.REVOKED, "revoked on a Monday")


def certificate(title: str, numbers: TnAuthList | None = None, *, fingerprint: str = "") -> CertificateFacts:
    """Return a certificate that is valid for a day around NOW."""
    day = timedelta(days=1)
    return CertificateFacts(title, NOW - day, NOW + day, numbers, frozenset({fingerprint} if fingerprint else ()))


LEAF = certificate("the number's certificate", TnAuthList.for_number(CALLER))
ROOT = certificate("the authority Root")
PATH = PathFacts((LEAF, certificate("the authority Issuing"), ROOT), TERMS)


def statement_says(statement: Passport, call: CallFacts, settings: Settings | None = None) -> Finding:
    """Return the last finding about what a token says."""
    return tuple(verdicts.in_order(belief.on_statement(statement, call, settings or Settings())))[-1]


def path_says(path: PathFacts, at: datetime = NOW, purpose: Purpose | None = Purpose.CALL) -> Finding:
    """Return the last finding about a path."""
    return tuple(verdicts.in_order(belief.on_path(path, Use(CALLER, at, purpose), Settings())))[-1]


def under(**terms: object) -> PathFacts:
    """Return the good path under other terms."""
    return replace(PATH, terms=replace(TERMS, **terms))


def test_every_rule_has_a_question() -> None:
    """A person can be told what each rule asks."""
    assert list(QUESTIONS) == list(Rule)
    assert all(question.endswith("?") for question in QUESTIONS.values())


# Precedence: local deny > constraints > an anchor's presence.

DENY_NUMBER = Deny("trust.toml:20", number=CALLER)
DENY_PREFIX = Deny("trust.toml:21", prefix=DC)
DENY_ROOT = Deny("trust.toml:22", certificate="aa")
ELSEWHERE = (LONDON,)
PRECEDENCE = [
    # denies,                      believed for, anchored -> verdict, rule, source
    ((), None, True, Outcome.VERIFIED, Rule.ANCHOR, "trust.toml:5"),
    ((), (DC,), True, Outcome.VERIFIED, Rule.ANCHOR, "trust.toml:5"),
    ((), (LONDON, DC), True, Outcome.VERIFIED, Rule.ANCHOR, "trust.toml:5"),
    ((), ELSEWHERE, True, Outcome.REFUSED, Rule.ANCHOR_NUMBERS, "trust.toml:7"),
    ((), None, False, Outcome.UNVERIFIED, Rule.ANCHOR, None),
    ((DENY_NUMBER,), None, True, Outcome.REFUSED, Rule.DENIED_NUMBER, "trust.toml:20"),
    ((DENY_NUMBER,), (DC,), True, Outcome.REFUSED, Rule.DENIED_NUMBER, "trust.toml:20"),
    ((DENY_NUMBER,), ELSEWHERE, True, Outcome.REFUSED, Rule.DENIED_NUMBER, "trust.toml:20"),
    ((DENY_NUMBER,), None, False, Outcome.REFUSED, Rule.DENIED_NUMBER, "trust.toml:20"),
    ((DENY_PREFIX,), (DC,), True, Outcome.REFUSED, Rule.DENIED_NUMBER, "trust.toml:21"),
    ((DENY_ROOT,), None, True, Outcome.REFUSED, Rule.DENIED_CERTIFICATE, "trust.toml:22"),
    ((DENY_ROOT,), ELSEWHERE, True, Outcome.REFUSED, Rule.DENIED_CERTIFICATE, "trust.toml:22"),
    ((DENY_ROOT, DENY_NUMBER), None, True, Outcome.REFUSED, Rule.DENIED_NUMBER, "trust.toml:20"),
]


@pytest.mark.parametrize(("denies", "prefixes", "anchored", "outcome", "rule", "source"), PRECEDENCE)
def test_a_deny_stands_above_constraints_and_constraints_above_an_anchor(
    denies: tuple[Deny, ...],
    prefixes: tuple[NumberPrefix, ...] | None,
    anchored: bool,
    outcome: Outcome,
    rule: Rule,
    source: str | None,
) -> None:
    """Whatever else holds, the user's deny decides first, then the user's constraint, then the anchor."""
    certificates = (LEAF, certificate("the authority Root", fingerprint="aa"))
    terms = replace(TERMS, prefixes=prefixes, sources={"prefixes": "trust.toml:7"})
    findings = [belief.denied_number(CALLER, denies), belief.denied_certificate(certificates, denies)]
    if anchored:
        findings.extend(belief.on_path(PathFacts(certificates, terms), USE, Settings()))
    found = verdicts.verdict(verdicts.in_order(findings))
    assert (found.outcome, found.rule, found.source) == (outcome, rule, source)


def test_a_deny_says_why_where_the_user_noted_it() -> None:
    """The user's own note comes back with the verdict."""
    found = belief.denied_number(CALLER, [replace(DENY_NUMBER, note="sold my flat twice")])
    assert found.reason == "you deny this number (sold my flat twice)"


def test_a_deny_of_a_prefix_names_the_prefix() -> None:
    """A prefix is no secret, unlike the whole number."""
    assert belief.denied_number(CALLER, [DENY_PREFIX]).reason == "you deny numbers that begin with +1202"


def test_another_number_is_not_denied() -> None:
    """A deny of one number is no deny of its neighbour."""
    assert belief.denied_number(OTHER, [DENY_NUMBER, Deny("x", prefix=LONDON), DENY_ROOT]).passed


def test_other_certificates_are_not_denied() -> None:
    """A deny of one certificate is no deny of another."""
    assert belief.denied_certificate([certificate("a", fingerprint="bb")], [DENY_ROOT, DENY_NUMBER]).passed


@pytest.mark.parametrize("parts", [{}, {"number": CALLER, "prefix": DC}, {"prefix": DC, "certificate": "aa"}])
def test_a_deny_names_exactly_one_thing(parts: dict[str, object]) -> None:
    """A deny of nothing, or of two things, is refused when it is made."""
    with pytest.raises(PolicyError, match="exactly one"):
        Deny("trust.toml:1", **parts)  # type: ignore[arg-type]


# What the token says.


def test_a_call_that_came_as_its_token_says_passes() -> None:
    """Caller, called number, time and kind agree."""
    assert statement_says(STATEMENT, CALL).passed


def test_a_token_of_a_message_is_none_for_a_call() -> None:
    """RFC 9475 §3: `msg` tokens are for messages."""
    found = statement_says(TEXT_STATEMENT, CALL)
    assert (found.rule, found.reason) == (Rule.KIND, "a 'msg' token says nothing about a call")


def test_a_plain_token_is_none_for_a_message() -> None:
    """A token of a call cannot be used again under a message."""
    found = statement_says(STATEMENT, MESSAGE)
    assert (found.rule, found.reason) == (Rule.KIND, "a plain token says nothing about a message")


def test_the_caller_comes_from_the_signalling() -> None:
    """RFC 8224 §6.2: a token for another number than the call came from is refused, without showing either."""
    found = statement_says(STATEMENT, replace(CALL, orig=OTHER))
    assert (found.rule, found.outcome) == (Rule.CALLER, Outcome.REFUSED)
    assert CALLER.digits not in found.reason
    assert OTHER.digits not in found.reason


def test_a_token_for_somebody_else_is_refused() -> None:
    """RFC 8224 §6.2: a token that was cut out of another call is refused."""
    assert statement_says(STATEMENT, replace(CALL, dest=OTHER)).rule is Rule.CALLED


def test_a_token_to_several_numbers_is_for_each_of_them() -> None:
    """RFC 8225 §5.2.1: dest may list several numbers."""
    assert statement_says(replace(STATEMENT, dest=(OTHER.digits, CALLED.digits)), CALL).passed


FRESHNESS = [
    (0, True),
    (60, True),
    (60.001, False),
    (3600, False),
    (-10, True),
    (-10.001, False),
    (-86400, False),
]


@pytest.mark.parametrize(("age", "fresh"), FRESHNESS)
def test_a_call_is_fresh_for_a_minute(age: float, fresh: bool) -> None:
    """RFC 8224 §6.2: older than sixty seconds, or more than the clocks' difference ahead, is refused."""
    found = statement_says(STATEMENT, replace(CALL, at=NOW + timedelta(seconds=age)))
    assert (found.passed, found.rule) == (fresh, Rule.FRESHNESS)


@pytest.mark.parametrize(("age", "fresh"), [(86400, True), (86401, False), (-10, True), (-11, False)])
def test_a_message_is_fresh_for_a_day(age: int, fresh: bool) -> None:
    """A message may wait for a phone that is off."""
    found = statement_says(TEXT_STATEMENT, replace(MESSAGE, at=NOW + timedelta(seconds=age)))
    assert found.passed is fresh


def test_freshness_is_the_users_to_set() -> None:
    """The user's own limit decides, and its line is named."""
    settings = Settings(call_seconds=5, skew_seconds=0, sources={"call_seconds": "trust.toml:3"})
    late = statement_says(STATEMENT, replace(CALL, at=NOW + timedelta(seconds=6)), settings)
    early = statement_says(STATEMENT, replace(CALL, at=NOW - timedelta(seconds=1)), settings)
    assert (late.rule, late.source) == (Rule.FRESHNESS, "trust.toml:3")
    assert late.reason == (
        "the token is 6 seconds old; a call's may be 5 seconds old: "
        "it comes late, is a copy, or one of the two clocks is wrong"
    )
    assert early.source is None
    assert early.reason == "the token is dated 1 second ahead of this clock; one of the two clocks is wrong"


@pytest.mark.parametrize(
    ("seconds", "words"), [(119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (172800, "2 days")]
)
def test_long_times_are_told_in_large_units(seconds: int, words: str) -> None:
    """Nobody has to divide by 86400."""
    found = statement_says(STATEMENT, replace(CALL, at=NOW + timedelta(seconds=seconds)))
    assert found.reason.startswith(f"the token is {words} old")


def test_a_message_is_compared_with_what_was_signed() -> None:
    """RFC 9475 §3.2: the text that came in is the text of the token."""
    assert statement_says(TEXT_STATEMENT, MESSAGE).passed
    found = statement_says(TEXT_STATEMENT, replace(MESSAGE, body=b"send money"))
    assert (found.rule, found.outcome) == (Rule.MESSAGE_TEXT, Outcome.REFUSED)


def test_a_message_that_is_not_at_hand_is_not_compared_and_that_is_told() -> None:
    """Then only its sender is judged."""
    found = statement_says(TEXT_STATEMENT, replace(MESSAGE, body=None))
    assert found.passed
    assert found.reason.startswith("not compared")


def test_a_certificate_for_another_number_is_refused() -> None:
    """The certificate is for the number that the call came from."""
    assert belief.certified_number(CALLER, USE).passed
    found = belief.certified_number(OTHER, USE)
    assert (found.rule, found.outcome) == (Rule.CERTIFIED_NUMBER, Outcome.REFUSED)


# The path.


def test_a_good_path_passes() -> None:
    """All rules about the path are asked, in their order."""
    found = tuple(belief.on_path(PATH, USE, Settings()))
    assert all(finding.passed for finding in found)
    rules = list(Rule)
    assert [finding.rule for finding in found] == rules[rules.index(Rule.ANCHOR) : rules.index(Rule.INCLUDED)]


@pytest.mark.parametrize(
    ("at", "valid"),
    [
        (NOW - timedelta(days=1), True),
        (NOW - timedelta(days=1, seconds=1), False),
        (NOW + timedelta(days=1, milliseconds=999), True),
        (NOW + timedelta(days=1, seconds=1), False),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_every_certificate_is_within_its_dates(position: int, at: datetime, valid: bool) -> None:
    """RFC 5280 §4.1.2.5: notBefore and notAfter belong to the life of each certificate, the anchor's too."""
    forever = [replace(one, not_before=NOW - timedelta(99), not_after=NOW + timedelta(99)) for one in PATH.certificates]
    forever[position] = PATH.certificates[position]
    found = path_says(replace(PATH, certificates=tuple(forever)), at=at)
    assert found.passed is valid
    clock_is_doubted = position == 0 and at < NOW
    assert valid or found.rule is (Rule.CLOCK if clock_is_doubted else Rule.VALIDITY)
    assert valid or PATH.certificates[position].title in found.reason


@pytest.mark.parametrize(
    ("ahead", "rule"),
    [
        (timedelta(), None),
        (timedelta(seconds=1), Rule.CLOCK),
        (timedelta(days=2), Rule.CLOCK),
        (timedelta(days=2, seconds=1), Rule.VALIDITY),
    ],
)
def test_a_clock_that_is_behind_is_told_from_a_certificate_for_later(ahead: timedelta, rule: Rule | None) -> None:
    """A certificate that begins soon is one of today under a wrong clock; the person is told to set it."""
    long = [replace(one, not_before=NOW - timedelta(99)) for one in PATH.certificates]
    long[0] = replace(long[0], not_before=NOW)
    found = path_says(replace(PATH, certificates=tuple(long)), at=NOW - ahead)
    assert found.passed is (rule is None)
    assert rule is None or found.rule is rule
    assert rule is not Rule.CLOCK or "set it" in found.reason


def test_what_x509_has_against_a_path_refuses_it() -> None:
    """The verifier's word is a rule of its own."""
    found = path_says(replace(PATH, fault="more authorities than allowed"))
    assert (found.rule, found.outcome, found.reason) == (
        Rule.PATH,
        Outcome.REFUSED,
        "more authorities than allowed",
    )


def lists(*prefixes: str) -> TnAuthList:
    """Return the list of all numbers that begin with one of the prefixes."""
    return TnAuthList.for_prefixes(NumberPrefix.parse(prefix) for prefix in prefixes)


@pytest.mark.parametrize(
    ("issuing", "root", "covered"),
    [
        (None, None, True),
        (lists("+1202"), None, True),
        (None, lists("+1"), True),
        (lists("+1202"), lists("+1"), True),
        (lists("+1202"), lists("+1202", "+44"), True),
        (lists("+1303"), None, False),
        (None, lists("+44"), False),
        (lists("+1202"), lists("+44"), False),
        (lists("+1"), lists("+1202"), False),
        (lists("+1202", "+44"), lists("+1"), False),
    ],
)
def test_every_authority_covers_the_number_and_what_is_below_it(
    issuing: TnAuthList | None, root: TnAuthList | None, covered: bool
) -> None:
    """RFC 9060 §4.1: the scope of a certificate is encompassed by that of each authority above it that has one."""
    path = replace(PATH, certificates=(LEAF, certificate("Issuing", issuing), certificate("Root", root)))
    found = path_says(path)
    assert found.passed is covered
    assert covered or found.rule is Rule.NUMBERS_COVERED


def test_a_certificate_that_lists_no_number_is_refused() -> None:
    """RFC 8226 §9: what a number's certificate does not list, it does not speak for."""
    found = path_says(replace(PATH, certificates=(ROOT, ROOT)))
    assert (found.rule, found.outcome) == (Rule.NUMBERS_COVERED, Outcome.REFUSED)


def test_an_anchor_is_believed_for_its_prefixes_only() -> None:
    """The user's constraint decides, and its line is named."""
    assert path_says(under(prefixes=(LONDON, DC))).passed
    found = path_says(under(prefixes=(LONDON,), sources={"prefixes": "trust.toml:9"}))
    assert (found.rule, found.outcome, found.source) == (Rule.ANCHOR_NUMBERS, Outcome.REFUSED, "trust.toml:9")
    assert found.reason == "you believe example-ca only for numbers that begin with +4420"


def test_a_constraint_without_a_line_of_its_own_stands_where_the_anchor_does() -> None:
    """Some line is always named."""
    assert path_says(under(prefixes=(LONDON,))).source == "trust.toml:5"


SOURCES = {
    "purposes": "trust.toml:11",
    "methods": "trust.toml:12",
    "longest_life": "trust.toml:13",
    "authority_keys": "trust.toml:14",
}
PROVED = replace(PATH, methods=(ValidationMethod.SMS_CODE,))
P384_ROOT = replace(PROVED, certificates=(*PROVED.certificates[:2], replace(ROOT, key=KeyType.P384)))
CODE, REPLY = ValidationMethod.SMS_CODE, ValidationMethod.SMS_REPLY
CONSTRAINTS: list[tuple[PathFacts, dict[str, object], Rule | None]] = [
    # the path, the constraints, the rule that refuses
    (PROVED, {"purposes": (Purpose.CALL,)}, None),
    (PROVED, {"purposes": (Purpose.MESSAGE, Purpose.CALL)}, None),
    (PROVED, {"purposes": (Purpose.MESSAGE, Purpose.RECORD)}, Rule.PURPOSE),
    (PROVED, {"purposes": ()}, Rule.PURPOSE),
    (PROVED, {"methods": (CODE,)}, None),
    (PROVED, {"methods": (REPLY, CODE)}, None),
    (PROVED, {"methods": (REPLY,)}, Rule.METHOD),
    (PROVED, {"methods": ()}, Rule.METHOD),
    (replace(PROVED, methods=(REPLY, CODE)), {"methods": (CODE,)}, None),
    (replace(PROVED, methods=()), {"methods": (CODE,)}, Rule.METHOD),
    (PROVED, {"longest_life": timedelta(days=2)}, None),
    (PROVED, {"longest_life": timedelta(hours=47)}, Rule.LIFETIME),
    (PROVED, {"authority_keys": (KeyType.P256,)}, None),
    (PROVED, {"authority_keys": (KeyType.P384,)}, Rule.AUTHORITY_KEYS),
    (P384_ROOT, {"authority_keys": (KeyType.P256,)}, Rule.AUTHORITY_KEYS),
    (P384_ROOT, {"authority_keys": (KeyType.P256, KeyType.P384)}, None),
    (PROVED, {"prefixes": ()}, Rule.ANCHOR_NUMBERS),
]


@pytest.mark.parametrize(("path", "constraints", "rule"), CONSTRAINTS)
def test_a_constraint_holds_and_names_its_line(
    path: PathFacts, constraints: dict[str, object], rule: Rule | None
) -> None:
    """Each is a rule of its own; one that allows nothing is no longer a constraint of nothing."""
    found = path_says(replace(path, terms=replace(TERMS, sources=SOURCES, **constraints)))
    assert found.passed is (rule is None)
    assert rule is None or found.rule is rule
    (name,) = constraints
    passed = list(belief.on_path(replace(path, terms=replace(TERMS, sources=SOURCES, **constraints)), USE, Settings()))
    assert rule is not None or SOURCES[name] in {finding.source for finding in passed}
    assert rule is None or found.source == SOURCES.get(name, TERMS.source)


def test_a_limit_to_some_uses_is_not_asked_about_where_no_use_is_meant() -> None:
    """A certificate alone can be judged before anybody calls."""
    assert path_says(under(purposes=(Purpose.MESSAGE,)), purpose=None).passed


@pytest.mark.parametrize(
    ("constraints", "reason"),
    [
        ({"purposes": (Purpose.MESSAGE,)}, "you believe example-ca only for messages, and this is a call"),
        ({"methods": (REPLY,)}, "the number was proved by sms-code, and you believe example-ca only for sms-reply"),
        (
            {"longest_life": timedelta(days=1)},
            "the certificate lives for 2 days, and you believe example-ca only for lives up to 1 day",
        ),
        (
            {"longest_life": timedelta(hours=1)},
            "the certificate lives for 2 days, and you believe example-ca only for lives up to 1 hour",
        ),
        (
            {"authority_keys": (KeyType.P384,)},
            "the authority Issuing has a key of the kind p256, and you accept only p384",
        ),
    ],
)
def test_what_a_constraint_refuses_is_told_in_plain_words(constraints: dict[str, object], reason: str) -> None:
    """Both what is there and what was asked for."""
    assert path_says(replace(PROVED, terms=replace(TERMS, **constraints))).reason == reason


def test_an_unknown_method_is_told() -> None:
    """An authority may use a policy that is not of this project."""
    assert "in a way that is not known here" in path_says(under(methods=(CODE,))).reason


ISSUED = LEAF.not_before.date()


@pytest.mark.parametrize(
    ("last", "believed"), [(ISSUED, True), (ISSUED + timedelta(days=1), True), (ISSUED - timedelta(days=1), False)]
)
@pytest.mark.parametrize("at", [NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=12)])
def test_a_certificate_is_held_against_the_last_day_of_issue_whatever_the_time(
    last: date, believed: bool, at: datetime
) -> None:
    """`issued_not_after` looks at notBefore and never at the clock."""
    found = path_says(under(issued_not_after=last), at=at)
    assert found.passed is believed
    assert believed or found.rule is Rule.ISSUED_NOT_AFTER


@pytest.mark.parametrize(
    ("at", "believed"),
    [
        (datetime(2026, 5, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        (datetime(2026, 6, 1, 0, 0, tzinfo=UTC), False),
        (datetime.fromisoformat("2026-06-01T01:30:00+02:00"), True),
    ],
)
def test_an_anchor_is_believed_through_its_last_day_in_utc(at: datetime, believed: bool) -> None:
    """`until` counts whole days in UTC, wherever the call is judged."""
    path = replace(
        under(until=date(2026, 5, 31)),
        certificates=tuple(replace(one, not_before=NOW - timedelta(days=9)) for one in PATH.certificates),
    )
    found = path_says(path, at=at)
    assert found.passed is believed
    assert believed or found.rule is Rule.UNTIL


def test_the_last_day_that_there_is_is_a_day_like_others() -> None:
    """The far end of the calendar does no harm."""
    assert path_says(under(until=date.max, issued_not_after=date.max)).passed


# Revocation and copies.

REQUIRED = Settings(revocation=RevocationMode.REQUIRED, sources={"revocation": "trust.toml:2"})


# Logs.

TAKEN = TimestampFacts("log-a", "A", NOW - timedelta(hours=1))
BY_OTHER = TimestampFacts("log-b", "B", NOW - timedelta(hours=1))
PROOF = ProofFacts("log-a", "A", frozenset({"W"}))


def logging_says(logging: LoggingFacts, settings: Settings | None = None, **terms: object) -> Finding:
    """Return the last finding about a path with these facts about logs."""
    path = replace(under(**terms), logging=logging)
    return tuple(verdicts.in_order(belief.on_path(path, USE, settings or Settings())))[-1]


@pytest.mark.parametrize(
    ("own", "asked", "timestamps", "logged"),
    [
        (None, 0, (), True),
        (None, 1, (), False),
        (None, 1, (TAKEN,), True),
        (None, 2, (TAKEN,), False),
        (None, 2, (TAKEN, TAKEN), False),
        (None, 2, (TAKEN, replace(BY_OTHER, operator="A")), False),
        (None, 2, (TAKEN, BY_OTHER), True),
        (0, 2, (), True),
        (1, 2, (TAKEN,), True),
        (2, 0, (TAKEN,), False),
        (None, 1, (replace(TAKEN, at=NOW + timedelta(seconds=10)),), True),
        (None, 1, (replace(TAKEN, at=NOW + timedelta(seconds=11)),), False),
    ],
)
def test_distinct_operators_logs_are_counted(
    own: int | None, asked: int, timestamps: tuple[TimestampFacts, ...], logged: bool
) -> None:
    """By the anchor's own number where it has one; a timestamp of the future does not count."""
    found = logging_says(LoggingFacts(timestamps), Settings(scts=asked), scts=own)
    assert found.passed is logged
    assert logged or found.rule is Rule.LOGGED


@pytest.mark.parametrize(
    ("constraints", "logged"),
    [
        ({}, True),
        ({"log_operators": ("A",)}, True),
        ({"log_operators": ("B", "A")}, True),
        ({"log_operators": ("B",)}, False),
        ({"log_operators": ("A",), "logs": ("log-b",)}, False),
        ({"log_operators": ("A",), "logs": ("log-a",)}, True),
        ({"logs": ()}, False),
    ],
)
def test_logs_count_by_their_names_and_operators(constraints: dict[str, object], logged: bool) -> None:
    """Where both are limited, a log has to be among both."""
    assert logging_says(LoggingFacts((TAKEN,)), Settings(scts=1), **constraints).passed is logged
    assert belief.included((PROOF,), replace(TERMS, **constraints), Settings(proofs=1)).passed is logged


def test_a_lack_of_timestamps_is_told_with_what_there_is() -> None:
    """The person sees which log to get to know, or which clock to set."""
    logging = LoggingFacts((TAKEN, replace(BY_OTHER, at=NOW + timedelta(hours=1))), strangers=3)
    found = logging_says(logging, Settings(scts=3, sources={"scts": "trust.toml:2"}), logs=("log-b",))
    assert found.source == "trust.toml:2"
    assert found.reason == (
        "you ask for timestamps of the logs of 3 operators, and the certificate carries none that counts; "
        "3 of logs that you do not know; that of log-a does not count for example-ca; "
        "that of log-b is of the future: this clock or the log's is wrong"
    )
    found = logging_says(LoggingFacts((TAKEN,)), scts=2, sources={"scts": "trust.toml:8"})
    assert found.source == "trust.toml:8"
    assert found.reason == (
        "you ask for timestamps of the logs of 2 operators, and the certificate carries only those of A"
    )


def test_a_lie_refuses_though_no_log_is_asked_for() -> None:
    """Somebody who is believed wrote it."""
    found = logging_says(LoggingFacts((TAKEN, BY_OTHER), LieFacts("false", "trust.toml:7")))
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.LOG_TIMESTAMPS)
    assert (found.reason, found.source) == ("false", "trust.toml:7")


@pytest.mark.parametrize("taken", [datetime(2026, 5, 30, 23, 59, tzinfo=UTC), datetime(2026, 5, 31, tzinfo=UTC)])
def test_the_last_day_of_issue_is_held_against_timestamps(taken: datetime) -> None:
    """An authority can write an earlier notBefore, but not an earlier entry in a log."""
    early = replace(PATH.certificates[0], not_before=datetime(2026, 5, 1, tzinfo=UTC))
    path = replace(under(issued_not_after=date(2026, 5, 30), sources={"issued_not_after": "trust.toml:9"}))
    path = replace(
        path, certificates=(early, *PATH.certificates[1:]), logging=LoggingFacts((replace(TAKEN, at=taken),))
    )
    found = path_says(path)
    if taken.day == 30:
        assert found.passed
    else:
        assert (found.rule, found.source) == (Rule.ISSUED_NOT_AFTER, "trust.toml:9")
        assert "taken by the log log-a on 2026-05-31" in found.reason


@pytest.mark.parametrize(
    ("proofs", "asked", "witnesses", "logs", "passed"),
    [
        ((), 0, 0, None, True),
        ((), 1, 0, None, False),
        ((PROOF,), 0, 0, None, True),
        ((PROOF,), 1, 1, None, True),
        ((PROOF,), 1, 2, None, False),
        ((PROOF,), 1, 0, ("log-a",), True),
        ((PROOF,), 1, 0, ("log-b",), False),
        ((PROOF, PROOF), 2, 0, None, False),
        ((PROOF, replace(PROOF, log="log-b", operator="B")), 2, 0, None, True),
        ((replace(PROOF, fault="broken"),), 0, 0, None, True),
        ((replace(PROOF, fault="broken"),), 1, 0, None, False),
        ((ProofFacts(fault="broken"), PROOF), 1, 0, None, True),
    ],
)
def test_distinct_operators_proofs_are_counted(
    proofs: tuple[ProofFacts, ...], asked: int, witnesses: int, logs: tuple[str, ...] | None, passed: bool
) -> None:
    """Only those that prove something, with the witnesses that the user asks for, of logs that count for the anchor."""
    settings = Settings(proofs=asked, witnesses=witnesses, sources={"proofs": "trust.toml:4"})
    found = belief.included(proofs, replace(TERMS, logs=logs), settings)
    assert (found.passed, found.rule) == (passed, Rule.INCLUDED)
    assert passed or found.source == "trust.toml:4"


@pytest.mark.parametrize(
    ("facts", "settings", "passed"),
    [
        ((GOOD, GOOD), Settings(), True),
        ((GOOD, GOOD), REQUIRED, True),
        ((UNKNOWN, GOOD), Settings(), True),
        ((GOOD, UNKNOWN), REQUIRED, False),
        ((GOOD, REVOKED), Settings(), False),
        ((UNKNOWN, REVOKED), Settings(), False),
        ((UNKNOWN, REVOKED), REQUIRED, False),
    ],
)
def test_revocation_is_as_strict_as_the_user_says(
    facts: tuple[RevocationFacts, ...], settings: Settings, passed: bool
) -> None:
    """Revoked is refused always; unknown only where the user requires to know."""
    assert belief.revocation(facts, settings).passed is passed


def test_as_of_when_nothing_is_revoked_is_told() -> None:
    """Of several lists the oldest counts: whatever was revoked since then is not known."""
    lists = [RevocationFacts(RevocationState.GOOD, "good", datetime(2026, 6, 1, 13, m, tzinfo=UTC)) for m in (59, 58)]
    told = "no certificate of the path is revoked"
    assert belief.revocation(lists, Settings()).reason == f"{told}, as of 2026-06-01 13:58 UTC"
    assert belief.revocation((GOOD,), Settings()).reason == told


def test_an_unknown_revocation_is_told() -> None:
    """What was not checked is not passed over in silence, and the setting that decides is named."""
    assert belief.revocation((UNKNOWN,), Settings()).reason == "not checked: its list is not at hand"
    found = belief.revocation((UNKNOWN, UNKNOWN), REQUIRED)
    assert (found.reason, found.source) == ("its list is not at hand", "trust.toml:2")


def test_a_copy_is_refused() -> None:
    """A message is believed once."""
    assert belief.duplicate(first=True).passed
    assert belief.duplicate(first=False).outcome is Outcome.REFUSED


# The verdict.


def test_nothing_is_verified_without_an_anchor() -> None:
    """That no rule forbids is no reason to believe."""
    assert verdicts.verdict([belief.denied_number(CALLER, ())]).outcome is Outcome.UNVERIFIED
    assert verdicts.verdict([]).outcome is Outcome.UNVERIFIED


def test_a_refusal_after_the_anchor_names_the_anchor() -> None:
    """The user sees which anchor the path leads to, though it is not believed."""
    found = verdicts.verdict(verdicts.in_order(belief.on_path(under(prefixes=(LONDON,)), USE, Settings())))
    assert (found.anchor, found.outcome) == ("example-ca", Outcome.REFUSED)


def test_a_verdict_is_neither_true_nor_false() -> None:
    """`if verdict:` would take unverified for true."""
    with pytest.raises(TypeError, match="compare its outcome"):
        bool(Verdict(Outcome.VERIFIED, Rule.ANCHOR, "", None, None))


FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from(Rule),
    reason=st.just("because"),
    outcome=st.sampled_from([None, None, None, Outcome.REFUSED, Outcome.UNVERIFIED]),
    anchor=st.just("a"),
)


@given(st.lists(FINDINGS))
def test_verified_takes_an_anchor_and_no_objection(findings: list[Finding]) -> None:
    """Whatever the rules find: verified only if the anchor's rule passed and none failed."""
    found = verdicts.verdict(verdicts.in_order(findings)).outcome
    objections = [one.outcome for one in findings if one.outcome is not None]
    anchored = any(one.rule is Rule.ANCHOR for one in findings)
    assert (found is Outcome.VERIFIED) == (anchored and not objections)
    assert not objections or found is objections[0]


@given(st.lists(FINDINGS))
def test_no_rule_is_asked_after_the_deciding_one(findings: list[Finding]) -> None:
    """What is left of the findings ends with the first that does not pass."""
    kept = list(verdicts.in_order(findings))
    assert kept == findings[: len(kept)]
    assert all(one.passed for one in kept[:-1])
    assert len(kept) == len(findings) or not kept[-1].passed


@pytest.mark.parametrize("purpose", [None, *Purpose])
def test_an_anchor_whose_purposes_leave_nothing_is_believed_for_nothing(purpose: Purpose | None) -> None:
    """Two lists may leave none in common; then certificates alone are not believed either."""
    found = verdicts.in_order(belief.on_path(under(purposes=()), Use(CALLER, NOW, purpose), Settings()))[-1]
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.PURPOSE)
    assert "only for none" in found.reason
