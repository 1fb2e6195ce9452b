"""The `.tflite` file of a `Program`, drafted from its structure alone and filled with weights later.

What is equal by construction is stored once: shapes, options, zero points, the quantization of a scale group, the
tables of activations of one shape and group, and the scales of a bias whose input has scale 1 (`targets.scales`). There
are no names and no metadata. `targets.tflite_size` knows the size without drafting.

Data comes under these roles, arrays as TFLite stores them (`Call.weight_shape`; weights of 4 bits two in a byte):

    (op, "weight")         int8     (op, "weight_scale")  float32, one per filter
    (op, "bias")           int32    (op, "bias_scale")    float32, one per filter; only where the input's scale is not 1
    ("scale", group)       float32, one; only for groups whose scale is neither 1 nor fixed
    ("zero_point", group)  int64, one; only for groups that are neither rectified nor fixed
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from targets import tflite_schema as schema
from targets.flatbuffer import BLOB, FLOATS, INTS, LONGS, OFFSETS, Draft, Role
from targets.program import Call, Fused, Program
from targets.scales import scheme
from targets.tflite_size import check_runtime, file_size

__all__ = ["file_size", "write"]

ZERO, UNIT, FLOOR = (0,), (1.0,), (-128,)


def write(program: Program, data: Mapping[Role, np.ndarray]) -> bytes:
    """The file, of `file_size(program)` bytes, with `data` under the roles listed above.

    Raises:
        TargetError: `program` was not lowered for "tflm".
        KeyError, ValueError: a role is missing, or its array has another size.
    """
    check_runtime(program)
    file = _File(program)
    for call, fused in zip(program.calls, file.scheme.fused, strict=True):
        file.call(call, fused)
    written = file.finish().write(data, schema.IDENTIFIER)
    if len(written) != file_size(program):
        raise AssertionError(f"file_size promised {file_size(program)} bytes, the file has {len(written)}")
    return written


class _File:
    """A file while it is being drafted."""

    def __init__(self, program: Program) -> None:
        self.program, self.draft = program, Draft()
        self.add = self.draft.add
        self.scheme = scheme(program)
        self.buffers = [self.add(schema.EMPTY)]
        self.tensors: list[int] = []  # one table may serve several activations
        self.operators: list[int] = []
        self.codes: dict[tuple[int, int], int] = {}
        self.index: dict[object, int] = {}  # an activation's name, or a setting: the number of the tensor
        for activation in program.activations:
            self.index[activation.name] = len(self.tensors)
            shape = self.add(INTS, 1, *activation.shape)
            quantization = self.group(activation.scale_group, activation.fixed)
            self.tensors.append(self.add(schema.ACTIVATION, shape, schema.INT8, quantization))

    def has_unit_scale(self, group: int) -> bool:
        return self.scheme.unit[group] == group

    def group(self, group: int, fixed: tuple[float, int] | None) -> int:
        """The quantization of a scale group."""
        scale: tuple[object, ...] = UNIT if self.has_unit_scale(group) else ("scale", group)
        zero: tuple[object, ...] = FLOOR if self.scheme.rectified[group] else ("zero_point", group)
        if fixed:
            scale, zero = (fixed[0],), (fixed[1],)
        return self.add(schema.QUANTIZATION, self.add(FLOATS, 1, scale), self.add(LONGS, 1, zero))

    def call(self, call: Call, fused: Fused) -> None:
        add, source, output = self.add, self.program.by_name[call.inputs[0]], self.program.by_name[call.output]
        inputs = [self.index[name] for name in call.inputs]
        if call.op is not None:
            inputs += self.constants(call, call.op, self.has_unit_scale(source.scale_group))
        inputs += [self.setting(*given) for given in schema.settings_of(call, source.shape, output.shape)]
        if call.kind == "transpose_conv":
            data, weight, bias, shape = inputs
            inputs = [shape, weight, data, bias]
        operator = schema.operator_of(call.kind, fused, call.weight_shape, source.shape[-1], call.weight_bits)
        code = self.codes.setdefault(operator, len(self.codes))
        ends = add(INTS, *inputs), add(INTS, self.index[call.output])
        options_type = schema.OPERATORS[call.kind][2]
        if not schema.has_options(operator):
            self.operators.append(add(schema.BARE_OPERATOR, code, *ends))
            return
        if call.kind == "reshape":
            options = add(schema.RESHAPE_OPTIONS, add(INTS, 1, *self.program.by_name[call.output].shape))
        else:
            window = call.kernel, call.stride, call.dilation, call.same_padding
            options = add(*schema.options_of(call.kind, fused, *window, call.channel_multiplier, call.slope))
        if code:
            self.operators.append(add(schema.OPERATOR, code, *ends, options_type, options))
        else:
            self.operators.append(add(schema.FIRST_OPERATOR, *ends, options_type, options))

    def constants(self, call: Call, op: str, shared: bool) -> tuple[int, int]:
        """The tensors of a call's weights and biases; `shared`: the biases' scales are the weights' own."""
        add, count, first = self.add, call.out_channels, len(self.tensors)
        scales, zeros = add(FLOATS, count, (op, "weight_scale")), add(LONGS, count, ZERO)
        bias_scales = scales if shared else add(FLOATS, count, (op, "bias_scale"))
        bias = add(schema.QUANTIZATION, bias_scales, zeros)
        if call.kind == "dw":
            weight = add(schema.LAST_AXIS_QUANTIZATION, scales, zeros, schema.LAST_AXIS)
        else:
            weight = add(schema.QUANTIZATION, scales, zeros)
        kind = schema.INT8 if call.weight_bits == 8 else schema.INT4
        self.tensors += (
            add(schema.CONSTANT, add(INTS, *call.weight_shape), kind, len(self.buffers), weight),
            add(schema.CONSTANT, add(INTS, count), schema.INT32, len(self.buffers) + 1, bias),
        )
        self.buffers += add(BLOB, call.stored_bytes, (op, "weight")), add(BLOB, 4 * count, (op, "bias"))
        return first, first + 1

    def setting(self, shape: tuple[int, ...], values: tuple[int, ...]) -> int:
        """The tensor of a call's setting, such as the amounts of a pad; equal ones are one tensor."""
        key = shape, values
        if key not in self.index:
            self.index[key] = len(self.tensors)
            form = self.add(INTS, *shape), schema.INT32, len(self.buffers)
            self.tensors.append(self.add(schema.PLAIN_CONSTANT, *form))
            self.buffers.append(self.add(BLOB, 4 * len(values), values))
        return self.index[key]

    def finish(self) -> Draft:
        add, program = self.add, self.program
        codes = add(OFFSETS, *(add(*schema.code(*operator)) for operator in self.codes))
        inputs = add(INTS, self.index[program.input])
        outputs = add(INTS, *(self.index[name] for name in program.outputs))
        parts = add(OFFSETS, *self.tensors), inputs, outputs, add(OFFSETS, *self.operators)
        subgraphs = add(OFFSETS, add(schema.SUBGRAPH, *parts))
        add(schema.MODEL, schema.VERSION, codes, subgraphs, add(OFFSETS, *self.buffers))
        return self.draft
