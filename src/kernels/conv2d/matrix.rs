//! The variant on cooperative matrices, for devices that are opened with them ([`Options::matrices`](crate::gpu::Options)):
//! operands rounded to f16, sums in f32; see `matrix.wgsl`, `matrix_weight.wgsl` and `shared/matrix.wgsl`.
//!
//! Values beyond 65,504 become infinite in f16, and below 6e-5 they lose digits: activations and weights lie between, gradients
//! of a mean loss often do not. So the rule takes this family for the forward pass alone; the gradients are there by name.

use super::common::{Epilogue, Pass, Tile, gap, geometry, reach};
use super::tiled::{Product, grid, in_flight, sum};
use crate::gpu::{AdapterClass, Defines, Gpu, Launch, Matrix, Profile, Source};
use crate::kernels::PART;
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const GATHER: Source = Source { name: "conv2d/matrix", text: include_str!("../../../shaders/conv2d/matrix.wgsl") };
const WEIGHT: Source =
    Source { name: "conv2d/matrix_weight", text: include_str!("../../../shaders/conv2d/matrix_weight.wgsl") };

/// Terms held at a time.
const TERMS: usize = 32;

/// How a workgroup's tile is shared out.
struct Layout {
    tile: Tile,
    /// Subgroups down the rows and across the columns.
    down: usize,
    across: usize,
    /// What a multiply-add costs beside the largest tile's, in percent: loads grow as tiles shrink.
    cost: usize,
}

/// The tiles there are, largest first; the tall one serves narrow outputs.
const LAYOUTS: [Layout; 3] = [
    Layout { tile: Tile { rows: 128, columns: 128 }, down: 4, across: 2, cost: 100 },
    Layout { tile: Tile { rows: 64, columns: 64 }, down: 2, across: 2, cost: 150 },
    Layout { tile: Tile { rows: 128, columns: 32 }, down: 4, across: 1, cost: 170 },
];

/// The tiles by name.
pub(super) const TILES: [Tile; 3] = [LAYOUTS[0].tile, LAYOUTS[1].tile, LAYOUTS[2].tile];

impl Layout {
    fn of(tile: Tile) -> &'static Layout {
        LAYOUTS.iter().find(|l| l.tile == tile).unwrap_or(&LAYOUTS[1])
    }

    fn invocations(&self, matrix: Matrix) -> usize {
        self.down * self.across * matrix.lanes
    }

    /// Workgroup memory: both operands in f16, with the longest lines they may have, and a matrix of sums a subgroup.
    fn bytes(&self, matrix: Matrix) -> usize {
        let lines = |edge: usize| (edge * (TERMS + 8)).max(TERMS * (edge + 8));
        let sums = self.down * self.across * matrix.edge * matrix.edge;
        2 * (lines(self.tile.rows) + lines(self.tile.columns)) + 4 * sums
    }

    fn tiles(&self, p: &Product) -> usize {
        p.rows.div_ceil(self.tile.rows) * p.columns.div_ceil(self.tile.columns) * p.groups * p.classes
    }

    /// Multiply-adds a term of `p` costs, with those of the padding.
    fn padded(&self, p: &Product) -> usize {
        self.tiles(p) * self.tile.rows * self.tile.columns
    }

    fn defines(&self, matrix: Matrix) -> Defines {
        let own = defines! {
            BM = self.tile.rows, BN = self.tile.columns, BK = TERMS, DOWN = self.down, ACROSS = self.across,
        };
        matrix.defines().into_iter().chain(own).collect()
    }
}

/// How a pass of `s` is cut into tiles and parts.
pub(super) struct Plan<'a> {
    s: &'a Conv2d,
    layout: &'static Layout,
    matrix: Matrix,
    product: Product,
    splits: usize,
    /// Tiles of terms in a part.
    chunk: usize,
}

impl<'a> Plan<'a> {
    /// `pass` of `s` with `tile`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the device has no matrices open.
    pub fn new(pass: Pass, s: &'a Conv2d, tile: Tile, profile: &Profile) -> Result<Self> {
        let closed = || Error::Shape("conv2d: this device was opened without cooperative matrices".into());
        let matrix = profile.matrix.ok_or_else(closed)?;
        let (product, layout) = (Product::of(pass, s, 1), Layout::of(tile));
        let splits = product.splits(layout.tiles(&product), layout.invocations(matrix), profile.class);
        Ok(Plan { s, layout, matrix, product, splits, chunk: 0 }.in_parts(splits))
    }

    /// The same with another number of parts, as far as there are tiles of terms for them and no part is too long.
    pub fn in_parts(mut self, splits: usize) -> Self {
        let tiles = self.product.terms.div_ceil(TERMS);
        self.chunk = tiles.div_ceil(splits.max(1)).min(PART);
        self.splits = tiles.div_ceil(self.chunk);
        self
    }

    /// Where a pass writes: to `out` itself, or each part to its own values.
    fn parts(&self, gpu: &Gpu, out: &GradTarget) -> Result<GradTarget> {
        match self.splits {
            1 => Ok(out.clone()),
            splits => Ok(GradTarget::fresh(Tensor::empty(gpu, &[splits, out.tensor.len()])?)),
        }
    }

    /// Sets what the passes share, and records the grid: tiles folded over two dimensions; remainders and parts in the third.
    fn dispatch(&self, gpu: &Gpu, launch: Launch, part: &GradTarget) -> Result<()> {
        let p = &self.product;
        let tiles = p.columns.div_ceil(self.layout.tile.columns);
        let groups = tiles * p.groups * p.rows.div_ceil(self.layout.tile.rows);
        geometry(launch, self.s)
            .u32("tiles", tiles * p.groups)
            .u32("tiles_group", tiles)
            .u32("chunk", self.chunk)
            .u32("size", p.size)
            .u32("accumulate", part.flag())
            .turns(self.chunk)
            .cost(2 * self.s.macs())
            .grid(grid(groups, p.classes * self.splits, gpu.profile().max_groups as usize))
    }
}

fn gather_defines(layout: &Layout, matrix: Matrix, grad: bool, epilogue: &Epilogue) -> Defines {
    let rest = defines! {
        GRAD = grad, BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    };
    layout.defines(matrix).into_iter().chain(rest).collect()
}

pub(super) fn forward(gpu: &Gpu, plan: &Plan, x: &Tensor, w: &Tensor, epilogue: Epilogue, y: &Tensor) -> Result<()> {
    let s = plan.s;
    // Parts are plain sums: what follows them follows in the second pass.
    let within = if plan.splits == 1 { epilogue } else { Epilogue::default() };
    let out = GradTarget::fresh(y.clone());
    let part = plan.parts(gpu, &out)?;
    let defines = gather_defines(plan.layout, plan.matrix, false, &within);
    let mut launch = gpu.launch(GATHER, "matrix", &defines)?.bind("source", x).bind("w", w).bind("out", &part.tensor);
    if let Some(bias) = within.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = within.residual {
        launch = launch.bind("residual", residual);
    }
    let launch = launch.u32("high", s.oh()).u32("wide", s.ow()).u32("gap", 1).u32("reach", s.dilation);
    plan.dispatch(gpu, launch.u32("pixels", plan.product.rows), &part)?;
    if plan.splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, plan.splits, s.co, epilogue, &out) }
}

pub(super) fn input_grad(gpu: &Gpu, plan: &Plan, dy: &Tensor, w: &Tensor, out: &GradTarget) -> Result<()> {
    let s = plan.s;
    let part = plan.parts(gpu, out)?;
    let launch = gpu
        .launch(GATHER, "matrix", &gather_defines(plan.layout, plan.matrix, true, &Epilogue::default()))?
        .bind("source", dy)
        .bind("w", w)
        .bind("out", &part.tensor)
        .u32("high", s.h.div_ceil(s.stride))
        .u32("wide", s.w.div_ceil(s.stride))
        .u32("gap", gap(s))
        .u32("reach", reach(s))
        .u32("pixels", plan.product.rows);
    plan.dispatch(gpu, launch, &part)?;
    if plan.splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, plan.splits, s.ci, Epilogue::default(), out) }
}

pub(super) fn weight_grad(gpu: &Gpu, plan: &Plan, x: &Tensor, dy: &Tensor, out: &GradTarget) -> Result<()> {
    let (s, part) = (plan.s, plan.parts(gpu, out)?);
    let launch = gpu
        .launch(WEIGHT, "matrix_weight", &plan.layout.defines(plan.matrix))?
        .bind("x", x)
        .bind("dy", dy)
        .bind("out", &part.tensor)
        .u32("depth", plan.product.terms)
        .u32("rows", plan.product.rows)
        .u32("step_x", TERMS % s.ow())
        .u32("step_y", TERMS / s.ow() % s.oh())
        .u32("step_n", TERMS / s.ow() / s.oh());
    plan.dispatch(gpu, launch, &part)?;
    let channels = s.ci / s.groups;
    if plan.splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, plan.splits, channels, Epilogue::default(), out) }
}

/// Whether the family may compute a pass of `s` with `tile`: on a device with matrices open and room for the tile, where the
/// channels of either side come in fours.
pub(super) fn serves(s: &Conv2d, tile: Tile, profile: &Profile) -> bool {
    let fours = (s.ci / s.groups).is_multiple_of(4) && (s.co / s.groups).is_multiple_of(4);
    let layout = Layout::of(tile);
    let room = |matrix: Matrix| {
        layout.invocations(matrix) <= profile.max_invocations as usize
            && layout.bytes(matrix) <= profile.max_workgroup_bytes as usize
    };
    TILES.contains(&tile) && s.stride < 16 && fours && profile.matrix.is_some_and(room)
}

/// The tile for `pass` of `s`: for the forward pass of devices with matrices open. `None` where another family is better: for
/// small products, where a tile would be mostly padding, and on software adapters, which play matrices in scalars.
pub(super) fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<Tile> {
    let p = Product::of(pass, s, 1);
    if pass != Pass::Forward || profile.class == AdapterClass::Software || s.macs() < 1 << 20 || p.terms < TERMS / 2 {
        return None;
    }
    let matrix = profile.matrix?;
    let time = |layout: &&Layout| {
        let (tiles, invocations) = (layout.tiles(&p), layout.invocations(matrix));
        // Where even split sums leave the adapter idle, time goes with the idle part.
        let flying = tiles * invocations * p.splits(tiles, invocations, profile.class);
        layout.padded(&p) as u128 * layout.cost as u128 * flying.max(in_flight(profile.class) / 4) as u128
            / flying as u128
    };
    let usable = LAYOUTS.iter().filter(|l| serves(s, l.tile, profile));
    let layout = usable.min_by_key(time)?;
    (layout.padded(&p) <= 4 * p.rows * p.columns * p.groups * p.classes).then_some(layout.tile)
}

/// Every way the two shaders are compiled: for each size of matrix with the subgroups of those who have it.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    let on = |bits: i64, bit: i64| bits >> bit & 1;
    let mut all = Vec::new();
    for (edge, lanes) in [(8, 8), (8, 32), (16, 32), (16, 64)] {
        for layout in &LAYOUTS {
            let own = layout.defines(Matrix { edge, lanes });
            let with = |rest: Defines| own.clone().into_iter().chain(rest).collect();
            let forms = (0..8)
                .map(|bits| defines! { GRAD = 0, BIAS = on(bits, 0), RESIDUAL = on(bits, 1), RELU = on(bits, 2) });
            let forms = forms.chain([defines! { GRAD = 1, BIAS = 0, RESIDUAL = 0, RELU = 0 }]);
            all.extend(forms.map(|form| Permutation { source: GATHER, defines: with(form) }));
            all.push(Permutation { source: WEIGHT, defines: own.clone() });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::parse;

    const FORMS: [Matrix; 4] = [
        Matrix { edge: 8, lanes: 8 },
        Matrix { edge: 8, lanes: 32 },
        Matrix { edge: 16, lanes: 32 },
        Matrix { edge: 16, lanes: 64 },
    ];

    #[test]
    fn tiles_divide_and_take_the_memory_they_say() {
        for (matrix, layout) in FORMS.into_iter().flat_map(|m| LAYOUTS.iter().map(move |l| (m, l))) {
            let width = layout.invocations(matrix);
            // The lanes fetch whole lines, and no line is left out.
            for (lines, line) in [(layout.tile.rows, TERMS), (layout.tile.columns, TERMS)] {
                assert!(width % (line / 4) == 0 && width % (lines / 4) == 0);
            }
            assert!(layout.tile.rows % (width / (TERMS / 4)) == 0);
            assert!(layout.tile.rows % (layout.down * matrix.edge) == 0 && TERMS.is_multiple_of(matrix.edge));
            assert!(layout.tile.columns % (layout.across * matrix.edge) == 0);
            let gather = |grad| gather_defines(layout, matrix, grad, &Epilogue::default());
            let forms = [(GATHER, "matrix", gather(false)), (GATHER, "matrix", gather(true))];
            for (source, entry, defines) in forms.into_iter().chain([(WEIGHT, "matrix_weight", layout.defines(matrix))])
            {
                let interface = parse(source, &defines).unwrap().interface(entry).unwrap();
                assert_eq!(interface.workgroup_size, [width as u32, 1, 1]);
                assert!(interface.workgroup_bytes as usize <= layout.bytes(matrix), "{source:?}");
            }
        }
        // One tile fits the least that adapters have.
        assert!(FORMS.iter().all(|m| LAYOUTS[1].bytes(*m) <= 16 << 10 && LAYOUTS[1].invocations(*m) <= 256));
    }
}
