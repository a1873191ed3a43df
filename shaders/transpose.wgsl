// Rows and columns of each matrix of a batch exchanged: y[n, j, i] (+)= x[n, i, j]. With i the pixels and j the channels, maps
// become one row a channel.
//
// x [batch, rows, columns]; y [batch, columns, rows]; one invocation: one output. Memory: each value once, the reads not side by side.

#import shared/index

struct Params { count: u32, rows: u32, columns: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn transpose_matrices(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.count {
        return;
    }
    let i = id % p.rows;
    let j = id / p.rows % p.columns;
    let first = id - id % (p.rows * p.columns);
    var value = x[first + i * p.columns + j];
    if p.accumulate != 0u {
        value += y[id];
    }
    y[id] = value;
}
