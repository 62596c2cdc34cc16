"""What a trial's processes need, imported once: each is forked from a server that has done it, and begins at once.

Importing torch takes seconds; a kill at a random moment would mostly hit that, and not the work.
"""

import os

# Networks this small lose more to threads than they win, and a fork must not meet a running pool.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from importlib import import_module

import accelerate
import onnx
import onnxruntime
import onnxscript
import uvicorn

import restar_lib.gate.judge
import restar_lib.retraining.pipeline
import restar_lib.scoring.batch
import restar_lib.serving.api
import restar_lib.training.fine_tuning.fine_tune
import restar_lib.training.train

# What a training and its export import on their way.
for name in (
    "sklearn.linear_model",
    "sklearn.metrics",
    "networkx",
    "onnxscript.function_libs.torch_lib.ops",
    "onnxscript.optimizer",
    "torch._export",
    "torch._functorch.aot_autograd",
    "torch._inductor.decomposition",
    "torch.onnx._internal.exporter._core",
    "torch.onnx._internal.exporter._onnx_program",
):
    import_module(name)

__all__ = ["accelerate", "onnx", "onnxruntime", "onnxscript", "restar_lib", "uvicorn"]
