from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voprf import ristretto

from number_directory.errors import AnswerError, HiddenQuestionError
from number_directory.hidden import (
    LARGEST_BUCKET,
    LARGEST_PLAIN,
    Bucket,
    HiddenKey,
    HiddenNumber,
    HiddenQuestion,
    entry_size,
    find_in_bucket,
    write_bucket,
)
from stir.telephone_number import TelephoneNumber

RFC_9497 = json.loads(
    (Path(__file__).parents[2] / "vectors/number_directory/voprf_ristretto255_sha512.json").read_text(encoding="utf-8")
)
NUMBERS = tuple(TelephoneNumber.parse(f"+1202555{last:04}") for last in range(100, 104))
KEY = HiddenKey(bytes(range(32)), "directory.example")
HIDDEN = KEY.hidden(NUMBERS[0])


def _unhex(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


@pytest.mark.parametrize("vector", RFC_9497["vectors"], ids=["short", "long", "batch"])
def test_the_library_computes_the_function_of_the_rfc(vector: dict[str, Any]) -> None:
    """Key, evaluated elements and outputs are those of RFC 9497 appendix A.1.2."""
    key = RFC_9497["key"]
    evaluator = ristretto.Evaluator.from_seed(bytes.fromhex(key["Seed"]), bytes.fromhex(key["KeyInfo"]))
    blinded = [ristretto.BlindedInput.deserialize(element) for element in _unhex(vector["BlindedElement"])]
    assert evaluator.public_key.serialize().hex() == key["pkSm"]
    assert b"".join(_unhex(vector["EvaluationElement"])) in evaluator.evaluate_batch(blinded).serialize()
    assert [evaluator.evaluate_known_input(text) for text in _unhex(vector["Input"])] == _unhex(vector["Output"])


def test_a_caller_gets_the_labels_that_the_directory_computes_for_its_own_records() -> None:
    """What a caller unblinds is what the directory's key makes of the number itself (RFC 9497 §3.3.2)."""
    question = HiddenQuestion(NUMBERS)
    answered = question.finish(KEY.evaluate(question.blinded), KEY.public_key)
    assert answered == tuple(map(KEY.hidden, NUMBERS))
    assert len({one.label for one in answered}) == len(NUMBERS)


def test_two_questions_for_one_number_have_nothing_in_common() -> None:
    """Each question is blinded afresh, so that a directory cannot link them."""
    assert set(HiddenQuestion(NUMBERS).blinded).isdisjoint(HiddenQuestion(NUMBERS).blinded)


def test_a_directory_that_answers_with_another_key_is_found_out() -> None:
    """The proof is verified with the key of the description, so that no caller can be marked by a key of its own."""
    question = HiddenQuestion(NUMBERS)
    answer = HiddenKey(bytes(32), "directory.example").evaluate(question.blinded)
    with pytest.raises(AnswerError, match="with the key that its description names"):
        question.finish(answer, KEY.public_key)


@pytest.mark.parametrize("public_key", [bytes(32), b"\xff" * 32, bytes(31), b""])
def test_a_key_that_is_none_verifies_nothing(public_key: bytes) -> None:
    """The identity, whose function anybody could compute, and bytes that encode nothing (RFC 9497 §2.1)."""
    question = HiddenQuestion(NUMBERS)
    with pytest.raises(AnswerError, match="with the key that its description names"):
        question.finish(KEY.evaluate(question.blinded), public_key)


def test_an_answer_for_one_number_is_none_for_another() -> None:
    """Answers in another order than the question's are found out: each proof is of one blinded number."""
    question = HiddenQuestion(NUMBERS)
    with pytest.raises(AnswerError):
        question.finish(KEY.evaluate(question.blinded)[::-1], KEY.public_key)


def test_a_key_is_of_one_directory() -> None:
    """One secret in two directories gives two functions."""
    assert HiddenKey(bytes(range(32)), "other.example").public_key != KEY.public_key


@given(st.lists(st.binary(max_size=120), max_size=2))
def test_an_answer_that_is_no_answer_is_refused(answer: list[bytes]) -> None:
    """Whatever a directory sends in place of an answer raises AnswerError."""
    with pytest.raises(AnswerError):
        HiddenQuestion(NUMBERS[:1]).finish(answer, KEY.public_key)


@given(st.integers(0, 95), st.integers(1, 255))
def test_a_changed_byte_in_an_answer_is_found(at: int, difference: int) -> None:
    """No byte of an answer can be changed without its proof failing (RFC 9497 §2.2.2)."""
    question = HiddenQuestion(NUMBERS[:1])
    answer = bytearray(KEY.evaluate(question.blinded)[0])
    answer[at] ^= difference
    with pytest.raises(AnswerError):
        question.finish([bytes(answer)], KEY.public_key)


@given(st.lists(st.binary(max_size=64), max_size=3))
def test_a_question_that_is_no_question_is_refused(blinded: list[bytes]) -> None:
    """Elements that are not on the curve, too short or the identity raise HiddenQuestionError (RFC 9497 §2.1)."""
    with pytest.raises(HiddenQuestionError):
        KEY.evaluate([*blinded, bytes(32)])


@pytest.mark.parametrize("count", [0, 101])
def test_a_question_asks_for_one_to_a_hundred_numbers(count: int) -> None:
    """Both sides hold a question to the bound of any look-up."""
    with pytest.raises(HiddenQuestionError, match="1 to 100"):
        HiddenQuestion(NUMBERS[:1] * count)
    with pytest.raises(HiddenQuestionError, match="1 to 100"):
        KEY.evaluate(HiddenQuestion(NUMBERS[:1]).blinded * count)


def test_a_key_is_made_of_32_secret_bytes() -> None:
    """A shorter secret is refused, not stretched."""
    with pytest.raises(ValueError, match="32 bytes"):
        HiddenKey(bytes(16), "directory.example")


@given(st.binary(max_size=3000))
def test_what_is_sealed_under_a_number_is_read_with_its_key_alone(plain: bytes) -> None:
    """Sealed records open for who asked for the number, and for nobody else."""
    sealed = HIDDEN.seal(plain)
    assert HIDDEN.open(sealed) == plain
    with pytest.raises(AnswerError, match="not sealed for it"):
        KEY.hidden(NUMBERS[1]).open(sealed)


def test_sealed_records_have_one_of_five_lengths() -> None:
    """Lengths are 4 KiB and its doubles to 64 KiB, so that they tell little of what is sealed."""
    lengths = {len(HIDDEN.seal(bytes(size))) for size in (0, 1, 4000, 4093, 10_000, 30_000, 50_000, LARGEST_PLAIN)}
    assert lengths == {(4096 << doublings) + 28 for doublings in (0, 1, 2, 3, 4)}
    with pytest.raises(ValueError, match="at most"):
        HIDDEN.seal(bytes(LARGEST_PLAIN + 1))


def test_the_same_is_sealed_the_same_way_and_something_else_is_not() -> None:
    """A bucket that is made again is the same bytes; another text has another nonce."""
    assert HIDDEN.seal(b"a") == HIDDEN.seal(b"a")
    assert HIDDEN.seal(b"a")[:12] != HIDDEN.seal(b"b")[:12]


def test_a_hidden_number_survives_a_database() -> None:
    """A directory keeps label and key in 64 bytes."""
    assert HiddenNumber.from_bytes(HIDDEN.to_bytes()) == HIDDEN
    assert len(HIDDEN.to_bytes()) == 64


@given(st.binary(max_size=80))
def test_a_sealed_text_that_is_none_is_refused(sealed: bytes) -> None:
    """Too short or not encrypted under the key: AnswerError either way."""
    with pytest.raises(AnswerError):
        HIDDEN.open(sealed)


def test_a_sealed_text_whose_length_is_a_lie_is_refused() -> None:
    """The directory itself can seal nonsense; it is not taken for a record."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415

    nonsense = ChaCha20Poly1305(HIDDEN._key).encrypt(bytes(12), (9999).to_bytes(4, "big"), HIDDEN.label)
    with pytest.raises(AnswerError, match="shorter than it says"):
        HIDDEN.open(bytes(12) + nonsense)
    with pytest.raises(AnswerError):
        HIDDEN.open(bytes(12) + ChaCha20Poly1305(HIDDEN._key).encrypt(bytes(12), b"", HIDDEN.label))


def test_a_bucket_is_found_by_the_leading_bits_of_a_label() -> None:
    """With depth 4, the first hexadecimal digit of a label names its bucket; with depth 0 there is one bucket."""
    label = bytes.fromhex("ab" * 32)
    assert Bucket.of(label, 4) == Bucket(4, 0xA)
    assert Bucket.of(label, 0) == Bucket(0, 0)
    assert Bucket.of(label, 20) == Bucket(20, 0xABABA)
    for depth in (21, 33, -1):
        with pytest.raises(ValueError, match="0 to 20"):
            Bucket.of(label, depth)


@given(st.integers(0, 20).flatmap(lambda depth: st.builds(Bucket, st.just(depth), st.integers(0, (1 << depth) - 1))))
def test_a_bucket_has_one_name_and_its_labels_their_places(bucket: Bucket) -> None:
    """The name is read back; the places of all buckets of a depth are all places; a label can be moved into one."""
    assert Bucket.parse(bucket.name) == bucket
    assert len(bucket.places) << bucket.depth == 1 << 32
    moved = bucket.moved_into(HIDDEN.label)
    assert Bucket.of(moved, bucket.depth) == bucket
    assert moved[4:] == HIDDEN.label[4:]


@pytest.mark.parametrize("name", ["", "4", "4-", "-1", "4-10", "04-1", "4-01", "4-A", "21-0", "4-1 ", "٤-1", "4-1-1"])
def test_another_name_is_no_buckets(name: str) -> None:
    """A bucket has one URL, so that caches keep it once."""
    with pytest.raises(ValueError, match="bucket"):
        Bucket.parse(name)


@given(st.integers(0, 20), st.integers(0, 2**40))
def test_a_filling_looks_like_a_sealed_entry(depth: int, seconds: int) -> None:
    """It stands in its bucket, has the length of a sealed text, comes again, and opens for nobody."""
    bucket = Bucket.of(HIDDEN.label, depth)
    filling = KEY.filling(bucket, 5, seconds)
    assert len(filling) == 5
    assert filling == KEY.filling(bucket, 5, seconds)
    for label, sealed in filling.items():
        assert Bucket.of(label, depth) == bucket
        assert len(sealed) - 28 in {4096 << doublings for doublings in range(5)}
        with pytest.raises(AnswerError):
            HIDDEN.open(sealed)


def test_fillings_change_their_texts_one_after_the_other_and_keep_their_labels() -> None:
    """In thirty days each gets a new text once, as records are renewed; a filling that never changed would be told."""
    bucket, day = Bucket(0, 0), 86400
    days = [KEY.filling(bucket, 40, day * number) for number in range(31)]
    assert all(set(one) == set(days[0]) for one in days)
    changes = [sum(before[label] != after[label] for label in before) for before, after in pairwise(days)]
    assert sum(changes) == 40
    assert max(changes) < 10


def test_the_first_fillings_stay_when_fewer_are_needed() -> None:
    """A number that comes takes the place of one filling; the others are not touched."""
    more, fewer = (KEY.filling(Bucket(0, 0), count, 0) for count in (9, 8))
    assert fewer.items() <= more.items()
    assert HiddenKey(bytes(32), "directory.example").filling(Bucket(0, 0), 9, 0).keys().isdisjoint(more)


def test_records_are_found_in_a_bucket_among_strangers() -> None:
    """A caller finds what stands under the labels it asked for, and nothing for those that are absent."""
    hidden = [KEY.hidden(number) for number in NUMBERS]
    bucket = write_bucket({one.label: one.seal(b"of " + one.label) for one in hidden[:3]})
    assert find_in_bucket(bucket, [hidden[1], hidden[3]]) == {hidden[1].label: b"of " + hidden[1].label}
    assert find_in_bucket(b"", hidden) == {}


@given(st.data())
def test_a_bucket_that_was_changed_tells_nothing_else(data: st.DataObject) -> None:
    """A cut or changed bucket raises AnswerError or lacks entries; it never gives another record."""
    hidden = [KEY.hidden(number) for number in NUMBERS]
    entries = {one.label: one.seal(one.label) for one in hidden}
    bucket = bytearray(write_bucket(entries))
    at = data.draw(st.integers(0, len(bucket) - 1))
    bucket[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(at, len(bucket)))
    try:
        found = find_in_bucket(bytes(bucket[:cut]), hidden)
    except AnswerError:
        return
    assert all(found[label] == label for label in found)


def test_a_bucket_out_of_order_or_too_large_is_refused() -> None:
    """A label that stands twice, or after a greater one, makes two readers find different records."""
    entry = write_bucket({HIDDEN.label: b"x"})
    with pytest.raises(AnswerError, match="sorted"):
        find_in_bucket(entry * 2, [])
    with pytest.raises(AnswerError, match="at most"):
        find_in_bucket(bytes(LARGEST_BUCKET + 1), [])
    with pytest.raises(AnswerError, match="ends within"):
        find_in_bucket(entry[:10], [])
    with pytest.raises(AnswerError, match="ends within"):
        find_in_bucket(entry[:-1], [])


def test_a_label_tells_its_place_and_an_entry_its_size() -> None:
    """A directory finds labels by their first 32 bits, and knows how large a bucket becomes before it writes it."""
    sealed = HIDDEN.seal(b"record")
    assert HIDDEN.place == int.from_bytes(HIDDEN.label[:4], "big")
    assert entry_size(sealed) == len(write_bucket({HIDDEN.label: sealed}))


def test_a_hidden_number_hides_its_key() -> None:
    """The repr of one, which a traceback may show, has no key in it."""
    assert "_key" not in repr(HiddenNumber(bytes(32), bytes(32)))
