//! Detection without anchors (FCOS: Tian et al. 2019, arXiv 1904.01355): which object each place of a pyramid is to find, and the
//! losses of what it says.
//!
//! A place says, in `classes + 5` columns: a logit a class, the logarithms of its distances to the four edges in strides of its level
//! (left, upper, right, lower), and the logit of its centre-ness.

/// One level of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Pixels from one place to the next.
    pub stride: f64,
}

/// What is in an image: a box, its class, and what it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thing {
    /// Left, upper, right and lower edge in pixels.
    pub edges: [f64; 4],
    /// Its class.
    pub class: usize,
    /// Is not judged, nor are places within it that find nothing else.
    pub ignored: bool,
}

/// What a place is to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// Not judged.
    Ignored,
    /// Nothing is here.
    Nothing,
    /// An object.
    Object {
        /// Its class.
        class: usize,
        /// The distances to its edges, in strides.
        distances: [f64; 4],
        /// `sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))`.
        centre: f64,
    },
}

/// What the places of one image are to say, level by level, row by row. A place's object is the smallest whose middle part (within
/// `radius` strides of its centre, and within its box) holds it, and whose farthest edge is as far as the level sees: more than 8
/// strides of the level below (from 0 on at the first), at most 8 of its own (without an end at the last).
pub fn assign(things: &[Thing], levels: &[Level], radius: f64) -> Vec<Wanted> {
    let mut out = Vec::new();
    for (k, level) in levels.iter().enumerate() {
        let s = level.stride;
        let least = if k == 0 { 0.0 } else { 8.0 * levels[k - 1].stride };
        let most = if k + 1 == levels.len() { f64::INFINITY } else { 8.0 * s };
        for i in 0..level.size[0] {
            for j in 0..level.size[1] {
                let (x, y) = ((j as f64 + 0.5) * s, (i as f64 + 0.5) * s);
                let distances = |t: &Thing| [x - t.edges[0], y - t.edges[1], t.edges[2] - x, t.edges[3] - y];
                let inside = |t: &Thing| distances(t).iter().all(|d| *d > 0.0);
                let area = |t: &Thing| (t.edges[2] - t.edges[0]) * (t.edges[3] - t.edges[1]);
                let mut best: Option<&Thing> = None;
                for t in things.iter().filter(|t| !t.ignored && inside(t)) {
                    let off = [x - (t.edges[0] + t.edges[2]) / 2.0, y - (t.edges[1] + t.edges[3]) / 2.0];
                    let far = distances(t).into_iter().fold(0.0, f64::max);
                    let fits = off.iter().all(|o| o.abs() < radius * s) && far > least && far <= most;
                    if fits && best.is_none_or(|b| area(t) < area(b)) {
                        best = Some(t);
                    }
                }
                out.push(match best {
                    Some(t) => {
                        let d = distances(t).map(|d| d / s);
                        let ratio = |a: f64, b: f64| a.min(b) / a.max(b);
                        let centre = (ratio(d[0], d[2]) * ratio(d[1], d[3])).sqrt();
                        Wanted::Object { class: t.class, distances: d, centre }
                    }
                    None if things.iter().any(|t| t.ignored && inside(t)) => Wanted::Ignored,
                    None => Wanted::Nothing,
                });
            }
        }
    }
    out
}

/// The number of places with an object (at least 1), and the sum of their centre-ness (at least 1e-6).
fn norms(wanted: &[Wanted]) -> (f64, f64) {
    let each = wanted.iter().map(|w| if let Wanted::Object { centre, .. } = w { (1.0, *centre) } else { (0.0, 0.0) });
    let (count, centre) = each.fold((0.0, 0.0), |(n, c), (a, b)| (n + a, c + b));
    (f64::max(count, 1.0), f64::max(centre, 1e-6))
}

fn softplus(v: f64) -> f64 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}

/// Focal loss of the classes' logits (Lin et al. 2017, arXiv 1708.02002), `-a (1 - p)^g log p` of the true side of each class, summed,
/// over the number of places with an object; and its gradient by z `[places, classes + 5]`.
pub fn focal(z: &[f64], wanted: &[Wanted], classes: usize, alpha: f64, gamma: f64) -> (f64, Vec<f64>) {
    let (count, _) = norms(wanted);
    let (mut loss, mut dz) = (0.0, vec![0.0; z.len()]);
    for (i, w) in wanted.iter().enumerate() {
        for c in 0..classes {
            let at = i * (classes + 5) + c;
            let hit = match w {
                Wanted::Ignored => continue,
                Wanted::Nothing => false,
                Wanted::Object { class, .. } => *class == c,
            };
            // As if the true side were the positive one.
            let (sign, a) = if hit { (1.0, alpha) } else { (-1.0, 1.0 - alpha) };
            let v = sign * z[at];
            let (log_p, p) = (-softplus(-v), 1.0 / (1.0 + (-v).exp()));
            let weight = a * (1.0 - p).powf(gamma) / count;
            loss -= weight * log_p;
            dz[at] = sign * weight * (gamma * p * log_p - (1.0 - p));
        }
    }
    (loss, dz)
}

/// `2 - I/U - U/C` of the boxes that places with an object say (Rezatofighi et al. 2019, arXiv 1902.09630), weighted by centre-ness,
/// over the sum of those; and its gradient by z.
pub fn giou(z: &[f64], wanted: &[Wanted], classes: usize) -> (f64, Vec<f64>) {
    let (_, sum) = norms(wanted);
    let (mut loss, mut dz) = (0.0, vec![0.0; z.len()]);
    for (i, w) in wanted.iter().enumerate() {
        let Wanted::Object { distances: t, centre, .. } = w else { continue };
        let first = i * (classes + 5) + classes;
        let d: Vec<f64> = z[first..first + 4].iter().map(|v| v.exp()).collect();
        let near: Vec<f64> = d.iter().zip(t).map(|(d, t)| d.min(*t)).collect();
        let far: Vec<f64> = d.iter().zip(t).map(|(d, t)| d.max(*t)).collect();
        let (common, around) = ([near[0] + near[2], near[1] + near[3]], [far[0] + far[2], far[1] + far[3]]);
        let own = [d[0] + d[2], d[1] + d[3]];
        let inter = common[0] * common[1];
        let union = own[0] * own[1] + (t[0] + t[2]) * (t[1] + t[3]) - inter;
        let hull = around[0] * around[1];
        let weight = centre / sum;
        loss += weight * (2.0 - inter / union - union / hull);
        for k in 0..4 {
            // The other side's length.
            let other = 1 - k % 2;
            let d_inter = if d[k] < t[k] { common[other] } else { 0.0 };
            let d_hull = if d[k] > t[k] { around[other] } else { 0.0 };
            let d_union = own[other] - d_inter;
            let slope = -(d_inter * union - inter * d_union) / (union * union)
                - (d_union * hull - union * d_hull) / (hull * hull);
            dz[first + k] = weight * slope * d[k];
        }
    }
    (loss, dz)
}

/// Binary cross entropy of centre-ness at places with an object, over their number; and its gradient by z.
pub fn centre(z: &[f64], wanted: &[Wanted], classes: usize) -> (f64, Vec<f64>) {
    let (count, _) = norms(wanted);
    let (mut loss, mut dz) = (0.0, vec![0.0; z.len()]);
    for (i, w) in wanted.iter().enumerate() {
        let Wanted::Object { centre, .. } = w else { continue };
        let at = i * (classes + 5) + classes + 4;
        loss += (softplus(z[at]) - centre * z[at]) / count;
        dz[at] = (1.0 / (1.0 + (-z[at]).exp()) - centre) / count;
    }
    (loss, dz)
}

/// A teacher's foreground at each place, `max over the classes of s(taught)`.
pub fn foreground(taught: &[f64], classes: usize) -> Vec<f64> {
    let most = |row: &[f64]| row[..classes].iter().copied().fold(f64::MIN, f64::max);
    taught.chunks(classes + 5).map(|row| 1.0 / (1.0 + (-most(row)).exp())).collect()
}

/// What places are to say after a teacher: its boxes where its foreground is at least `least`, weighted by it; nothing elsewhere.
pub fn teach(taught: &[f64], classes: usize, least: f64) -> Vec<Wanted> {
    let rows = taught.chunks(classes + 5).zip(foreground(taught, classes));
    let one = |(row, q): (&[f64], f64)| {
        let distances = [0, 1, 2, 3].map(|k| row[classes + k].exp());
        if q >= least { Wanted::Object { class: 0, distances, centre: q } } else { Wanted::Nothing }
    };
    rows.map(one).collect()
}

/// `T^2 KL(s(taught / T) || s(z / T))` of every class, weighted by the teacher's foreground, over the sum of that; and its gradient by z.
pub fn soft(z: &[f64], taught: &[f64], classes: usize, temperature: f64) -> (f64, Vec<f64>) {
    let weights = foreground(taught, classes);
    let sum = f64::max(weights.iter().sum(), 1e-6);
    let (mut loss, mut dz) = (0.0, vec![0.0; z.len()]);
    for (i, weight) in weights.iter().enumerate() {
        for at in i * (classes + 5)..i * (classes + 5) + classes {
            let (a, b) = (taught[at] / temperature, z[at] / temperature);
            let (p, q) = (1.0 / (1.0 + (-a).exp()), 1.0 / (1.0 + (-b).exp()));
            let kl = p * (softplus(-b) - softplus(-a)) + (1.0 - p) * (softplus(b) - softplus(a));
            loss += weight / sum * temperature * temperature * kl;
            dz[at] = weight / sum * temperature * (q - p);
        }
    }
    (loss, dz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    fn thing(edges: [f64; 4], class: usize) -> Thing {
        Thing { edges, class, ignored: false }
    }

    #[test]
    fn places_by_hand() {
        // Two levels over 16x16 pixels, strides 4 and 8.
        let levels = [Level { size: [4, 4], stride: 4.0 }, Level { size: [2, 2], stride: 8.0 }];
        let all = assign(&[thing([0.0, 0.0, 8.0, 8.0], 1)], &levels, 1.5);
        let objects = |w: &[Wanted]| w.iter().filter(|w| matches!(w, Wanted::Object { .. })).count();
        // Centre (4, 4): the four places of the first level around it; its farthest edge is nearer than the second level sees.
        assert_eq!((all.len(), objects(&all[..16]), objects(&all[16..])), (20, 4, 0));
        let Wanted::Object { distances, centre, .. } = all[0] else { panic!("{:?}", all[0]) };
        assert_eq!(distances, [0.5, 0.5, 1.5, 1.5]);
        assert!((centre - 1.0 / 3.0).abs() < 1e-12);
        // Of two objects at a place the smaller one; and within what is not judged nothing is said.
        let crowd = Thing { ignored: true, ..thing([8.0, 8.0, 16.0, 16.0], 0) };
        let all = assign(&[thing([0.0, 0.0, 8.0, 8.0], 1), thing([1.0, 1.0, 5.0, 5.0], 0), crowd], &levels, 1.5);
        assert!(matches!(all[0], Wanted::Object { class: 0, .. }) && matches!(all[5], Wanted::Object { class: 1, .. }));
        assert_eq!((all[15], all[3]), (Wanted::Ignored, Wanted::Nothing));
    }

    #[test]
    fn a_perfect_box_costs_nothing_and_gradients_match() {
        let wanted = [
            Wanted::Object { class: 1, distances: [1.0, 2.0, 3.0, 1.5], centre: 0.5 },
            Wanted::Nothing,
            Wanted::Ignored,
            Wanted::Object { class: 0, distances: [0.5, 0.7, 0.2, 4.0], centre: 0.2 },
        ];
        let mut z = values(4 * 7, 1);
        for (f, name) in [
            (Box::new(|z: &[f64]| focal(z, &wanted, 2, 0.25, 2.0)) as Box<dyn Fn(&[f64]) -> (f64, Vec<f64>)>, "focal"),
            (Box::new(|z: &[f64]| giou(z, &wanted, 2)), "giou"),
            (Box::new(|z: &[f64]| centre(z, &wanted, 2)), "centre"),
        ] {
            let numeric = finite_difference(|z| f(z).0, &z);
            assert_close(&f(&z).1, &numeric, 1e-7);
            assert!(f(&z).0 > 0.0, "{name}");
        }
        let taught = values(4 * 7, 2);
        let numeric = finite_difference(|z| soft(z, &taught, 2, 3.0).0, &z);
        assert_close(&soft(&z, &taught, 2, 3.0).1, &numeric, 1e-7);
        assert!(soft(&taught, &taught, 2, 3.0).0.abs() < 1e-12);
        assert!(giou(&taught, &teach(&taught, 2, 0.3), 2).0.abs() < 1e-12);
        for (i, w) in wanted.iter().enumerate() {
            if let Wanted::Object { distances, .. } = w {
                (0..4).for_each(|k| z[i * 7 + 2 + k] = distances[k].ln());
            }
        }
        assert!(giou(&z, &wanted, 2).0.abs() < 1e-12);
    }
}
