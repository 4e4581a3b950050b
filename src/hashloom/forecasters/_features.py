"""What ``boosted`` looks at: each feature with its group and how it is said in English and Japanese.

Means are said next to the community's level of late, so that a drift of the whole community moves none of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

Group = Literal["author", "community", "time", "text", "image", "tag", "neighbour"]
GROUPS: tuple[Group, ...] = get_args(Group)

FEATURES: dict[str, tuple[Group, str, str]] = {
    "author_mean": ("author", "what the author's earlier posts got", "投稿者の過去の投稿の平均"),
    "author_recent": ("author", "what the author's last ten posts got", "投稿者の直近10件の平均"),
    "author_last": ("author", "what the author's last post got", "投稿者の直前の投稿の結果"),
    "author_trend": ("author", "whether the author's numbers rise or fall", "投稿者の数字の上がり下がり"),
    "author_spread": ("author", "how much the author's numbers vary", "投稿者の数字のばらつき"),
    "author_posts": ("author", "how many earlier posts the author has", "投稿者の過去の投稿数"),
    "author_rate": ("author", "how often the author posts", "投稿者の投稿の頻度"),
    "author_gap": ("author", "the days since the author's last post", "投稿者の前回の投稿からの日数"),
    "author_known": ("author", "whether the author is named", "投稿者が分かるかどうか"),
    "exposure": ("author", "how many could see the post", "投稿を見られる人の数"),
    "community_level": ("community", "what the community's posts get of late", "コミュニティの最近の水準"),
    "community_now": ("community", "what the community's very last posts got", "コミュニティの直近の投稿の結果"),
    "community_long": ("community", "what the community's posts always got", "コミュニティの長期の平均"),
    "community_spread": ("community", "how much the community's numbers vary", "コミュニティの数字のばらつき"),
    "community_rate": ("community", "how busy the community is", "コミュニティの投稿の多さ"),
    "community_posts": ("community", "how many earlier posts the community has", "コミュニティの過去の投稿数"),
    "weekday": ("time", "the day of the week", "曜日"),
    "hour": ("time", "the hour of the day (UTC)", "時刻（UTC）"),
    "text_length": ("text", "the length of the text", "本文の長さ"),
    "text_words": ("text", "the number of words", "単語の数"),
    "text_says": ("text", "what posts with such words got", "似た言葉を含む投稿の結果"),
    "text_vector": ("text", "what the text is about", "本文の話題"),
    "pictures": ("image", "the number of pictures", "画像の枚数"),
    "picture_vector": ("image", "what the picture shows", "画像の内容"),
    "tag_count": ("tag", "the number of tags", "タグの数"),
    "tag_mean": ("tag", "what posts with these tags got", "これらのタグの投稿の平均"),
    "tag_best": ("tag", "what posts with the best of these tags got", "最も良いタグの投稿の平均"),
    "tag_least": ("tag", "what posts with the weakest of these tags got", "最も弱いタグの投稿の平均"),
    "tag_recent": ("tag", "what late posts with these tags got", "これらのタグの最近の投稿の平均"),
    "tag_rarity": ("tag", "how rare the rarest tag is", "最も珍しいタグの珍しさ"),
    "neighbour_mean": ("neighbour", "what the most alike earlier posts got", "似た過去の投稿の平均"),
    "neighbour_first": ("neighbour", "what the most alike earlier post got", "最も似た過去の投稿の結果"),
    "neighbour_likeness": ("neighbour", "how alike the most alike earlier post is", "最も似た投稿との近さ"),
    "own_mean": ("neighbour", "what the author's most alike posts got", "投稿者自身の似た投稿の平均"),
    "own_likeness": ("neighbour", "how alike the author's most alike post is", "投稿者自身の似た投稿との近さ"),
}
"""Feature → group, English, Japanese. A vector's coordinates are named ``text_vector 3`` and stand for one entry."""


def group_of(name: str) -> Group:
    """The group of a feature.

    >>> group_of("hour"), group_of("text_vector 3")
    ('time', 'text')
    """
    return FEATURES[name.partition(" ")[0]][0]


def check_groups(names: Collection[str]) -> None:
    """Refuse the name of a group that there is not."""
    for name in names:
        if name not in GROUPS:
            raise ValueError(f"without: there is no group of features {name!r}; there are {', '.join(GROUPS)}")
