"""Reads checkpoint.h5 by parameter name with h5py and compares every bit with a list of expected words.

usage: read_by_name.py CHECKPOINT.h5 EXPECTED      (lines of EXPECTED: group/name dims word word ...)
"""
import sys

import h5py
import numpy

with h5py.File(sys.argv[1], "r") as checkpoint:
    names = set()
    for line in open(sys.argv[2]):
        path, dims, *words = line.split()
        names.add(path)
        dataset = checkpoint[path]
        dims = tuple(int(size) for size in dims.split(","))
        assert tuple(dataset.attrs["dims"]) == dims, (path, dataset.attrs["dims"], dims)
        assert dataset.dtype == numpy.dtype("<f4"), (path, dataset.dtype)
        got = dataset[:].reshape(dims).ravel().view(numpy.uint32)
        assert got.tolist() == [int(word) for word in words], path
    found = {f"{group}/{name}" for group in checkpoint for name in checkpoint[group]}
    assert found == names, found ^ names
