"""A library's rules for texts and links: the section `text` of its settings, as data."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from mediagate.media.values import Value, Verdict

MOST_ENTRIES = 10_000
"""Of all lists of a library together."""
LONGEST_ENTRY = 100
MOST_LISTS = 50
MOST_PATTERNS = 50
LONGEST_PATTERN = 500
MOST_DOMAINS = 5_000


def _storable(text: str) -> str:
    """Postgres keeps neither in a JSON document."""
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("a text contains NUL or a lone surrogate")
    return text


def _action(verdict: Verdict | None) -> Verdict | None:
    if verdict is Verdict.APPROVE:
        raise ValueError("a text can lead to review, reject or quarantine; nothing in it approves a picture")
    return verdict


Action = Annotated[Verdict | None, AfterValidator(_action)]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,39}$")]
Category = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Entry = Annotated[str, Field(min_length=1, max_length=LONGEST_ENTRY), AfterValidator(_storable)]
Score = Annotated[float, Field(ge=0, le=1)]


class Match(StrEnum):
    """How entries of a list are compared; always whole words, whatever the script's idea of a word is."""

    EXACT = "exact"
    """As written: case and accents count."""
    WORD = "word"
    """Case and width do not count."""
    NORMALISED = "normalised"
    """Nor do accents, letters that look alike, leetspeak, separators inside words and drawn-out letters."""


class Blocklist(Value):
    """Words and phrases that are not wanted."""

    category: Category
    entries: tuple[Entry, ...] = Field(max_length=MOST_ENTRIES)
    match: Match = Match.NORMALISED
    language: Language | None = Field(None, description="ISO 639; for texts of that language only; None: for all")
    action: Action = Field(None, description="what a hit demands; none: the library's thresholds decide by the score")
    score: Score = 0.9


class TextRegex(Value):
    """A pattern in RE2 syntax (https://github.com/google/re2/wiki/Syntax), run on the text without invisible marks."""

    pattern: Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN), AfterValidator(_storable)]
    category: Category
    case_sensitive: bool = False
    most: int = Field(20, ge=1, le=100, description="matches that are reported of one text")
    action: Action = None
    score: Score = 0.9


class PiiKind(StrEnum):
    """What of a person is found. The value stands in brackets where it is redacted."""

    MAIL = "mail"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    US_SSN = "us_ssn"
    GB_NINO = "gb_nino"
    DE_IDNR = "de_idnr"
    FR_NIR = "fr_nir"
    ES_DNI = "es_dni"
    ES_NIE = "es_nie"
    IT_CF = "it_cf"
    NL_BSN = "nl_bsn"
    BR_CPF = "br_cpf"
    IN_AADHAAR = "in_aadhaar"
    IP = "ip"

    @property
    def placeholder(self) -> str:
        """What is shown in its place."""
        plain = {PiiKind.MAIL, PiiKind.PHONE, PiiKind.CARD, PiiKind.IBAN, PiiKind.IP}
        return f"[{self.value}]" if self in plain else "[id]"


class PiiPolicy(Value):
    """What of a person is looked for, and what it leads to."""

    kinds: tuple[PiiKind, ...] = Field(tuple(kind for kind in PiiKind if kind is not PiiKind.IP))
    region: str | None = Field(
        None, pattern="^[A-Z]{2}$", description="ISO 3166-1; whose phone numbers are known without +"
    )
    action: Action = None
    score: Score = Field(0.3, description="of the category `pii`; by default it stays under every threshold")


class LinkPolicy(Value):
    """Which addresses are wanted. Entries are domains, which stand for their subdomains, or URL prefixes."""

    allow: tuple[Entry, ...] = Field((), max_length=MOST_DOMAINS, description="never a finding; wins over `block`")
    block: tuple[Entry, ...] = Field((), max_length=MOST_DOMAINS)
    block_action: Action = Verdict.REJECT
    others: Action = Field(None, description="what links demand that are not on `allow`; none: nothing")
    shorteners: Action = Field(None, description="what short links demand that nobody followed to their end")
    protected: tuple[Entry, ...] = Field((), max_length=200, description="domains that others must not imitate")
    lookalikes: Action = Field(None, description="what an imitation demands; none: the thresholds decide by its score")
    strip_tracking: bool = Field(True, description="utm_… and the like are no part of a normalised URL")


class TextPolicy(Value):
    """A library's rules for captions, titles, alternative texts, tags and comments."""

    redact: bool = Field(True, description="readers see [mail], [phone], … in place of what was found of persons")
    blocklists: dict[Name, Blocklist] = Field({}, max_length=MOST_LISTS)
    allow: tuple[Entry, ...] = Field((), max_length=MOST_ENTRIES, description="words that no blocklist finds")
    regexes: dict[Name, TextRegex] = Field({}, max_length=MOST_PATTERNS)
    pii: PiiPolicy = PiiPolicy()
    scam: bool = Field(True, description="look for the patterns of usual frauds")
    scam_action: Action = None
    links: LinkPolicy = LinkPolicy()
    expand_links: bool = Field(False, description="ask known shorteners where their links lead; calls the outside")

    @model_validator(mode="after")
    def _bounded(self) -> "TextPolicy":
        entries = sum(len(one.entries) for one in self.blocklists.values())
        if entries > MOST_ENTRIES:
            raise ValueError(f"the blocklists have {entries} entries; at most {MOST_ENTRIES} together")
        return self


LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
"""As much of BCP 47 as is told apart here: a language, then script, region or variant."""


def primary_language(tag: str) -> str:
    """`pt` of `pt-BR`; empty of none."""
    return tag.partition("-")[0].lower()
