//! The table of kernels: what brings each to the tests, the shader validation and the benchmark.

use super::*;

/// A row for each name: the module of that name has its `cases`, its `permutations` and, where it is `timed`, its `workloads`.
macro_rules! kernels {
    ($($name:ident $($timed:ident)?),* $(,)?) => {
        /// Every kernel.
        pub const TABLE: &[Kernel] = &[$(Kernel {
            name: stringify!($name),
            cases: $name::cases,
            permutations: $name::permutations,
            workloads: workloads!($name $($timed)?),
        }),*];
    };
}

macro_rules! workloads {
    ($name:ident timed) => {
        $name::workloads
    };
    ($name:ident) => {
        no_workloads
    };
}

kernels! {
    adaptive_pool,
    attention,
    augment timed,
    bank,
    batch_norm timed,
    binary_cross_entropy timed,
    concat timed,
    confusion timed,
    contrast,
    conv2d timed,
    correlation timed,
    cross_entropy timed,
    dice timed,
    distill_kl timed,
    dkd,
    elementwise,
    fcos timed,
    feature_loss timed,
    focal timed,
    fuse,
    gradient_norm,
    gramian timed,
    imitation timed,
    linear timed,
    normalize,
    optimizer timed,
    pkt,
    pool,
    reduce,
    regression timed,
    relabel timed,
    relation,
    resize timed,
    rkd,
    sigmoid_kl timed,
    softmax timed,
    topk timed,
    transpose,
    vid,
}
