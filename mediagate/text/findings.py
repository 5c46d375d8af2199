"""What is found in a text: where, by which rule, and how sure that is; never the words themselves."""

from enum import StrEnum

from pydantic import Field

from mediagate.media.values import Value, Verdict


class FindingKind(StrEnum):
    """What kind of rule found something."""

    BLOCKLIST = "blocklist"
    REGEX = "regex"
    PII = "pii"
    SCAM = "scam"
    LINK = "link"


class TextFinding(Value):
    """One thing that one rule found. `start` and `end` are places in the text as it was given, in characters."""

    kind: FindingKind
    rule: str = Field(description="name of the list or pattern; or the kind of thing: `card`, `lookalike`")
    category: str
    score: float = Field(ge=0, le=1)
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    action: Verdict | None = Field(None, description="what the library's rules demand; None: its thresholds decide")

    @property
    def label(self) -> str:
        """As events and reasons name it."""
        own_names = self.kind in {FindingKind.BLOCKLIST, FindingKind.REGEX}
        return f"text:{self.rule}" if own_names else f"text:{self.kind.value}:{self.rule}"


class FoundLink(Value):
    """A link as it is written in a text, and where it leads."""

    url: str = Field(description="normalised: scheme, host in ASCII, no default port, no dot segments, no fragment")
    host: str
    domain: str = Field(description="registrable domain by the public suffix list; the host, if it has none")
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    shortener: bool = False
    expanded: str = Field("", description="where a short link leads; empty: not looked at, or it did not tell")


class TextFindings(Value):
    """Everything that is found in one text."""

    findings: tuple[TextFinding, ...] = ()
    links: tuple[FoundLink, ...] = ()
    language: str = Field("", description="declared, or detected; empty: the text does not tell")
