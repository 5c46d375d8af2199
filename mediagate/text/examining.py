"""Texts looked at with what the network knows of their links."""

import asyncio
from collections.abc import Mapping

from mediagate.text.expansion import Expander
from mediagate.text.findings import TextFindings
from mediagate.text.links import is_shortener
from mediagate.text.looking import links_in, look
from mediagate.text.policy import TextPolicy
from mediagate.text.reputation import UrlReputation
from mediagate.text.urls import normalised


async def examine(
    texts: Mapping[str, str],
    policy: TextPolicy,
    *,
    language: str = "",
    expander: Expander | None = None,
    reputation: UrlReputation | None = None,
) -> dict[str, TextFindings]:
    """What is found in each text, by its name; the work is done in a thread.

    Args:
        texts: at most 20,000 characters each.
        policy: short links are followed only if it says so.
        language: of all of them, as declared.
        expander: follows short links; by default the one that reaches public addresses only.
        reputation: is asked about every address and where it leads.

    Raises:
        InvalidRequest: a text is too long.
        VendorUnavailable: the reputation service gave no usable answer.
    """
    urls = await asyncio.to_thread(lambda: [url for text in texts.values() for url in links_in(text, policy)])
    expanded: dict[str, str] = {}
    if policy.expand_links and (short := [url for url in urls if _is_short(url)]):
        expanded = await (expander or Expander()).expand(short)
    known = [*urls, *(str(normalised(end) or end) for end in expanded.values())]
    opinions = await reputation.opinions(list(dict.fromkeys(known))) if reputation and known else {}

    def look_at_all() -> dict[str, TextFindings]:
        return {
            name: look(text, policy, language=language, expanded=expanded, opinions=opinions)
            for name, text in texts.items()
        }

    return await asyncio.to_thread(look_at_all)


def _is_short(written: str) -> bool:
    url = normalised(written)
    return url is not None and is_shortener(url)
