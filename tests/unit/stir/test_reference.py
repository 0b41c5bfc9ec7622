from __future__ import annotations

from pathlib import Path

import pytest

from stir.certificate_profile import OID_ARC
from stir.validation_method import ValidationMethod

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "certificate-profile.md"


def test_the_reference_names_the_arc() -> None:
    """Whoever reads our certificates finds the arc in the documentation."""
    assert f"A = {OID_ARC}\n" in REFERENCE.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", list(ValidationMethod))
def test_the_reference_names_every_method(method: ValidationMethod) -> None:
    """The table of policies is that of the code."""
    number = method.oid.dotted_string.removeprefix(OID_ARC)
    assert f"| A{number} | `{method.label}` |" in REFERENCE.read_text(encoding="utf-8")
