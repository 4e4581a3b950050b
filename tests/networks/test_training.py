"""The training loop: it learns, stops, repeats itself and goes on where it was left."""

import pytest
import torch
from torch import nn

from hashloom.networks.training import Course, seeded, train


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with seeded(0):
            self.table = nn.Embedding(6, 3, sparse=True)
            self.line = nn.Sequential(nn.Dropout(0.1), nn.Linear(3, 1))

    def forward(self, at):
        return self.line(self.table(at)).squeeze(-1)


def run(course, judge=None, network=None, stop_at=None):
    network = network or Small()
    at, wanted = torch.arange(6), torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])

    def batches(epoch):
        if epoch == stop_at:
            raise KeyboardInterrupt
        return [torch.randperm(6, generator=torch.Generator().manual_seed(epoch)) for _ in range(5)]

    def loss(rows):
        return ((network(at[rows]) - wanted[rows]) ** 2).mean()

    train(network, batches, loss, course, judge(network) if judge else None)
    return network, (network(at) - wanted).square().mean().item()


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_learns():
    assert run(Course(epochs=40, rate=0.05))[1] < 0.05


def test_one_seed_one_result_and_the_outer_numbers_go_on():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    one, _ = run(Course(epochs=3, seed=4))
    assert torch.equal(torch.rand(3), wanted)
    assert same(one, run(Course(epochs=3, seed=4))[0])
    assert not same(one, run(Course(epochs=3, seed=5))[0])


def test_it_stops_and_keeps_the_best_epoch():
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    states = []

    def judge(network):
        return lambda: (states.append({n: v.clone() for n, v in network.state_dict().items()}), next(scores))[1]

    course = Course(epochs=6, patience=2)
    network, _ = run(course, judge)
    assert (course.best, course.scores) == (2, [0.1, 0.5, 0.4, 0.3])
    assert all(torch.equal(value, states[1][name]) for name, value in network.state_dict().items())


def test_it_goes_on_where_it_was_interrupted(tmp_path):
    whole, _ = run(Course(epochs=6, rate=0.05, final=0.1, steps=30))
    course = Course(epochs=6, rate=0.05, final=0.1, steps=30, folder=str(tmp_path), label="a")
    with pytest.raises(KeyboardInterrupt):
        run(course, stop_at=3)
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]
    assert same(run(course)[0], whole)


def test_another_trainings_state_is_refused(tmp_path):
    run(Course(epochs=1, folder=str(tmp_path), label="a"))
    with pytest.raises(ValueError, match="left by another training"):
        run(Course(epochs=1, folder=str(tmp_path), label="b"))


def test_a_loss_that_is_no_number_is_an_error():
    network = Small()
    with pytest.raises(FloatingPointError, match="lower the rate"):
        train(network, lambda _: [0], lambda _: network(torch.arange(6)).mean() / 0 * 0, Course(epochs=1))
