"""Requests and folders that cannot be exported: the error names the field and the fix, and nothing is written."""

import shutil
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import tiny_cogvideox
import torch
from conftest import ROOT, arguments, change

from flexcache_exporter.cli import main


def refusal(folder: Path, out: Path, capsys, *more: str) -> str:
    """What the command says; asserts that it wrote nothing."""
    assert main(arguments(folder, out, *more)) == 2
    assert not out.exists()
    return capsys.readouterr().err


def test_a_folder_without_an_index(tmp_path, capsys):
    error = refusal(tmp_path, tmp_path / "out", capsys)
    assert error == (
        f"flexcache-export: {tmp_path}: there is no model_index.json in it\n"
        "  fix: name the folder that the pipeline's save_pretrained wrote\n"
    )


@pytest.mark.parametrize("content", ["{", "[]", "{}"], ids=["no JSON", "no object", "no class"])
def test_an_index_that_is_none(tmp_path, capsys, content):
    (tmp_path / "model_index.json").write_text(content)
    assert str(tmp_path / "model_index.json") in refusal(tmp_path, tmp_path / "out", capsys)


def test_a_class_that_is_not_supported(copy, tmp_path, capsys):
    change(copy / "model_index.json", _class_name="StableDiffusionPipeline")
    error = refusal(copy, tmp_path / "out", capsys)
    assert "_class_name is StableDiffusionPipeline, which is not supported" in error
    assert "fix: use a pipeline of the class CogVideoXPipeline or LTXPipeline or WanPipeline" in error


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component(copy, tmp_path, capsys, component):
    shutil.rmtree(copy / component)
    error = refusal(copy, tmp_path / "out", capsys)
    assert f"{copy / component}: the folder of the component {component} is missing" in error
    assert "fix: save the whole pipeline again" in error


@pytest.mark.parametrize(
    ("option", "value", "message", "fix"),
    [
        ("--width", "50", "50 is not a multiple of 16", "use 48 or 64"),
        ("--height", "24", "24 is not a multiple of 16", "use 16 or 32"),
        ("--height", "0", "0 is not a multiple of 16", "use 16"),
        ("--frames", "8", "8 is not a multiple of 4 plus 1", "use 5 or 9"),
        ("--tile", "100", "100 is not a multiple of 8", "use 96 or 104"),
        ("--tile", "40", "40 is not more than the overlap, 64", "use 128 or more"),
        ("--width", "16400", "1025 tokens along it, and the transformer has 1024 positions", "use less"),
    ],
)
def test_a_size_that_does_not_divide(saved, tmp_path, capsys, option, value, message, fix):
    error = refusal(saved, tmp_path / "out", capsys, option, value)
    assert error.startswith(f"flexcache-export: {option}: ")
    assert message in error
    assert error.endswith(f"fix: {fix}\n")


@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        ("model_index.json", {"transformer_2": ["diffusers", "WanTransformer3DModel"]}, "transformer_2 is not supported"),
        ("model_index.json", {"boundary_ratio": 0.9}, "transformer_2 is not supported"),
        ("model_index.json", {"_class_name": "WanImageToVideoPipeline"}, "WanImageToVideoPipeline, which is not supported"),
        ("transformer/config.json", {"image_dim": 1280}, "image conditions are not supported"),
    ],
)
def test_kinds_of_wan_that_are_not_supported(copy, tmp_path, capsys, file, fields, message):
    change(copy / file, **fields)
    error = refusal(copy, tmp_path / "out", capsys)
    assert message in error
    assert "fix: use a pipeline of" in error


def test_timesteps_for_every_token_of_other_patches(copy, tmp_path, capsys):
    change(copy / "model_index.json", expand_timesteps=True)
    change(copy / "transformer" / "config.json", patch_size=[1, 1, 1])
    error = refusal(copy, tmp_path / "out", capsys)
    assert "patch_size is [1, 1, 1], and expand_timesteps counts tokens of [1, 2, 2]" in error


def test_a_scheduler_without_a_fixed_shift(copy, tmp_path, capsys):
    change(copy / "scheduler" / "scheduler_config.json", _class_name="DDIMScheduler")
    error = refusal(copy, tmp_path / "out", capsys)
    assert "DDIMScheduler gives no fixed shift of flow sigmas" in error
    assert "fix: give the shift with --shift" in error


def test_a_check_on_a_gpu_that_is_not_there(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    error = refusal(saved, tmp_path / "out", capsys, "--check-on", "cuda")
    assert error.startswith("flexcache-export: --check-on: PyTorch here has no CUDA device\n")


def test_an_object_map_of_a_family_that_has_none(tmp_path, capsys):
    tiny_cogvideox.save(tmp_path / "saved", rotary=False, snr_shift=3.0)
    assert main([str(tmp_path / "saved"), "--out", str(tmp_path / "out"), "--object-map"]) == 2
    error = capsys.readouterr().err
    assert "--object-map: denoisers of the family cogvideox are exported without it" in error


def test_weights_that_are_missing(copy, tmp_path, capsys):
    (copy / "text_encoder" / "model.safetensors").unlink()
    out = tmp_path / "out"
    assert main(arguments(copy, out)) == 2
    assert "text_encoder: its weights cannot be read" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_the_command_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["flexcache-export"].split(":")
    assert getattr(import_module(module), function) is main
    assert project["requires-python"] == ">=3.11"
