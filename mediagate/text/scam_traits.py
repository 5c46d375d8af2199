r"""The traits of usual frauds, in a few languages; our own list, heuristics.

Written for folded text: no accents, lower case. A pattern ends at an empty line; `~` stands for anything further on in
the same sentence. RE2's `\b` knows ASCII letters only, so words of other scripts are written without.
"""

from dataclasses import dataclass

_PARTS = {
    "~": r"[^\n.!?;]*?",
    "<coin>": r"\b(?:btc|bitcoins?|eth|ethereum|usdt|crypto|krypto|cripto(?:moneda|valuta)?s?|kripto)\b",
    "<messenger>": r"\b(?:whats\s?app|telegram|signal|wechat|viber)\b",
}


@dataclass(frozen=True)
class Trait:
    """One trait of frauds; `score` is what it says alone."""

    name: str
    score: float
    patterns: str

    @property
    def expressions(self) -> list[str]:
        """As RE2 reads them."""
        return [_expression(block) for block in self.patterns.split("\n\n")]


def _expression(block: str) -> str:
    joined = "".join(line.strip() for line in block.splitlines())
    for short, long in _PARTS.items():
        joined = joined.replace(short, long)
    return joined


TRAITS = (
    Trait(
        "advance_fee",
        0.6,
        r"""
        \b(?:inheritance|inherited|next of kin|beneficiary|erbschaft|heritage|herencia|eredita|heranca)\b~
        \b(?:millions?|usd|dollars?|euros?|funds?|bank|transfer|uberweis\pL*|millones|milhoes|milioni)\b

        \b(?:processing|release|clearance|transfer|customs|bearbeitungs|freigabe)[ -]?(?:fee|gebuhr)\b~
        \b(?:before|release|receive|claim|first|vorab)\b

        \b(?:you|sie|du|vous|has|hai|voce)\b~\b(?:won|gewonnen|gagne|ganado|vinto|ganhou)\b~
        (?:\d|million|prize|preis|lottery|lotterie|loterie|loteria|lotteria|iphone)

        вы\s+выиграли|наследств\pL*~(?:миллион|доллар|евро|банк)
        """,
    ),
    Trait(
        "crypto_doubling",
        0.8,
        r"""
        \b(?:doubl(?:e|ing)|tripl(?:e|ing)|verdoppel\pL*|doubler|duplic\pL*|raddoppi\pL*)\b~<coin>

        <coin>~\b(?:doubl(?:e|ed|ing)|verdoppel\pL*|doubler|duplic\pL*|raddoppi\pL*|giveaway|2x|x2)\b

        \bsend\b~<coin>~\b(?:back|return|receive)\b

        \b(?:guaranteed|garantierte?|garanti(?:s|es)?|garantizad[oa]s?|garantit[oi])\b~
        \b(?:profits?|returns?|gewinne?|rendite|gains?|ganancias?|guadagni)\b

        удво\pL*~(?:биткоин|крипт|btc)
        """,
    ),
    Trait(
        "off_platform",
        0.4,
        r"""
        \b(?:contact|text|message|write|dm|reach|add|hit|ping|chat)\b~\b(?:me|us|him|her)\b~<messenger>

        \b(?:schreib|kontaktier|melde?)\pL*\b~<messenger>

        \b(?:contacte[zr]?|ecri(?:s|vez)|contacta(?:me|r)?|escribe(?:me)?|escribir|scriv[ei](?:mi|temi)?|contattami
        |chame|fale)\b~<messenger>

        \b(?:t\.me|wa\.me|telegram\.me|chat\.whatsapp\.com)/

        пиши\pL*~(?:whats\s?app|telegram|в[ао]т?[цс]ап|телеграм|вайбер)
        """,
    ),
    Trait(
        "gift_card",
        0.6,
        r"""
        \b(?:pay|payment|send|buy|purchase|zahl\pL*|bezahl\pL*|payer|pagar|pagare|kauf\pL*)\b~
        \b(?:gift\s?cards?|geschenkkarten?|gutscheinkarten?|cartes? cadeaux?|tarjetas? (?:de )?regalo
        |carte? regalo|paysafe\s?(?:card)?|steam cards?|itunes cards?)\b

        \b(?:free|gratis|kostenlose?|gratuite?s?)\s~\b(?:gift\s?cards?|vouchers?|gutscheine?)\b
        """,
    ),
    Trait(
        "fake_support",
        0.6,
        r"""
        \b(?:customer (?:care|support|service)|tech(?:nical)? support|help\s?desk|kundendienst|kundenservice)\b~
        (?:toll[ -]?free|\+?\d[\d\-() ]{8})

        \b(?:your|ihr|dein|votre|su|il tuo)\b~\b(?:computer|device|pc|gerat|ordinateur|dispositivo)\b~
        \b(?:infected|infiziert|infecte|infectado|infetto|virus)\b

        \b(?:wallet|seed|recovery|private)\s?(?:phrase|key)s?\b~\b(?:support|restore|verify|validate|sync)

        ваш~компьютер~заражен
        """,
    ),
    Trait(
        "romance",
        0.5,
        r"""
        \b(?:widow(?:ed|er)?|verwitwet|veuve?|viud[ao]|vedov[ao])\b~
        \b(?:army|soldier|engineer|oil rig|deployed|god[ -]?fearing|soldat|ingenieur)\b

        \b(?:looking for|seeking|suche|cherche|busco|cerco)\b~
        \b(?:serious relationship|true love|soul\s?mate|god[ -]?fearing|grosse liebe|amour sincere|amor verdadero)\b

        \b(?:lonely|single|hot)\s(?:girls?|ladies|women|moms?)\b~\b(?:near|waiting|in your area|chat|meet)\b
        """,
    ),
    Trait(
        "phishing",
        0.6,
        r"""
        \b(?:your|ihr|dein|votre|su|tu|il tuo)\b~\b(?:account|konto|compte|cuenta|conto|conta)\b~
        \b(?:suspend|lock|limited|block|closed|restrict|gesperrt|eingeschrankt|suspendu|bloque|sospeso|bloccato)\pL*

        \b(?:verify|confirm|update|validate|verifizier\pL*|bestatig\pL*|confirmez|verifiez|verifique|confirme|verifica
        |conferma)\s(?:your|ihre?n?|deine?n?|votre|vos|sus?|tus?|il tuo|la tua|i tuoi|seus?|suas?)\b~
        \b(?:account|identity|password|payment|card|konto|passwort|zahlungsdaten|compte|identite|cuenta|contrasena
        |conto|senha)\b

        \b(?:parcel|package|paket|sendung|colis|paquete|pacco)\b~
        \b(?:customs fee|zollgebuhr\pL*|held|pending|frais|tasas|dogana)\b

        ваш~(?:аккаунт|счет|карт)\pL*~заблокирован|подтверди\pL*~(?:аккаунт|карт|парол|данн)
        """,
    ),
    Trait(
        "urgency",
        0.25,
        r"""
        \b(?:act now|urgent(?:ly)?|immediately|within (?:24|48) hours|last (?:chance|warning)|limited time
        |sofort|dringend|innerhalb von (?:24|48) stunden|letzte (?:chance|warnung)|immediatement|sous (?:24|48) ?h
        |urgente(?:mente)?|inmediatamente|immediatamente)\b

        срочно|немедленно
        """,
    ),
    Trait(
        "easy_money",
        0.45,
        r"""
        \b(?:earn|make|verdien\pL*|gagne[zr]?|gana|ganar|guadagna\pL*)\b~
        (?:[$€£]\s?\d|\d[\d,]*\s?(?:[$€£]|usd|eur|dollars?|euros?))~
        \b(?:day|week|hour|daily|weekly|home|tag|woche|stunde|jour|semaine|dia|semana|giorno|settimana)\b

        \b(?:passive income|passives einkommen|revenu passif|ingresos pasivos)\b

        (?:зарабат|заработ|доход)\pL*~\d\s?(?:[$€₽]|руб|долл)\pL*~(?:день|недел|месяц|час)|пассивн\pL* доход
        """,
    ),
)
