"""Where a network is checked: its reference runs on any device, and onnxruntime on the provider that was asked for or not at all."""

from pathlib import Path

import pytest
import tiny
import tiny_cogvideox
import tiny_ltx
import torch
import torch.nn as nn

from flexcache_exporter import graph
from flexcache_exporter.errors import ExportError
from flexcache_exporter.families import open_model
from flexcache_exporter.model import Network, Request
from flexcache_exporter.source import Source

#: A pipeline of each family and what is asked of it: of Wan's VAE several tiles, of LTX-Video's a decoder that draws noise.
PIPELINES = {
    "wan": (tiny.save, Request(width=400, height=32, frames=9, max_tokens=16, dtype=torch.float32)),
    "ltx": (tiny_ltx.save, Request(width=96, height=64, frames=5, max_tokens=16, dtype=torch.float32)),
    "cogvideox": (
        lambda folder: tiny_cogvideox.save(folder, rotary=True, snr_shift=1.0),
        Request(steps=4, dtype=torch.float32),
    ),
}


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_reference_runs_on_the_device_of_its_inputs(kind, tmp_path):
    save, request = PIPELINES[kind]
    save(tmp_path / kind)
    model = open_model(Source(tmp_path / kind), request)
    # transformers reads numbers of a text encoder's mask, and here are none.
    for network in model.networks[1:]:
        module, inputs = network.load().eval(), network.example(1)
        # It has no numbers, and mixing it with another device is an error as it is with a GPU.
        with torch.no_grad():
            output = module.to("meta")(**{name: x.to("meta") for name, x in inputs.items()})
        assert output.device.type == "meta", network.name
        assert output.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_no_reason_to_check_elsewhere(tmp_path):
    network = Network(
        name="identity",
        component="identity",
        outputs=("y",),
        load=nn.Identity,
        rewrite=lambda module: module,
        example=lambda rows: {"input": torch.ones(rows, 3)},
    )
    place = graph.Place("cpu", "ROCMExecutionProvider")
    with pytest.raises(ExportError, match="cannot start its ROCMExecutionProvider") as caught:
        graph.export_network(network, torch.float32, tmp_path / "identity.onnx", place)
    assert caught.value.field == "--check-on"
