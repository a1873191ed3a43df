// Predictions: argmax[i] = the first j with the largest z[i, j]; counts[label · C + argmax] += 1 for the first `rows` samples.
//
// One invocation a row. z [*, columns]; labels [*], a label of `columns` or more is not counted; counts [C, C], rows
// true, columns predicted, added to by integer atomics (their order does not matter); predictions [*].
// Memory: reads z once.

#import shared/index

struct Params { rows: u32, columns: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> predictions: array<u32>;

fn best_of(row: u32) -> u32 {
    let at = row * p.columns;
    var best = 0u;
    var top = z[at];
    for (var j = 1u; j < p.columns; j++) {
        let v = z[at + j];
        if v > top {
            top = v;
            best = j;
        }
    }
    return best;
}

@compute @workgroup_size(64)
fn confusion(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = folded_index(wid, groups, lane, 64u);
    if row >= p.rows {
        return;
    }
    let label = labels[row];
    if label < p.columns {
        atomicAdd(&counts[label * p.columns + best_of(row)], 1u);
    }
}

@compute @workgroup_size(64)
fn argmax(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = folded_index(wid, groups, lane, 64u);
    if row >= p.rows {
        return;
    }
    predictions[row] = best_of(row);
}
