"""The popularity network: the paper's numbers, attention that is attention, sides that keep to themselves."""

from itertools import product

import pytest
import torch
from torch import nn

from hashloom.networks.popularity import Authors, InterAttention, IntraAttention, Plan, Popularity, mix, shares
from hashloom.networks.towers import WordTower
from hashloom.networks.training import seeded

WIDTH, REGION, AUTHORS = 6, 5, 4


def set_to(layer, weight):
    """A weight written as in the paper, (given, made)."""
    layer.weight.data = torch.tensor(weight).T.contiguous()


def network(**plan):
    with seeded(0):
        made = Popularity(Plan(head=8, **plan), WordTower(20, WIDTH), REGION, WIDTH, AUTHORS)
        for part in made.modules():  # far from 0, so that attention differs from place to place
            if isinstance(part, nn.Linear):
                part.weight.data *= 2
        return made.eval()


def posts(count=4, words=5, regions=9, seed=1):
    """Posts of all kinds: whole, short, without text, without a picture."""
    with seeded(seed):
        lengths = torch.tensor([words, 2, 0, words - 1])[:count].unsqueeze(1)
        mask = torch.arange(words) < lengths
        shown = torch.tensor([True, True, True, False])[:count].unsqueeze(1).expand(count, regions)
        return {
            "words": torch.randint(1, 20, (count, words)) * mask,
            "word_mask": mask,
            "regions": torch.randn(count, regions, REGION) * shown.unsqueeze(2),
            "region_mask": shown,
            "users": torch.tensor([1, 2, 0, 3])[:count],
        }


def run(made, given):
    with torch.no_grad():
        return dict(zip(made.plan.outputs, made(**{name: given[name] for name in made.plan.inputs}), strict=True))


def test_intra_attention_gives_the_published_numbers():
    attend = IntraAttention(2)
    set_to(attend.rows, [[0.3, 0.1], [-0.2, 0.5]])
    set_to(attend.context, [[0.4, -0.3], [0.2, 0.6]])
    set_to(attend.user, [[0.5, 0.2], [0.1, -0.4]])
    set_to(attend.score, [[2.0], [-1.0]])
    rows = torch.tensor([[[0.5, -0.2], [0.1, 0.9], [-0.3, 0.4]]])
    guides = torch.tensor([[0.2, 0.6]]), torch.tensor([[1.0, -0.5]])
    mixed, weights = attend(rows, torch.ones(1, 3, dtype=torch.bool), *guides)
    assert torch.allclose(weights, torch.tensor([[0.355055, 0.318326, 0.326619]]), atol=1e-6)
    assert torch.allclose(mixed, torch.tensor([[0.111374, 0.346130]]), atol=1e-6)


def test_the_whole_is_the_papers_formula():
    """Every step of §11.2 once more, written down from the formulas."""
    made, given = network(), {name: part[:1] for name, part in posts().items()}
    words = made.words(given["words"], given["word_mask"])
    regions = torch.tanh(given["regions"] @ made.regions.dense.weight.T)
    user = made.authors.stranger + made.authors.apart.weight[1]

    def intra(part, rows, context):
        of = [torch.tanh(x @ layer.weight.T) for x, layer in ((rows, part.rows), (context, part.context))]
        joined = of[0] * of[1].unsqueeze(1) * torch.tanh(user @ part.user.weight.T)
        return (torch.softmax(joined @ part.score.weight[0], 1).unsqueeze(2) * rows).sum(1)

    text, image = intra(made.read, words, regions.mean(1)), intra(made.look, regions, words.mean(1))
    guide = torch.tanh(user @ made.meet.user.weight.T)
    sides = [torch.tanh(x @ layer.weight.T) * guide for x, layer in ((text, made.meet.text), (image, made.meet.image))]
    share = torch.softmax(torch.cat([side @ made.meet.score.weight.T for side in sides], 1), 1)
    z = share[:, :1] * text + share[:, 1:] * image + user @ made.author.weight.T
    hidden = z
    for layer in (made.head[1], made.head[4]):
        hidden = torch.relu(layer(hidden))
    found = run(made, given)
    assert torch.allclose(found["value"], made.head[6](hidden)[:, 0], atol=1e-6)
    assert torch.allclose(found["sides"], share, atol=1e-6)


def test_attention_starts_glorot_normal_and_without_bias():
    with seeded(0):
        attend, meet = IntraAttention(200), InterAttention(200)
    for part in (attend, meet):
        assert not [name for name, _ in part.named_parameters() if "bias" in name]
    wanted = (2 / (200 + 200)) ** 0.5
    for layer in (attend.rows, attend.context, attend.user, meet.text, meet.image, meet.user):
        assert float(layer.weight.detach().std()) == pytest.approx(wanted, rel=0.03)
        assert float(layer.weight.detach().abs().max()) > 3 * wanted, "normal, not uniform"


GRID = [
    {"reads": reads, "intra": intra, "inter": inter, "user": user, "residual": residual}
    for reads, intra, inter, user, residual in product(
        ("both", "text", "picture"), (True, False), ("attention", "mean", "concat"), ("both", "inter", "none"), (1, 0)
    )
]


@pytest.mark.parametrize("plan", GRID, ids=lambda plan: "-".join(map(str, plan.values())))
def test_every_variant_weighs_shares_and_leaves_padding_alone(plan):
    found, given = run(network(**plan), posts()), posts()
    assert torch.isfinite(found["value"]).all()
    for side, mask in (("of_words", given["word_mask"]), ("of_regions", given["region_mask"])):
        if side in found:
            assert torch.allclose(found[side].sum(1), torch.ones(4), atol=1e-6)
            some = mask.any(1)
            assert float((found[side] * ~mask)[some].abs().max()) < 1e-6
            assert torch.equal(found[side][~some][:, 0], torch.ones(int((~some).sum()))), "the learnt row stands first"
    if "sides" in found:
        assert torch.allclose(found["sides"].sum(1), torch.ones(4), atol=1e-6)


def test_attention_is_over_places_and_means_are_even():
    found = run(network(), posts())
    assert float(found["of_regions"][0].std()) > 1e-3
    assert float(found["of_words"][0].std()) > 1e-3
    assert float(found["sides"].std()) > 1e-3
    even = run(network(intra=False, inter="mean"), posts())
    assert torch.allclose(even["of_regions"][0], torch.full((9,), 1 / 9))
    assert torch.allclose(even["sides"], torch.full((4, 2), 0.5))


@pytest.mark.parametrize("user", ["both", "intra", "inter", "none"])
def test_the_author_guides_what_the_plan_says(user):
    made, given = network(user=user, residual=False), posts()
    one, other = run(made, given), run(made, given | {"users": given["users"].flip(0)})
    moved = {name: not torch.allclose(one[name], other[name], atol=1e-6) for name in one}
    assert moved["of_words"] == moved["of_regions"] == (user in ("both", "intra"))
    assert moved["sides"] == (user != "none")  # also where only what is weighed has changed
    assert moved["value"] == (user != "none")


def test_the_residual_alone_knows_the_author():
    made, given = network(user="none", residual=True), posts()
    one, other = run(made, given), run(made, given | {"users": given["users"].flip(0)})
    assert torch.equal(one["sides"], other["sides"])
    assert not torch.allclose(one["value"], other["value"], atol=1e-4)


@pytest.mark.parametrize("plan", [{}, {"intra": False}, {"last": True, "inter": "concat"}])
def test_company_and_padding_change_nothing(plan):
    made, given = network(**plan), posts()
    longer = {
        "words": nn.functional.pad(given["words"], (0, 3)),
        "word_mask": nn.functional.pad(given["word_mask"], (0, 3)),
    }
    together = run(made, given)["value"]
    assert torch.allclose(run(made, given | longer)["value"], together, atol=1e-6)
    for i in range(4):
        alone = run(made, {name: part[i : i + 1] for name, part in given.items()})["value"]
        assert torch.allclose(alone, together[i : i + 1], atol=1e-6)


@pytest.mark.parametrize(("reads", "other"), [("text", "regions"), ("picture", "words")])
def test_one_side_alone_does_not_look_at_the_other(reads, other):
    made, given = network(reads=reads), posts()
    assert other not in made.plan.inputs
    both = network()
    turned = given | {other: given[other].flip(0)}
    assert torch.equal(run(made, given)["value"], run(made, turned)["value"])
    assert not torch.allclose(run(both, given)["value"], run(both, turned)["value"], atol=1e-4)


def test_dmf_takes_the_last_state_of_the_words():
    made, given = network(intra=False, last=True, inter="concat", user="none", residual=False), posts()
    found = run(made, given)
    assert found["of_words"].argmax(1).tolist() == [4, 1, 0, 3]
    states = made.words(given["words"], given["word_mask"])
    regions = torch.tanh(given["regions"] @ made.regions.dense.weight.T).mean(1)
    assert torch.allclose(found["value"][:1], made.head(torch.cat([states[:1, 4], regions[:1]], 1))[:, 0], atol=1e-6)


def test_a_stranger_is_a_stranger_and_learns_in_training():
    with seeded(0):
        authors = Authors(3, WIDTH, strangers=0.5)
    users = torch.tensor([0, 1, 2, 3] * 200)
    said = authors.eval()(users)
    assert torch.equal(said[0], authors.stranger)
    assert not torch.allclose(said[0], said[1], atol=1e-3)
    with seeded(0):
        shown = authors.train()(users)
    hidden = (shown == authors.stranger).all(1)[users > 0].float().mean()
    assert 0.4 < float(hidden) < 0.6
    shown.sum().backward()
    assert float(authors.apart.weight.grad[0].abs().sum()) == 0
    assert float(authors.stranger.grad.abs().sum()) > 0


def test_hidden_words_are_hidden_in_training_only():
    made, given = network(hidden=1.0), posts()
    plain = run(made, given)["value"]
    assert torch.equal(plain, run(network(), given)["value"])
    made.train()
    turned = given | {"words": given["words"].roll(1, 1) * given["word_mask"]}
    assert torch.equal(run(made, given)["value"], run(made, turned)["value"])


def test_the_penalty_is_on_the_word_table_and_the_biases():
    made = network()
    wanted = made.words.words.weight.square().sum() + sum(made.head[i].bias.square().sum() for i in (1, 4, 6))
    assert made.penalty().item() == pytest.approx(wanted.item())


def test_means_by_shares():
    rows, mask = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[True, True, False]])
    assert mix(shares(mask), rows).tolist() == [[2.0]]
