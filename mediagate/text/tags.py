"""Tags and categories as uploaders give them, in the one spelling that is stored and searched for."""

from collections.abc import Iterable

from mediagate.text.normalise import clean

MOST_TAGS = 20
LONGEST_TAG = 50


def normalised_tag(written: str) -> str:
    """Lower case, NFKC, nothing invisible, single spaces; a leading `#` belongs to the notation.

    Raises:
        ValueError: nothing is left of it, or it is longer than 50 characters.
    """
    if len(written) > 4 * LONGEST_TAG:
        raise ValueError(f"a tag has {len(written)} characters; at most {LONGEST_TAG} are kept")
    tag = " ".join(clean(written).text.casefold().split()).lstrip("#").strip()
    if not tag:
        raise ValueError("a tag is empty")
    if len(tag) > LONGEST_TAG:
        raise ValueError(f"a tag has {len(tag)} characters; at most {LONGEST_TAG} are kept")
    return tag


def normalised_tags(written: Iterable[str]) -> list[str]:
    """Each once, in the order given.

    Raises:
        ValueError: as for one, or there are more than 20.
    """
    tags = list(dict.fromkeys(map(normalised_tag, written)))
    if len(tags) > MOST_TAGS:
        raise ValueError(f"there are {len(tags)} tags; at most {MOST_TAGS} are kept")
    return tags
