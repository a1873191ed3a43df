//! The shortest combination.

use super::gramian::Gramian;
use super::method::{Method, Needs, Plain};
use super::solve::{Domain, quadratic};

/// MGDA (Désidéri 2012; Sener & Koltun 2018, arXiv 1810.04650): the shortest convex combination of the gradients,
/// `min_w ‖Σ w_k g_k‖` over `w ≥ 0`, `Σ w_k = 1`. It leaves no task worse, is zero where the tasks cannot all get better, and
/// follows the shortest gradients. Solved exactly rather than by the paper's Frank-Wolfe steps.
///
/// It is never longer than the shortest gradient: zero for opposite gradients, for others that surround zero, and where one gradient
/// vanishes, which then has all the weight, as nothing can better that task. Of gradients that are a million times shorter than the
/// others, the shortest combination decides, and the others have no part in it unless they are in conflict with it.
pub fn mgda(gramian: &Gramian) -> Vec<f64> {
    quadratic(gramian.values(), &vec![0.0; gramian.tasks()], Domain::Simplex)
}

pub(super) const MGDA: Method = Method {
    name: "mgda",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(mgda(seen.gramian()?)))),
};
