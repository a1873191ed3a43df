"""A JPEG image in CMYK with Adobe's marker, which says that its values are inverted, and the colours that Pillow reads of it.

    python make_images.py
"""

from pathlib import Path

import json
from PIL import Image

HERE = Path(__file__).parent
colours = [(200, 30, 40), (20, 180, 60), (30, 50, 210), (240, 240, 240)]
image = Image.new("RGB", (32, 32))
for i, colour in enumerate(colours):
    image.paste(colour, (16 * (i % 2), 16 * (i // 2), 16 * (i % 2) + 16, 16 * (i // 2) + 16))
image.convert("CMYK").save(HERE / "cmyk.jpg", quality=95, subsampling=0)
read = Image.open(HERE / "cmyk.jpg")
assert read.mode == "CMYK"
seen = [read.convert("RGB").getpixel((16 * (i % 2) + 8, 16 * (i // 2) + 8)) for i in range(4)]
(HERE / "cmyk.json").write_text(json.dumps({"colours": seen, "adobe_transform": read.info.get("adobe_transform")}) + "\n")
