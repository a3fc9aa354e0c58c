import numpy as np
import onnxruntime
import pytest
import torch

from demo_model import export, networks, sampling


def test_holes_take_the_mean_of_the_frames_that_see_the_place():
    latent = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 16, 8, 16, 16).clone()
    mask = torch.zeros(1, 1, 8, 16, 16)
    mask[:, :, :4, 5, 5] = 1
    filled = networks.fill_holes(latent, mask)
    assert torch.allclose(filled[0, :, :4, 5, 5], torch.tensor(5.5))
    assert torch.equal(filled[0, :, :, 0, 0], latent[0, :, :, 0, 0])


def test_places_never_seen_are_filled_from_their_neighbours():
    latent = torch.full((1, 16, 8, 16, 16), 2.0)
    latent[..., 6:10, 6:10] = 99
    mask = torch.zeros(1, 1, 8, 16, 16)
    mask[..., 6:10, 6:10] = 1
    assert torch.allclose(networks.fill_holes(latent, mask), torch.tensor(2.0))


def test_the_sampler_recovers_a_clean_latent_from_its_true_velocity():
    clean, noise = torch.randn(1, *networks.LATENT_SHAPE), torch.randn(1, *networks.LATENT_SHAPE)
    nets = {
        "textEncoder": lambda ids, mask: torch.zeros(len(ids), 1, 1),
        "denoiser": lambda x, t, states, mask: (noise - clean).expand(len(x), -1, -1, -1, -1),
    }
    for start_time in (1.0, 0.6):
        start = sampling.renoise(clean, start_time, noise)
        got = sampling.sample(nets, torch.zeros(1, 32, dtype=torch.long), start, 3, 3.0, start_time)
        assert torch.allclose(got, clean, atol=1e-5)


def test_the_frechet_distance_of_a_set_to_itself_is_zero_and_grows_with_a_shift():
    features = torch.randn(600, 8)
    assert abs(sampling.frechet_distance(features, features)) < 1e-6
    assert sampling.frechet_distance(features, features + 1) == pytest.approx(8, rel=1e-3)


@pytest.mark.parametrize("name", ["segmenter", "textTower"])
def test_exported_files_compute_what_pytorch_computes(name, tmp_path):
    nets = export.load_networks(None)
    path = tmp_path / "net.onnx"
    assert export.export_network(name, nets[name], path, torch.Generator().manual_seed(1)) < 2e-3
    fed = export.example(name, 3, torch.Generator().manual_seed(2))
    got = onnxruntime.InferenceSession(str(path)).run(None, {k: v.numpy() for k, v in fed.items()})
    assert all(np.isfinite(value).all() and len(value) == 3 for value in got)


def test_an_export_that_differs_from_pytorch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(export.TOLERANCE, "float16", 0.0)
    nets = export.load_networks(None)
    with pytest.raises(AssertionError, match="differs from PyTorch"):
        export.export_network("segmenter", nets["segmenter"], tmp_path / "net.onnx", torch.Generator().manual_seed(1))
