"""National ids: by checksum where they have one, else by a word beside them that says what they are.

Formats and checksums are those of `python-stdnum`, whose modules cite each country's document.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import NamedTuple

from mediagate.text.patterns import compiled
from mediagate.text.policy import PiiKind

_BEFORE, _AFTER = 48, 24
"""Characters around an id in which a word may say what it is."""


class Personal(NamedTuple):
    """Personal data found in a text: what, where, and how sure that is (0..1)."""

    kind: PiiKind
    start: int
    end: int
    confidence: float


@dataclass(frozen=True)
class _Id:
    """What one country's id looks like, and what is written beside it."""

    kind: PiiKind
    pattern: str
    context: str
    module: str = ""
    """Of `stdnum`, which knows the rules; none: the pattern is all there is."""
    needs_context: bool = False
    """It has no checksum, so the number alone says nothing."""


_IDS = (
    _Id(PiiKind.US_SSN, r"\b\d{3}[- ]?\d{2}[- ]?\d{4}\b", r"ssn|social\s+security", "us.ssn", needs_context=True),
    _Id(
        PiiKind.GB_NINO,
        # https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b",
        r"\bni(no)?\b|national\s+insurance|insurance\s+n",
        needs_context=True,
    ),
    _Id(PiiKind.DE_IDNR, r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", r"steuer|\bidnr|identifikationsn|\btin\b", "de.idnr"),
    _Id(
        PiiKind.FR_NIR,
        r"\b[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}\b",
        r"s[ée]curit[ée]\s+sociale|\bn(ir|iss)\b|\binsee\b|num[ée]ro\s+de\s+s",
        "fr.nir",
    ),
    _Id(PiiKind.ES_DNI, r"\b\d{8}[- ]?[A-Z]\b", r"\bd\.?n\.?i\b|\bnif\b|documento|identidad", "es.dni"),
    _Id(PiiKind.ES_NIE, r"\b[XYZ][- ]?\d{7}[- ]?[A-Z]\b", r"\bnie\b|extranjer", "es.nie"),
    _Id(
        PiiKind.IT_CF,
        r"\b[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPR-T][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]\b",
        r"codice\s+fiscale|\bc\.?f\b",
        "it.codicefiscale",
    ),
    _Id(PiiKind.NL_BSN, r"\b\d{4}[. ]?\d{2}[. ]?\d{3}\b", r"\bbsn\b|burgerservice|sofi", "nl.bsn"),
    _Id(PiiKind.BR_CPF, r"\b\d{3}\.?\d{3}\.?\d{3}-?\d{2}\b", r"\bcpf\b|cadastro", "br.cpf"),
    _Id(PiiKind.IN_AADHAAR, r"\b[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}\b", r"aadha+r|आधार|\buid(ai)?\b", "in_.aadhaar"),
)


def national_ids(text: str) -> Iterator[Personal]:
    """Every id of the kinds above; surer where a word beside it says what it is. Places are those of `text`."""
    for one in _IDS:
        for match in compiled(one.pattern).finditer(text):
            said = _is_said(one, text, match.start(), match.end())
            if (said or not one.needs_context) and _is_valid(one.module, match.group()):
                yield Personal(one.kind, match.start(), match.end(), 0.95 if said else 0.6)


def _is_said(one: _Id, text: str, start: int, end: int) -> bool:
    around = text[max(0, start - _BEFORE) : start] + "\n" + text[end : end + _AFTER]
    return compiled(one.context).search(around) is not None


def _is_valid(module: str, number: str) -> bool:
    return not module or _validator(module)(number)


@cache
def _validator(module: str) -> Callable[[str], bool]:
    check: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return check
