"""Two heads: they start as no change, hard negatives compete, what is right too does not, and they learn."""

import math

import numpy as np
import pytest
import torch

from hashloom.networks.bi_encoder import BiEncoder, Triplets, info_nce, learn

GIVEN = {"temperature": 0.05, "rate": 0.01, "batch": 16, "epochs": 10, "seed": 0}


def no_clash(rows):
    return np.zeros((len(rows), len(rows)), bool)


def test_untrained_heads_change_nothing():
    one, other = torch.randn(3, 5), torch.randn(4, 5)
    want = torch.nn.functional.normalize(one, dim=1) @ torch.nn.functional.normalize(other, dim=1).T
    for shared in (False, True):
        assert torch.allclose(BiEncoder(5, shared)(one, other), want, atol=1e-6)
    assert len(list(BiEncoder(5, True).parameters())) == 1


def test_the_loss_by_hand():
    cosines = torch.tensor([[0.05, 0.0, 0.1, 0.0], [0.0, 0.05, 0.0, 0.1]])
    free = torch.zeros(2, 2, dtype=torch.bool)
    want = math.log(math.e + 1 + math.e**2 + 1) - 1
    assert info_nce(cosines, free, 0.05).item() == pytest.approx(want, abs=1e-5)
    # Another's partner that is right too does not compete; a row's own always does.
    shut = torch.ones(2, 2, dtype=torch.bool)
    assert info_nce(cosines, shut, 0.05).item() == pytest.approx(math.log(math.e + math.e**2 + 1) - 1, abs=1e-5)


def data(count=64, dim=8):
    draw = np.random.default_rng(0)
    left = draw.normal(size=(count, dim)).astype(np.float32)
    turned = left[:, ::-1] + 0.1 * draw.normal(size=(count, dim))  # the partner is the mirror image
    right = np.concatenate([turned, draw.normal(size=(count, dim))]).astype(np.float32)
    rows = np.arange(count)
    return Triplets(left, right, rows, rows, rows + count, no_clash)


def test_heads_learn_what_belongs_together_and_repeatably():
    given = data()
    one, other = learn(given, shared=False, **GIVEN | {"epochs": 60})
    again = learn(given, shared=False, **GIVEN | {"epochs": 60})
    assert np.array_equal(one, again[0])
    assert np.array_equal(other, again[1])
    mapped, partners = given.left @ one, given.right[:64] @ other
    cosines = mapped @ partners.T / np.outer(np.linalg.norm(mapped, axis=1), np.linalg.norm(partners, axis=1))
    before = (given.left @ given.right[:64].T).argmax(axis=1) == np.arange(64)
    assert (cosines.argmax(axis=1) == np.arange(64)).mean() > 0.8 > before.mean() + 0.5


def test_a_shared_head_is_one():
    one, other = learn(data(), shared=True, **GIVEN)
    assert np.array_equal(one, other)
    assert not np.allclose(one, np.eye(8), atol=1e-2)


def test_nothing_to_learn_from_leaves_the_heads():
    none = np.zeros(0, np.int64)
    one, _ = learn(Triplets(np.zeros((0, 4)), np.zeros((0, 4)), none, none, none, no_clash), shared=False, **GIVEN)
    assert np.array_equal(one, np.eye(4))
