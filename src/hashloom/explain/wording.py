"""What the page says besides the reasons, in English and Japanese."""

from __future__ import annotations

from hashloom.explain.amounts import Language

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Post {id}, explained", "投稿 {id} の説明"),
    "kicker": ("Hashloom explanation", "Hashloomの説明"),
    "skip": ("To the explanation", "説明へ"),
    "sections": ("Sections", "目次"),
    "suggested": ("Suggested: {tags}.", "提案されたタグ:{tags}。"),
    "nothing suggested": ("No tag is suggested for this post.", "この投稿に提案できるタグはありません。"),
    "community": ("Community", "コミュニティ"),
    "author": ("Author", "投稿者"),
    "published": ("Published", "投稿日時"),
    "own tags": ("Its own tags", "付いているタグ"),
    "unknown": ("not stated", "記載なし"),
    # Sections
    "post": ("The post", "投稿"),
    "no text": ("This post has no text.", "この投稿に本文はありません。"),
    "picture": ("The post's picture", "投稿の画像"),
    "more pictures": ("The first of {n} pictures.", "{n}枚の画像の1枚目です。"),
    "bad picture": ("The picture cannot be shown: {why}.", "画像を表示できません:{why}。"),
    "tags": ("Suggested tags", "提案されたタグ"),
    "tags caption": (
        "Best first, with what led to each. Scores order the tags of this post and mean nothing between posts.",
        "上位から順に、根拠とともに示します。スコアはこの投稿の中での順位付けのためのもので、投稿どうしの比較はできません。",
    ),
    "place": ("Place", "順位"),
    "tag": ("Tag", "タグ"),
    "score": ("Score", "スコア"),
    "reasons": ("What led to it", "根拠"),
    "all alike": ("For each of these tags alike:", "どのタグにも共通の根拠:"),
    "same marks": (
        "This model looks at a post once, whatever the tag: the marks are the same for each of these tags.",
        "このモデルはタグによらず投稿を一度だけ見るため、印はどのタグでも同じです。",
    ),
    "no reasons": ("The model states no reason.", "モデルは根拠を示していません。"),
    "marks": ("What carried each tag", "タグごとの手がかり"),
    "choose": ("Show the marks for", "手がかりを表示するタグ"),
    "forecast": ("Forecast", "反響の予測"),
    "forecast text": (
        "Formula: {formula}. The forecast is {value} on its scale.",
        "計算式:{formula}。予測はその尺度で{value}です。",
    ),
    "axis": ("The axis counts {unit}.", "軸の単位:{unit}。"),
    "coverage": (
        "The interval is meant to hold the number of {coverage} of posts.",
        "区間は{coverage}の投稿の値を含むように作られています。",
    ),
    "interval": (
        "{coverage} interval {low} to {high}",
        "{coverage}区間 {low} ~ {high}",
    ),
    "level": ("Expected: {level}", "予測:{level}"),
    "foretold": ("Forecast of {model}: {level}; {interval}.", "{model}の予測:{level}({interval})。"),
    "drawn": (
        "Forecast {value}, interval from {low} to {high}",
        "予測 {value}、区間 {low} から {high}",
    ),
    "moves": ("What the forecast of {name} goes by.", "{name}の予測のよりどころ。"),
    "adds up": (
        "The parts are exact: on the formula's scale they add up to the forecast.",
        "各項目は正確な内訳で、計算式の尺度で合計すると予測値になります。",
    ),
    "weight": ("Weight", "重み"),
    "drawn weight": ("Drawn", "図"),
    "reason": ("Reason", "根拠"),
    "effects": ("Tags and attention", "タグと反響"),
    "effects caption": (
        "Association, not promise: how posts of this community that carry the tag did beside what their authors "
        "usually get, with its 95\u202f% interval, and what the model {model} forecasts with the tag next to without."
        " A tag cannot be said to cause either.",
        "これは関連であり、約束ではありません。このコミュニティでタグの付いた投稿が投稿者の通常と比べてどうだったか(95\u202f%"
        "区間つき)と、モデル{model}のタグの有無による予測の差を示します。タグが原因だとは言えません。",
    ),
    "association": ("Posts with the tag got", "タグの付いた投稿"),
    "between": ("95\u202f% interval", "95\u202f%区間"),
    "change": ("Forecast with it, next to without", "タグの有無による予測の差"),
    "seen": ("Seen on", "観察数"),
    "thin": ("too few authors to say", "投稿者が少なく判断できません"),
    "seen on": ("{posts} by {authors}", "{posts}件・投稿者{authors}人"),
    "reading": ("How to read this page", "このページの読み方"),
    "caution": (
        "A map alone is not evidence. Marks show what a model weighed, not that this decided the answer. How much "
        "answers change when marked words and regions are taken out, next to random ones, is measured as faithfulness: "
        "see docs/explanations.md of Hashloom. Nothing here says what will happen or what causes what.",
        "図だけでは証拠になりません。印はモデルが重みを置いた箇所を示すもので、それが答えを決めたとは限りません。印の付いた語や"
        "領域を取り除いたときに答えがどれほど変わるかは、無作為に取り除いた場合と比べて「忠実度」として測ります。Hashloomの"
        "docs/explanations.mdをご覧ください。ここに書かれたことは、将来の結果や因果関係を示すものではありません。",
    ),
    "models": ("The models that were asked.", "使用したモデル"),
    "model": ("Model", "モデル"),
    "role": ("What it gives", "役割"),
    "suggests": ("tags", "タグ"),
    "forecasts": ("forecast: {formula}", "予測:{formula}"),
    "digest": ("Digest", "ダイジェスト"),
    "date": ("Trained", "学習日時"),
    "made": ("Made by Hashloom {version}.", "Hashloom {version} で作成。"),
    # Marks
    "attention": (
        "Attention: shares of how much the model looked at each word and region; on each side they sum to 1.",
        "注目度:モデルが各語・各領域をどれだけ見たかの割合です。本文と画像それぞれで合計は1になります。",
    ),
    "contribution": (
        "Contribution: what each word or region added to the score, or took from it.",
        "寄与:各語・各領域がスコアに加えた、または差し引いた量です。",
    ),
    "occlusion": (
        "Occlusion: how far the answer falls when the word or region is taken out; below 0, it rises.",
        "遮蔽:語や領域を取り除いたときに答えがどれだけ下がるかです。負の値では上がります。",
    ),
    "sides": ("Text {text}, picture {picture} of the weight.", "重みは本文{text}、画像{picture}です。"),
    "for": ("speaks for it", "支持"),
    "against": ("speaks against it (dashed underline)", "不支持(破線)"),
    "looked": ("darker: looked at more", "濃いほど注目"),
    "looked at": ("Words and picture", "本文と画像"),
    "strongest": ("Words that weigh most", "重みの大きい語"),
    "lost": ("Not found as written in the text: {words}.", "本文中に同じ表記で見つからない語:{words}。"),
    "no words": ("No word carries weight.", "重みのある語はありません。"),
    "no marks": (
        "Neither the words nor the picture change this answer.",
        "本文の語も画像も、この答えを変えません。",
    ),
    "map": ("Map of weights over the picture.", "画像に重ねた重みの図。"),
    "nearly even": (
        "The weight is nearly even; the colours stretch small differences.",
        "重みはほぼ均等で、色はわずかな差を引き伸ばして示しています。",
    ),
    "even words": (
        "The words weigh nearly the same: none stands out.",
        "どの語の重みもほぼ同じで、際立つ語はありません。",
    ),
    "least": ("least", "最小"),
    "most": ("most", "最大"),
    "minus": ("against", "不支持"),
    "plus": ("for", "支持"),
    "methods": ("What the methods that found it went by ({n})", "見つけた各手法の根拠({n})"),
    "cells": ("The weights as a table", "重みの表"),
    "cells caption": ("Weight of each region by row and column for {name}.", "{name}:行と列ごとの領域の重み。"),
    "row": ("row", "行"),
    # Index
    "index": ("Explained posts", "説明した投稿"),
    "index caption": ("One page each.", "投稿ごとのページ。"),
}


def say(piece: str, language: Language, /, **values: object) -> str:
    """A piece of the page's own text.

    >>> say("tag", "en"), say("tag", "ja"), say("sides", "en", text="60 %", picture="40 %")
    ('Tag', 'タグ', 'Text 60 %, picture 40 % of the weight.')
    """
    text = _WORDS[piece][language == "ja"]
    return text.format(**values) if values else text
