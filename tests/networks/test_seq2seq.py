"""Reader and speaker: padding changes nothing, chances sum to one, numpy and torch say the same."""

import numpy as np
import pytest
import torch

from hashloom.encoders._weights import session
from hashloom.generators import _beam
from hashloom.networks import seq2seq
from hashloom.networks.seq2seq import END, MARK, Plan, Seq2Seq
from hashloom.networks.training import seeded

PIECES = 12


@pytest.fixture(scope="module")
def network():
    with seeded(0):
        made = Seq2Seq(PIECES, 8)
        for weights in made.parameters():  # larger than a fresh network's, so that what differs shows
            weights.data += 0.3 * torch.randn_like(weights)
        return made.eval()


READ = torch.tensor([[5, 6, MARK, 7, 4], [8, 5, 0, 0, 0]])
LENGTHS = torch.tensor([5, 2])


def test_padding_and_company_change_nothing(network):
    with torch.no_grad():
        together = network.reader(READ, LENGTHS)
        alone = network.reader(READ[1:, :2], LENGTHS[1:])
    assert torch.allclose(together[0][1, :2], alone[0][0], atol=1e-6)
    assert torch.allclose(together[1][1], alone[1][0], atol=1e-6)


def test_the_rank_of_a_retrieved_tag_is_read(network):
    one, other = torch.tensor([[MARK, 5, MARK, 6]]), torch.tensor([[MARK, 6, MARK, 5]])
    lengths = torch.tensor([4])
    with torch.no_grad():
        assert not torch.allclose(network.reader(one, lengths)[1], network.reader(other, lengths)[1], atol=1e-3)


def test_the_chances_of_all_next_pieces_sum_to_one(network):
    said = torch.tensor([[6, piece, END] for piece in range(1, PIECES)])
    whose = torch.zeros(len(said), dtype=torch.long)
    with torch.no_grad():
        logs = network(READ, LENGTHS, said, whose)
        assert logs.shape == (PIECES - 1, 3)
        # Padding, which is never said, has the rest.
        assert 0.5 < logs[:, 1].exp().sum().item() <= 1 + 1e-5


def test_a_piece_that_was_read_is_likelier_by_copying(network):
    said = torch.tensor([[7, END]])
    with torch.no_grad():
        without = READ.clone()
        without[0, 3] = 9
        states, start = network.reader(READ[:1], LENGTHS[:1])
        given = network.speaker(states, start, READ[:1], LENGTHS[:1], said)[0, 0]
        taken = network.speaker(states, start, without[:1], LENGTHS[:1], said)[0, 0]
    assert given > taken


def test_steps_after_the_end_count_nothing(network):
    short, long = torch.tensor([[7, END]]), torch.tensor([[7, END, 0, 0]])
    whose = torch.tensor([1])
    with torch.no_grad():
        one, other = network(READ, LENGTHS, short, whose), network(READ, LENGTHS, long, whose)
    assert torch.allclose(one, other[:, :2], atol=1e-6)
    assert not other[:, 2:].any()


def all_tags(steps):
    """Every tag of up to so many pieces."""
    rows = [()]
    for _ in range(steps):
        rows = [(*row, piece) for row in rows for piece in range(4, PIECES)]
        yield from rows


def test_the_beam_finds_the_most_probable_of_all_tags(network):
    tags = list(all_tags(2))
    said = torch.from_numpy(seq2seq.padded([[*tag, END] for tag in tags]))
    reader = session(seq2seq.exported(network.reader, PIECES), 1)
    states, start = reader.run(None, {"pieces": READ.numpy(), "lengths": LENGTHS.numpy()})
    found = _beam.spell(network.speaker.arrays(), states, start, READ.numpy(), LENGTHS.numpy(), steps=2, beam=200)
    for row in range(2):
        with torch.no_grad():
            totals = network(READ, LENGTHS, said, torch.full((len(tags),), row)).sum(1).numpy()
        order = np.argsort(-totals, kind="stable")
        assert [tag for tag, _ in found[row][:20]] == [tags[at] for at in order[:20]]
        np.testing.assert_allclose([total for _, total in found[row][:20]], totals[order[:20]], atol=1e-4)


def test_a_narrow_beam_gives_the_wide_ones_best(network):
    with torch.no_grad():
        states, start = (part.numpy() for part in network.reader(READ, LENGTHS))
    given = (network.speaker.arrays(), states, start, READ.numpy(), LENGTHS.numpy())
    wide, narrow = _beam.spell(*given, steps=3, beam=100), _beam.spell(*given, steps=3, beam=12)
    for one, other in zip(wide, narrow, strict=True):
        assert [tag for tag, _ in one[:5]] == [tag for tag, _ in other[:5]]


def test_training_is_repeatable_and_stops_at_the_best_epoch():
    draw = np.random.default_rng(0)
    sources = [draw.integers(4, PIECES, 5).tolist() for _ in range(240)]
    targets = [[[row[0]], [row[1]]] for row in sources]
    plan = Plan(width=16, epochs=6, updates=1, batch=16, rate=0.02, dropout=0.0)
    first, arrays, course = seq2seq.learn(sources, targets, PIECES, plan)
    again, others, _ = seq2seq.learn(sources, targets, PIECES, plan)
    assert first == again
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
    assert course.best == int(np.argmax(course.scores)) + 1
    assert course.scores[course.best - 1] > course.scores[0] + 0.2
