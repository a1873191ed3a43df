//! Depth maps in files: grey PNG images of 16 bits, and NumPy's `.npy`.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::npy::{self, Array};
use crate::files::write_atomic;
use crate::{Error, Result};

/// Metres that a 1 stands for in a PNG file, unless it is said: millimetres, as most depth cameras write.
const PNG_UNIT: f32 = 0.001;

/// Depth maps in a folder, one for each image: `a.png` or `a.npy` belongs to `a.jpg`.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthFiles {
    /// The folder.
    pub folder: PathBuf,
    /// Metres that a 1 in a file stands for; 0.001 in PNG files and 1 in `.npy` files where absent.
    pub unit: Option<f32>,
}

impl DepthFiles {
    /// The file that belongs to `image`; `None` where there is none.
    pub fn of(&self, image: &Path) -> Option<PathBuf> {
        let with = |ending: &str| {
            let mut name = image.file_stem().unwrap_or_default().to_os_string();
            name.push(ending);
            self.folder.join(name)
        };
        // Images may lie in the same folder.
        [".png", ".npy"].into_iter().map(with).find(|path| path != image && path.exists())
    }
}

/// The depth of each pixel in metres, `[h, w]`, NaN where it is not known (0, not finite, or negative in the file), of a map of a height and
/// width, which must be `size`, those of its image. `unit` is what a 1 in the file stands for: where absent 0.001 in a PNG file and 1 in a
/// `.npy` file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] for a file that is damaged or of another size, a PNG that is not grey of 16
/// bits, and an array that does not hold one real number for each pixel.
pub fn read(path: &Path, unit: Option<f32>, size: [usize; 2]) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let is_array = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let mut values = if is_array { array(path, &bytes, size)? } else { grey(path, bytes, size)? };
    let unit = unit.unwrap_or(if is_array { 1.0 } else { PNG_UNIT });
    for value in &mut values {
        let metres = *value * unit;
        *value = if metres > 0.0 && metres.is_finite() { metres } else { f32::NAN };
    }
    Ok(values)
}

/// Refuses a map of another size than its image's, before any memory is taken for it.
fn fits(path: &Path, [h, w]: [usize; 2], size: [usize; 2]) -> Result<()> {
    if [h, w] == size {
        return Ok(());
    }
    Err(Error::data(path, "", format!("is {h}x{w}, its image {}x{}", size[0], size[1])))
}

fn grey(path: &Path, bytes: Vec<u8>, size: [usize; 2]) -> Result<Vec<f32>> {
    let broken = |e: png::DecodingError| Error::data(path, "", format!("cannot be decoded as a PNG depth map: {e}"));
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (colour, depth) = reader.output_color_type();
    if (colour, depth) != (png::ColorType::Grayscale, png::BitDepth::Sixteen) {
        let message = format!("is a depth map of {colour:?} with {depth:?} bits; expected grey of 16 bits");
        return Err(Error::data(path, "", message));
    }
    let (width, height) = reader.info().size();
    fits(path, [height as usize, width as usize], size)?;
    let length = reader.output_buffer_size().ok_or_else(|| Error::data(path, "", "is too large to be read"))?;
    let mut raw = vec![0; length];
    let frame = reader.next_frame(&mut raw).map_err(broken)?;
    let (h, w) = (frame.height as usize, frame.width as usize);
    let mut values = Vec::with_capacity(h * w);
    for row in raw.chunks_exact(frame.line_size).take(h) {
        // Big-endian, as PNG has it.
        values.extend(row[..2 * w].chunks_exact(2).map(|b| f32::from(u16::from_be_bytes([b[0], b[1]]))));
    }
    Ok(values)
}

fn array(path: &Path, bytes: &[u8], size: [usize; 2]) -> Result<Vec<f32>> {
    let broken = |why: String| Error::data(path, "", format!("cannot be read as a NumPy array: {why}"));
    let array = Array::new(bytes).map_err(broken)?;
    // A single channel may be said, before or behind.
    match array.shape.as_slice() {
        [h, w] | [1, h, w] | [h, w, 1] => fits(path, [*h, *w], size)?,
        other => {
            let message = format!("holds an array of shape {other:?}; expected [height, width]");
            return Err(Error::data(path, "", message));
        }
    }
    let values = array.values();
    let [h, w] = size;
    match array.by_columns {
        true => Ok((0..h * w).map(|i| values[i % w * h + i / w]).collect()),
        false => Ok(values),
    }
}

/// Writes a depth for each pixel, `[h, w]`, as a NumPy array of `f32`, in whatever unit they are: what [`read`] takes where they are metres.
///
/// # Errors
/// [`Error::Shape`] where there are not as many values as pixels; [`Error::Io`] where the file cannot be written.
pub fn write(path: &Path, values: &[f32], [h, w]: [usize; 2]) -> Result<()> {
    if h.checked_mul(w) != Some(values.len()) {
        return Err(Error::Shape(format!("{} depths for a map of {h}x{w}: {}", values.len(), path.display())));
    }
    write_atomic(path, &npy::encode(values, &[h, w]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(colour: png::ColorType, depth: png::BitDepth, [h, w]: [u32; 2], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, w, h);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    /// A file of NumPy's format 1.0.
    fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn of(name: &str, bytes: &[u8], unit: Option<f32>, size: [usize; 2]) -> Result<Vec<f32>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path, unit, size)
    }

    /// NaN as -1, so that it can be compared.
    fn shown(values: &[f32]) -> Vec<f32> {
        values.iter().map(|v| if v.is_nan() { -1.0 } else { *v }).collect()
    }

    #[test]
    fn grey_of_16_bits() {
        let data: Vec<u8> = [0u16, 1500, 65_535, 250, 1, 0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let bytes = png(png::ColorType::Grayscale, png::BitDepth::Sixteen, [2, 3], &data);
        let values = of("a.png", &bytes, None, [2, 3]).unwrap();
        let want = [-1.0, 1.5, 65.535, 0.25, 0.001, -1.0];
        assert!(shown(&values).iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{values:?}");
        // KITTI's.
        let values = of("a.png", &bytes, Some(1.0 / 256.0), [2, 3]).unwrap();
        assert_eq!(values[1], 1500.0 / 256.0);
        for (colour, depth, data) in [
            (png::ColorType::Grayscale, png::BitDepth::Eight, vec![1, 2]),
            (png::ColorType::Rgb, png::BitDepth::Eight, vec![1; 6]),
        ] {
            let error = of("a.png", &png(colour, depth, [1, 2], &data), None, [1, 2]).unwrap_err().to_string();
            assert!(error.contains("expected grey of 16 bits"), "{error}");
        }
        let error = of("a.png", b"no PNG", None, [1, 2]).unwrap_err().to_string();
        assert!(error.contains("cannot be decoded"), "{error}");
    }

    #[test]
    fn arrays_of_every_real_type() {
        let values = [1.5f32, 0.0, f32::NAN, f32::INFINITY, -2.0, 3.0];
        let want = [1.5, -1.0, -1.0, -1.0, -1.0, 3.0];
        let f4: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f4_big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        let f8: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
        let f2: Vec<u8> = values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
        for (descr, data) in [("<f4", &f4), (">f4", &f4_big), ("<f8", &f8), ("<f2", &f2)] {
            let got = of("a.npy", &npy(descr, false, "2, 3", data), None, [2, 3]).unwrap();
            assert_eq!(shown(&got), want, "{descr}");
        }
        for shape in ["1, 2, 3", "2, 3, 1"] {
            assert_eq!(shown(&of("a.npy", &npy("<f4", false, shape, &f4), None, [2, 3]).unwrap()), want);
        }
        // By columns: rows 1.5, NaN, -2 and 0, ∞, 3.
        let got = of("a.npy", &npy("<f4", true, "2, 3", &f4), None, [2, 3]).unwrap();
        assert_eq!(shown(&got), [1.5, -1.0, -1.0, -1.0, -1.0, 3.0]);
        let got = of("a.npy", &npy("<f4", true, "3, 2", &f4), None, [3, 2]).unwrap();
        assert_eq!(shown(&got), [1.5, -1.0, -1.0, -1.0, -1.0, 3.0]);
        let millimetres: Vec<u8> = [1500u16, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let got = of("a.npy", &npy("<u2", false, "1, 2", &millimetres), Some(0.001), [1, 2]).unwrap();
        assert!((got[0] - 1.5).abs() < 1e-6 && got[1].is_nan());
        // What `astype(int)` gives.
        let wide: Vec<u8> = [1500i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
        let got = of("a.npy", &npy("<i8", false, "1, 2", &wide), Some(0.001), [1, 2]).unwrap();
        assert!((got[0] - 1.5).abs() < 1e-6 && got[1].is_nan());
    }

    #[test]
    fn what_is_no_depth_map_says_so() {
        let four = [0u8; 16];
        for (bytes, size, part) in [
            (npy("<f4", false, "4,", &four), [2, 2], "[4]"),
            (npy("<c8", false, "1, 2", &four), [1, 2], "c8"),
            (npy("<f4", false, "2, 3", &four), [2, 3], "longer"),
            (npy("<f4", false, "2, 2", &four), [2, 3], "is 2x2, its image 2x3"),
            (npy("<f4", false, "40000, 40000", &four), [40_000, 40_000], "longer"),
            (b"nothing".to_vec(), [1, 1], "NumPy array"),
        ] {
            let error = of("a.npy", &bytes, None, size).unwrap_err().to_string();
            assert!(error.contains("a.npy") && error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/map.npy");
        let values = [1.5, 0.25, 70.125, 3.0, 0.001, 2.0];
        write(&path, &values, [3, 2]).unwrap();
        assert_eq!(read(&path, None, [3, 2]).unwrap(), values);
        assert!(write(&path, &values, [2, 2]).unwrap_err().to_string().contains("map.npy"));
    }
}
