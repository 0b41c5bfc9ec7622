from __future__ import annotations

from stir.certificate_profile import OID_ARC
from stir.validation_method import ValidationMethod


def test_every_method_has_its_own_policy_that_every_reader_holds() -> None:
    """RFC 5280 Appendix B: parts below 2^28, at most 20 of them, at most 100 characters."""
    found = [method.oid.dotted_string for method in ValidationMethod]
    assert found == [f"{OID_ARC}.1.{number}" for number in (1, 2, 3, 4)]
    for oid in found:
        assert len(oid) <= 100
        assert len(oid.split(".")) <= 20
        assert all(int(part) < 2**28 for part in oid.split("."))


def test_the_arc_is_the_projects_uuid_in_parts() -> None:
    """The parts, in hexadecimal, are the UUID's: four digits five times, six digits twice."""
    *words, high, low = (int(part) for part in OID_ARC.split(".")[7:])
    assert int("".join(f"{word:04x}" for word in words) + f"{high:06x}{low:06x}", 16) == (
        30032398498072581981978517698707828873
    )


def test_a_method_is_known_by_its_label() -> None:
    """Policies and databases name methods by their label."""
    assert [method.label for method in ValidationMethod] == ["sms-reply", "sms-code", "authority-token", "sms-routes"]
    assert ValidationMethod("sms-code") is ValidationMethod.SMS_CODE
