"""The decoder reads what was said and z, each where it should; the loss is the mean over a post's own steps."""

import math

import pytest
import torch
from torch import nn

from hashloom.networks.decoder import TagDecoder, sequence_loss
from hashloom.networks.training import seeded


def decoder(every=False, **more):
    with seeded(0):
        return TagDecoder(4, 6, state=8, embed=5, add_every_step=every, **more).eval()


PREVIOUS = torch.tensor([[0, 3, 1, 0]])


def test_a_step_depends_on_what_was_said_before_and_not_on_what_is_said_later():
    made, z = decoder(), torch.randn(1, 4)
    with torch.no_grad():
        one, other = made(z, PREVIOUS), made(z, torch.tensor([[0, 3, 5, 0]]))
    assert torch.allclose(one[:, :2], other[:, :2])
    assert (one[:, 2:] - other[:, 2:]).abs().max() > 1e-3


def test_z_is_added_at_every_step_only_where_asked():
    for every in (False, True):
        made = decoder(every)
        nn.init.zeros_(made.start.weight)  # so that z is not in the first state
        with torch.no_grad():
            gap = (made(torch.zeros(1, 4), PREVIOUS) - made(torch.ones(1, 4), PREVIOUS)).abs().max()
        assert (gap > 1e-3) == every
        assert ("add" in made.arrays()) == every


def test_both_kinds_start_from_z():
    for every in (False, True):
        made = decoder(every)
        with torch.no_grad():
            assert (made(torch.zeros(1, 4), PREVIOUS) - made(torch.ones(1, 4), PREVIOUS))[0, 0].abs().max() > 1e-3


def test_a_shared_table_is_read_and_learns_but_not_its_padding():
    table = nn.Embedding(7, 3)
    made = decoder(table=table)
    made(torch.randn(2, 4), torch.tensor([[0, 3], [0, 6]])).sum().backward()
    moved = table.weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [False, False, False, True, False, False, True]
    assert made.begin.grad.abs().sum() > 0
    assert made.arrays()["table"].shape == (7, 3)


def test_a_table_of_another_size_is_refused():
    with pytest.raises(ValueError, match="7 rows, not 6"):
        decoder(table=nn.Embedding(6, 3))


def test_the_loss_is_the_mean_over_the_steps_of_each_post():
    logits = torch.zeros(2, 3, 5)
    logits[0, 1, 0] = math.log(4)  # the end: 4 of 8
    logits[1, 1:] = torch.randn(2, 5) * 50  # padding
    loss = sequence_loss(logits, torch.tensor([[2, 0, 0], [3, 1, 4]]), torch.tensor([2, 1]))
    assert torch.allclose(loss, torch.tensor([(math.log(5) + math.log(2)) / 2, math.log(5)]))


def test_only_what_is_allowed_and_the_end_compete():
    logits = torch.tensor([[[0.0, 0.0, 90.0, 0.0]]])
    allowed = torch.tensor([[True, False, False]])
    loss = sequence_loss(logits, torch.tensor([[1]]), torch.tensor([1]), allowed)
    assert loss.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("every", [False, True])
def test_it_learns_to_say_sequences(every):
    torch.manual_seed(0)
    made = decoder(every, dropout=0.0).train()
    z = torch.randn(8, 4)
    tags = torch.stack([torch.randperm(6)[:3] + 1 for _ in range(8)])
    previous = torch.cat([torch.zeros(8, 1, dtype=torch.long), tags], 1)
    wanted = torch.cat([tags, torch.zeros(8, 1, dtype=torch.long)], 1)
    optimiser = torch.optim.Adam(made.parameters(), 0.03)
    for _ in range(150):
        optimiser.zero_grad()
        sequence_loss(made(z, previous), wanted, torch.full((8,), 4)).mean().backward()
        optimiser.step()
    assert (made(z, previous).argmax(2) == wanted).float().mean() > 0.95
