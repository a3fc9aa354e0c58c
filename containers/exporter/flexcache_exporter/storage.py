"""Weights that are stored in fewer bits than they are computed with."""

import numpy as np
import onnx_ir as ir

#: Weights of fewer numbers stay as they are: they would save nothing.
LEAST_NUMBERS = 1024


def store_in_half(graph: ir.Graph) -> None:
    """Stores large float32 weights as float16, in place; the graph makes them float32 again when it is loaded."""
    first = graph[0]
    for name, weight in list(graph.initializers.items()):
        if weight.dtype != ir.DataType.FLOAT or weight.const_value.size < LEAST_NUMBERS:
            continue
        stored = ir.tensor(weight.const_value.numpy().astype(np.float16), name=f"{name}.half")
        half = ir.Value(name=stored.name, type=ir.TensorType(stored.dtype), shape=weight.shape, const_value=stored)
        graph.register_initializer(half)
        whole = ir.node("Cast", [half], {"to": ir.DataType.FLOAT})
        ir.convenience.replace_all_uses_with(weight, whole.outputs[0])
        del graph.initializers[name]
        whole.outputs[0].name, whole.outputs[0].type, whole.outputs[0].shape = name, weight.type, weight.shape
        graph.insert_before(first, whole)
