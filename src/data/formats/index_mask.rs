//! Masks as PNG images whose values are numbers of classes: palette or grey, 1 to 8 bits a pixel.

use super::image::MAX_PIXELS_ALONE;
use crate::files::write_atomic;
use crate::{Error, Result};
use std::io::Cursor;
use std::path::Path;

/// The values of a mask's pixels, `[h, w]`, as the file has them (a palette's colours do not matter), and its height and width.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] for a file that is no PNG or is damaged, and for one in colour or of 16 bits,
/// whose values are no numbers of classes.
pub fn read(path: &Path) -> Result<(Vec<u8>, [usize; 2])> {
    decode(path, |[h, w]| match h.checked_mul(w) {
        Some(pixels) if pixels <= MAX_PIXELS_ALONE => Ok(()),
        _ => Err(Error::data(path, "", format!("claims {h}x{w} pixels; masks have {MAX_PIXELS_ALONE} at most"))),
    })
}

/// The same of the mask of an image, which must have the image's height and width.
///
/// # Errors
/// As [`read`], and [`Error::Data`] for a mask of another size.
pub(super) fn read_of(path: &Path, size: [usize; 2]) -> Result<Vec<u8>> {
    let fits = |[h, w]: [usize; 2]| match [h, w] == size {
        true => Ok(()),
        false => Err(Error::data(path, "", format!("is {h}x{w}, its image {}x{}", size[0], size[1]))),
    };
    Ok(decode(path, fits)?.0)
}

/// `fits` is asked of the height and width in the header, before memory is taken for the pixels.
fn decode(path: &Path, fits: impl Fn([usize; 2]) -> Result<()>) -> Result<(Vec<u8>, [usize; 2])> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let broken = |e: png::DecodingError| Error::data(path, "", format!("cannot be decoded as a PNG mask: {e}"));
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // Palettes are kept as numbers.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (colour, depth) = reader.output_color_type();
    let bits = match (colour, depth) {
        (png::ColorType::Indexed | png::ColorType::Grayscale, depth) if depth != png::BitDepth::Sixteen => {
            depth as usize
        }
        _ => {
            let message = format!(
                "is a mask of {colour:?} with {depth:?} bits; expected a palette or grey of at most 8 bits, whose values number classes"
            );
            return Err(Error::data(path, "", message));
        }
    };
    let (width, height) = reader.info().size();
    fits([height as usize, width as usize])?;
    let size = reader.output_buffer_size().ok_or_else(|| Error::data(path, "", "is too large to be read"))?;
    let mut packed = vec![0; size];
    let frame = reader.next_frame(&mut packed).map_err(broken)?;
    let (h, w) = (frame.height as usize, frame.width as usize);
    let mut values = Vec::with_capacity(h * w);
    for row in packed.chunks_exact(frame.line_size).take(h) {
        // The leftmost pixel is in the highest bits.
        let each = 8 / bits;
        let mask = ((1u16 << bits) - 1) as u8;
        values.extend((0..w).map(|x| (row[x / each] >> (8 - bits * (x % each + 1))) & mask));
    }
    Ok((values, [h, w]))
}

/// Writes the classes of an image's pixels, `[h, w]`, as a grey PNG of 8 bits, as [`read`] takes it: a pixel's value is the number of its class.
///
/// # Errors
/// [`Error::Shape`] where there are not as many classes as pixels; [`Error::Io`] where the file cannot be written.
pub fn write(path: &Path, classes: &[u8], [h, w]: [usize; 2]) -> Result<()> {
    let wrong = || Error::Shape(format!("{} classes for a mask of {h}x{w}: {}", classes.len(), path.display()));
    let (Ok(height), Ok(width)) = (u32::try_from(h), u32::try_from(w)) else { return Err(wrong()) };
    if h.checked_mul(w) != Some(classes.len()) {
        return Err(wrong());
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(classes)?;
        writer.finish()
    });
    written.map_err(|e| Error::io(path, "write", std::io::Error::other(e)))?;
    write_atomic(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        colour: png::ColorType,
        depth: png::BitDepth,
        [h, w]: [u32; 2],
        data: &[u8],
    ) -> Result<(Vec<u8>, [usize; 2])> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), w, h);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == png::ColorType::Indexed {
            // All of one colour: only the numbers tell them apart.
            encoder.set_palette(vec![7; 3 * 16]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        read(&path)
    }

    #[test]
    fn values_come_as_they_are() {
        let (grey, palette) = (png::ColorType::Grayscale, png::ColorType::Indexed);
        assert_eq!(
            written(grey, png::BitDepth::Eight, [2, 2], &[0, 7, 200, 255]).unwrap(),
            (vec![0, 7, 200, 255], [2, 2])
        );
        assert_eq!(written(palette, png::BitDepth::Eight, [1, 3], &[3, 15, 0]).unwrap().0, [3, 15, 0]);
        assert_eq!(
            written(palette, png::BitDepth::Four, [2, 3], &[0x31, 0x20, 0xf0, 0x70]).unwrap().0,
            [3, 1, 2, 15, 0, 7]
        );
        assert_eq!(
            written(grey, png::BitDepth::One, [1, 10], &[0b1010_0001, 0b0100_0000]).unwrap().0,
            [1, 0, 1, 0, 0, 0, 0, 1, 0, 1]
        );
        assert_eq!(written(palette, png::BitDepth::Two, [1, 3], &[0b1101_1000]).unwrap().0, [3, 1, 2]);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/mask.png");
        let classes: Vec<u8> = (0..35).map(|p| [0, 1, 7, 254][p % 4]).collect();
        write(&path, &classes, [5, 7]).unwrap();
        assert_eq!(read(&path).unwrap(), (classes.clone(), [5, 7]));
        for wrong in [[5, 6], [0, 7], [usize::MAX, 2]] {
            assert!(write(&path, &classes, wrong).unwrap_err().to_string().contains("mask.png"), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_mask_is_named() {
        let error = written(png::ColorType::Rgb, png::BitDepth::Eight, [1, 1], &[1, 2, 3]).unwrap_err().to_string();
        assert!(error.contains("mask.png") && error.contains("palette or grey"), "{error}");
        assert!(written(png::ColorType::Grayscale, png::BitDepth::Sixteen, [1, 1], &[1, 2]).is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, b"no image").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("a.png"));
    }
}
