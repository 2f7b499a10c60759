"""Muon against singular values, and on a small regression."""

from __future__ import annotations

import pytest
import torch

from vmg_backend.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (16, 16)])
def test_all_directions_become_about_equal(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3
    assert torch.nn.functional.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.97


def test_it_is_what_torch_has_but_for_bfloat16():
    torch.manual_seed(1)
    start, goal = torch.randn(24, 12), torch.randn(24, 12)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    one = Muon([ours], 0.02, 0.1)
    other = torch.optim.Muon([theirs], 0.02, 0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(20):
        for matrix, optimizer in ((ours, one), (theirs, other)):
            optimizer.zero_grad()
            (matrix - goal).square().mean().backward()
            optimizer.step()
    way = (theirs - start).norm()
    assert way > 1.0
    assert (ours - theirs).norm() < 0.05 * way


def test_it_finds_the_way():
    torch.manual_seed(2)
    inputs = torch.randn(64, 10)
    goal = inputs @ torch.randn(10, 6)
    matrix = torch.zeros(10, 6, requires_grad=True)
    optimizer = Muon([matrix], 0.05, 0.0)
    errors = []
    for _ in range(120):
        optimizer.zero_grad()
        error = (inputs @ matrix - goal).square().mean()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.05 * errors[0]
