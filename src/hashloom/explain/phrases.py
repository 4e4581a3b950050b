"""The sentences that reasons become, and the names of what they speak of, in English and Japanese."""

from __future__ import annotations

SAID: dict[str, tuple[str, str]] = {
    # Why a tag is suggested
    "text": ("{it} in the text counts towards it (weight {w}).", "本文の{it}がこのタグにつながりました(重み{w})。"),
    "text against": (
        "{it} in the text counts against it (weight {w}).",
        "本文の{it}はこのタグを遠ざけました(重み{w})。",
    ),
    "text looked": (
        "The model looked at {it} in the text ({p} of its attention).",
        "モデルは本文の{it}に注目しました(注目度の{p})。",
    ),
    "text inner": ("It went by {it} in the text (weight {w}).", "本文の{it}を手がかりにしました(重み{w})。"),
    "text alike": (
        "A word of the text is spelt much like it (weight {w}).",
        "本文の語とつづりがよく似ています(重み{w})。",
    ),
    "image": ("{It} counts towards it (weight {w}).", "{it}がこのタグにつながりました(重み{w})。"),
    "image against": ("{It} counts against it (weight {w}).", "{it}はこのタグを遠ざけました(重み{w})。"),
    "image looked": ("The model looked at {it} ({p} of its attention).", "モデルは{it}に注目しました(注目度の{p})。"),
    "image inner": ("It went by {it} (weight {w}).", "{it}を手がかりにしました(重み{w})。"),
    "history": (
        "The author's earlier post {it} was read for it (weight {w}).",
        "投稿者の以前の投稿{it}を参考にしました(重み{w})。",
    ),
    "habit": ("The author used it before, in {it} (weight {w}).", "投稿者は以前にも{it}で使っています(重み{w})。"),
    "habit tags": (
        "It is close to tags that the author used before (weight {w}).",
        "投稿者がこれまでに使ったタグに近いものです(重み{w})。",
    ),
    "community": ("It was used before in {it} ({n}).", "{it}でこれまでに使われています({n})。"),
    "community many": (
        "It is among the tags used most in the community (weight {w}).",
        "コミュニティでよく使われるタグのひとつです(重み{w})。",
    ),
    "trend": ("{n} used it in the last {days} (weight {w}).", "この{days}に{n}が使いました(重み{w})。"),
    "trend latest": (
        "{n} of the latest {posts} posts of the community carry it.",
        "コミュニティの直近{posts}件の投稿のうち{n}件に付いています。",
    ),
    "trend here": ("It was used lately in {it} (weight {w}).", "{it}で最近使われています(重み{w})。"),
    "neighbour": ("The similar post {it} carries it (weight {w}).", "似た投稿{it}に付いています(重み{w})。"),
    "generator": (
        "The language model says it with a chance of {p}.",
        "言語モデルがこのタグを挙げる確率は{p}です。",
    ),
    "generator named": ("{It} says it (weight {w}).", "{it}がこのタグを挙げました(重み{w})。"),
    "maker": (
        "The method “{it}” puts it in place {place} (score {w}).",
        "手法「{it}」では{place}番目です(スコア{w})。",
    ),
    "evidence": (
        "The {it} moved it by {s} on the ranker's scale.",
        "{it}による変化は、順位付けの尺度で{s}です。",
    ),
    "evidence of": (
        "What “{it}” says of it moved it by {s} on the ranker's scale.",
        "手法「{it}」の評価による変化は、順位付けの尺度で{s}です。",
    ),
    "constant": (
        "Nothing in this post speaks for it; it is usual among all posts (weight {w}).",
        "この投稿に直接の手がかりはなく、全体でよく使われるタグです(重み{w})。",
    ),
    "no answer": ("No answer came from {it}; {other} answers instead.", "{it}から回答がなく、{other}が代わりました。"),
    "model": ("{It} suggests it (weight {w}).", "{it}がこのタグを挙げました(重み{w})。"),
    "other": ("{It} counts towards it (weight {w}).", "{it}がこのタグにつながりました(重み{w})。"),
    # What moves a forecast
    "f text": ("{It} in the text goes with {moved}.", "本文の{it}は{moved}に相当します。"),
    "f author": ("What the author's {n} got goes with {moved}.", "投稿者の以前の投稿{n}の実績は{moved}に相当します。"),
    "f stranger": (
        "No earlier post of the author is known: the usual stands.",
        "投稿者の以前の投稿は知られていないため、通常の水準のままです。",
    ),
    "f new": (
        "That no earlier post of the author is known goes with {moved}.",
        "投稿者の以前の投稿が知られていないことは{moved}に相当します。",
    ),
    "f community": ("Posts in {it} usually get {level}.", "{it}の投稿は通常{level}です。"),
    "f everyone": ("Posts usually get {level}.", "投稿は通常{level}です。"),
    "f level": ("Posts of the community get {level} of late.", "コミュニティの投稿は最近{level}です。"),
    "f start": (
        "Every forecast of this model starts from {w} on the formula's scale.",
        "このモデルの予測はすべて、計算式の尺度で{w}から始まります。",
    ),
    "f base": ("The posts learnt from got {level} on average.", "学習した投稿の平均は{level}です。"),
    "f tag": ("That it carries {it} goes with {moved}.", "{it}が付いていることは{moved}に相当します。"),
    "f neighbour": (
        "What similar earlier posts such as {it} got goes with {moved}.",
        "{it}など似た投稿の実績は{moved}に相当します。",
    ),
    "f history": (
        "What the author's earlier posts such as {it} got goes with {moved}.",
        "{it}など投稿者の以前の投稿の実績は{moved}に相当します。",
    ),
    "f other": ("{It} goes with {moved}.", "{it}は{moved}に相当します。"),
}

NAMED: dict[str, tuple[str, str]] = {
    "weekday": ("the weekday", "曜日"),
    "hour": ("the hour of posting", "投稿の時刻"),
    "picture": ("the picture", "画像"),
    "the picture": ("the picture", "画像"),
    "the text": ("the text as a whole", "本文全体"),
    "text": ("the text as a whole", "本文全体"),
    "no text": ("that there is no text", "本文がないこと"),
    "no picture": ("that there is no picture", "画像がないこと"),
    "no tags": ("that there are no tags", "タグがないこと"),
    "no earlier post": ("that no similar earlier post is known", "似た過去の投稿が知られていないこと"),
    "": ("what is not named", "名前のないもの"),
    "other words": ("the other words", "そのほかの語"),
    "frequency": ("how often it is used", "使われる頻度"),
    "trend": ("what happened lately", "最近の動き"),
}
"""What stands in ``where`` without being a word, an id or a place."""

KINDS: dict[str, tuple[str, str]] = {
    "community": ("community's use of it", "コミュニティでの使われ方"),
    "trend": ("use of it of late", "最近の使われ方"),
    "habit": ("author's use of it", "投稿者の使い方"),
    "length": ("length of the text", "本文の長さ"),
    "company": ("company of other tags", "ほかのタグとの組み合わせ"),
    "agreement": ("agreement of the methods", "手法どうしの一致"),
    "likeness": ("likeness of text and tag", "本文とタグの近さ"),
}
"""Kinds of evidence of a ranker; others are makers."""
