// Where a map is strong: the mean of the squares over the channels.
//   attention       a[i] = Σ_c f[i, c]² / C;  a row (pixel) is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1)
//   attention_grad  df[i, c] (+)= 2 f[i, c] da[i] / C;  one invocation: one value
//
// f, df [rows, columns]; a, da [rows]. Memory: f is read once by each.

#import shared/rows

struct Params { rows: u32, columns: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> f: array<f32>;
@group(0) @binding(2) var<storage, read_write> a: array<f32>;

@compute @workgroup_size(64)
fn attention(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var sum = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
        sum = fma(f[at + j], f[at + j], sum);
    }
    sum = row_sum(sum, lane);
    if row.writes {
        a[row.index] = sum / f32(p.columns);
    }
}

@group(0) @binding(2) var<storage, read> da: array<f32>;
@group(0) @binding(3) var<storage, read_write> df: array<f32>;

@compute @workgroup_size(64)
fn attention_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.rows * p.columns {
        return;
    }
    var g = 2.0 * f[i] * da[i / p.columns] / f32(p.columns);
    if p.accumulate != 0u {
        g += df[i];
    }
    df[i] = g;
}
