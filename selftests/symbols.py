#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: symbols.py IN OUT DEFINED UNDEFINED

Writes the module IN to OUT with so many symbols more: defined ones, all at the begin of the first section, and
undefined ones, each with a name of its own."""

import struct
import sys

SYMTAB, HEADER, SYMBOL = 2, 64, 24


def main():
    source, target, defined, undefined = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with open(source, "rb") as file:
        data = bytearray(file.read())
    (table,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    headers = [table + n * HEADER for n in range(count)]
    symtab = next(at for at in headers if struct.unpack_from("<I", data, at + 4)[0] == SYMTAB)
    strtab = headers[struct.unpack_from("<I", data, symtab + 40)[0]]

    def contents(at):
        offset, size = struct.unpack_from("<QQ", data, at + 24)
        return bytearray(data[offset:offset + size])

    symbols, names = contents(symtab), contents(strtab)
    for n in range(defined + undefined):
        section = 1 if n < defined else 0
        # Global, without a type.
        symbols += struct.pack("<IBBHQQ", len(names), 0x10, 0, section, 0, 0)
        names += b"many_%d\0" % n
    for at, new in ((symtab, symbols), (strtab, names)):
        data += bytes(-len(data) % 8)
        struct.pack_into("<QQ", data, at + 24, len(data), len(new))
        data += new
    with open(target, "wb") as file:
        file.write(data)


main()
