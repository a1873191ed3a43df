//! The Gramian of the tasks' gradients, from which gradient-balancing methods take the weights of the tasks.

use super::solve::{Pair, eigen};
use crate::{Error, Result};

/// How far a product of two gradients may be from the true one, in units of their lengths. It is an `f32` sum of up to millions of
/// products, by way of partial sums of some hundreds of terms each (`shaders/gramian.wgsl`): rounding errs by about 2⁻²⁴ of it where
/// errors have random signs, and by 2⁻¹⁶ if all had the same one. This is 16 times what is to be expected. All that a method decides
/// by a product (whether gradients are dependent, whether a sum of them is zero) it decides by this, so that no rounding is taken for
/// a gradient. The root of it is what can be known of a direction: two gradients less than 0.1° apart have one.
pub const TOLERANCE: f64 = 1.0 / 1_048_576.0;

/// A gradient with a smaller square, 2⁻⁸², is zero: `f32` loses the squares of values below 2⁻⁶³, which may then be more of it, in
/// 2²⁴ values, than [`TOLERANCE`].
const FLOOR: f64 = 1.0 / (1_u128 << 82) as f64;

/// `G = J Jᵀ`, `[K, K]`: the scalar products of the gradients of K tasks with each other. All that methods need to know of the
/// gradients themselves, of which there may be millions of values (Quinton & Rey 2024, arXiv 2406.16232).
///
/// It is taken as known to [`TOLERANCE`]: gradients that are dependent up to it are made dependent exactly, so that it has no
/// negative eigenvalue and none that is rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Gramian {
    tasks: usize,
    values: Vec<f64>,
}

impl Gramian {
    /// From its values, row by row.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are not K² of them for some K ≥ 1, where one is no finite number or a square is negative
    /// (which names the task), and where no gradients have these products: where it is not symmetric, or clearly not positive
    /// semidefinite.
    pub fn new(values: Vec<f64>) -> Result<Self> {
        let tasks = values.len().isqrt();
        if tasks == 0 || tasks * tasks != values.len() {
            return Err(Error::Invalid(format!(
                "a Gramian has the square of the number of tasks values, not {}",
                values.len()
            )));
        }
        if let Some((k, value)) = Gramian::not_finite(&values) {
            return Err(Error::Invalid(format!(
                "the gradient of task {k} is not finite, or too long: its square is {value}; look at that task's loss and \
                 inputs, or lower its weight"
            )));
        }
        let mut gramian = Gramian { tasks, values };
        for k in (0..tasks).filter(|k| gramian.at(*k, *k) <= FLOOR).collect::<Vec<_>>() {
            (0..tasks).for_each(|i| (gramian.values[k * tasks + i], gramian.values[i * tasks + k]) = (0.0, 0.0));
        }
        // As far apart as rounding in f32 may put them.
        let apart = |i: usize, j: usize| (gramian.at(i, j) - gramian.at(j, i)).abs();
        if (0..tasks).any(|i| (0..i).any(|j| apart(i, j) > 1e-3 * gramian.norm(i) * gramian.norm(j))) {
            return Err(Error::Invalid(format!("a Gramian is symmetric, but this one is not: {:?}", gramian.values)));
        }
        gramian.settled()
    }

    /// The first task whose gradient is not finite, of these products, and its square: what is wrong with one task makes its
    /// products with all others wrong, but no other's square.
    pub fn not_finite(values: &[f64]) -> Option<(usize, f64)> {
        let tasks = values.len().isqrt();
        let squares = (0..tasks).map(|k| (k, values[k * (tasks + 1)]));
        let bad = |v: f64| !v.is_finite() || v < 0.0;
        let lone = || values.iter().position(|v| !v.is_finite()).map(|i| (i / tasks, values[i]));
        squares.into_iter().find(|(_, v)| bad(*v)).or_else(lone)
    }

    /// With what lies below [`TOLERANCE`] taken out: the directions of the gradients lose what they have of the eigenvectors of
    /// their cosines whose eigenvalues are rounding, and keep their lengths. As it is where there are none.
    fn settled(mut self) -> Result<Self> {
        let moving = self.moving();
        let n = moving.len();
        let pairs = eigen(self.cosines(&moving), n);
        let least = pairs.last().map_or(0.0, |p| p.0);
        if least < -1e-3 * n as f64 {
            return Err(Error::Invalid(format!("no gradients have these products: {:?}", self.values)));
        }
        let known = |value: f64| value > n as f64 * TOLERANCE;
        if known(least) || n < 2 {
            return Ok(self);
        }
        let rows = directions(&pairs, known);
        for (a, i) in moving.iter().enumerate() {
            for (b, j) in moving.iter().enumerate().filter(|(b, _)| *b != a) {
                self.values[i * self.tasks + j] = self.norm(*i) * self.norm(*j) * dot(&rows[a], &rows[b]);
            }
        }
        Ok(self)
    }

    /// From the gradients, one a task.
    ///
    /// # Errors
    /// Those of [`Gramian::new`], and where gradients differ in length.
    pub fn of(gradients: &[Vec<f64>]) -> Result<Self> {
        if let Some(other) = gradients.iter().find(|g| g.len() != gradients[0].len()) {
            let (a, b) = (gradients[0].len(), other.len());
            return Err(Error::Invalid(format!("gradients of {a} and {b} values have no product")));
        }
        Gramian::new(gradients.iter().flat_map(|a| gradients.iter().map(|b| dot(a, b))).collect())
    }

    /// The number of tasks.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// The product of the gradients of tasks `i` and `j`.
    ///
    /// # Panics
    /// Where there is no such task.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.tasks + j]
    }

    /// The length of the gradient of task `k`.
    pub fn norm(&self, k: usize) -> f64 {
        self.at(k, k).sqrt()
    }

    /// The length of the longest gradient.
    pub fn longest(&self) -> f64 {
        (0..self.tasks).map(|k| self.norm(k)).fold(0.0, f64::max)
    }

    /// Σ ‖g_k‖².
    pub fn trace(&self) -> f64 {
        (0..self.tasks).map(|k| self.at(k, k)).sum()
    }

    /// The products of `Σ_k w_k g_k` with each gradient, `G w`: a task whose value is negative gets worse.
    pub fn times(&self, weights: &[f64]) -> Vec<f64> {
        self.values.chunks(self.tasks).map(|row| dot(row, weights)).collect()
    }

    /// `‖Σ_k w_k g_k‖²`.
    pub fn square(&self, weights: &[f64]) -> f64 {
        dot(&self.times(weights), weights).max(0.0)
    }

    /// Whether `Σ_k w_k g_k` is zero as far as can be known: what is left of it is rounding of its parts.
    pub fn cancels(&self, weights: &[f64]) -> bool {
        let parts: f64 = weights.iter().enumerate().map(|(k, w)| w.abs() * self.norm(k)).sum();
        self.square(weights) <= self.tasks as f64 * TOLERANCE * parts * parts
    }

    /// The tasks whose gradients do not vanish.
    pub(super) fn moving(&self) -> Vec<usize> {
        (0..self.tasks).filter(|k| self.at(*k, *k) > 0.0).collect()
    }

    /// The cosines between the gradients of these tasks, none of which vanishes, row by row.
    fn cosines(&self, tasks: &[usize]) -> Vec<f64> {
        let cosine = |i: usize, j: usize| match i == j {
            true => 1.0,
            // A product of lengths could underflow where each of them does not.
            false => (0.5 * (self.at(i, j) + self.at(j, i)) / self.norm(i) / self.norm(j)).clamp(-1.0, 1.0),
        };
        tasks.iter().flat_map(|i| tasks.iter().map(move |j| cosine(*i, *j))).collect()
    }

    /// The eigenvalues of the cosines that are not zero, largest first, with their vectors, and those vectors for which it is. No
    /// gradient may vanish.
    pub(super) fn spectrum(&self) -> (Vec<Pair>, Vec<Vec<f64>>) {
        let all: Vec<usize> = (0..self.tasks).collect();
        let pairs = eigen(self.cosines(&all), self.tasks);
        // Half of the tolerance: what `settled` has kept may have moved by a little, and what it has taken is far below.
        let (known, zero): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(value, _)| *value > 0.5 * self.tasks as f64 * TOLERANCE);
        (known, zero.into_iter().map(|(_, vector)| vector).collect())
    }

    /// Vectors of as few values as there are independent gradients, with the same products. No gradient may vanish.
    pub(super) fn rows(&self) -> Vec<Vec<f64>> {
        let mut rows = directions(&self.spectrum().0, |_| true);
        rows.iter_mut().enumerate().for_each(|(k, row)| row.iter_mut().for_each(|v| *v *= self.norm(k)));
        rows
    }

    /// Divided by its trace, so that what is added to it for stability does not hang on the size of the losses; `None` where all
    /// gradients vanish.
    pub(super) fn normalised(&self) -> Option<Gramian> {
        let trace = self.trace();
        (trace > 0.0).then(|| Gramian { tasks: self.tasks, values: self.values.iter().map(|v| v / trace).collect() })
    }

    /// With `ridge` on the diagonal.
    pub(super) fn ridged(mut self, ridge: f64) -> Gramian {
        for k in 0..self.tasks {
            self.values[k * (self.tasks + 1)] += ridge;
        }
        self
    }

    /// The products of the gradients of these tasks alone.
    pub(super) fn of_tasks(&self, tasks: &[usize]) -> Gramian {
        let values = tasks.iter().flat_map(|i| tasks.iter().map(|j| self.at(*i, *j))).collect();
        Gramian { tasks: tasks.len(), values }
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Vectors of length 1 whose products are the matrix of these eigenvalues, of those that are `known`.
fn directions(pairs: &[Pair], known: impl Fn(f64) -> bool) -> Vec<Vec<f64>> {
    let kept: Vec<_> = pairs.iter().filter(|(value, _)| known(*value)).collect();
    let row = |k: usize| {
        let row: Vec<f64> = kept.iter().map(|(value, vector)| value.sqrt() * vector[k]).collect();
        let length = dot(&row, &row).sqrt().max(f64::MIN_POSITIVE);
        row.into_iter().map(|v| v / length).collect()
    };
    (0..pairs.first().map_or(0, |(_, vector)| vector.len())).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_gradients() {
        let g = Gramian::of(&[vec![1.0, 2.0], vec![-3.0, 4.0]]).unwrap();
        assert_eq!((g.tasks(), g.at(0, 0), g.at(0, 1), g.at(1, 1), g.norm(1)), (2, 5.0, 5.0, 25.0, 5.0));
        assert_eq!((g.trace(), g.times(&[2.0, 1.0]), g.square(&[2.0, 1.0])), (30.0, vec![15.0, 35.0], 65.0));
        assert_eq!(Gramian::of(&[vec![0.0]]).unwrap().normalised(), None);
    }

    /// What f32 rounds is taken out, and nothing else: independent gradients keep their products to the last bit, however unlike
    /// their lengths.
    #[test]
    fn dependent_up_to_rounding_is_dependent() {
        let noise = 6e-8;
        let opposite = Gramian::new(vec![1.0, -1e-3 * (1.0 + noise), -1e-3, 1e-6 * (1.0 - noise)]).unwrap();
        assert!((opposite.at(0, 1) + opposite.norm(0) * opposite.norm(1)).abs() < 1e-18);
        assert!(opposite.cancels(&[1.0, 1e3]) && !opposite.cancels(&[1.0, 1.1e3]));
        // cos 120° three times: in a plane.
        let plane = Gramian::new(vec![1.0, -0.5 - noise, -0.5, -0.5, 1.0, -0.5 - noise, -0.5, -0.5, 1.0]).unwrap();
        assert!(plane.square(&[1.0; 3]) < 1e-12 && plane.rows()[0].len() == 2);
        let values = vec![1.0, 1e-7, 0.0, 1e-7, 1e-12, 0.0, 0.0, 0.0, 4.0];
        assert_eq!(Gramian::new(values.clone()).unwrap().values(), values);
        // Too small for f32 to have kept its products.
        assert_eq!(Gramian::new(vec![1e-30, 1e-16, 1e-16, 1.0]).unwrap().values(), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn what_is_no_gramian_is_refused_and_the_task_named() {
        let says = |values: &[f64], words: &str| {
            let error = Gramian::new(values.into()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        says(&[], "square");
        says(&[1.0, 2.0], "square");
        says(&[1.0, 0.0, 0.0, f64::NAN], "task 1");
        // Its products with the others are none either, but they have finite squares.
        says(&[1.0, f64::NAN, f64::NAN, f64::NAN], "task 1");
        says(&[1.0, f64::NAN, f64::NAN, 1.0], "task 0");
        says(&[-1.0, 0.0, 0.0, 1.0], "task 0");
        says(&[1.0, 0.5, 0.0, 1.0], "symmetric");
        says(&[1.0, -0.9, -0.9, -0.9, 1.0, -0.9, -0.9, -0.9, 1.0], "no gradients");
        assert!(Gramian::of(&[vec![1.0], vec![1.0, 2.0]]).is_err());
    }
}
