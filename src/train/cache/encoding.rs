//! How a row of numbers lies on disk.

use crate::config::Storage;
use half::f16;
use serde::{Deserialize, Serialize};

/// One number of a record: logits of a head, or features at a layer, of one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// `logits 0`, `layer3`, `decoder of head 0`, …
    pub name: String,
    /// Values of one sample.
    pub len: usize,
    /// How they are kept.
    pub storage: Storage,
    /// Of [`Storage::TopK`]: how many.
    pub k: usize,
}

impl Part {
    pub(crate) fn bytes(&self) -> usize {
        match self.storage {
            Storage::None => 0,
            Storage::F32 => 4 * self.len,
            Storage::F16 => 2 * self.len,
            // A class's number and its logit each, and the others' common one.
            Storage::TopK => 6 * self.k + 2,
        }
    }

    /// Adds a row to `out`.
    pub(crate) fn encode(&self, row: &[f32], out: &mut Vec<u8>) {
        match self.storage {
            Storage::None => {}
            Storage::F32 => out.extend_from_slice(bytemuck::cast_slice(row)),
            Storage::F16 => row.iter().for_each(|v| out.extend_from_slice(&f16::from_f32(*v).to_le_bytes())),
            Storage::TopK => {
                let mut order: Vec<usize> = (0..row.len()).collect();
                // The first of equals first, so that one row has one form.
                order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
                let (top, rest) = order.split_at(self.k.min(row.len()));
                for &i in top {
                    out.extend_from_slice(&(i as u32).to_le_bytes());
                    out.extend_from_slice(&f16::from_f32(row[i]).to_le_bytes());
                }
                out.extend_from_slice(&f16::from_f32(common(row, rest)).to_le_bytes());
            }
        }
    }

    /// The row that [`Part::encode`] wrote at the front of `bytes`; what is damaged gives a row of zeros or of wrong numbers, which
    /// the record's checksum has shown before.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Vec<f32> {
        let half = |b: &[u8]| f16::from_le_bytes([b[0], b[1]]).to_f32();
        match self.storage {
            Storage::None => Vec::new(),
            Storage::F32 => {
                bytes[..4 * self.len].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Storage::F16 => bytes[..2 * self.len].chunks_exact(2).map(half).collect(),
            Storage::TopK => {
                let (top, rest) = bytes[..self.bytes()].split_at(6 * self.k);
                let mut row = vec![half(rest); self.len];
                for entry in top.chunks_exact(6) {
                    let i = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) as usize;
                    if let Some(place) = row.get_mut(i) {
                        *place = half(&entry[4..]);
                    }
                }
                row
            }
        }
    }
}

/// The logit that, given to all of `rest`, leaves the sum of their exponentials as it is.
fn common(row: &[f32], rest: &[usize]) -> f32 {
    let top = rest.iter().map(|i| row[*i]).fold(f32::NEG_INFINITY, f32::max);
    if !top.is_finite() {
        return 0.0;
    }
    let sum: f64 = rest.iter().map(|i| f64::from(row[*i] - top).exp()).sum();
    top + (sum / rest.len() as f64).ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(storage: Storage, row: &[f32], k: usize) -> Vec<f32> {
        let part = Part { name: "logits 0".into(), len: row.len(), storage, k };
        let mut bytes = Vec::new();
        part.encode(row, &mut bytes);
        assert_eq!(bytes.len(), part.bytes());
        part.decode(&bytes)
    }

    #[test]
    fn rows_come_back_as_precisely_as_they_were_kept() {
        let row = [0.1, -7.25, 3.0e-5, 12.5, -0.0];
        assert_eq!(round_trip(Storage::F32, &row, 0).map(f32::to_bits), row.map(f32::to_bits));
        let half = round_trip(Storage::F16, &row, 0);
        assert!(row.iter().zip(&half).all(|(a, b)| (a - b).abs() <= 1e-3 * a.abs().max(1e-4)), "{half:?}");
        // What was rounded once is not rounded again.
        assert_eq!(round_trip(Storage::F16, &half, 0), half);
    }

    #[test]
    fn the_largest_stay_and_the_others_come_to_as_much() {
        let row = [1.0, 5.0, -2.0, 4.0, 0.5, -1.0];
        let back = round_trip(Storage::TopK, &row, 2);
        assert_eq!((back[1], back[3]), (5.0, 4.0));
        let sum = |v: &[f32]| v.iter().map(|v| f64::from(*v).exp()).sum::<f64>();
        assert!((sum(&back) / sum(&row) - 1.0).abs() < 2e-3, "{back:?}");
        assert_eq!(round_trip(Storage::TopK, &back, 2), back);
        assert_eq!(round_trip(Storage::TopK, &[2.0, 1.0], 2), [2.0, 1.0]);
    }

    trait Bits {
        fn map(self, f: impl Fn(f32) -> u32) -> Vec<u32>;
    }
    impl Bits for Vec<f32> {
        fn map(self, f: impl Fn(f32) -> u32) -> Vec<u32> {
            self.into_iter().map(f).collect()
        }
    }
}
