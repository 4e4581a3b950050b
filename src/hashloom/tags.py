"""Tags: finding them in text, and their four forms (raw, key, display, skeleton).

Hashtags in text follow the public conformance cases of twitter-text; identity follows Unicode's NFKC and case
folding; skeletons follow the idea of UTS #39 with a compact table of our own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple
from unicodedata import normalize

GRAPHEMES, BYTES = 100, 640
# Bounds the work on hostile input before anything is normalised; no tag within the caps needs more.
_LONGEST = 2048
_ROUNDS = 4

_BODY = (
    r"\p{L}\p{M}\p{Nd}_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
_SIGNS = "#＃﹟"
# One hashtag: sign (not a keycap's), then a body with at least one letter or mark that can be seen.
_UNIT = rf"[#＃](?![\ufe0f\u20e3])(?=[{_BODY}]*[[\p{{L}}\p{{M}}]--\p{{DI}}])[{_BODY}]++"
_BOUNDARY = rf"(?<![[{_BODY}&]--[\ufe0e\ufe0f]])"
_URL_CHAR = r"[[!-~\p{Latin}\p{Cyrillic}]--[<>\x22]]"
_URL = rf"(?:https?+://|(?<![A-Za-z0-9.\-])(?:[A-Za-z0-9\-]++\.)++[A-Za-z]{{2,}}+/){_URL_CHAR}*+"
_FIND = rf"{_URL}|{_BOUNDARY}(?P<tag>{_UNIT})(?![#＃]|://)"
_FIND_CHAINS = rf"{_URL}|{_BOUNDARY}(?P<tag>(?:{_UNIT})++)(?!://)"
# A sign with whatever stands right behind it, boundary or not; the cap keeps hostile text linear.
_LOOSE = rf"(?<![{_SIGNS}])[{_SIGNS}]++(?P<run>[^\s{_SIGNS}]{{1,128}}+)"

# Joiners stay where a script needs them (Arabic letters, after a virama, in emoji), and so do flags of regions.
_NEEDED = (
    r"(?<=[\p{Arabic}\u064b-\u0655\u0670])\u200c(?=[\u200c\u200d]*\p{Arabic})"
    r"|(?<=\p{ccc=9})[\u200c\u200d](?=\p{L})"
    r"|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}]\ufe0f?)\u200d(?=\p{Extended_Pictographic})"
    r"|(?<=\U0001F3F4[\U000E0020-\U000E007E]*)[\U000E0020-\U000E007F]"
)
_DROPPED = r"[[\p{DI}\p{Cc}\p{Cs}\p{NChar}\ufff9-\ufffb]--\s]"
# U+2800 has no dots, so it looks like a space though Unicode does not call it one.
_SPACES = r"[\s\u2800]+"
_SIGN = rf"^(?:[{_SIGNS}](?!\ufe0f?\u20e3)|[\s\u2800])+"


@cache
def _re(pattern: str) -> Any:
    import regex  # type: ignore[import-untyped, unused-ignore]

    return regex.compile(pattern, regex.V1)


# ---------------------------------------------------------------- in text


class Hashtag(NamedTuple):
    """A hashtag in a text: ``text[start:end]`` with its sign, ``raw`` as typed without it. Offsets in characters."""

    start: int
    end: int
    raw: str


def find(text: str, *, chains: bool = False) -> list[Hashtag]:
    """The hashtags of a text, in order, by twitter-text's rule; linear in the length of the text.

    ``chains`` also reads ``#one#two#three`` as three tags, as Instagram does; X reads no tag there.

    >>> find("Rye #bread, see http://x.org/#top")
    [Hashtag(start=4, end=10, raw='bread')]
    >>> [tag.raw for tag in find("＃パン #1 #2nd #rye#oat", chains=True)]
    ['パン', '2nd', 'rye', 'oat']
    """
    if "#" not in text and "＃" not in text:
        return []
    found = [m.span("tag") for m in _re(_FIND_CHAINS if chains else _FIND).finditer(text) if m["tag"]]
    if not chains:
        return [Hashtag(start, end, text[start + 1 : end]) for start, end in found]
    return [hashtag for start, end in found for hashtag in _links(text, start, end)]


def _links(text: str, start: int, end: int) -> Iterator[Hashtag]:
    for m in _re(rf"[#＃][{_BODY}]++").finditer(text, start, end):
        yield Hashtag(m.start(), m.end(), m.group()[1:])


def take_out(text: str, tags: Iterable[str] = (), *, chains: bool = True) -> tuple[str, list[str]]:
    """The text without its hashtags, and the hashtags as typed, in order.

    The whole tag goes, its word too, wherever it stands: a word that was typed as a tag would otherwise tell a model
    the answer. ``tags`` are tags known from elsewhere (an export's tag field); they go as well where they stand with a
    sign, also if they are no hashtags by the rule (``#c++``, ``#2024``). So does a found tag's later mention that no
    rule sees (``x#bread``). White space and punctuation left over are tidied; line breaks and texts without hashtags
    stay as they are.

    >>> take_out("I love #baking bread (#rye)\\n#sourdough, #oven!")
    ('I love bread\\n!', ['baking', 'rye', 'sourdough', 'oven'])
    >>> take_out("Faster in #c++ now", ["C++"])
    ('Faster in now', ['c++'])
    """
    taken: list[str] = []
    known = {key(tag) for tag in tags} - {""}
    spaced = sorted({k.count(" ") for k in known} - {0}, reverse=True)
    for _ in range(_ROUNDS):
        spans = _known(text, known, spaced) or find(text, chains=chains)
        if not spans:
            return text, taken
        taken += [span.raw for span in spans]
        known |= {key(span.raw) for span in spans} - {""}
        text = _cut(text, spans)
    # Only text built for it gets here (each tag taken lays one more bare); losing the signs keeps the promise.
    return _re(rf"[{_SIGNS}]+(?=\S)").sub(" ", text).strip(), taken


def _known(text: str, known: Collection[str], spaced: Sequence[int]) -> list[Hashtag]:
    if not known or not any(sign in text for sign in _SIGNS):
        return []
    spans = []
    for m in _re(_LOOSE).finditer(text):
        start = m.start("run")
        for raw in _readings(text, start, m["run"], spaced):
            if key(raw) in known:
                spans.append(Hashtag(m.start(), start + len(raw), raw))
                break
    return spans


def _readings(text: str, start: int, run: str, spaced: Sequence[int]) -> Iterator[str]:
    """What may be meant behind a sign, longest first: several words, all up to a space, less punctuation, the body."""
    for count in spaced:
        words = _re(rf"[^\s{_SIGNS}]{{1,128}}(?:[ \u3000][^\s{_SIGNS}]{{1,128}}){{{count}}}").match(text, start)
        if words:
            yield words.group()
            yield words.group().rstrip(".,;:!?…。、！？)）]」』\"'")
    yield run
    yield run.rstrip(".,;:!?…。、！？)）]」』\"'")
    body = _re(rf"[{_BODY}]++").match(run)
    if body:
        yield body.group()


_OPEN, _CLOSE = "([{（「『【［", ")]}）」』】］"
_BEFORE_NO_SPACE = ",.;:!?)]}、。！？）」』】］…"


def _cut(text: str, spans: Sequence[Hashtag]) -> str:
    parts, at = [], 0
    for start, end in _runs(text, spans):
        left = text[at:start].rstrip(" \t\u3000")
        while end < len(text) and text[end] in " \t\u3000":
            end += 1
        shut = text[end : end + 1]
        if left and shut and left[-1] in _OPEN and _CLOSE[_OPEN.index(left[-1])] == shut:
            left, end = left[:-1].rstrip(" \t\u3000"), end + 1
            while end < len(text) and text[end] in " \t\u3000":
                end += 1
            shut = text[end : end + 1]
        parts.append(left)
        if left[-1:] not in ("", "\n", *_OPEN) and shut not in ("", "\n", "\r") and shut not in _BEFORE_NO_SPACE:
            parts.append(" ")
        at = end
    parts.append(text[at:])
    return _re(r"\n{3,}").sub("\n\n", "".join(parts)).strip()


def _runs(text: str, spans: Sequence[Hashtag]) -> list[tuple[int, int]]:
    """Spans joined where only spaces or list separators stand between two tags of one line."""
    runs: list[tuple[int, int]] = []
    for span in spans:
        if runs and not text[runs[-1][1] : span.start].strip(" \t\u3000,、，/|・·"):
            runs[-1] = (runs[-1][0], span.end)
        else:
            runs.append((span.start, span.end))
    return runs


# ---------------------------------------------------------------- forms


def key(raw: str) -> str:
    """A tag's identity, the same for every way of typing it; '' where nothing visible is left. Never raises.

    Invisible characters dropped, NFKC, sign stripped, case folded, NFKC again, white space collapsed; at most 100
    graphemes and 640 bytes of UTF-8. ``key(key(raw)) == key(raw)``.

    >>> key("＃ＨａｓｈＴａｇ"), key(" #Open  Source "), key("Straße"), key("ﾊｯｼｭ")
    ('hashtag', 'open source', 'strasse', 'ハッシュ')
    """
    return _short_key(raw) if len(raw) <= 128 else _long_key(raw)


def _long_key(raw: str) -> str:
    return _make_key(raw.lstrip()[:_LONGEST])


@lru_cache(maxsize=1 << 17)
def _short_key(raw: str) -> str:
    if len(raw) <= GRAPHEMES and raw.isascii() and raw.isprintable():
        return " ".join(raw.lstrip("# ").lower().split())
    folded = normalize("NFKC", normalize("NFKC", raw).casefold()) if raw.isalnum() else ""
    # Letters and digits alone need no cleaning; the Hangul fillers are letters that cannot be seen.
    plain = folded.isalnum() and len(folded) <= GRAPHEMES and not {"\u115f", "\u1160"} & set(folded)
    return folded if plain else _make_key(raw)


def _make_key(raw: str) -> str:
    # One round settles all but contrived strings (a dropped character may let two others compose).
    text = raw
    for _ in range(8):
        before, text = text, _cap(_round(text))
        if text == before:
            break
    return text


def _round(text: str) -> str:
    text = normalize("NFKC", normalize("NFKC", _visible(text)).casefold())
    return _re(_SIGN).sub("", text)


def _visible(text: str) -> str:
    text = _re(rf"({_NEEDED})|{_DROPPED}").sub(r"\1", text)
    return _re(_SPACES).sub(" ", text).strip()


def _cap(text: str) -> str:
    if len(text) <= GRAPHEMES and len(text) * 4 <= BYTES:
        return text
    end = size = 0
    for count, grapheme in enumerate(_re(r"\X").finditer(text)):
        size += len(grapheme.group().encode())
        if count == GRAPHEMES or size > BYTES:
            break
        end = grapheme.end()
    return text[:end].strip()


def display(raw: str) -> str:
    """How a tag is shown: as typed, casing kept, without sign and invisible characters; its key where that differs.

    >>> display(" #SourdoughBread"), display("＃ライ麦\u200bパン")
    ('SourdoughBread', 'ライ麦パン')
    """
    shown = _re(_SIGN).sub("", _visible(raw[:_LONGEST]))
    return shown if key(shown) == key(raw) and len(shown) <= _LONGEST // 4 else key(raw)


def unique(tags: Iterable[str]) -> list[str]:
    """Each tag once, by key, in the order and form of its first mention; those with an empty key are left out.

    >>> unique(["Rye", "#rye", "Oven", ""])
    ['Rye', 'Oven']
    """
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(key(tag), tag)
    first.pop("", None)
    return list(first.values())


_CAMEL = (
    r"(?<=\p{Ll}{2}|[\p{Lu}\p{N}_]\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})(?<!^\p{Lu})|(?<=\p{N})(?=\p{Lu}\p{Ll})"
)


@lru_cache(maxsize=1 << 16)
def words(tag: str) -> str:
    """A tag as words, for encoders: CamelCase, hyphens, underscores and slashes become spaces; digits stay.

    >>> words("SourdoughBread"), words("open-source"), words("#HTMLParser5"), words("iPhone"), words("製パン")
    ('Sourdough Bread', 'open source', 'HTML Parser5', 'iPhone', '製パン')
    """
    text = _re(r"[\s_/·‐‑–—-]+").sub(" ", display(tag)).strip()
    return _re(_CAMEL).sub(" ", text)


# ---------------------------------------------------------------- look-alikes

# Pairs "look-alike, Latin letter", folded case. Small letters' looks first; where a capital looks like another letter
# (Η, Ν, Υ, Ρ, Ζ) or a digit like two (1: l, i), the second table holds the other reading.
_LOOKS = (
    "аaвbеeкkмmнhоoрpсcтtуyхxѕsіiјjһhӏlԁdԛqԝwгrпnѵvүyєeґrɡgʏy"  # Cyrillic
    "αaβbγyδdεeηnθoιiκkνvοoρpτtυuχxωwσo"  # Greek
    "օoսuհhոnցgզqեtյjքp"  # Armenian
    "ıiɑaɩiǀlłløođdħhŧtƅbƒfɨiʟlᴀaʙbᴄcᴅdᴇeɢgʜhɪiᴊjᴋkᴍmɴnᴏoᴘpʀrꜱsᴛtᴜuᴠvᴡwᴢz"  # Latin
    "ᎪaᏴbᏟcᎠdᎬeᏀgᎻhᎫjᏦkᏞlᎷmᏢpᎡrᏚsᎢtᏙvᎳwᏃz"  # Cherokee
    "@a$s€e£l|l¢c"
)
_OTHER_LOOKS = "ηhνnυyρpζzμmγy"
_LEET = str.maketrans("01345789", "oleastbg")
_OTHER_LEET = str.maketrans("01345789", "oieastbg")


@cache
def _looks(other: bool) -> dict[int, str]:
    pairs = _LOOKS + (_OTHER_LOOKS if other else "")
    table = {ord(pairs[i]): pairs[i + 1] for i in range(0, len(pairs), 2)}
    for first in (0x1F130, 0x1F150, 0x1F170):  # squared and circled capitals that NFKC leaves alone
        table |= {first + i: chr(97 + i) for i in range(26)}
    return table | {ord("æ"): "ae", ord("œ"): "oe"}


def skeleton(raw: str) -> str:
    """What a tag looks like, for deny lists and duplicate warnings only; never its identity.

    Look-alike letters of other scripts become Latin, digits within words become the letters they stand for,
    diacritics and separators go. ``rn`` and ``m`` stay apart, for too many honest words would meet.

    >>> skeleton("ＳＣ@Ｍ") == skeleton("sсаm") == skeleton("5-c-4-m") == skeleton("scäm")
    True
    """
    return _skeleton(key(raw), False)


def skeletons(tag: str) -> tuple[str, str]:
    """The skeleton, and the one where ``1`` reads as ``i`` and a capital's look counts; two fakes share either.

    >>> skeletons("k1ll"), skeletons("kill")
    (('klll', 'kill'), ('kill', 'kill'))
    """
    return _skeleton(key(tag), False), _skeleton(key(tag), True)


@lru_cache(maxsize=1 << 16)
def _skeleton(tag: str, other: bool) -> str:
    # Only European diacritics: a Thai vowel or a Japanese voicing mark makes another word.
    bare = _re(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+").sub("", normalize("NFD", tag))
    bare = normalize("NFC", bare).translate(_looks(other))
    bare = _re(r"[\s\p{Pd}\p{Pc}\p{DI}.·・'’*~/:,]+").sub("", bare).lstrip(_SIGNS) or tag
    lettered = any(c.isalpha() for c in bare)
    return bare.translate(_OTHER_LEET if other else _LEET) if lettered else bare
