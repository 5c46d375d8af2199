"""Addresses brought into one form, near to how browsers read them (https://url.spec.whatwg.org/), and their domains."""

import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from tldextract import TLDExtract

_PORTS = {"http": "80", "https": "443", "ftp": "21"}
_TRACKING = ("utm_", "mc_", "pk_", "hsa_")
_TRACKERS = {"fbclid", "gclid", "dclid", "msclkid", "yclid", "igshid", "twclid", "ttclid", "_ga", "ref_src", "si"}
_KEPT = "!$&'()*+,;=:@%~-._"
_LONGEST_HOST = 253
_OPAQUE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:(?![0-9])")
"""The beginning of what is an address of another kind (`mailto:`); `host:8080` is not."""


@dataclass(frozen=True, slots=True)
class Url:
    """An address; `host` is in ASCII, IPv6 without brackets. `str` is the normalised form, without a fragment."""

    scheme: str
    host: str
    port: str
    path: str
    query: str
    disguised: bool = False
    """A name before an `@` looks like the host and is not."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{host}{port}{self.path}{'?' + self.query if self.query else ''}"

    @property
    def is_address(self) -> bool:
        """True if the host is an IP address and no name."""
        return parsed_address(self.host) is not None


def normalised(written: str, *, strip_tracking: bool = True) -> Url | None:
    """The address as one form; None if nothing could open it. Without a scheme it is taken for http."""
    text = "".join(char for char in written.strip() if char not in "\t\r\n").replace("\\", "/")
    scheme, separator, rest = text.partition("://")
    if not separator and _OPAQUE.match(text):
        return None
    if not separator:
        scheme, rest = "http", text.removeprefix("//")
    scheme = scheme.lower().replace("hxxp", "http").replace("fxp", "ftp")
    if scheme not in _PORTS:
        return None
    rest = rest.partition("#")[0]
    end = next((place for place, char in enumerate(rest) if char in "/?"), len(rest))
    authority, tail = rest[:end], rest[end:]
    userinfo, _, place = authority.rpartition("@")
    host, port = _split_port(place)
    clean_host = ascii_host(host)
    if clean_host is None or (port and not (port.isascii() and port.isdigit() and int(port) < 65536)):
        return None
    path, _, query = tail.partition("?")
    return Url(
        scheme=scheme,
        host=clean_host,
        port="" if port == _PORTS[scheme] else port,
        path=_without_dots(quote(path, safe=f"/{_KEPT}")),
        query=_query(query, strip_tracking),
        disguised=bool(userinfo),
    )


def _split_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = place.partition(":")
    return host, port


def ascii_host(host: str) -> str | None:
    """The host in lower-case ASCII (UTS #46), or its canonical IP address; None if it can be neither."""
    import idna

    host = unquote(host).rstrip(".。")
    if not host or len(host) > _LONGEST_HOST:
        return None
    if address := parsed_address(host):
        return str(address)
    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        # Names that idna forbids and resolvers still answer: `a_b.example`, `-a.example`.
        plain = host.lower()
        allowed = plain.isascii() and all(char.isalnum() or char in "-_." for char in plain)
        return plain if allowed and ".." not in plain and plain[0] != "." else None


def parsed_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is, also in the short, octal and hexadecimal forms that browsers take: 0x7f.1."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if len(parts) > 4:
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        return None
    value = sum(number << (8 * (3 - place)) for place, number in enumerate(numbers[:-1])) + numbers[-1]
    return ipaddress.IPv4Address(value)


def _number(part: str) -> int:
    if not part.isascii() or len(part) > 12 or not part[:1].isdigit():
        raise ValueError(part)
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    return int(part, 8) if len(part) > 1 and part[0] == "0" else int(part)


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, also where the dots are percent-encoded."""
    out: list[str] = []
    parts = path.split("/")[1:] if path else [""]
    for number, part in enumerate(parts):
        plain = part.lower().replace("%2e", ".")
        if plain == "..":
            del out[-1:]
        if plain not in {".", ".."}:
            out.append(part)
        elif number == len(parts) - 1:
            out.append("")
    return "/" + "/".join(out)


def _query(query: str, strip_tracking: bool) -> str:
    parts = [part for part in query.split("&") if part and not (strip_tracking and _tracks(part))]
    return quote("&".join(parts), safe=f"/?{_KEPT}")


def _tracks(part: str) -> bool:
    name = part.partition("=")[0].lower()
    return name.startswith(_TRACKING) or name in _TRACKERS


@cache
def _suffixes() -> "TLDExtract":
    """The public suffix list that comes with tldextract; nothing is fetched, nothing is written."""
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def has_public_suffix(host: str) -> bool:
    """True if the host ends in a suffix of the public suffix list (https://publicsuffix.org/) and has more before it.

    Or in one of RFC 2606's for documents and tests.
    """
    found = _suffixes()(host)
    return bool(found.suffix and found.domain) or host.rpartition(".")[2] in {"example", "test"}


def registrable_domain(host: str) -> str:
    """What somebody registered: `example.co.uk` of `www.example.co.uk`; two labels where no suffix is known."""
    if parsed_address(host) is not None:
        return host
    found = _suffixes()(host)
    if found.suffix and found.domain:
        return f"{found.domain}.{found.suffix}"
    return ".".join(host.split(".")[-2:])


class AddressList:
    """Domains, which stand for their subdomains, and URL prefixes."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        """Entries that are no address are left out; the library's settings refuse them beforehand."""
        self._domains: set[str] = set()
        self._prefixes: dict[str, list[str]] = {}
        for url in filter(None, map(normalised, entries)):
            if url.path == "/" and not url.query:
                self._domains.add(url.host)
            else:
                self._prefixes.setdefault(url.host, []).append(url.path + ("?" + url.query if url.query else ""))

    def names(self, url: Url) -> bool:
        """True if the list names this address, its host, or a domain above that."""
        labels = url.host.split(".")
        above = [url.host] if url.is_address else [".".join(labels[n:]) for n in range(len(labels))]
        tail = url.path + ("?" + url.query if url.query else "")
        return any(
            host in self._domains or any(_begins(tail, prefix) for prefix in self._prefixes.get(host, ()))
            for host in above
        )


def _begins(tail: str, prefix: str) -> bool:
    """True if the prefix ends where a part of the path does: `/a` is the beginning of `/a/b` and not of `/ab`."""
    return tail.startswith(prefix) and (
        prefix.endswith("/") or tail[len(prefix) : len(prefix) + 1] in {"", "/", "?", "&"}
    )
