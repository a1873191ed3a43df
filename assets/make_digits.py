"""Packs the optical handwritten digits into assets/digits.bin.

Usage: python3 make_digits.py digits.csv.gz digits.bin

`digits.csv.gz` is sklearn/datasets/data/digits.csv.gz of the scikit-learn package: one row an image, 64 pixels (0..16)
in row-major order, then the label (0..9). Only the standard library is needed.
"""

import gzip
import sys


def main(source, target):
    packed = bytearray()
    with gzip.open(source, "rt") as rows:
        for number, row in enumerate(rows, start=1):
            values = [int(float(v)) for v in row.split(",")]
            if len(values) != 65 or not all(0 <= v <= 16 for v in values[:64]) or not 0 <= values[64] <= 9:
                sys.exit(f"{source}, row {number}: expected 64 pixels in 0..16 and a label in 0..9")
            packed += bytes(values)
    if len(packed) != 1797 * 65:
        sys.exit(f"{source}: {len(packed) // 65} images, expected 1797")
    with open(target, "wb") as out:
        out.write(packed)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
