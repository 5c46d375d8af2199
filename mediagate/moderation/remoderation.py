"""What follows from a word that comes when an item is decided already. Pure."""

from mediagate.media.values import Verdict

_MILDEST_FIRST = (Verdict.APPROVE, Verdict.REVIEW, Verdict.REJECT, Verdict.QUARANTINE)
PERSON = "person:"
"""How `decided_by` begins where a person decided; also a takedown is one's."""


def stricter(one: Verdict, than: Verdict) -> bool:
    """True if `one` keeps more from the public than the other verdict."""
    return _MILDEST_FIRST.index(one) > _MILDEST_FIRST.index(than)


def follow_up(standing: Verdict, decided_by: str, wanted: Verdict) -> Verdict | None:
    """The verdict to be decided anew, `review` if a person is to be asked, or None if what stands is left.

    `wanted`: what the policy makes of everything that is known now. What a person decided is changed by persons only:
    one is asked where the item is public and the policy would withhold it. What was refused at the door, before
    anybody moderated it, stays refused; and nobody is asked about an item that is withheld anyway.
    """
    if wanted is standing or decided_by == "gate":
        return None
    if decided_by.startswith(PERSON):
        return Verdict.REVIEW if standing is Verdict.APPROVE else None
    if wanted is Verdict.REVIEW and standing is not Verdict.APPROVE:
        return None
    return wanted
