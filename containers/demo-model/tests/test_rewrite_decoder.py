from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from demo_model import export, rewrite_decoder

PACKAGE = Path(__file__).parents[1] / "package"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A decoder with random weights, rewritten; `export_network` has compared it with PyTorch at batches of 1 and 2."""
    path = tmp_path_factory.mktemp("decoder") / "vae-decoder.onnx"
    torch.manual_seed(3)
    worst = export.export_network("vaeDecoder", export.load_networks(None)["vaeDecoder"], path, torch.Generator().manual_seed(7))
    return path, worst


def test_it_gives_the_numbers_of_the_network(written):
    _, worst = written
    assert worst < export.TOLERANCE["float16"]


@pytest.mark.parametrize("which", ["written", "package"])
def test_nothing_is_left_that_onnxruntime_runs_slowly(which, written):
    graph = onnx.load(written[0] if which == "written" else PACKAGE / "vae-decoder.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"Resize", "ConvTranspose"}
    assert {"DepthToSpace", "BatchNormalization"} <= kinds


def test_a_second_time_changes_nothing(written):
    model = onnx.load(written[0])
    before = model.SerializeToString(deterministic=True)
    rewrite_decoder.rewrite(model)
    assert model.SerializeToString(deterministic=True) == before


def test_latents_of_a_batch_do_not_mix():
    session = onnxruntime.InferenceSession(str(PACKAGE / "vae-decoder.onnx"), providers=["CPUExecutionProvider"])
    latents = np.random.default_rng(5).standard_normal((2, 16, 8, 16, 16), dtype=np.float32)
    together = session.run(None, {"latent": latents})[0]
    alone = [session.run(None, {"latent": latents[index : index + 1]})[0] for index in (0, 1)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
