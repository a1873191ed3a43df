//! Single pictures of every kind.

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use limbeck::data::formats::{depth_map, image as picture};
use std::path::Path;
use tempfile::tempdir;

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn every_kind_of_png_becomes_the_same_bytes() {
    let rgb = RgbImage::from_fn(4, 3, |x, y| Rgb([60 * x as u8, 90 * y as u8, 7]));
    let expected = rgb.as_raw().clone();
    let rgb = DynamicImage::ImageRgb8(rgb);
    let decode = |image: DynamicImage, channels| {
        picture::decode(Path::new("p"), &encoded(&image, ImageFormat::Png), [3, 4], channels).unwrap()
    };
    assert_eq!(decode(rgb.clone(), 3), expected);
    assert_eq!(decode(rgb.to_rgba8().into(), 3), expected);
    assert_eq!(decode(rgb.to_rgb16().into(), 3), expected);
    assert_eq!(decode(rgb.to_rgba16().into(), 3), expected);
    let grey = rgb.to_luma8().into_raw();
    assert_eq!(decode(rgb.clone(), 1), grey);
    assert_eq!(decode(rgb.to_luma8().into(), 1), grey);
    assert_eq!(decode(rgb.to_luma_alpha8().into(), 1), grey);
    // 16 bits whose upper half is the grey of 8.
    let deep = ImageBuffer::from_fn(4, 3, |x, y| Luma([u16::from(grey[(4 * y + x) as usize]) * 257]));
    assert_eq!(decode(DynamicImage::ImageLuma16(deep), 1), grey);
    let tripled: Vec<u8> = grey.iter().flat_map(|&g| [g; 3]).collect();
    assert_eq!(decode(rgb.to_luma8().into(), 3), tripled);
}

/// A fine checkerboard, decoded to that size.
pub fn board(size: [usize; 2], channels: usize) -> limbeck::Result<Vec<u8>> {
    let board = RgbImage::from_fn(64, 64, |x, y| Rgb([255 * ((x + y) % 2) as u8; 3]));
    picture::decode(Path::new("p"), &encoded(&board.into(), ImageFormat::Png), size, channels)
}

#[test]
fn pictures_are_resized_without_aliasing() {
    // It becomes even grey; picking single pixels would leave it black and white.
    let small = board([8, 8], 1).unwrap();
    assert!(small.iter().all(|&v| v.abs_diff(128) < 8), "{small:?}");
}

#[test]
fn a_cmyk_jpeg_has_the_colours_that_pillow_reads() {
    let decoded = picture::read(Path::new("tests/goldens/cmyk.jpg"), [32, 32], 3, 1 << 20).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read("tests/goldens/cmyk.json").unwrap()).unwrap();
    let colours = golden["colours"].as_array().unwrap();
    assert_eq!(colours.len(), 4);
    for (i, colour) in colours.iter().enumerate() {
        let at = 3 * (32 * (16 * (i / 2) + 8) + 16 * (i % 2) + 8);
        for channel in 0..3 {
            let (got, want) = (i64::from(decoded[at + channel]), colour[channel].as_i64().unwrap());
            assert!((got - want).abs() <= 4, "colour {i}: {:?}, not {colour}", &decoded[at..at + 3]);
        }
    }
}

#[test]
fn a_palette_is_looked_up() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette(vec![1, 2, 3, 200, 100, 50]);
    encoder.write_header().unwrap().write_image_data(&[0x10]).unwrap();
    assert_eq!(picture::decode(Path::new("p"), &bytes, [1, 2], 3).unwrap(), [200, 100, 50, 1, 2, 3]);
}

#[test]
fn exif_orientation_is_applied() {
    // Left half white, right half black; orientation 6 means "turn it clockwise", so white comes to the top.
    let image = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 255 } else { 0 }; 3]));
    let jpeg = encoded(&image.into(), ImageFormat::Jpeg);
    #[rustfmt::skip]
    let exif = [
        0xff, 0xe1, 0, 34, b'E', b'x', b'i', b'f', 0, 0,
        b'M', b'M', 0, 42, 0, 0, 0, 8, // TIFF, big-endian, first directory at 8
        0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, // one entry: orientation, u16, 1 value, 6
        0, 0, 0, 0,
    ];
    let turned = [&jpeg[..2], &exif, &jpeg[2..]].concat();
    let image = picture::decode(Path::new("p"), &turned, [16, 16], 1).unwrap();
    assert!(image[8] > 200 && image[16 * 15 + 8] < 50, "{} {}", image[8], image[16 * 15 + 8]);
    // Sizes are those of the picture that is shown; on a square canvas there is grey beside it.
    let folder = tempdir().unwrap();
    let path = folder.path().join("turned.jpg");
    std::fs::write(&path, &turned).unwrap();
    assert_eq!(picture::size(&path).unwrap(), [16, 8]);
    let (boxed, size, letterbox) = picture::read_boxed(&path, [16, 16], 1, 1 << 20).unwrap();
    assert_eq!((size, letterbox.inner), ([16, 8], [16, 8]));
    assert_eq!((boxed[0], boxed[16 * 15]), (114, 114));
    assert!(boxed[8] > 200 && boxed[16 * 15 + 8] < 50);
}

/// Cameras and editors write after the end of a picture; what stands there may look like anything.
#[test]
fn what_follows_a_complete_jpeg_does_not_matter() {
    let (folder, path) = (tempfile::tempdir().unwrap(), Path::new("a.jpg"));
    let file = folder.path().join(path);
    image::RgbImage::from_fn(40, 24, |x, y| image::Rgb([6 * x as u8, 10 * y as u8, 90])).save(&file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let expected = picture::decode(path, &whole, [24, 40], 3).unwrap();
    for trailer in [&b"\xff\xda\x00\x0c"[..], b"\xff\xd8\xff\xe0", b"\0", &[0xff; 9], &whole[..99]] {
        let bytes = [&whole, trailer].concat();
        assert_eq!(picture::decode(path, &bytes, [24, 40], 3).unwrap(), expected, "{trailer:?}");
    }
    for length in [whole.len() - 2, whole.len() - 1, whole.len() / 2, 30, 3] {
        let error = picture::decode(path, &whole[..length], [24, 40], 3).unwrap_err().to_string();
        assert!(error.contains("a.jpg"), "{length}: {error}");
    }
}

/// A PNG of a few bytes that claims so many pixels, its checksum right.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    // Its header, and the beginning of pixels.
    encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, &[0x78, 0x9c]).unwrap();
    file
}

#[test]
fn a_header_that_claims_more_than_is_allowed_takes_no_memory() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("huge.png");
    std::fs::write(&path, claiming(200_000, 200_000)).unwrap();
    let told = |result: limbeck::Result<Vec<u8>>| result.unwrap_err().to_string();
    let error = told(picture::read(&path, [8, 8], 3, picture::MAX_PIXELS));
    assert!(error.contains("huge.png: claims 200000x200000 pixels") && error.contains("data.max_pixels"), "{error}");
    assert!(told(picture::decode(&path, &claiming(1 << 15, 1 << 14), [8, 8], 3)).contains("claims 16384x32768"));
    assert!(picture::Picture::read(&path, 3).unwrap_err().to_string().contains("claims"));
    assert!(limbeck::data::formats::index_mask::read(&path).unwrap_err().to_string().contains("claims 200000x200000"));
    // What is allowed is read.
    let own = folder.path().join("own.png");
    image::GrayImage::new(20, 10).save(&own).unwrap();
    assert!(picture::read(&own, [8, 8], 1, 200).is_ok());
    assert!(told(picture::read(&own, [8, 8], 1, 199)).contains("claims 10x20 pixels, and 199 are allowed"));
}

#[test]
fn an_array_whose_header_nests_without_end_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.npy");
    for version in [1u8, 2] {
        let shape = format!("{}2, 3{}", "(".repeat(9000), ",)".repeat(9000));
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n");
        let length = (header.len() as u32).to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length[..] };
        std::fs::write(&path, [b"\x93NUMPY", &[version, 0][..], length, header.as_bytes()].concat()).unwrap();
        let error = depth_map::read(&path, None, [2, 3]).unwrap_err().to_string();
        assert!(error.contains("a.npy") && error.contains("shape that is not of whole numbers"), "{error}");
    }
}
