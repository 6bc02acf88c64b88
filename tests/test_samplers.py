"""RS2 and InfoBatch: what an epoch goes over, resume, several processes, and that the gradient stays unbiased."""

import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from srfast.samplers import RS2, InfoBatch


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def test_rs2_draws_afresh_and_uniformly():
    sampler = RS2(range(50), 0.3, seed=4)
    epochs = [epoch_of(sampler, e) for e in range(400)]
    assert all(len(e) == len(set(e)) == 15 == len(sampler) for e in epochs)
    assert epochs[0] != epochs[1]
    assert epochs == [epoch_of(RS2(50, 0.3, seed=4), e) for e in range(400)]
    assert epochs[0] != epoch_of(RS2(50, 0.3, seed=5), 0)
    of_numpy = RS2(np.int64(50), np.float64(0.3), seed=np.int64(4))
    assert epoch_of(of_numpy, 0) == epochs[0]
    of_numpy.set_epoch(1, 20)  # one that was gone through is empty
    assert (len(of_numpy), list(of_numpy)) == (0, [])
    counts = Counter(itertools.chain(*epochs))
    # Binomial(400, 0.3): mean 120, standard deviation 9; five of them for 50 samples.
    assert all(abs(counts[i] - 120) < 46 for i in range(50))


@pytest.mark.parametrize("world", [2, 3, 7])
def test_processes_share_an_epoch(world, monkeypatch):
    whole = epoch_of(RS2(100, 0.5, seed=1), 3)
    parts = [epoch_of(RS2(100, 0.5, seed=1, rank=r, world=world), 3) for r in range(world)]
    assert len({len(p) for p in parts}) == 1
    dealt = [i for turn in zip(*parts, strict=True) for i in turn]
    assert dealt[:50] == whole
    assert dealt[50:] == whole[: len(dealt) - 50]
    # torchrun's environment is taken.
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", str(world))
    assert epoch_of(RS2(100, 0.5, seed=1), 3) == parts[1]


def losses(index, epoch):
    return np.array([abs(np.sin(i * 7.3 + epoch)) for i in index])


def trained(sampler, epochs, log, stop_after=None):
    """A loop that stops after some samples of its last epoch."""
    for epoch in epochs:
        if (sampler.epoch, epoch) != (epochs[0], epochs[0]):
            sampler.set_epoch(epoch)
        for number, index in enumerate(sampler, 1):
            log.append((epoch, index, float(sampler.weights([index])[0])))
            sampler.update([index], losses([index], epoch))
            if epoch == epochs[-1] and number == stop_after:
                return


def test_infobatch_resumes_in_the_middle_of_an_epoch(tmp_path):
    whole = []
    trained(InfoBatch(60, 8, seed=2), range(8), whole)
    first = []
    sampler = InfoBatch(60, 8, seed=2)
    trained(sampler, range(4), first, stop_after=17)
    torch.save(sampler.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = InfoBatch(60, 8, seed=2)
    again.load_state_dict(state)
    trained(again, range(3, 8), first)
    assert first == whole


def test_rs2_resumes_behind_a_loader_that_reads_ahead():
    numbers = range(40)
    sampler = RS2(numbers, 0.5, seed=3)
    sampler.set_epoch(2)
    loader = DataLoader(numbers, batch_size=4, sampler=sampler, num_workers=0)
    batches = [b.tolist() for b in loader]
    sampler.set_epoch(2)
    seen = [b.tolist() for b in itertools.islice(iter(loader), 2)]
    again = RS2(numbers, 0.5, seed=3)
    again.load_state_dict(sampler.state_dict(consumed=8))
    assert len(again) == 12
    rest = DataLoader(numbers, batch_size=4, sampler=again)
    assert seen + [b.tolist() for b in rest] == batches
    assert len(list(again)) == 20, "the next pass is whole"


def test_infobatch_prunes_what_is_easy_and_not_what_is_unseen():
    sampler = InfoBatch(100, 10, ratio=0.5, seed=1)
    assert sorted(epoch_of(sampler, 0)) == list(range(100))
    easy, hard = list(range(40)), list(range(40, 80))
    sampler.update(easy, np.full(40, 1.0))
    sampler.update(torch.tensor(hard), torch.full((40,), 3.0))
    kept = epoch_of(sampler, 1)
    assert set(range(40, 100)) <= set(kept)
    assert 5 < sum(i < 40 for i in kept) < 35
    assert sampler.weights([0, 50, 90]).tolist() == [2.0, 1.0, 1.0]
    assert sorted(epoch_of(sampler, 9)) == list(range(100)), "the last epochs go over everything"
    assert sampler.weights([0]).tolist() == [1.0]


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_the_expected_gradient_is_that_of_the_whole(ratio):
    """The mean over epochs of the weighted sum of gradients, one per sample, against the plain sum."""
    n, epochs = 200, 4000
    draw = np.random.default_rng(0)
    gradient = draw.normal(1, 1, n)
    sampler = InfoBatch(n, 10**9, ratio=ratio, seed=6)
    sampler.update(np.arange(n), draw.lognormal(0, 1, n))
    sums = []
    for epoch in range(1, epochs + 1):
        index = epoch_of(sampler, epoch)
        sums.append(float((sampler.weights(index).numpy() * gradient[index]).sum()))
    small = sampler.weights(np.arange(n)).numpy() > 1
    assert 50 < small.sum() < 150
    # Each small sample is a Bernoulli variable of variance r / (1 - r); five standard errors of the mean.
    error = np.sqrt(ratio / (1 - ratio) * (gradient[small] ** 2).sum() / epochs)
    assert abs(np.mean(sums) - gradient.sum()) < 5 * error
    # Without the weights the difference is far outside: the test can fail.
    assert ratio * gradient[small].sum() > 10 * error


EXCHANGING = """
import sys, numpy as np, torch
from srfast.samplers import InfoBatch
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
sampler = InfoBatch(40, 10, seed=1, rank=rank, world=2)
sampler.set_epoch(0)
share = list(sampler)
sampler.update(share, np.array([abs(np.sin(i * 7.3)) for i in share]))
sampler.set_epoch(1)
torch.save(list(sampler), f"{folder}/{rank}.pt")
torch.distributed.destroy_process_group()
"""


def test_infobatch_losses_cross_processes(tmp_path):
    command = [sys.executable, "-c", EXCHANGING]
    running = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    shares = [torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in range(2)]
    single = InfoBatch(40, 10, seed=1)
    first = epoch_of(single, 0)
    single.update(first, losses(first, 0))
    whole = epoch_of(single, 1)
    assert len(whole) < 40
    dealt = [i for turn in zip(*shares, strict=True) for i in turn]
    assert dealt[: len(whole)] == whole


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RS2(0, 0.5), "data"), (lambda: RS2(10, 0), "keep"), (lambda: RS2(10, 1.5), "keep"),
        (lambda: RS2(10, 0.5, seed=-1), "seed"), (lambda: RS2(10, 0.5, rank=2, world=2), "rank"),
        (lambda: RS2(None, 0.5), "data"), (lambda: RS2(10.0, 0.5), "data"), (lambda: RS2(10, "a"), "keep"),
        (lambda: RS2(10, 0.5, seed=1.5), "seed"), (lambda: RS2(10, 0.5, rank="0", world=1), "rank"),
        (lambda: RS2(10, 0.5).set_epoch(-1), "epoch"), (lambda: RS2(10, 0.5).set_epoch(2.5), "epoch"),
        (lambda: RS2(10, 0.5).set_epoch(1, -3), "start"), (lambda: InfoBatch(10, 0), "epochs"),
        (lambda: InfoBatch(10, "a"), "epochs"), (lambda: InfoBatch(10, 5, ratio="a"), "ratio"),
        (lambda: InfoBatch(10, 5, anneal=None), "anneal"),
        (lambda: InfoBatch(10, 5, ratio=1.0), "ratio"), (lambda: InfoBatch(10, 5, anneal=2.0), "anneal"),
        (lambda: InfoBatch(10, 5).update([10], np.zeros(1)), "index"),
        (lambda: InfoBatch(10, 5).update([1], np.zeros(2)), "loss"),
        (lambda: InfoBatch(10, 5).update([1], np.array([np.nan])), "loss"),
        (lambda: InfoBatch(10, 5).weights([-1]), "index"),
        (lambda: RS2(10, 0.5).load_state_dict(RS2(11, 0.5).state_dict()), "samples"),
        (lambda: RS2(10, 0.5).load_state_dict(RS2(10, 0.5, seed=3).state_dict()), "seed"),
    ],
)  # fmt: skip
def test_what_is_refused(make, words, refused):
    refused(f"^{words}: ", make)
