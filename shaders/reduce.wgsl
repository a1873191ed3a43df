// Sums in a fixed order.
//
// column_partial  part[k, c] = Σ over chunk k of x[r, c]; one invocation: one column × one chunk of rows
// column_finish   y[c] (+)= scale · Σ_k part[k, c]; one invocation: one column
// total           y[cursor, column] (+)= scale · Σ x[i]; one workgroup of 256: strided sums, then a tree in workgroup memory.
//                 The row is read from a buffer, so that a recorded step can be replayed for another one.

#import shared/index

struct Params { rows: u32, columns: u32, chunk: u32, chunks: u32, accumulate: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn column_partial(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    let c = id % p.columns;
    let k = id / p.columns;
    if k >= p.chunks {
        return;
    }
    var sum = 0.0;
    let last = min((k + 1u) * p.chunk, p.rows);
    for (var r = k * p.chunk; r < last; r++) {
        sum += x[r * p.columns + c];
    }
    y[k * p.columns + c] = sum;
}

@compute @workgroup_size(64)
fn column_finish(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = folded_index(wid, groups, lane, 64u);
    if c >= p.columns {
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < p.chunks; k++) {
        sum += x[k * p.columns + c];
    }
    sum *= p.scale;
    if p.accumulate != 0u {
        sum += y[c];
    }
    y[c] = sum;
}

struct Total { length: u32, rows: u32, columns: u32, column: u32, accumulate: u32, scale: f32 }

@group(0) @binding(0) var<uniform> t: Total;
@group(0) @binding(3) var<storage, read> cursor: array<u32>;
var<workgroup> tree: array<f32, 256>;

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < t.length; i += 256u) {
        sum += x[i];
    }
    tree[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tree[lane] += tree[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u && cursor[0] < t.rows {
        let at = cursor[0] * t.columns + t.column;
        var sum = tree[0] * t.scale;
        if t.accumulate != 0u {
            sum += y[at];
        }
        y[at] = sum;
    }
}
