"""The VAE decoder's graph as onnxruntime runs it fastest on a CPU: the same numbers to 1e-6, a sixth less work.

    python -m demo_model.rewrite_decoder --package package      (rewrites an exported package; nothing is left to do a second time)

- A nearest upsampling by 2 and a 3x3 convolution are four 2x2 convolutions of the small picture, one for each pixel of a
  2x2 block: 4/9 of the multiplications, and no large picture that holds everything four times.
- A transposed convolution with stride 2 in time is two convolutions, one for even and one for odd frames. onnxruntime has
  fast kernels for convolutions alone.
- A scale and a shift of each channel are one pass as an inference batch normalization of mean 0 and variance 1.

The stored weights stay: the small kernels are computed from them in the graph, which onnxruntime folds when it loads it.
"""

import argparse
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Rows of a 3x3 kernel that fall on the same pixel of the small picture, for the upper and the lower row of a block.
ROWS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=np.float32)
#: Taps of a kernel of 4 with stride 2 and padding 1 that reach even and odd frames, in the order of the frames they read.
TAPS = ([3, 1], [2, 0])


class _Rewriter:
    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.readers = Counter(name for node in graph.node for name in node.input)

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.values:
            self.values[name] = value
            self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def run(self) -> None:
        nodes = list(self.graph.node)
        sole_reader = {name: node for node in nodes for name in node.input if self.readers[name] == 1}
        replaced = set()
        for node in nodes:
            follower = sole_reader.get(node.output[0])
            if node.output[0] in replaced:
                continue
            if node.op_type == "Resize" and follower is not None and follower.op_type == "Conv":
                self._upsampled(node.input[0], follower)
                replaced.add(follower.output[0])
            elif node.op_type == "ConvTranspose":
                self._transposed(node)
            elif node.op_type == "Mul" and self._is_channel_affine(node, follower):
                self._affine(node, follower)
                replaced.add(follower.output[0])
            else:
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)

    def _upsampled(self, source: str, conv: onnx.NodeProto) -> None:
        _, weight, bias = conv.input
        output = conv.output[0]
        phases = []
        for y in (0, 1):
            rows = self.add("MatMul", [self.constant(f"block.rows{y}", ROWS[y]), weight], f"{output}.rows{y}")
            for x in (0, 1):
                columns = self.constant(f"block.columns{x}", ROWS[x].T.copy())
                kernel = self.add("MatMul", [rows, columns], f"{output}.kernel{y}{x}")
                phases.append(self.add(
                    "Conv", [source, kernel, bias], f"{output}.pixel{y}{x}",
                    kernel_shape=[2, 2], pads=[1 - y, 1 - x, y, x], strides=[1, 1], dilations=[1, 1], group=1,
                ))
        blocks = self.add("Concat", phases, f"{output}.blocks", axis=1)
        self.add("DepthToSpace", [blocks], output, blocksize=2, mode="DCR")

    def _transposed(self, node: onnx.NodeProto) -> None:
        source, weight, bias = node.input
        output = node.output[0]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if attributes["strides"] != [2, 1, 1] or attributes["pads"] != [1] * 6:
            raise ValueError(f"{output}: only a transposed convolution with stride 2 in time and padding 1 is known")
        height, width = (extent.dim_value for extent in self.graph.input[0].type.tensor_type.shape.dim[3:])
        kernel = self.add("Transpose", [weight], f"{output}.kernel", perm=[1, 0, 2, 3, 4])
        backwards = self.constant("backwards", np.array([2, 1, 0], dtype=np.int64))
        kernel = self.add("Gather", [kernel, backwards], f"{output}.kernel.y", axis=3)
        kernel = self.add("Gather", [kernel, backwards], f"{output}.kernel.yx", axis=4)
        axis = self.constant("frame.axis", np.array([3], dtype=np.int64))
        frames = []
        for parity, taps in enumerate(TAPS):
            indices = self.constant(f"taps{parity}", np.array(taps, dtype=np.int64))
            taken = self.add("Gather", [kernel, indices], f"{output}.kernel{parity}", axis=2)
            made = self.add(
                "Conv", [source, taken, bias], f"{output}.frames{parity}", kernel_shape=[2, 3, 3],
                pads=[1 - parity, 1, 1, parity, 1, 1], strides=[1, 1, 1], dilations=[1, 1, 1], group=1,
            )
            frames.append(self.add("Unsqueeze", [made, axis], f"{output}.pair{parity}"))
        pairs = self.add("Concat", frames, f"{output}.pairs", axis=3)
        shape = self.constant("clip.shape", np.array([0, 0, -1, height, width], dtype=np.int64))
        self.add("Reshape", [pairs, shape], output)

    def _is_channel_affine(self, scale: onnx.NodeProto, shift: onnx.NodeProto | None) -> bool:
        """Whether both nodes have a constant `[C, 1, ...]`: the scale and the shift of a group norm."""
        if shift is None or shift.op_type != "Add":
            return False
        constants = [self.values.get(node.input[1]) for node in (scale, shift)]
        return all(value is not None and value.ndim >= 3 and value.size == value.shape[0] for value in constants)

    def _affine(self, scale: onnx.NodeProto, shift: onnx.NodeProto) -> None:
        output = shift.output[0]
        factors, offsets = (self.values[node.input[1]].reshape(-1) for node in (scale, shift))
        self.add(
            "BatchNormalization",
            [
                scale.input[0], self.constant(f"{output}.scale", factors), self.constant(f"{output}.shift", offsets),
                self.constant(f"zeros{factors.size}", np.zeros_like(factors)),
                self.constant(f"ones{factors.size}", np.ones_like(factors)),
            ],
            output, epsilon=0.0,
        )


def rewrite(model: onnx.ModelProto) -> None:
    """Rewrites a decoder in place."""
    graph = model.graph
    _Rewriter(graph).run()
    read = {name for node in graph.node for name in node.input}
    unread = [tensor for tensor in graph.initializer if tensor.name not in read]
    for tensor in unread:
        graph.initializer.remove(tensor)
    del graph.value_info[:]
    onnx.checker.check_model(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    package = parser.parse_args().package
    manifest = json.loads((package / "model.json").read_text())
    [entry] = manifest["files"]["vaeDecoder"]
    path = package / entry["path"]
    model = onnx.load(path)
    rewrite(model)
    onnx.save(model, path)
    content = path.read_bytes()
    entry.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (package / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
