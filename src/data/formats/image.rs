//! One PNG or JPEG image into bytes of a fixed size.

use crate::data::letterbox::Letterbox;
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, imageops::FilterType};
use std::{io::Cursor, path::Path};

/// Pixels of the largest image that a data set may hold unless it is told otherwise: 192 MiB in RGB, on each core that decodes one.
pub const MAX_PIXELS: usize = 1 << 26;

/// The same of single images, which are decoded one after the other: [`decode`], [`Picture::read`].
pub const MAX_PIXELS_ALONE: usize = 1 << 28;

/// Reads and decodes the file, see [`decode`]; an image of more than `max_pixels` is refused by its header.
pub fn read(path: &Path, size: [usize; 2], channels: usize, max_pixels: usize) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    check_size(size, channels)?;
    Ok(resized(open(path, &bytes, channels, max_pixels)?, size))
}

/// Reads and decodes the file onto a canvas of `size`, its proportions kept; with its own height and width, and its place. Otherwise as
/// [`decode`].
pub fn read_boxed(
    path: &Path,
    size: [usize; 2],
    channels: usize,
    max_pixels: usize,
) -> Result<(Vec<u8>, [usize; 2], Letterbox)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    check_size(size, channels)?;
    let image = open(path, &bytes, channels, max_pixels)?;
    let from = [image.height() as usize, image.width() as usize];
    let boxed = Letterbox::new(from, size);
    let pixels = resized(image, boxed.inner);
    Ok((boxed.place_pixels(&pixels, channels), from, boxed))
}

/// An image as its file has it, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// `[height, width, channels]` bytes.
    pub pixels: Vec<u8>,
    /// Height, width and channels.
    pub shape: [usize; 3],
}

impl Picture {
    /// Reads and decodes the file, see [`decode`], at its own size.
    ///
    /// # Errors
    /// [`Error::Data`] for one of more than [`MAX_PIXELS_ALONE`], and as [`decode`].
    pub fn read(path: &Path, channels: usize) -> Result<Self> {
        Self::read_up_to(path, channels, MAX_PIXELS_ALONE)
    }

    /// The same of one that has `max_pixels` at most.
    pub(super) fn read_up_to(path: &Path, channels: usize, max_pixels: usize) -> Result<Self> {
        check_size([1, 1], channels)?;
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        let image = open(path, &bytes, channels, max_pixels)?;
        let shape = [image.height() as usize, image.width() as usize, channels];
        Ok(Picture { pixels: image.into_bytes(), shape })
    }
}

/// Height and width of the upright image in the file, without decoding its pixels.
pub fn size(path: &Path) -> Result<[usize; 2]> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let (decoder, orientation) = decoder(path, &bytes)?;
    let (w, h) = decoder.dimensions();
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let turned = matches!(orientation, Some(Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH));
    Ok(if turned { [w as usize, h as usize] } else { [h as usize, w as usize] })
}

/// Decodes a PNG or JPEG (told by content; grey, RGB, palette, with alpha, 16 bit) into `[height, width, channels]` bytes,
/// `channels` being 1 or 3. EXIF's orientation is applied, alpha is dropped, colour becomes grey by Rec. 709 luma. An image
/// of another size is resized without keeping its aspect ratio, by a triangle filter as wide as the reduction asks
/// (no aliasing).
///
/// `path` is only named in errors. A JPEG without its end marker is refused, although decoders would fill the rest with grey, and so is
/// an image whose header claims more than [`MAX_PIXELS_ALONE`].
pub fn decode(path: &Path, bytes: &[u8], size: [usize; 2], channels: usize) -> Result<Vec<u8>> {
    check_size(size, channels)?;
    Ok(resized(open(path, bytes, channels, MAX_PIXELS_ALONE)?, size))
}

fn check_size([height, width]: [usize; 2], channels: usize) -> Result<()> {
    let fits = |side: usize| u32::try_from(side).is_ok();
    if !fits(height) || !fits(width) {
        return Err(Error::Invalid(format!("images of {height}x{width} are too large")));
    }
    if height == 0 || width == 0 || !matches!(channels, 1 | 3) {
        return Err(Error::Invalid(format!(
            "images of {height}x{width}x{channels}: sizes are above 0, channels are 1 or 3"
        )));
    }
    Ok(())
}

/// The bytes of an image of that size; resized where it has another.
fn resized(image: DynamicImage, [height, width]: [usize; 2]) -> Vec<u8> {
    let (height, width) = (height as u32, width as u32);
    let fits = (image.height(), image.width()) == (height, width);
    if fits { image } else { image.resize_exact(width, height, FilterType::Triangle) }.into_bytes()
}

/// Whatever reads the file's format, and how its picture is to be turned.
fn decoder<'a>(path: &Path, bytes: &'a [u8]) -> Result<(impl ImageDecoder + 'a, Option<Orientation>)> {
    let bad = |m: String| Error::data(path, "", m);
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| Error::io(path, "read", e))?;
    match reader.format() {
        Some(ImageFormat::Jpeg) if !jpeg_is_complete(bytes) => return Err(bad("the JPEG is truncated".into())),
        Some(ImageFormat::Jpeg | ImageFormat::Png) => {}
        _ if bytes.is_empty() => return Err(bad("the file is empty".into())),
        _ => return Err(bad("neither a PNG nor a JPEG image".into())),
    }
    let mut decoder = reader.into_decoder().map_err(|e| bad(format!("cannot be decoded: {e}")))?;
    // A broken EXIF block is no reason to refuse a good picture.
    let orientation = decoder.orientation().ok();
    Ok((decoder, orientation))
}

/// The image upright, in grey or RGB.
fn open(path: &Path, bytes: &[u8], channels: usize, max_pixels: usize) -> Result<DynamicImage> {
    let (decoder, orientation) = decoder(path, bytes)?;
    // Before any memory is taken for them: a few bytes may claim more than there is.
    let (w, h) = decoder.dimensions();
    if u64::from(w) * u64::from(h) > max_pixels as u64 {
        // Of images that are read alone nothing else can be said.
        let advice = if max_pixels == MAX_PIXELS_ALONE { "" } else { ", or raise data.max_pixels" };
        let message = format!(
            "claims {h}x{w} pixels, and {max_pixels} are allowed; if that is no mistake, make it smaller{advice}"
        );
        return Err(Error::data(path, "", message));
    }
    let undecodable = |e: image::ImageError| Error::data(path, "", format!("cannot be decoded: {e}"));
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    // Converted first: resizing premultiplied alpha or a palette would mix in what is dropped anyway.
    Ok(match channels {
        1 => DynamicImage::ImageLuma8(image.into_luma8()),
        _ => DynamicImage::ImageRgb8(image.into_rgb8()),
    })
}

/// Whether the picture is closed by its end-of-image marker. Markers are followed from the first one on: segments by their lengths, scans
/// up to what is neither a stuffed `00` nor a restart marker. What comes after the end does not matter, and neither does what a segment
/// holds, such as a thumbnail.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // A marker may be led by any number of ff.
        while bytes.get(at) == Some(&0xff) && bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(0xff), Some(0xd9)) => return true,
            // Without a segment: restarts, and one that is for testing.
            (Some(0xff), Some(0x00 | 0x01 | 0xd0..=0xd8)) => at += 2,
            (Some(0xff), Some(marker)) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
                if *marker == 0xda {
                    let Some(scan) = bytes.get(at..) else { return false };
                    let ends = |w: &[u8]| w[0] == 0xff && !matches!(w[1], 0x00 | 0xd0..=0xd7 | 0xff);
                    let Some(length) = scan.windows(2).position(ends) else { return false };
                    at += length;
                }
            }
            // Bytes between segments, which decoders skip.
            (Some(_), Some(_)) => at += 1,
            _ => return false,
        }
    }
}
