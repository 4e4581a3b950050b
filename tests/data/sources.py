"""Small sources of every kind, written by the tests themselves; each holds the same post about bread."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import py7zr

TEXT = "Day two of the #rye loaf ＃パン\n#Sourdough #FirstLoaf, and #1 in taste"
TAGS = {"rye", "パン", "sourdough", "firstloaf"}


def jsonl(folder: Path) -> Path:
    path = folder / "posts.jsonl"
    path.write_text(json.dumps({"id": "1", "text": TEXT, "tags": ["rye"]}) + "\n", encoding="utf-8")
    return path


def csv(folder: Path) -> Path:
    path = folder / "posts.csv"
    path.write_text(f'Post ID;Caption;Hashtags\n1;"{TEXT}";rye\n', encoding="utf-8-sig")
    return path


def parquet(folder: Path) -> Path:
    path = folder / "posts.parquet"
    pl.DataFrame({"id": ["1"], "text": [TEXT], "tags": [["rye"]]}).write_parquet(path)
    return path


def question(**attributes: str) -> str:
    row = {
        "Id": "11",
        "PostTypeId": "1",
        "CreationDate": "2025-03-02T07:41:00.123",
        "Score": "-3",
        "ViewCount": "412",
        "Title": "Why is my #rye loaf flat?",
        "Body": "<p>I use <code>#include &lt;yeast.h&gt;</code> &amp; #rye:</p>\n<pre>#define WATER 80</pre>",
        "OwnerUserId": "7",
        "CommentCount": "2",
        "Tags": "<rye><sourdough>",
    } | attributes
    cells = " ".join(f'{name}="{escape(value).replace(chr(10), "&#xA;")}"' for name, value in row.items())
    return f"  <row {cells} />\n"


def posts_xml(*rows: str) -> str:
    return f'\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n{"".join(rows)}</posts>\n'


def stackexchange(folder: Path) -> Path:
    site = folder / "baking.stackexchange.com"
    site.mkdir()
    answer = question(Id="12", PostTypeId="2", Tags="")
    (site / "Posts.xml").write_text(posts_xml(question(), answer), encoding="utf-8")
    return site


def stackexchange_7z(folder: Path) -> Path:
    path = folder / "baking.stackexchange.com.7z"
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.writestr("<users></users>", "Users.xml")
        archive.writestr(posts_xml(question(), question(Id="13", Tags="|rye|")), "Posts.xml")
    return path


def node(**fields: Any) -> dict[str, Any]:
    return {
        "shortcode": "Cxyz",
        "id": "31",
        "owner": {"id": "7", "username": "marta", "edge_followed_by": {"count": 90}},
        "taken_at_timestamp": 1740901260,
        "edge_media_to_caption": {"edges": [{"node": {"text": TEXT}}]},
        "edge_media_preview_like": {"count": 37, "edges": []},
        "edge_media_to_comment": {"count": 5},
        "is_video": False,
    } | fields


def instaloader(folder: Path) -> Path:
    user = folder / "marta"
    user.mkdir()
    base, document = (
        "2025-03-02_07-41-00_UTC",
        {"instaloader": {"version": "4.14", "node_type": "Post"}, "node": node()},
    )
    (user / f"{base}.json.xz").write_bytes(lzma.compress(json.dumps(document).encode()))
    (user / f"{base}.txt").write_text(TEXT, encoding="utf-8")
    for name in (f"{base}_2.jpg", f"{base}_10.jpg", f"{base}_1.jpg", "2025-01-01_00-00-00_UTC_profile_pic.jpg"):
        (user / name).write_bytes(b"\xff\xd8")
    (user / f"{base}_comments.json").write_text("[]")
    profile = {"instaloader": {"node_type": "Profile"}, "node": {"username": "marta"}}
    (user / "marta_7.json").write_text(json.dumps(profile))
    return user


def tweet(**fields: Any) -> dict[str, Any]:
    tags = [{"text": tag, "indices": ["0", "1"]} for tag in ("rye", "パン")]
    return {
        "id_str": "99",
        "created_at": "Sun Mar 02 07:41:00 +0000 2025",
        "full_text": TEXT.replace("and", "&amp;") + " https://t.co/a https://t.co/m",
        "entities": {
            "hashtags": tags,
            "urls": [{"url": "https://t.co/a", "expanded_url": "https://example.org/loaf"}],
            "media": [{"url": "https://t.co/m", "type": "photo", "media_url_https": "https://example.org/m.jpg"}],
        },
        "favorite_count": "37",
        "retweet_count": "2",
        "lang": "en",
    } | fields


def tweets_js(*tweets: dict[str, Any]) -> str:
    return "window.YTD.tweets.part0 = " + json.dumps([{"tweet": t} for t in tweets], ensure_ascii=False)


ACCOUNT_JS = 'window.YTD.account.part0 = [{"account": {"username": "marta", "accountId": "7"}}]'


def x_archive(folder: Path) -> Path:
    data = folder / "archive" / "data"
    (data / "tweets_media").mkdir(parents=True)
    (data / "tweets.js").write_text(tweets_js(tweet(), tweet(id_str="98", full_text="RT @x: #no")), encoding="utf-8")
    (data / "account.js").write_text(ACCOUNT_JS)
    (data / "tweets_media" / "99-m.jpg").write_bytes(b"\xff\xd8")
    return folder / "archive"


def x_archive_zip(folder: Path) -> Path:
    path = folder / "twitter.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/tweets.js", tweets_js(tweet()))
        archive.writestr("data/account.js", ACCOUNT_JS)
    return path


ACTOR = "https://bakers.example/users/marta"


def create(**fields: Any) -> dict[str, Any]:
    link = '<a href="https://bakers.example/tags/{}" class="mention hashtag" rel="tag">{}<span>{}</span></a>'
    words = [
        link.format(t, t[0], t[1:]) if t[0] in "#＃" and len(t) > 2 else t for t in TEXT.replace("\n", " ").split()
    ]
    note = {
        "id": f"{ACTOR}/statuses/1",
        "type": "Note",
        "summary": None,
        "published": "2025-03-02T07:41:00Z",
        "attributedTo": ACTOR,
        "to": ["https://www.w3.org/ns/activitystreams#Public"],
        "cc": [f"{ACTOR}/followers"],
        "content": f"<p>{' '.join(words)}</p>",
        "contentMap": {"en": "…"},
        "attachment": [{"type": "Document", "mediaType": "image/jpeg", "url": "/media_attachments/files/1.jpg"}],
        "tag": [{"type": "Hashtag", "name": "#rye"}, {"type": "Mention", "name": "@tom"}],
        "likes": {"type": "Collection", "totalItems": 4},
    } | fields
    return {"id": f"{note['id']}/activity", "type": "Create", "actor": ACTOR, "to": note["to"], "object": note}


def outbox(*activities: dict[str, Any]) -> str:
    return json.dumps({"type": "OrderedCollection", "totalItems": len(activities), "orderedItems": list(activities)})


def mastodon(folder: Path) -> Path:
    (folder / "media_attachments" / "files").mkdir(parents=True)
    (folder / "media_attachments" / "files" / "1.jpg").write_bytes(b"\xff\xd8")
    private = create(id=f"{ACTOR}/statuses/2", to=["https://bakers.example/users/tom"], cc=[])
    boost = {"type": "Announce", "actor": ACTOR, "object": "https://example.org/1"}
    (folder / "outbox.json").write_text(outbox(create(), boost, private))
    return folder / "outbox.json"


def mastodon_zip(folder: Path) -> Path:
    path = folder / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("outbox.json", outbox(create()))
    return path


def mastodon_tar(folder: Path) -> Path:
    path, data = folder / "export.tar.gz", outbox(create()).encode()
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("outbox.json")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return path


def smp(folder: Path) -> Path:
    ids: list[dict[str, Any]] = [{"Uid": "59@N75", "Pid": "1"}, {"Uid": "59@N75", "Pid": "2"}]
    parts = {
        "text": [{"Title": TEXT, "Mediatype": "photo", "Alltags": "rye oven"}, {"Title": "", "Alltags": ""}],
        "category": [{"Category": "Food", "Subcategory": "Baking", "Concept": "bread"}, {"Category": "Food"}],
        "temporalspatial_information": [{"Postdate": "1740901260", "Latitude": "51.5"}, {"Postdate": "1740901261"}],
        "additional": [{"Pathalias": "marta", "Ispublic": "1"}, {}],
    }
    for name, records in parts.items():
        listed = [one | record for one, record in zip(ids, records)]
        # The files need not be in the same order: they are joined by user and post.
        listed = listed if name == "text" else listed[::-1]
        (folder / f"train_{name}.json").write_text(json.dumps(listed), encoding="utf-8")
    (folder / "train_label.txt").write_text("7.25\n3.5\n")
    (folder / "train_img_filepath.txt").write_text("train/59@N75/1.jpg\ntrain/59@N75/2.jpg\n")
    return folder


SOURCES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "jsonl": ("jsonl", jsonl),
    "csv": ("csv", csv),
    "parquet": ("parquet", parquet),
    "stackexchange": ("stackexchange", stackexchange),
    "stackexchange_7z": ("stackexchange", stackexchange_7z),
    "instaloader": ("instaloader", instaloader),
    "x_archive": ("x_archive", x_archive),
    "x_archive_zip": ("x_archive", x_archive_zip),
    "mastodon": ("mastodon", mastodon),
    "mastodon_zip": ("mastodon", mastodon_zip),
    "mastodon_tar": ("mastodon", mastodon_tar),
    "smp": ("smp", smp),
}
