//! NumPy's array files (`.npy`), of real numbers: the format of
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

use half::f16;

/// What every file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// The header ends where the data may be mapped into memory.
const ALIGNMENT: usize = 64;

/// A file whose header has been read, and whose values are there.
#[derive(Debug, PartialEq)]
pub struct Array<'a> {
    /// The length of each side.
    pub shape: Vec<usize>,
    /// The first side is the one along which values lie next to each other, as in Fortran.
    pub by_columns: bool,
    kind: Kind,
    big_endian: bool,
    data: &'a [u8],
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    F16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Kind {
    /// That of NumPy's letter and number of bytes.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            "i1" => Self::I8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "u1" => Self::U8,
            "u2" => Self::U16,
            "u4" => Self::U32,
            "u8" => Self::U64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

impl<'a> Array<'a> {
    /// Reads the header of a file's `bytes`. An array of records, of complex numbers or of texts is refused, and a file that is shorter
    /// than its header says.
    ///
    /// # Errors
    /// What is wrong, to be read after "cannot be read as a NumPy array: ".
    pub fn new(bytes: &'a [u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as one")?;
        let (length, rest) = match *rest {
            [1, _, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
            [2 | 3, _, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
            [version, ..] if version == 0 || version > 3 => {
                return Err(format!("it is of version {version} of the format; expected 1 to 3"));
            }
            _ => return Err("it ends in its header".into()),
        };
        let (header, data) = rest.split_at_checked(length).ok_or("it ends in its header")?;
        let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
        let (descr, by_columns, shape) = fields(header)?;
        let (order, name) = match descr.as_bytes() {
            [b'<' | b'>' | b'=' | b'|', ..] => descr.split_at(1),
            _ => ("=", descr),
        };
        let kind = Kind::of(name).ok_or_else(|| {
            format!("it holds values of type {descr}; expected real numbers of 16 to 64 bits, or whole numbers")
        })?;
        let big_endian = order == ">" || order == "=" && cfg!(target_endian = "big");
        let size = shape.iter().try_fold(kind.bytes(), |size, side| size.checked_mul(*side));
        let data = size.and_then(|size| data.get(..size)).ok_or_else(|| {
            format!("an array of shape {shape:?} is longer than the {} bytes that follow its header", data.len())
        })?;
        Ok(Self { shape, by_columns, kind, big_endian, data })
    }

    /// The values in the order in which they lie in the file, as `f32`: larger ones are rounded.
    pub fn values(&self) -> Vec<f32> {
        match self.kind {
            Kind::F16 => self.map(|b| f16::from_le_bytes(b).to_f32()),
            Kind::F32 => self.map(f32::from_le_bytes),
            Kind::F64 => self.map(|b| f64::from_le_bytes(b) as f32),
            Kind::I8 => self.map(|b| f32::from(i8::from_le_bytes(b))),
            Kind::I16 => self.map(|b| f32::from(i16::from_le_bytes(b))),
            Kind::I32 => self.map(|b| i32::from_le_bytes(b) as f32),
            Kind::I64 => self.map(|b| i64::from_le_bytes(b) as f32),
            Kind::U8 => self.map(|b| f32::from(u8::from_le_bytes(b))),
            Kind::U16 => self.map(|b| f32::from(u16::from_le_bytes(b))),
            Kind::U32 => self.map(|b| u32::from_le_bytes(b) as f32),
            Kind::U64 => self.map(|b| u64::from_le_bytes(b) as f32),
        }
    }

    fn map<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (chunks, _) = self.data.as_chunks::<N>();
        let turned = |mut bytes: [u8; N]| {
            if self.big_endian {
                bytes.reverse();
            }
            bytes
        };
        chunks.iter().map(|bytes| value(turned(*bytes))).collect()
    }
}

/// The bytes of a file that holds `values` of a `shape`, by rows.
pub fn encode(values: &[f32], shape: &[usize]) -> Vec<u8> {
    let sides = match shape {
        [side] => format!("{side},"),
        _ => shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
    let before = MAGIC.len() + 4;
    let end = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(' ', end - before - header.len() - 1));
    header.push('\n');
    // At most 64 sides of 20 digits, as NumPy has them: far below what two bytes can say.
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    MAGIC.iter().copied().chain([1, 0]).chain(length).chain(header.into_bytes()).chain(values).collect()
}

/// The three fields of a header, which is a dictionary as Python writes it: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn fields(header: &str) -> Result<(&str, bool, Vec<usize>), String> {
    let mut text = Literal(header);
    let (mut descr, mut by_columns, mut shape) = (None, None, None);
    text.expect('{')?;
    while !text.skip('}') {
        let key = text.string()?;
        text.expect(':')?;
        match key {
            "descr" if text.next_is('[') => return Err("it holds records; expected one real number each".into()),
            "descr" => descr = Some(text.string()?),
            "fortran_order" => by_columns = Some(text.boolean()?),
            "shape" => shape = Some(text.shape()?),
            other => return Err(format!("its header has the field {other:?}")),
        }
        if !text.skip(',') {
            text.expect('}')?;
            break;
        }
    }
    let missing = |name| move || format!("its header has no {name:?}");
    Ok((
        descr.ok_or_else(missing("descr"))?,
        by_columns.ok_or_else(missing("fortran_order"))?,
        shape.ok_or_else(missing("shape"))?,
    ))
}

/// What is left of a Python literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn next_is(&mut self, symbol: char) -> bool {
        self.0 = self.0.trim_start();
        self.0.starts_with(symbol)
    }

    fn skip(&mut self, symbol: char) -> bool {
        let there = self.next_is(symbol);
        if there {
            self.0 = &self.0[symbol.len_utf8()..];
        }
        there
    }

    fn expect(&mut self, symbol: char) -> Result<(), String> {
        if self.skip(symbol) {
            return Ok(());
        }
        let found: String = self.0.chars().take(12).collect();
        Err(format!("its header has {found:?} where {symbol:?} should be"))
    }

    /// Without escapes, which no name in a header needs.
    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.next_is('"') { '"' } else { '\'' };
        self.expect(quote)?;
        let (text, rest) = self.0.split_once(quote).ok_or("a text in its header does not end")?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.0 = self.0.trim_start();
        for (name, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(name) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err("its header does not say in which order its values lie".into())
    }

    /// `(2, 3)`, `(4,)`, `()`; Python 2 wrote `(2L, 3L)`.
    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let mut sides = Vec::new();
        self.expect('(')?;
        while !self.skip(')') {
            self.0 = self.0.trim_start();
            let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.0.split_at(digits);
            sides.push(number.parse().map_err(|_| "its header has a shape that is not of whole numbers")?);
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if !self.skip(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let length = header.len() as u32;
        let length = if version == 1 { (length as u16).to_le_bytes().to_vec() } else { length.to_le_bytes().to_vec() };
        [MAGIC, &[version, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn headers_as_they_are_found() {
        let data = [1u8, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0];
        for (version, header, shape, by_columns) in [
            (1, "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }   \n", vec![2, 3], false),
            (2, "{'descr': '<u2', 'fortran_order': True, 'shape': (2, 3)}", vec![2, 3], true),
            (3, "{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"<i2\"}", vec![6], false),
            (1, "{'descr': '<u2', 'fortran_order': False, 'shape': (2L, 3L), }\n", vec![2, 3], false),
            (1, "{'descr': '<u2', 'fortran_order': False, 'shape': (), }\n", vec![], false),
        ] {
            let bytes = file(version, header, &data);
            let array = Array::new(&bytes).unwrap();
            assert_eq!((&array.shape, array.by_columns), (&shape, by_columns), "{header}");
            let count = shape.iter().product();
            assert_eq!(array.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..count], "{header}");
        }
    }

    #[test]
    fn what_is_no_array_says_why() {
        let header =
            |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
        for (bytes, part) in [
            (b"PK\x03\x04".to_vec(), "does not begin"),
            (MAGIC.to_vec(), "ends in its header"),
            ([MAGIC, &[9, 0, 1, 0]].concat(), "version 9"),
            ([MAGIC, &[1, 0, 200, 0], b"{"].concat(), "ends in its header"),
            (file(1, &header("[('a', '<f4')]", "(1,)"), &[0; 4]), "records"),
            (file(1, &header("'<c8'", "(1,)"), &[0; 8]), "type <c8"),
            (file(1, &header("'|O'", "(1,)"), &[0; 8]), "type |O"),
            (file(1, &header("'é4'", "(1,)"), &[0; 8]), "type é4"),
            (file(1, &header("'<f4'", "(2, 3)"), &[0; 20]), "[2, 3] is longer than the 20 bytes"),
            (file(1, &header("'<f4'", "(4294967296, 4294967296, 4294967296)"), &[]), "longer"),
            (file(1, &header("'<f4'", "(-1,)"), &[]), "whole numbers"),
            (file(1, &header("'<f4'", "((((2,"), &[]), "whole numbers"),
            (file(1, "{'descr': '<f4', 'shape': (1,)}", &[0; 4]), "no \"fortran_order\""),
            (file(1, "{'descr': '<f4", &[0; 4]), "does not end"),
            (file(1, "{'descr' '<f4'}", &[0; 4]), "where ':' should be"),
            (file(1, "{'fortran_order': 1}", &[0; 4]), "in which order"),
            (file(1, "{'strange': 1}", &[0; 4]), "\"strange\""),
        ] {
            let error = Array::new(&bytes).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    /// What NumPy 2 writes for `numpy.save(f, numpy.array([[0.5, 1, 2], [4, -1, 3]], "<f4"))`, byte for byte.
    #[test]
    fn writes_what_numpy_writes() {
        let values = [0.5, 1.0, 2.0, 4.0, -1.0, 3.0];
        let bytes = encode(&values, &[2, 3]);
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let want =
            [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &b" ".repeat(118 - 1 - header.len()), b"\n", &data];
        assert_eq!(bytes, want.concat());
        let array = Array::new(&bytes).unwrap();
        assert_eq!((array.shape.as_slice(), array.values().as_slice()), (&[2, 3][..], &values[..]));
        let line = encode(&values, &[6]);
        assert_eq!(Array::new(&line).unwrap().shape, [6]);
    }
}
