//! Launchers of the handwritten WGSL kernels: parameters, choice of variant, dispatch, and each kernel's cases.
//!
//! `shaders/x.wgsl`, `kernels/x.rs` and `reference/x.rs` belong together; a row of [`TABLE`] brings a kernel to the tests,
//! the shader validation and the benchmark.

/// Turns of loops that an invocation may spend on its part of a sum: half of [`MAX_TURNS`](crate::gpu::MAX_TURNS), so that there
/// is room for what surrounds it.
const PART: usize = 1 << 15;

pub mod adaptive_pool;
pub mod attention;
pub mod augment;
pub mod bank;
pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod case;
pub mod concat;
pub mod confusion;
pub mod contrast;
pub mod conv2d;
pub mod correlation;
pub mod cross_entropy;
pub mod dice;
pub mod distill_kl;
pub mod dkd;
pub mod elementwise;
pub mod fcos;
pub mod feature_loss;
pub mod focal;
pub mod fuse;
pub mod gradient_norm;
pub mod gramian;
pub mod imitation;
pub mod linear;
pub mod normalize;
pub mod optimizer;
pub mod pkt;
pub mod pool;
pub mod reduce;
pub mod regression;
pub mod relabel;
pub mod relation;
pub mod resize;
pub mod rkd;
pub mod rows;
pub mod sigmoid_kl;
pub mod softmax;
pub mod topk;
pub mod transpose;
pub mod vid;

pub use case::{Case, Check, Kernel, Permutation, Prepared, Size, Workload, no_workloads};

/// Every kernel.
pub const TABLE: &[Kernel] = &[
    Kernel {
        name: "adaptive_pool",
        cases: adaptive_pool::cases,
        permutations: adaptive_pool::permutations,
        workloads: no_workloads,
    },
    Kernel {
        name: "attention",
        cases: attention::cases,
        permutations: attention::permutations,
        workloads: no_workloads,
    },
    Kernel {
        name: "augment",
        cases: augment::cases,
        permutations: augment::permutations,
        workloads: augment::workloads,
    },
    Kernel { name: "bank", cases: bank::cases, permutations: bank::permutations, workloads: no_workloads },
    Kernel {
        name: "batch_norm",
        cases: batch_norm::cases,
        permutations: batch_norm::permutations,
        workloads: batch_norm::workloads,
    },
    Kernel {
        name: "binary_cross_entropy",
        cases: binary_cross_entropy::cases,
        permutations: binary_cross_entropy::permutations,
        workloads: binary_cross_entropy::workloads,
    },
    Kernel { name: "concat", cases: concat::cases, permutations: concat::permutations, workloads: concat::workloads },
    Kernel {
        name: "confusion",
        cases: confusion::cases,
        permutations: confusion::permutations,
        workloads: confusion::workloads,
    },
    Kernel { name: "contrast", cases: contrast::cases, permutations: contrast::permutations, workloads: no_workloads },
    Kernel { name: "conv2d", cases: conv2d::cases, permutations: conv2d::permutations, workloads: conv2d::workloads },
    Kernel {
        name: "correlation",
        cases: correlation::cases,
        permutations: correlation::permutations,
        workloads: correlation::workloads,
    },
    Kernel {
        name: "cross_entropy",
        cases: cross_entropy::cases,
        permutations: cross_entropy::permutations,
        workloads: cross_entropy::workloads,
    },
    Kernel { name: "dice", cases: dice::cases, permutations: dice::permutations, workloads: dice::workloads },
    Kernel {
        name: "distill_kl",
        cases: distill_kl::cases,
        permutations: distill_kl::permutations,
        workloads: distill_kl::workloads,
    },
    Kernel { name: "dkd", cases: dkd::cases, permutations: dkd::permutations, workloads: no_workloads },
    Kernel {
        name: "elementwise",
        cases: elementwise::cases,
        permutations: elementwise::permutations,
        workloads: no_workloads,
    },
    Kernel { name: "fcos", cases: fcos::cases, permutations: fcos::permutations, workloads: fcos::workloads },
    Kernel {
        name: "feature_loss",
        cases: feature_loss::cases,
        permutations: feature_loss::permutations,
        workloads: feature_loss::workloads,
    },
    Kernel { name: "focal", cases: focal::cases, permutations: focal::permutations, workloads: focal::workloads },
    Kernel { name: "fuse", cases: fuse::cases, permutations: fuse::permutations, workloads: no_workloads },
    Kernel {
        name: "gradient_norm",
        cases: gradient_norm::cases,
        permutations: gradient_norm::permutations,
        workloads: no_workloads,
    },
    Kernel {
        name: "gramian",
        cases: gramian::cases,
        permutations: gramian::permutations,
        workloads: gramian::workloads,
    },
    Kernel {
        name: "imitation",
        cases: imitation::cases,
        permutations: imitation::permutations,
        workloads: imitation::workloads,
    },
    Kernel { name: "linear", cases: linear::cases, permutations: linear::permutations, workloads: linear::workloads },
    Kernel {
        name: "normalize",
        cases: normalize::cases,
        permutations: normalize::permutations,
        workloads: no_workloads,
    },
    Kernel {
        name: "optimizer",
        cases: optimizer::cases,
        permutations: optimizer::permutations,
        workloads: optimizer::workloads,
    },
    Kernel { name: "pkt", cases: pkt::cases, permutations: pkt::permutations, workloads: no_workloads },
    Kernel { name: "pool", cases: pool::cases, permutations: pool::permutations, workloads: no_workloads },
    Kernel { name: "reduce", cases: reduce::cases, permutations: reduce::permutations, workloads: no_workloads },
    Kernel {
        name: "regression",
        cases: regression::cases,
        permutations: regression::permutations,
        workloads: regression::workloads,
    },
    Kernel {
        name: "relabel",
        cases: relabel::cases,
        permutations: relabel::permutations,
        workloads: relabel::workloads,
    },
    Kernel { name: "relation", cases: relation::cases, permutations: relation::permutations, workloads: no_workloads },
    Kernel { name: "resize", cases: resize::cases, permutations: resize::permutations, workloads: resize::workloads },
    Kernel { name: "rkd", cases: rkd::cases, permutations: rkd::permutations, workloads: no_workloads },
    Kernel {
        name: "sigmoid_kl",
        cases: sigmoid_kl::cases,
        permutations: sigmoid_kl::permutations,
        workloads: sigmoid_kl::workloads,
    },
    Kernel {
        name: "softmax",
        cases: softmax::cases,
        permutations: softmax::permutations,
        workloads: softmax::workloads,
    },
    Kernel { name: "topk", cases: topk::cases, permutations: topk::permutations, workloads: topk::workloads },
    Kernel {
        name: "transpose",
        cases: transpose::cases,
        permutations: transpose::permutations,
        workloads: no_workloads,
    },
    Kernel { name: "vid", cases: vid::cases, permutations: vid::permutations, workloads: no_workloads },
];
