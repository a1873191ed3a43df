//! A bank of the last rows seen, with their classes: a ring of k places.

use super::MISSING;

/// Puts the rows of x `[n, d]` with their labels `[n]` over the oldest entries of the bank `[k, d]` and their classes `[k]` (-1: none),
/// from the place `cursor` on; gives the place after them.
pub fn put((x, labels): (&[f64], &[u32]), bank: &mut [f64], classes: &mut [f64], cursor: usize) -> usize {
    let (k, d) = (classes.len(), bank.len() / classes.len());
    for (i, (row, label)) in x.chunks_exact(d).zip(labels).enumerate() {
        let place = (cursor + i) % k;
        bank[place * d..(place + 1) * d].copy_from_slice(row);
        classes[place] = if *label == MISSING { -1.0 } else { f64::from(*label) };
    }
    (cursor + labels.len()) % k
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let (mut bank, mut classes) = (vec![0.0; 3], vec![-1.0; 3]);
        let cursor = put((&[1.0, 2.0], &[7, MISSING]), &mut bank, &mut classes, 0);
        assert_eq!((cursor, &bank[..], &classes[..]), (2, &[1.0, 2.0, 0.0][..], &[7.0, -1.0, -1.0][..]));
        let cursor = put((&[3.0, 4.0], &[8, 9]), &mut bank, &mut classes, cursor);
        assert_eq!((cursor, &bank[..], &classes[..]), (1, &[4.0, 2.0, 3.0][..], &[9.0, -1.0, 8.0][..]));
        put((&[1.0, 2.0, 3.0, 4.0], &[0; 4]), &mut bank, &mut classes, 0);
        assert_eq!(bank, [4.0, 2.0, 3.0]);
    }
}
