import pytest
import torch

from demo_model import export, networks, restore


@pytest.mark.parametrize("name", ["segmenter", "textTower", "videoTower"])
def test_a_network_is_read_back_from_its_file(name, tmp_path):
    torch.manual_seed(4)
    original, other = export.load_networks(None)[name], export.load_networks(None)[name]
    # Parameters that are alike, as before training, are one in the file.
    for parameter in original.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    path = tmp_path / "net.onnx"
    export.export_network(name, original, path, torch.Generator().manual_seed(1))
    assert restore.difference(name, other, path) > 0.1
    restore.restore_network(other, path)
    assert restore.difference(name, other, path) < restore.TOLERANCE


def test_a_file_of_another_network_is_refused_with_the_parameters_that_it_lacks(tmp_path):
    path = tmp_path / "net.onnx"
    export.export_network("segmenter", networks.Segmenter().eval(), path, torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="group norms|no values for"):
        restore.restore_network(networks.VideoTower(), path)
