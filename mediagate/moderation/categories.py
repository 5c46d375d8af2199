"""The categories that the gate knows by name; vendors' own names are brought into these.

A name outside of this list stays as the vendor spells it, in scores and in policies; for it the policy's default
threshold holds.
"""

from enum import StrEnum


class Category(StrEnum):
    """What content may show or say. Scores are of the harm: 0 is harmless."""

    NUDITY = "nudity"
    """sexual acts, genitals, bare breasts; also explicit sexual text"""
    SUGGESTIVE = "suggestive"
    """swimwear, underwear, poses, innuendo; not nudity"""
    SEXUAL_MINORS = "sexual_minors"
    """sexualised minors, drawn or written as well; not known as a recorded crime"""
    CSAM = "csam"
    """child sexual abuse material: a match with a list, or a detector made for it"""
    VIOLENCE = "violence"
    """fights, threats, harm being done to people or animals"""
    GORE = "gore"
    """blood, wounds, corpses"""
    WEAPONS = "weapons"
    """firearms, knives as weapons, explosives"""
    DRUGS = "drugs"
    """illegal or recreational drugs and their gear"""
    ALCOHOL = "alcohol"
    """alcoholic drinks"""
    TOBACCO = "tobacco"
    """smoking, vaping"""
    GAMBLING = "gambling"
    """casinos, betting, slot machines"""
    HATE = "hate"
    """attacks on people for what they are; symbols of such attacks"""
    HARASSMENT = "harassment"
    """insults, bullying, rude gestures"""
    SELF_HARM = "self_harm"
    """suicide, self-injury, eating disorders, their encouragement"""
    EXTREMISM = "extremism"
    """symbols and propaganda of violent extremist movements"""
    TERRORISM = "terrorism"
    """terrorist acts, groups and their propaganda"""
    SPAM = "spam"
    """unwanted advertising, repeated or meaningless content, codes that lead elsewhere"""
    SCAM = "scam"
    """fraud, phishing, impersonation"""
    PII = "pii"
    """personal data: addresses, numbers of cards, accounts, documents"""
    PROFANITY = "profanity"
    """swearing, aimed at nobody"""
    MINORS = "minors"
    """a minor is visible; no harm by itself, but it makes other findings worse"""
    MALWARE = "malware"
    """a file or link that attacks whoever opens it"""

    @property
    def severe(self) -> bool:
        """True if one credible vendor is enough to withhold, whatever others say."""
        return self in SEVERE


SEVERE = frozenset({Category.CSAM, Category.SEXUAL_MINORS, Category.TERRORISM, Category.EXTREMISM, Category.MALWARE})
"""Never outvoted, never overridden by a known-good entry; quarantined, as evidence, rather than merely rejected."""
