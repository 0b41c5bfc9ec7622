from __future__ import annotations

import collections
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.errors import ConfigurationError
from ca_server.orders import ChallengeType
from ca_server.sms.alphabet import encode_gsm7, fits_one_segment
from ca_server.validation.message import check_message, message_texts
from ca_server.validation.sms_code import SmsCode, decimal_code
from ca_server.validation.sms_reply import SmsReply
from policies.issuance import IssuancePolicy
from stir.validation_method import ValidationMethod

POLICY = IssuancePolicy()
TOKEN = "AbCdEfGhIjKlMnOpQrStUv"
HOST = "ca.example"


@pytest.mark.parametrize("digits", [6, 8, 10])
def test_a_code_has_as_many_digits_as_policy_says(digits: int) -> None:
    """A code is decimal, of the policy's length, with its leading zeros."""
    code = SmsCode().new_code(IssuancePolicy(code_digits=digits), bytes)
    assert code == "0" * digits


def test_a_draw_from_the_uneven_end_is_drawn_again() -> None:
    """A draw that would favour low codes is thrown away."""
    draws = iter([b"\xff" * 8, (10**8 + 42).to_bytes(8, "big")])
    assert decimal_code(8, lambda _: next(draws)) == "00000042"


def test_the_last_even_draw_is_kept() -> None:
    """The highest draw below the uneven end is the highest code."""
    even = 2**64 - 2**64 % 10**8
    draws = iter([even.to_bytes(8, "big"), (even - 1).to_bytes(8, "big")])
    assert decimal_code(8, lambda _: next(draws)) == "99999999"


def test_every_digit_is_as_likely_in_every_place() -> None:
    """Over many draws no digit stands out (a χ² test that fails by chance less than once in 10^8 runs)."""
    codes = [decimal_code(6, os.urandom) for _ in range(6000)]
    for place in range(6):
        counts = collections.Counter(code[place] for code in codes)
        assert sum((counts[str(digit)] - 600) ** 2 / 600 for digit in range(10)) < 60


def test_a_reply_token_is_128_random_bits() -> None:
    """Part 1 of `sms-reply-00` is 16 random bytes in base64url."""
    assert SmsReply().new_code(POLICY, lambda size: b"\xff" * size) == "_" * 21 + "w"


@pytest.mark.parametrize(
    ("validator", "kind", "method"),
    [
        (SmsCode(), ChallengeType.SMS_CODE, ValidationMethod.SMS_CODE),
        (SmsReply(), ChallengeType.SMS_REPLY, ValidationMethod.SMS_REPLY),
    ],
)
def test_a_right_answer_proves_the_type_or_that_it_came_by_two_routes(
    validator: SmsCode | SmsReply, kind: ChallengeType, method: ValidationMethod
) -> None:
    """By one route the method is the challenge's own, by two it is SMS over several routes."""
    assert validator.type is kind
    assert validator.method(1) is method
    assert validator.method(2) is ValidationMethod.SMS_ROUTES


def test_the_message_is_the_protocols() -> None:
    """The text is that of protocol.md, its last line the origin-bound form that phones read."""
    assert message_texts("12345678", 1, "Example CA", HOST) == (
        "12345678 is your Example CA code to certify this number. Do not share it.\n\n@ca.example #12345678",
    )


def test_the_halves_say_which_they_are() -> None:
    """Each half says its place, for a person and in the last line for a program; no phone takes it for a whole code."""
    assert message_texts("12345678", 2, "Example CA", HOST) == (
        "1234 is part 1 of 2 of your Example CA code to certify this number. Do not share it.\n\n@ca.example #1234 1/2",
        "5678 is part 2 of 2 of your Example CA code to certify this number. Do not share it.\n\n@ca.example #5678 2/2",
    )


def test_an_odd_code_is_cut_with_the_longer_half_first() -> None:
    """The halves together are the code, in order."""
    texts = message_texts("1234567", 2, "Example CA", HOST)
    assert [text.split()[0] for text in texts] == ["1234", "567"]


@pytest.mark.parametrize(
    "name", ["Čisté číslo", "An Authority With A Name That Is Far Too Long For One Short Message, Ltd"]
)
def test_a_name_that_does_not_fit_is_left_out(name: str) -> None:
    """A name outside GSM-7, or one that needs a second segment, does not stand in the SMS; the host does."""
    (text,) = message_texts(TOKEN, 1, name, HOST)
    assert text.startswith(f"{TOKEN} is your code to certify this number.")
    assert text.endswith(f"@{HOST} #{TOKEN}")


def test_a_long_host_leaves_the_words_out() -> None:
    """With a long host the SMS says the least that is clear."""
    host = "a" * 60 + ".example"
    (text,) = message_texts(TOKEN, 1, "Example CA", host)
    assert text == f"{TOKEN} is your code. Do not share it.\n\n@{host} #{TOKEN}"


def test_a_host_too_long_for_any_sms_is_a_mistake_in_the_settings() -> None:
    """The operator is told, by a check that needs no order."""
    with pytest.raises(ConfigurationError, match="public_url"):
        check_message("Example CA", "a" * 120, 1)
    check_message("Example CA", HOST, 2)


@given(
    st.from_regex(r"[0-9]{6,10}|[A-Za-z0-9_-]{22}", fullmatch=True),
    st.integers(1, 2),
    st.text(max_size=200),
    st.from_regex(r"[a-z0-9-]{1,30}(\.[a-z0-9-]{1,20}){1,2}", fullmatch=True),
)
def test_every_message_is_one_segment_and_carries_the_code(code: str, routes: int, name: str, host: str) -> None:
    """Whatever the authority's name, each SMS fits one segment and binds its part to the host."""
    texts = message_texts(code, routes, name, host)
    assert all(fits_one_segment(text) and encode_gsm7(text) is not None for text in texts)
    lines = [text.rpartition("\n")[2].split(" ") for text in texts]
    assert "".join(line[1].removeprefix("#") for line in lines) == code
    assert {line[0] for line in lines} == {f"@{host}"}
