//! The tiles there are, and the rules that pick one and split its sums.

use super::super::common::{Pass, Tile, gap};
use crate::defines;
use crate::gpu::{AdapterClass, Defines};
use crate::kernels::PART;
use crate::shape::Conv2d;

/// How a workgroup's tile is made: terms held at a time, and the sums of an invocation.
pub(super) struct Shape {
    pub tile: Tile,
    pub terms: usize,
    rows: usize,
    pub columns: usize,
    /// What a multiply-add costs beside the largest tile's, in percent: loads grow as tiles shrink.
    cost: usize,
}

/// The tiles there are, largest first. Tall ones serve narrow outputs.
pub(super) const SHAPES: [Shape; 5] = [
    Shape { tile: Tile { rows: 128, columns: 128 }, terms: 8, rows: 8, columns: 8, cost: 100 },
    Shape { tile: Tile { rows: 128, columns: 64 }, terms: 16, rows: 8, columns: 4, cost: 115 },
    Shape { tile: Tile { rows: 64, columns: 64 }, terms: 16, rows: 8, columns: 4, cost: 125 },
    Shape { tile: Tile { rows: 128, columns: 32 }, terms: 16, rows: 8, columns: 4, cost: 130 },
    Shape { tile: Tile { rows: 64, columns: 16 }, terms: 16, rows: 4, columns: 4, cost: 180 },
];

/// The fewest terms of a part, and the multiply-adds that writing a part and reading it back cost a sum.
const PART_TERMS: usize = 128;
const PART_COST: usize = 64;

/// The tiles by name.
pub const TILES: [Tile; 5] = [SHAPES[0].tile, SHAPES[1].tile, SHAPES[2].tile, SHAPES[3].tile, SHAPES[4].tile];

/// A pass as a matrix product.
pub struct Product {
    /// Rows of one product.
    pub rows: usize,
    /// Columns in a group of channels.
    pub columns: usize,
    /// Terms of a sum.
    pub terms: usize,
    /// Groups of channels.
    pub groups: usize,
    /// Products of that size: the remainders by the stride.
    pub classes: usize,
    /// Items of the batch, each with all of that.
    pub batch: usize,
    /// Values of an item's result.
    pub size: usize,
}

impl Shape {
    pub fn of(tile: Tile) -> &'static Shape {
        SHAPES.iter().find(|s| s.tile == tile).unwrap_or(&SHAPES[2])
    }

    fn invocations(&self) -> usize {
        (self.tile.rows / self.rows) * (self.tile.columns / self.columns)
    }

    pub fn defines(&self) -> Defines {
        defines! {
            BM = self.tile.rows, BN = self.tile.columns, BK = self.terms, TM = self.rows, TN = self.columns,
        }
    }

    /// Workgroups of `p` without splitting.
    fn tiles(&self, p: &Product) -> usize {
        p.rows.div_ceil(self.tile.rows) * p.columns.div_ceil(self.tile.columns) * p.groups * p.classes * p.batch
    }

    /// Multiply-adds a term of `p` costs, with those of the padding.
    fn padded(&self, p: &Product) -> usize {
        self.tiles(p) * self.tile.rows * self.tile.columns
    }

    /// The parts of the sums of `p`.
    pub fn splits(&self, p: &Product, class: AdapterClass) -> usize {
        p.splits(self.tiles(p), self.invocations(), class)
    }
}

/// How a pass of each of a batch of convolutions `s` is cut into tiles and parts.
pub struct Plan<'a> {
    pub(super) s: &'a Conv2d,
    pub(super) shape: &'static Shape,
    pub(super) product: Product,
    /// The parts of each sum.
    pub(super) splits: usize,
    /// Tiles of terms in a part.
    pub(super) chunk: usize,
    /// Workgroups in a row of the grid, at most.
    pub(super) row: usize,
}

impl<'a> Plan<'a> {
    /// `pass` of each of `batch` convolutions `s` with `tile`.
    pub fn new(pass: Pass, s: &'a Conv2d, batch: usize, tile: Tile, class: AdapterClass) -> Self {
        let (product, shape) = (Product::of(pass, s, batch), Shape::of(tile));
        let splits = shape.splits(&product, class);
        Plan { s, shape, product, splits, chunk: 0, row: 65_535 }.in_parts(splits)
    }

    /// The parts of each sum.
    pub fn parts(&self) -> usize {
        self.splits
    }

    /// The same with rows of at most `groups` workgroups, so that short grids fold too.
    #[cfg(any(feature = "selftest", test))]
    pub fn in_rows_of(self, groups: usize) -> Self {
        Plan { row: groups, ..self }
    }

    /// The same with another number of parts, as far as there are tiles of terms for them and no part is too long.
    pub fn in_parts(mut self, splits: usize) -> Self {
        let tiles = self.product.terms.div_ceil(self.shape.terms);
        self.chunk = tiles.div_ceil(splits.max(1)).min(PART);
        self.splits = tiles.div_ceil(self.chunk);
        self
    }
}

/// Invocations that keep an adapter busy.
pub fn in_flight(class: AdapterClass) -> usize {
    match class {
        AdapterClass::DiscreteMatrix | AdapterClass::Discrete => 1 << 16,
        AdapterClass::Apple => 1 << 15,
        AdapterClass::Integrated => 1 << 13,
        AdapterClass::Software => 1 << 9,
    }
}

impl Product {
    /// The parts of each sum, where `tiles` workgroups of so many invocations compute whole ones: enough to fill the adapter,
    /// with `PART_TERMS` terms a part and at most 64 MiB of parts.
    pub fn splits(&self, tiles: usize, invocations: usize, class: AdapterClass) -> usize {
        let memory = (1 << 24) / (self.size * self.batch).max(1);
        let most = (self.terms / PART_TERMS).min(memory).clamp(1, 256);
        (in_flight(class) / invocations / tiles).clamp(1, most)
    }

    pub fn of(pass: Pass, s: &Conv2d, batch: usize) -> Product {
        let (ci, co, groups) = (s.ci / s.groups, s.co / s.groups, s.groups);
        let (taps, pixels) = (s.kh * s.kw, s.n * s.oh() * s.ow());
        match pass {
            Pass::Forward => {
                Product { rows: pixels, columns: co, terms: taps * ci, groups, classes: 1, batch, size: pixels * s.co }
            }
            Pass::InputGrad => Product {
                rows: s.n * s.h.div_ceil(s.stride) * s.w.div_ceil(s.stride),
                columns: ci,
                // Of the class with the most taps.
                terms: s.kh.div_ceil(gap(s)) * s.kw.div_ceil(gap(s)) * co,
                groups,
                classes: s.stride * s.stride,
                batch,
                size: s.n * s.h * s.w * s.ci,
            },
            Pass::WeightGrad => Product {
                rows: taps * ci,
                columns: co,
                terms: pixels,
                groups,
                classes: 1,
                batch,
                size: s.co * taps * ci,
            },
        }
    }
}

/// Whether the family may compute a pass of `s` with `tile`: the remainders by the stride share the third dimension of
/// the grid, of 65,535, with at most 256 parts.
pub fn serves(s: &Conv2d, tile: Tile) -> bool {
    TILES.contains(&tile) && s.stride < 16
}

/// The tile that computes `p` soonest.
fn quickest(p: &Product, class: AdapterClass) -> &'static Shape {
    // A quarter of what is wanted in flight still hides most of the waiting.
    let busy = in_flight(class) / 4;
    // 64 sums an invocation spill or starve the small register files.
    let wide = matches!(class, AdapterClass::DiscreteMatrix | AdapterClass::Discrete);
    let time = |shape: &&Shape| {
        let splits = shape.splits(p, class);
        let parts = if splits > 1 { splits * PART_COST } else { 0 };
        let work = shape.padded(p) as u128 * (p.terms * shape.cost / 100 + parts) as u128;
        // Where even split sums leave the adapter idle, time goes with the idle part.
        let invocations = shape.tiles(p) * shape.invocations() * splits;
        work * busy.max(invocations) as u128 / invocations as u128
    };
    let usable = |shape: &&Shape| wide || shape.columns * shape.rows < 64;
    SHAPES.iter().filter(usable).min_by_key(time).unwrap_or(&SHAPES[2])
}

/// The tile for `pass` of each of `batch` convolutions `s`, whatever they are.
pub fn best(pass: Pass, s: &Conv2d, batch: usize, class: AdapterClass) -> Tile {
    quickest(&Product::of(pass, s, batch), class).tile
}

/// The tile for `pass` of `s`; `None` where another family is better: on software adapters, whose barriers cost more than
/// arithmetic, and where the product is small or a tile mostly padding.
pub fn choose(pass: Pass, s: &Conv2d, class: AdapterClass) -> Option<Tile> {
    let p = Product::of(pass, s, 1);
    let shape = quickest(&p, class);
    let worth = class != AdapterClass::Software
        && serves(s, shape.tile)
        && s.macs() >= 1 << 20
        && p.terms >= 8
        && shape.padded(&p) <= 4 * p.rows * p.columns * p.groups * p.classes;
    worth.then_some(shape.tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [AdapterClass; 5] = [
        AdapterClass::DiscreteMatrix,
        AdapterClass::Discrete,
        AdapterClass::Apple,
        AdapterClass::Integrated,
        AdapterClass::Software,
    ];

    const PASSES: [Pass; 3] = [Pass::Forward, Pass::InputGrad, Pass::WeightGrad];

    fn chosen(pass: Pass, s: &Conv2d, class: AdapterClass) -> Option<(usize, usize)> {
        choose(pass, s, class).map(|t| (t.rows, t.columns))
    }

    #[test]
    fn software_adapters_and_small_products_have_no_tile() {
        let large = Conv2d::square(64, 32, 32, 64, 64, 3, 1, 1);
        for pass in PASSES {
            assert_eq!(chosen(pass, &large, AdapterClass::Software), None);
            assert_eq!(chosen(pass, &Conv2d::square(64, 1, 1, 64, 10, 1, 1, 0), AdapterClass::Discrete), None);
            assert_eq!(chosen(pass, &Conv2d { groups: 64, ..large }, AdapterClass::Discrete), None, "depthwise");
        }
    }

    #[test]
    fn narrow_outputs_get_tall_tiles_and_wide_ones_the_largest_that_fill_the_adapter() {
        let layer = |n, size, channels| Conv2d::square(n, size, size, channels, channels, 3, 1, 1);
        for pass in PASSES {
            assert_eq!(chosen(pass, &layer(128, 32, 16), AdapterClass::Discrete), Some((64, 16)), "{pass}");
            assert_eq!(chosen(pass, &layer(128, 16, 32), AdapterClass::Discrete), Some((128, 32)), "{pass}");
            assert_eq!(chosen(pass, &layer(128, 16, 128), AdapterClass::Discrete), Some((128, 128)), "{pass}");
            assert_eq!(chosen(pass, &layer(128, 16, 128), AdapterClass::Apple), Some((128, 64)), "{pass}");
        }
    }

    #[test]
    fn parts_cover_every_term_once_and_leave_room() {
        let shapes = [
            Conv2d::square(64, 32, 32, 3, 16, 3, 1, 1),
            Conv2d::square(32, 4, 4, 512, 512, 3, 1, 1),
            Conv2d::square(128, 32, 32, 16, 32, 3, 2, 1),
            Conv2d { dilation: 2, ..Conv2d::square(8, 56, 56, 64, 64, 3, 15, 2) },
            Conv2d { groups: 4, ..Conv2d::square(1, 224, 224, 32, 64, 7, 2, 3) },
        ];
        for (class, s) in CLASSES.into_iter().flat_map(|c| shapes.iter().map(move |s| (c, s))) {
            for (pass, shape) in PASSES.into_iter().flat_map(|p| SHAPES.iter().map(move |s| (p, s))) {
                let Plan { product: p, splits, chunk, .. } = Plan::new(pass, s, 1, shape.tile, class);
                let tiles = p.terms.div_ceil(shape.terms);
                assert!(chunk <= PART, "{s:?} {pass}");
                assert!(splits * chunk >= tiles && (splits - 1) * chunk < tiles, "{s:?} {pass}");
                assert!(splits * p.size <= (1 << 24).max(p.size) && splits * p.classes <= 65_535, "{s:?} {pass}");
            }
        }
    }

    #[test]
    fn few_tiles_with_many_terms_are_split() {
        let s = Conv2d::square(32, 4, 4, 512, 512, 3, 1, 1);
        let p = Product::of(Pass::Forward, &s, 1);
        assert!(Shape::of(SHAPES[2].tile).splits(&p, AdapterClass::Discrete) >= 8);
        let s = Conv2d::square(64, 32, 32, 16, 16, 3, 1, 1);
        let p = Product::of(Pass::WeightGrad, &s, 1);
        assert!(Shape::of(SHAPES[4].tile).splits(&p, AdapterClass::Discrete) >= 128);
    }
}
