//! The Gramian of the tasks' gradients, from which gradient-balancing methods take the weights of the tasks.

use crate::{Error, Result};

/// `G = J Jᵀ`, `[K, K]`: the scalar products of the gradients of K tasks with each other. All that methods need to know of the
/// gradients themselves, of which there may be millions of values (Quinton & Rey 2024, arXiv 2406.16232).
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
    /// (which names the task), and where it is not symmetric.
    pub fn new(values: Vec<f64>) -> Result<Self> {
        let tasks = values.len().isqrt();
        if tasks == 0 || tasks * tasks != values.len() {
            return Err(Error::Invalid(format!(
                "a Gramian has the square of the number of tasks values, not {}",
                values.len()
            )));
        }
        let gramian = Gramian { tasks, values };
        for k in 0..tasks {
            let row = &gramian.values[k * tasks..(k + 1) * tasks];
            if row.iter().any(|v| !v.is_finite()) || row[k] < 0.0 {
                return Err(Error::Invalid(format!(
                    "the gradient of task {k} is no finite number: its products with the others' are {row:?}"
                )));
            }
        }
        // As far apart as rounding in f32 may put them.
        let largest = (0..tasks).map(|k| gramian.at(k, k)).fold(0.0, f64::max);
        let skewed = (0..tasks).any(|i| (0..i).any(|j| (gramian.at(i, j) - gramian.at(j, i)).abs() > 1e-3 * largest));
        if skewed {
            return Err(Error::Invalid(format!("a Gramian is symmetric, but this one is not: {:?}", gramian.values)));
        }
        Ok(gramian)
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
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        Gramian::new(gradients.iter().flat_map(|a| gradients.iter().map(move |b| product(a, b))).collect())
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

    /// Σ ‖g_k‖².
    pub fn trace(&self) -> f64 {
        (0..self.tasks).map(|k| self.at(k, k)).sum()
    }

    /// The products of `Σ_k w_k g_k` with each gradient, `G w`: a task whose value is negative gets worse.
    pub fn times(&self, weights: &[f64]) -> Vec<f64> {
        self.values.chunks(self.tasks).map(|row| row.iter().zip(weights).map(|(g, w)| g * w).sum()).collect()
    }

    /// `‖Σ_k w_k g_k‖²`.
    pub fn square(&self, weights: &[f64]) -> f64 {
        self.times(weights).iter().zip(weights).map(|(g, w)| g * w).sum::<f64>().max(0.0)
    }

    /// Divided by its trace, so that what is added to it for stability does not hang on the size of the losses; `None` where all
    /// gradients vanish.
    pub(super) fn normalised(&self) -> Option<Gramian> {
        let trace = self.trace();
        (trace > f64::MIN_POSITIVE)
            .then(|| Gramian { tasks: self.tasks, values: self.values.iter().map(|v| v / trace).collect() })
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

    #[test]
    fn what_is_no_gramian_is_refused_and_the_task_named() {
        let says = |values: &[f64], words: &str| {
            let error = Gramian::new(values.into()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        says(&[], "square");
        says(&[1.0, 2.0], "square");
        says(&[1.0, 0.0, 0.0, f64::NAN], "task 1");
        says(&[-1.0, 0.0, 0.0, 1.0], "task 0");
        says(&[1.0, 0.5, 0.0, 1.0], "symmetric");
        assert!(Gramian::of(&[vec![1.0], vec![1.0, 2.0]]).is_err());
    }
}
