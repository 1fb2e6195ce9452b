"""SYNTHETIC pages of text, seeded: rendered, photographed badly, and turned clockwise by 0, 90, 180 or 270 degrees.

Each split has its own words, fonts and layouts, so that what a network learns of the training pages' looks is of no use
on the others. The pages are hard on purpose: cut out of a page, out of focus, noisy, unevenly lit, a little askew.
"""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 224
CLASSES = 4
BLUR, NOISE = 1.5, 20  # pixels and grey levels at most; the original is then right on about 19 pages of 20
FONTS = {
    "train": ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "STIXGeneral"),
    "val": ("DejaVuSerif-Bold", "STIXGeneralItalic", "DejaVuSansMono-Bold"),
    "test": ("DejaVuSerif-Italic", "STIXGeneralBol", "DejaVuSans-Oblique"),
}
SYLLABLES = {
    "train": "an ber cho dul en fi gra hol in ju kar lem mo nes or pru qui ras ste tur um vel wi yo zan",
    "val": "ath bli cor des ek fal gim hu ist jo kle lan mir nop ol pas ril sch tob ul ven wes xi yar ze",
    "test": "ack brin cel dom ep fro gel hid ir jam kop lus mid nab ost ply rem sov tha ud vic wun ys",
}
HERE = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def words(rng: np.random.Generator, part: str, count: int) -> str:
    """Invented words, some of them capitalized or numbers, as in a language nobody speaks."""
    found = []
    for _ in range(count):
        word = "".join(rng.choice(SYLLABLES[part].split(), rng.integers(1, 5)))
        shape = rng.random()
        found.append(str(rng.integers(1, 3000)) if shape < 0.06 else word.capitalize() if shape < 0.2 else word)
    return " ".join(found)


def page(rng: np.random.Generator, part: str) -> Image.Image:
    """An upright grey page, wider or higher than `SIDE`: a heading, paragraphs in one or two columns, perhaps a box."""
    width, height = (int(side) for side in rng.integers(280, 420, 2))
    paper, ink = rng.integers(190, 256), rng.integers(0, 110)
    image = Image.new("L", (width, height), int(paper))
    draw = ImageDraw.Draw(image)
    font = HERE / f"{rng.choice(FONTS[part])}.ttf"
    size = int(rng.integers(9, 20))
    text, heading = ImageFont.truetype(font, size), ImageFont.truetype(font, int(size * 1.6))
    columns = int(rng.integers(1, 3))
    column = width // columns
    for number in range(columns):
        y = int(rng.integers(4, 40))
        if rng.random() < 0.5:
            draw.text((number * column + 8, y), words(rng, part, 3), fill=int(ink), font=heading)
            y += int(size * 2.4)
        while y < height * rng.uniform(0.5, 1.1):
            line = words(rng, part, int(rng.integers(2, 9)))
            while line and draw.textlength(line, text) > column - 14:
                line = line.rpartition(" ")[0]
            draw.text((number * column + 8, y), line, fill=int(ink), font=text)
            y += int(size * (2.2 if rng.random() < 0.12 else 1.25))
        if y < height - 20 and rng.random() < 0.5:
            draw.rectangle((number * column + 10, y, (number + 1) * column - 12, height - 9), outline=int(ink), width=2)
    return image


def photograph(rng: np.random.Generator, upright: Image.Image) -> np.ndarray:
    """`SIDE` x `SIDE` bytes: askew by up to 5 degrees, cut out, out of focus, lit from a side."""
    askew = upright.rotate(rng.uniform(-5, 5), Image.Resampling.BILINEAR, fillcolor=upright.getpixel((0, 0)))
    part = rng.uniform(0.55, 1.0) * min(askew.size)
    left, top = (rng.uniform(0, side - part) for side in askew.size)
    cut = askew.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + part, top + part))
    pixels = np.asarray(cut.filter(ImageFilter.GaussianBlur(rng.uniform(0, BLUR))), np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    across, down = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    light = 1 - rng.uniform(0, 0.3) * (0.5 + 0.5 * (np.cos(angle) * across + np.sin(angle) * down))
    pixels = pixels * light + rng.normal(0, rng.uniform(0, NOISE), pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def pages(part: str, count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images N x 224 x 224 and by how many quarters each is turned clockwise, equally often."""
    turns = np.arange(count) % CLASSES
    found = np.empty((count, SIDE, SIDE), np.uint8)
    for row, turn in enumerate(turns):
        rng = np.random.default_rng([seed, list(FONTS).index(part), row])
        found[row] = np.rot90(photograph(rng, page(rng, part)), -turn)
    return found, turns
