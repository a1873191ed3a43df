//! Kernels that do nothing but measure. They are launched, checked and validated like those of [`crate::kernels`], and have
//! cases of the same form; networks do not use them.

pub mod fma;
pub mod fresh;
pub mod matrix;
pub mod stream;

use crate::kernels::{Kernel, no_workloads};

/// Every probe.
pub const TABLE: &[Kernel] = &[
    Kernel { name: "bench/fma", cases: fma::cases, permutations: fma::permutations, workloads: no_workloads },
    Kernel { name: "bench/fresh", cases: fresh::cases, permutations: fresh::permutations, workloads: no_workloads },
    Kernel { name: "bench/matrix", cases: matrix::cases, permutations: matrix::permutations, workloads: no_workloads },
    Kernel { name: "bench/stream", cases: stream::cases, permutations: stream::permutations, workloads: no_workloads },
];
