// The rows of a [rows, columns] matrix, each worked through by one invocation (WIDE = 0) or by a workgroup of 64 (WIDE = 1).
//
// A kernel is written once: it loops `for (var j = row.first; j < columns; j += STEP)` and folds what it found with
// row_sum and row_max, which do nothing where one invocation saw the whole row. Every invocation of a group comes to
// every fold; rows beyond the last are clamped and not `live`, so nothing returns before a barrier.
// Memory: 576 bytes of workgroup memory, two barriers a fold; the order of every sum is fixed.

#import shared/index
#define WIDE 0

// Below every finite f32 that occurs, and itself finite.
const LOWEST = -3.0e38;

#if WIDE
const STEP = 64u;
#else
const STEP = 1u;
#endif

struct Row {
    index: u32,
    live: bool,
    first: u32,
    // The one invocation that writes what belongs to the row as a whole.
    writes: bool,
}

fn my_row(wid: vec3<u32>, groups: vec3<u32>, lane: u32, rows: u32) -> Row {
#if WIDE
    let index = folded_group(wid, groups);
    let live = index < rows;
    return Row(min(index, rows - 1u), live, lane, live && lane == 0u);
#else
    let index = folded_index(wid, groups, lane, 64u);
    let live = index < rows;
    return Row(min(index, rows - 1u), live, 0u, live);
#endif
}

var<workgroup> leaves: array<vec2<f32>, 64>;
var<workgroup> branches: array<vec2<f32>, 8>;

// The sums of both parts over the 64 invocations, known to all of them.
fn group_sum2(value: vec2<f32>, lane: u32) -> vec2<f32> {
    leaves[lane] = value;
    workgroupBarrier();
    if lane < 8u {
        branches[lane] = ((leaves[lane] + leaves[lane + 8u]) + (leaves[lane + 16u] + leaves[lane + 24u]))
            + ((leaves[lane + 32u] + leaves[lane + 40u]) + (leaves[lane + 48u] + leaves[lane + 56u]));
    }
    workgroupBarrier();
    return ((branches[0] + branches[1]) + (branches[2] + branches[3])) + ((branches[4] + branches[5]) + (branches[6] + branches[7]));
}

// The same for maxima.
fn group_max2(value: vec2<f32>, lane: u32) -> vec2<f32> {
    leaves[lane] = value;
    workgroupBarrier();
    if lane < 8u {
        branches[lane] = max(
            max(max(leaves[lane], leaves[lane + 8u]), max(leaves[lane + 16u], leaves[lane + 24u])),
            max(max(leaves[lane + 32u], leaves[lane + 40u]), max(leaves[lane + 48u], leaves[lane + 56u])),
        );
    }
    workgroupBarrier();
    return max(max(max(branches[0], branches[1]), max(branches[2], branches[3])), max(max(branches[4], branches[5]), max(branches[6], branches[7])));
}

fn row_sum2(value: vec2<f32>, lane: u32) -> vec2<f32> {
#if WIDE
    return group_sum2(value, lane);
#else
    return value;
#endif
}

fn row_max2(value: vec2<f32>, lane: u32) -> vec2<f32> {
#if WIDE
    return group_max2(value, lane);
#else
    return value;
#endif
}

fn row_sum(value: f32, lane: u32) -> f32 {
    return row_sum2(vec2<f32>(value, 0.0), lane).x;
}

fn row_max(value: f32, lane: u32) -> f32 {
    return row_max2(vec2<f32>(value, LOWEST), lane).x;
}
