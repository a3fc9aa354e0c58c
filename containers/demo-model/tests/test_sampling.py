import math

import pytest
import torch

from demo_model import networks, sampling, train


def error_of(solver, steps, start=1.0):
    """Of a linear flow dx/dt = x, whose solution is known, integrated from ``start`` down to 0.2."""
    times = [start + (0.2 - start) * step / steps for step in range(steps + 1)]
    x = torch.ones(1, dtype=torch.float64)
    end = sampling.integrate(lambda value, time: value, x, times, solver)
    return abs(end.item() - math.exp(0.2 - start))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("ab2", 2), ("heun", 2), ("dpmpp-2m", 2)])
def test_a_solver_converges_with_its_order(solver, order):
    # Started below 1, where the half logarithm of the signal-to-noise ratio is finite.
    ratio = error_of(solver, 64, 0.9) / error_of(solver, 128, 0.9)
    assert ratio == pytest.approx(2**order, rel=0.15)


def test_heun_takes_one_evaluation_in_its_step_to_zero():
    calls = []
    sampling.integrate(lambda x, t: calls.append(t) or x, torch.ones(1), sampling.even_times(1.0, 3), "heun")
    assert len(calls) == 5


def test_random_regions_hold_the_object_and_leave_half_of_a_batch_whole():
    torch.manual_seed(2)
    masks = torch.zeros(400, networks.LATENT_FRAMES, networks.LATENT_HEIGHT, networks.LATENT_WIDTH, dtype=torch.bool)
    masks[:, :, 5:8, 9:12] = True
    live = train.random_regions(masks)
    object_tokens = torch.nn.functional.max_pool3d(masks.unsqueeze(1).float(), networks.PATCH, networks.PATCH).flatten(1) > 0
    assert torch.all(live[object_tokens])
    whole = live.all(1)
    assert 0.4 < whole.float().mean() < 0.6
    assert live[~whole].float().mean() < 0.6
