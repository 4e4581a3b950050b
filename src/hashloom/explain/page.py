"""One HTML page per post that shows why its tags are suggested and its number is forecast; it asks for nothing else.

Every part reads without colour, script and pictures: numbers stand beside marks, maps are told in words, and the tag
whose marks are shown is chosen by radio buttons that the style sheet alone obeys.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files

from hashloom.evaluate.panels import grid, section
from hashloom.evaluate.report import MARK
from hashloom.evaluate.svg import difference
from hashloom.explain import drawing, evidence
from hashloom.explain.amounts import Language, counted, is_log, level, moved, natural, number, share, signed, unit
from hashloom.explain.evidence import Shown
from hashloom.explain.gather import About, Explained
from hashloom.explain.sentences import EVIDENCE, is_level, is_rank, sentence
from hashloom.explain.wording import say
from hashloom.tags import key
from hashloom.types import Forecast, Marks, Post, Reason


def page(explained: Explained, language: Language = "en") -> str:
    """The page as a string; it needs no network, no script and no file beside it.

    >>> from hashloom.types import Post
    >>> made = page(Explained(Post("p<1>", "rye & <b>salt</b>")), "ja")
    >>> made.startswith('<!doctype html>\\n<html lang="ja">'), "rye &amp; &lt;b&gt;salt" in made, "<script" in made
    (True, True, False)
    """
    shown = Shown(explained.post, language)
    blocks = {
        "post": evidence.plain(shown),
        "tags": _suggestions(explained, language),
        "marks": _marks(explained, shown),
        "forecast": _forecasts(explained, shown),
        "effects": _effects(explained, language),
        "reading": _reading(explained, language),
    }
    there = {name: section(name, say(name, language), "", body) for name, body in blocks.items() if body}
    title = escape(say("title", language, id=explained.post.id))
    main = f'<main id="main">{"".join(there.values())}</main>'
    return document(title, _head(explained, language) + _nav(there, language) + main, language, _choosing(explained))


def document(title: str, body: str, language: Language, style: str = "") -> str:
    """A whole page around a body: style inside, everything from elsewhere forbidden. ``title`` is HTML already."""
    from hashloom import __version__

    rooms = (("evaluate", "chart"), ("evaluate", "report"), ("explain", "page"))
    sheets = (files(f"hashloom.{room}").joinpath(f"{name}.css").read_text("utf-8") for room, name in rooms)
    style = "".join(sheets) + style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Only this very style sheet and pictures inside the page: neither a script nor a request could run if it got in.
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>\n"
        f'<body><a class="skip" href="#main">{say("skip", language)}</a>{body}\n'
        f"<footer><p>{say('made', language, version=escape(__version__))}</p></footer></body></html>\n"
    )


def index(posts: Sequence[tuple[str, Explained]], language: Language = "en") -> str:
    """A page with a link to each of several pages, given with their file names."""
    rows = [
        [
            f'<a href="{escape(name, quote=True)}"><bdi>{escape(one.post.id)}</bdi></a>',
            f'<td dir="auto">{escape(_short(one.post.text))}</td>',
            f"<td>{_names(one)}</td>",
        ]
        for name, one in posts
    ]
    heads = ["id", say("post", language), say("tags", language)]
    table = grid(say("index caption", language), heads, rows, look="text")
    title = say("index", language)
    head = f'<header><div class="title">{MARK}<h1>{title}</h1></div></header>'
    return document(title, f'{head}<main id="main"><section aria-label="{title}">{table}</section></main>', language)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 90 else line[:89] + "…"


def _names(one: Explained) -> str:
    return " ".join(_tag(tag) for tag in (one.ranking.tags if one.ranking else ()))


def _tag(tag: str) -> str:
    """A tag as HTML; in a sentence of another direction it keeps its own."""
    return f"<bdi>#{escape(tag)}</bdi>"


def _head(found: Explained, language: Language) -> str:
    post = found.post
    title = escape(say("title", language, id="\0")).replace("\0", f"<bdi>{escape(post.id)}</bdi>")
    when = (
        f'<time datetime="{post.created_at.isoformat()}">{post.created_at:%Y-%m-%d %H:%M} UTC</time>'
        if (post.created_at)
        else say("unknown", language)
    )
    facts = {
        "community": f"<bdi>{escape(post.community)}</bdi>" if post.community else say("unknown", language),
        "author": f"<bdi>{escape(post.user)}</bdi>" if post.user else say("unknown", language),
        "published": when,
    }
    if post.tags:
        facts["own tags"] = " ".join(map(_tag, post.tags))
    rows = "".join(f"<dt>{say(name, language)}</dt><dd>{value}</dd>" for name, value in facts.items())
    lead = "".join(f'<p class="lead">{line}</p>' for line in _lead(found, language))
    return (
        f'<header><div class="title">{MARK}<div><p class="kicker">{say("kicker", language)}</p><h1>{title}</h1></div>'
        f'</div>{lead}<dl class="facts">{rows}</dl></header>'
    )


def _lead(found: Explained, language: Language) -> Iterable[str]:
    if found.ranking is not None:
        tags = " ".join(f"<b>{_tag(tag)}</b>" for tag in found.ranking.tags)
        yield say("suggested", language, tags=tags) if tags else say("nothing suggested", language)
    for name, one in found.forecasts.items():
        about = found.forecasters.get(name, About(name))
        model, between = f"<bdi>{escape(name)}</bdi>", _between(one, about, language)
        yield say("foretold", language, model=model, level=_level(one, about, language), interval=between)
        break


def _nav(there: Iterable[str], language: Language) -> str:
    items = "".join(f'<li><a href="#{name}">{say(name, language)}</a></li>' for name in there)
    return f'<nav aria-label="{say("sections", language)}"><ul>{items}</ul></nav>'


# ---------------------------------------------------------------- tags


def _suggestions(found: Explained, language: Language) -> str:
    if found.ranking is None:
        return ""
    if not found.ranking.suggestions:
        return f"<p>{say('nothing suggested', language)}</p>"
    common = _common(found)
    items = []
    for one in found.ranking.suggestions:
        score = f'<span class="n">{say("score", language)} {number(one.score)}</span>'
        own = [r for r in one.reasons if r not in common]
        why = "" if common and not own else _sentences(found, one.tag, own, language)
        items.append(f"<li><div><h3>{_tag(one.tag)}</h3>{score}</div>{why}</li>")
    caption = f'<p class="fine">{say("tags caption", language)}</p>'
    tag = found.ranking.tags[0]
    alike = f"<p>{say('all alike', language)}</p>{_sentences(found, tag, common, language)}" if common else ""
    return f'{caption}{alike}<ol class="suggestions">{"".join(items)}</ol>'


def _common(found: Explained) -> list[Reason]:
    """Reasons that every suggestion has, weights included: said once."""
    rows = found.ranking.suggestions if found.ranking else ()
    if any(_makers(one.reasons)[1] for one in rows):
        return []  # what makers share would be taken from under them
    return [r for r in rows[0].reasons if all(r in one.reasons for one in rows[1:])] if len(rows) > 1 else []


def _sentences(found: Explained, tag: str, reasons: Sequence[Reason], language: Language) -> str:
    marks, text = found.marks.get(tag), found.post.text
    looked = marks is not None and marks.kind == "attention"
    others, makers = _makers(reasons)

    def told(r: Reason, inner: bool = False) -> str:
        is_share = looked and not makers and r.source in LOOKED
        return escape(sentence(r, language, text=text, earlier=found.earlier, looked=is_share, inner=inner))

    lines = [told(r) for r in others]
    inside = [told(maker) + _list([told(r, inner=True) for r in own]) for maker, own in makers]
    if not (lines and inside):
        return _list(lines or inside or [escape(say("no reasons", language))])
    # What moved the tag is read at a glance; what each method went by is for those who ask on.
    head = say("methods", language, n=len(inside))
    return f'<div class="why">{_list(lines)}<details><summary>{head}</summary>{_list(inside)}</details></div>'


def _list(lines: Sequence[str]) -> str:
    """Sentences, which are HTML already, as a list; one that is there twice is shown once."""
    rows = "".join(f"<li>{line}</li>" for line in dict.fromkeys(lines))
    return f'<ul class="why">{rows}</ul>' if rows else ""


def _makers(reasons: Sequence[Reason]) -> tuple[list[Reason], list[tuple[Reason, list[Reason]]]]:
    """What a ranker itself goes by, and the makers that it holds, each with its own reasons, which follow it."""
    others: list[Reason] = []
    makers: list[tuple[Reason, list[Reason]]] = []
    under = others
    for r in reasons:
        if r.source == "model" and is_rank(r.where):
            makers.append((r, []))
            under = makers[-1][1]
        elif r.source == "model" and r.where.startswith(EVIDENCE):
            under = others
            others.append(r)
        else:
            under.append(r)
    return others, makers


LOOKED = ("text", "image")
"""Sources whose weights are shares of attention in models that attend."""


def _marks(found: Explained, shown: Shown) -> str:
    """A panel per tag that has marks, and the radio buttons that choose one."""
    language, part = shown.language, found.recommender.shown if found.recommender else 1.0
    if not found.marks:
        return ""
    if not any(evidence.weighs(marks) for marks in found.marks.values()):
        return f'<p class="fine">{say("no marks", language)}</p>'
    buttons = "".join(
        f'<label><input type="radio" name="tag" id="choose-{i}"{" checked" if i == 0 else ""}> {_tag(tag)}</label>'
        for i, tag in enumerate(found.marks)
    )
    choice = f'<fieldset class="choice"><legend>{say("choose", language)}</legend>{buttons}</fieldset>'
    blocks = [evidence.block(shown, marks, f"#{tag}", part) for tag, marks in found.marks.items()]
    same = f'<p class="fine">{say("same marks", language)}</p>' if _same([*found.marks.values()]) else ""
    panels = "".join(
        f'<div class="panel" id="panel-{i}"><h3>{_tag(tag)}</h3>{block}</div>'
        for i, (tag, block) in enumerate(zip(found.marks, blocks, strict=True))
    )
    return same + choice + panels


def _same(marks: Sequence[Marks]) -> bool:
    """Whether several tags have the very same attention."""
    rows = {(one.kind, tuple(one.words), None if one.regions is None else one.regions.tobytes()) for one in marks}
    return len(marks) > 1 == len(rows) and marks[0].kind == "attention"


def _choosing(found: Explained) -> str:
    """The rules by which a radio button shows its panel; browsers that do not know them show all panels."""
    rules = "".join(f"body:has(#choose-{i}:checked) #panel-{i}{{display:block}}" for i in range(len(found.marks)))
    return f"@supports selector(:has(*)){{.panel{{display:none}}{rules}}}" if rules else ""


# ---------------------------------------------------------------- forecasts


def _forecasts(found: Explained, shown: Shown) -> str:
    if not found.forecasts:
        return ""
    articles = [_forecast(found, name, one, shown) for name, one in found.forecasts.items()]
    return f'<div class="columns">{"".join(articles)}</div>'


def _forecast(found: Explained, name: str, one: Forecast, shown: Shown) -> str:
    language, about = shown.language, found.forecasters.get(name, About(name))
    alike = [other for other in found.forecasts.values() if other.formula == one.formula]
    text = say("forecast text", language, formula=f"<code>{escape(one.formula)}</code>", value=number(one.value))
    meant = " " + say("coverage", language, coverage=share(about.coverage)) if about.coverage else ""
    per = unit(one.formula, language)
    axis = f" {escape(say('axis', language, unit=per))}" if per else ""
    marks = found.forecast_marks.get(name)
    block = evidence.block(shown, marks, name, about.shown) if marks else ""
    looked = f"<h4>{say('looked at', language)}</h4>{block}" if block else ""
    return (
        f"<article><h3><bdi>{escape(name)}</bdi></h3>"
        f'<p class="expected">{_expected(one, about, language)}</p><p>{_between(one, about, language)}</p>'
        f"{drawing.interval(one, drawing.span(alike), language)}"
        f'<p class="fine">{text}{axis}{meant}</p>'
        f"{_moves(found, one, name, marks, language)}{looked}</article>"
    )


def _expected(one: Forecast, about: About, language: Language) -> str:
    return say("level", language, level=_level(one, about, language))


def _level(one: Forecast, about: About, language: Language) -> str:
    """The forecast as the number itself where it can be had, else per exposure."""
    said = level(one.value, one.formula, language)
    if about.numbers is not None and about.number:
        said = f"{'about ' if language == 'en' else '約'}{number(about.numbers[0])} ({about.number})"
    return escape(said)


def _between(one: Forecast, about: About, language: Language) -> str:
    ends = about.numbers[1:] if about.numbers else (natural(one.low, one.formula), natural(one.high, one.formula))
    low, high = map(number, ends)
    return escape(
        say("interval", language, coverage=share(about.coverage) if about.coverage else "", low=low, high=high)
    )


def _moves(found: Explained, one: Forecast, name: str, marks: Marks | None, language: Language) -> str:
    """What moves the forecast, as sentences beside their weights."""
    about = found.forecasters.get(name, About(name))
    if not one.reasons:
        return ""
    looked = not about.adds_up and marks is not None and marks.kind == "attention"
    reasons = [_displayed(r, found.post) for r in one.reasons]
    drawn = [r for r in reasons if not (is_level(r) or (looked and r.source in LOOKED))]
    ends = [0.0, *(r.weight for r in drawn)]
    rows = []
    for r in reasons:
        is_share = looked and r.source in LOOKED
        told = sentence(r, language, formula=one.formula, text=found.post.text, earlier=found.earlier, looked=is_share)
        cells = [escape(told), f"<td>{share(r.weight) if is_share else signed(r.weight)}</td>"]
        if drawn:
            bar = (min(r.weight, 0.0), r.weight, max(r.weight, 0.0))
            cells.append(f"<td>{difference(bar, (min(ends), max(ends)), 90) if r in drawn else ''}</td>")
        rows.append(cells)
    heads = [say(head, language) for head in ("reason", "weight", "drawn weight")]
    exact = say("adds up", language) if about.adds_up else ""
    caption = f"{escape(say('moves', language, name=name))} {exact}"
    return grid(caption, heads if drawn else heads[:2], rows)


def _displayed(reason: Reason, post: Post) -> Reason:
    """A reason that names tags by their keys with the post's own forms of them."""
    if reason.source != "tag":
        return reason
    typed = {key(tag): tag for tag in post.tags}
    return replace(reason, where=" ".join(typed.get(word, word) for word in reason.where.split(" ")))


def _effects(found: Explained, language: Language) -> str:
    """Each tag beside what posts with it got and what the model makes of it."""
    if not found.effects:
        return ""
    name, one = next(iter(found.forecasts.items()), ("", None))
    formula = one.formula if one else ""
    ends = [0.0, *(end for e in found.effects for end in (e.low, e.high))]
    rows = []
    for e in found.effects:
        plot = difference((e.low, e.association, e.high), (min(ends), max(ends)), 120)
        got = say("thin", language) if e.thin else moved(e.association, formula, language)
        between = f"{_step(e.low, formula)} – {_step(e.high, formula)}"
        rows.append([
            _tag(e.tag), f"<td>{escape(got)}</td>", f"<td>{plot}</td>", f"<td>{between}</td>",
            f"<td>{_step(e.change, formula)}</td>", f"<td>{_seen(e.posts, e.authors, language)}</td>",
        ])  # fmt: skip
    heads = [say(head, language) for head in ("tag", "association", "drawn weight", "between", "change", "seen")]
    caption = say("effects caption", language, model=f"<bdi>{escape(name)}</bdi>")
    return grid(caption, heads, rows, look="text")


def _step(value: float, formula: str) -> str:
    return f"×{number(2.0 ** max(min(value, 60.0), -60.0))}" if is_log(formula) else signed(value)


def _seen(posts: int, authors: int, language: Language) -> str:
    if language == "ja":
        return say("seen on", language, posts=f"{posts:,}", authors=f"{authors:,}")
    return say("seen on", language, posts=counted(posts, "post"), authors=counted(authors, "author"))


# ---------------------------------------------------------------- how to read it


def _reading(found: Explained, language: Language) -> str:
    kinds = dict.fromkeys(m.kind for m in (*found.marks.values(), *found.forecast_marks.values()))
    said = "".join(f"<li>{say(kind, language)}</li>" for kind in kinds)
    listed = f"<ul>{said}</ul>" if said else ""
    return f'<p class="caution">{say("caution", language)}</p>{listed}{_models(found, language)}'


def _models(found: Explained, language: Language) -> str:
    rows = [_model(found.recommender, say("suggests", language))] if found.recommender else []
    for name, about in found.forecasters.items():
        formula = f"<code>{escape(found.forecasts[name].formula)}</code>"
        rows.append(_model(about, say("forecasts", language, formula=formula), name))
    heads = [say(name, language) for name in ("model", "role", "digest", "date")]
    return grid(say("models", language), heads, rows, look="text") if rows else ""


def _model(about: About, role: str, name: str = "") -> list[str]:
    named = f"{name} ({about.name})" if name and name != about.name else about.name
    digest = f"<code>{escape(about.digest[:16])}</code>" if about.digest else "–"
    return [f"<bdi>{escape(named)}</bdi>", *(f"<td>{c}</td>" for c in (role, digest, escape(about.date[:10]) or "–"))]
