// Two maps into one, by an attention over both (Chen 2021): with a = Wx x + Wy y + b, two numbers for each row,
//   z = x σ(a_0) + y σ(a_1)
//   da_0 = σ'(a_0) (dz·x), da_1 = σ'(a_1) (dz·y);  dx = dz σ(a_0) + daᵀ Wx, dy = dz σ(a_1) + daᵀ Wy
//
//   fuse, fuse_attention_grad  a row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1)
//   fuse_grad                  one invocation: one value of both gradients
//
// x, y, z, dz, dx, dy [rows, columns]; wx, wy [2, columns]; bias [2]; gates (the σ; `open` where they are read) and da [rows, 2].
// Memory: both maps are read twice on the way there, once on the way back, where dz is read twice.

#import shared/rows
#import shared/logistic

struct Params { rows: u32, columns: u32, accumulate_x: u32, accumulate_y: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> wx: array<f32>;
@group(0) @binding(4) var<storage, read> wy: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;
@group(0) @binding(7) var<storage, read_write> gates: array<f32>;

@compute @workgroup_size(64)
fn fuse(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var a = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let k = p.columns + j;
        a += x[at + j] * vec2<f32>(wx[j], wx[k]) + y[at + j] * vec2<f32>(wy[j], wy[k]);
    }
    a = row_sum2(a, lane) + vec2<f32>(bias[0], bias[1]);
    let g = sigmoid(a);
    if row.live {
        for (var j = row.first; j < p.columns; j += STEP) {
            z[at + j] = x[at + j] * g.x + y[at + j] * g.y;
        }
    }
    if row.writes {
        gates[2u * row.index] = g.x;
        gates[2u * row.index + 1u] = g.y;
    }
}

@group(0) @binding(3) var<storage, read> dz: array<f32>;
@group(0) @binding(4) var<storage, read> open: array<f32>;
@group(0) @binding(5) var<storage, read_write> da: array<f32>;

@compute @workgroup_size(64)
fn fuse_attention_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var d = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        d += dz[at + j] * vec2<f32>(x[at + j], y[at + j]);
    }
    d = row_sum2(d, lane);
    if row.writes {
        let g = vec2<f32>(open[2u * row.index], open[2u * row.index + 1u]);
        d *= g * (1.0 - g);
        da[2u * row.index] = d.x;
        da[2u * row.index + 1u] = d.y;
    }
}

@group(0) @binding(1) var<storage, read> wx_: array<f32>;
@group(0) @binding(2) var<storage, read> wy_: array<f32>;
@group(0) @binding(5) var<storage, read> da_: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<storage, read_write> dy: array<f32>;

@compute @workgroup_size(64)
fn fuse_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.rows * p.columns {
        return;
    }
    let first = 2u * (i / p.columns);
    let j = i % p.columns;
    let d = vec2<f32>(da_[first], da_[first + 1u]);
    var g = dz[i] * vec2<f32>(open[first], open[first + 1u]);
    g += vec2<f32>(dot(d, vec2<f32>(wx_[j], wx_[p.columns + j])), dot(d, vec2<f32>(wy_[j], wy_[p.columns + j])));
    if p.accumulate_x != 0u {
        g.x += dx[i];
    }
    if p.accumulate_y != 0u {
        g.y += dy[i];
    }
    dx[i] = g.x;
    dy[i] = g.y;
}
