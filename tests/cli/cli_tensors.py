"""Safetensors files, read and written with nothing but python3."""

import array
import json
import math
import pathlib
import struct

CODES = {"F32": "f", "F64": "d", "I32": "i"}  # of arrays, on a little-endian machine


class Tensor:
    """Values and dimensions."""

    def __init__(self, values, *dims):
        self.values, self.dims = list(values), list(dims)

    def first(self):
        """The first along the first dimension."""
        return self.rows(self.dims[0])[0]

    def rows(self, count):
        """Cut into so many along the first dimension, each without it where it is 1."""
        dims = [self.dims[0] // count, *self.dims[1:]]
        size = math.prod(dims)
        return [Tensor(self.values[k * size:(k + 1) * size], *(dims[1:] if dims[0] == 1 else dims))
                for k in range(count)]


def values_of(dtype, raw):
    if dtype == "BF16":  # the upper half of an f32
        return array.array("f", array.array("I", [half << 16 for half in array.array("H", raw)]).tobytes())
    return array.array(CODES[dtype], raw)


def read_tensors(path):
    raw = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    body = raw[8 + size:]
    return {name: Tensor(values_of(one["dtype"], body[slice(*one["data_offsets"])]), *one["shape"])
            for name, one in header.items()}


def write_tensors(path, tensors):
    header, body = {}, b""
    for name, tensor in tensors.items():
        raw = array.array("i", tensor.values).tobytes()
        header[name] = {"dtype": "I32", "shape": tensor.dims, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def set_element(path, name, at, value):
    """Overwrites one element of an F32 tensor."""
    raw = bytearray(pathlib.Path(path).read_bytes())
    (size,) = struct.unpack("<Q", raw[:8])
    one = json.loads(raw[8:8 + size])[name]
    if one["dtype"] != "F32":
        raise ValueError(f"{name} is {one['dtype']}")
    struct.pack_into("<f", raw, 8 + size + one["data_offsets"][0] + 4 * at, value)
    pathlib.Path(path).write_bytes(raw)
