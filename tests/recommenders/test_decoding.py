"""Decoding without torch: the same probabilities as torch's, no tag twice, none that is not allowed, the best beam."""

from itertools import permutations

import numpy as np
import pytest
import torch

from hashloom.networks.decoder import TagDecoder
from hashloom.networks.training import seeded
from hashloom.recommenders._decoding import Speaker, decode

TAGS, POSTS = 9, 20


def made(every=True, seed=0, tags=TAGS, loud=3.0):
    """A random net, with output rows long enough that its choices differ from post to post; and some z."""
    with seeded(seed):
        net = TagDecoder(4, tags, state=8, embed=5, add_every_step=every).eval()
        net.out.weight.data *= loud
        return net, torch.randn(POSTS, 4) * 2


def everything(tags=TAGS, posts=POSTS):
    return np.ones((posts, tags), bool)


def run(net, z, allowed=None, steps=6, **more):
    return decode(net.arrays(), z.numpy(), everything() if allowed is None else allowed, steps, **more)


def torch_scores(net, z, codes):
    """Log-probabilities of said tags (posts, steps), -1 for none, and of the end after them (posts,), by torch."""
    previous = np.concatenate([np.zeros((len(codes), 1), np.int64), codes + 1], axis=1)
    with torch.no_grad():
        found = torch.log_softmax(net(z, torch.from_numpy(previous)), 2).numpy()
    said = np.take_along_axis(found[:, :-1], (codes + 1)[:, :, None], axis=2)[:, :, 0]
    lengths = (codes >= 0).sum(axis=1)
    return np.where(codes >= 0, said, 0.0), found[np.arange(len(codes)), lengths, 0]


@pytest.mark.parametrize("every", [False, True])
def test_each_step_is_as_probable_as_torch_says(every):
    net, z = made(every)
    previous = torch.cat([torch.zeros(POSTS, 1, dtype=torch.long), torch.randint(1, TAGS + 1, (POSTS, 7))], 1)
    with torch.no_grad():
        wanted = torch.log_softmax(net(z, previous), 2).numpy()
    speaker = Speaker(net.arrays(), z.numpy(), everything())
    state = speaker.begin()
    for at in range(8):
        state, found = speaker.step(state, previous[:, at : at + 1].numpy())
        assert np.abs(found[:, 0] - wanted[:, at]).max() < 1e-5


@pytest.mark.parametrize("beam", [1, 3, 50])
@pytest.mark.parametrize("go_on", [False, True])
def test_no_tag_twice_and_scores_as_torch_has_them(beam, go_on):
    net, z = made()
    codes, scores, first = run(net, z, beam=beam, go_on=go_on)
    for row in codes.tolist():
        said = [c for c in row if c >= 0]
        assert said
        assert len(set(said)) == len(said)
        assert row == said + [-1] * (len(row) - len(said))
    assert np.abs(scores - torch_scores(net, z, codes)[0]).max() < 1e-5
    assert np.allclose(first, torch.log_softmax(net(z, torch.zeros(POSTS, 1, dtype=torch.long)), 2)[:, 0, 1:].detach())


def test_greedy_says_the_most_probable_until_the_end_is():
    net, z = made()
    codes, _, _ = run(net, z)
    lengths = (codes >= 0).sum(axis=1)
    assert len(set(lengths.tolist())) > 1, "posts should end at different places"
    for post in range(POSTS):
        said = []
        for at in range(6):
            with torch.no_grad():
                scores = net(z[post : post + 1], torch.tensor([[0, *[c + 1 for c in said]]]))[0, -1]
            scores[[c + 1 for c in said]] = -torch.inf
            if at == 0:
                scores[0] = -torch.inf
            if int(scores.argmax()) == 0:
                break
            said.append(int(scores.argmax()) - 1)
        assert codes[post][codes[post] >= 0].tolist() == said


def test_only_allowed_tags_are_said_and_they_share_the_probability():
    net, z = made()
    allowed = np.random.default_rng(0).random((POSTS, TAGS)) < 0.4
    allowed[0] = False
    for beam in (1, 4):
        codes, scores, first = run(net, z, allowed, steps=TAGS, beam=beam, go_on=True)
        for post, row in enumerate(codes):
            assert set(row[row >= 0].tolist()) == set(np.flatnonzero(allowed[post]).tolist())
        assert (scores <= 0).all()
        assert not np.isnan(scores).any()
        assert (np.isfinite(first) == allowed).all()
    only = np.zeros((POSTS, TAGS), bool)
    only[:, 2] = True
    codes, _, _ = run(net, z, only)
    assert codes[:, 0].tolist() == [2] * POSTS
    assert (codes[:, 1:] == -1).all()


def test_going_on_gives_so_many_tags_as_asked():
    net, z = made()
    assert (run(net, z)[0] == -1).any()
    for beam in (1, 5):
        assert (run(net, z, beam=beam, go_on=True)[0] >= 0).all()
    short, longer = run(net, z)[0], run(net, z, go_on=True)[0]
    assert (longer[short >= 0] == short[short >= 0]).all(), "greedy: the same tags, then more"


def test_a_beam_finds_what_is_more_probable_than_the_greedy_answer():
    more = less = 0
    for seed in range(10):
        net, z = made(seed=seed)
        greedy, beam = (run(net, z, beam=b, go_on=True)[1].sum(axis=1) for b in (1, 8))
        more += int((beam > greedy + 1e-4).sum())
        less += int((beam < greedy - 1e-4).sum())
        assert beam.mean() > greedy.mean()
    assert less == 0
    assert more > 20


@pytest.mark.parametrize("go_on", [False, True])
def test_a_beam_wide_enough_finds_the_best_of_all(go_on):
    net, z = made(tags=4, loud=2.0)
    codes, _, _ = run(net, z, everything(4), steps=3, beam=100, go_on=go_on)
    best = np.full(POSTS, -np.inf)
    for length in (3,) if go_on else (1, 2, 3):
        for order in permutations(range(4), length):
            said = np.tile(np.array(order + (-1,) * (3 - length)), (POSTS, 1))
            scores, end = torch_scores(net, z, said)
            rate = scores.sum(axis=1) / 3 if length == 3 else (scores.sum(axis=1) + end) / (length + 1)
            best = np.maximum(best, rate)
    scores, end = torch_scores(net, z, codes)
    lengths = (codes >= 0).sum(axis=1)
    found = np.where(lengths == 3, scores.sum(axis=1) / 3, (scores.sum(axis=1) + end) / (lengths + 1))
    assert np.allclose(found, best, atol=1e-5)
    assert go_on or len(set(lengths.tolist())) > 1


def test_company_changes_nothing():
    net, z = made()
    codes, scores, _ = run(net, z, beam=3)
    for post in range(POSTS):
        alone, its, _ = run(net, z[post : post + 1], everything(posts=1), beam=3)
        assert (alone[0] == codes[post]).all()
        assert np.allclose(its[0], scores[post], atol=1e-5)


def test_nothing_asked_nothing_said_and_bad_settings_are_refused():
    net, z = made()
    codes, scores, first = run(net, z[:0], everything(posts=0))
    assert codes.shape == scores.shape == (0, 6)
    assert first.shape == (0, TAGS)
    with pytest.raises(ValueError, match="1 or more"):
        run(net, z, steps=0)
