// Losses between feature maps, mean over rows:
//   MODE 0 (FitNet):  loss = mean (s − t)² over all elements;  ds = weight · 2 (s − t) / (rows · C)
//   MODE 1 (KD4MTL):  loss = mean over rows of ‖n(s) − n(t)‖², n(f) = f / max(‖f‖, ε) over the channels;
//                     with ŝ = n(s), δ = ŝ − n(t), a = 1 / max(‖s‖, ε):  ds = weight · 2a (δ − ŝ (ŝ·δ)) / rows
//
// s, t, ds [rows, C], rows = N·H·W; row_loss [rows] receives weight · the row's share. VEC = 4 loads vec4 (C % 4 == 0).
// A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: MODE 0 reads both maps once, MODE 1 three times; writes ds once (GRAD = 1).

#import shared/rows

struct Params { rows: u32, columns: u32, accumulate: u32, eps: f32, weight: f32 }

#if VEC == 4
alias X = vec4<f32>;
fn inner(a: X, b: X) -> f32 {
    return dot(a, b);
}
#else
alias X = f32;
fn inner(a: X, b: X) -> f32 {
    return a * b;
}
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> s: array<X>;
@group(0) @binding(2) var<storage, read> t: array<X>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> ds: array<X>;

fn put(i: u32, g: X) {
    if p.accumulate != 0u {
        ds[i] += g;
    } else {
        ds[i] = g;
    }
}
#endif

@compute @workgroup_size(64)
fn feature_loss(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    // Columns are counted in units of VEC.
    let columns = p.columns / ${VEC}u;
    let at = row.index * columns;
#if MODE == 0
    let unit = p.weight / (f32(p.rows) * f32(p.columns));
    var loss = 0.0;
    for (var j = row.first; j < columns; j += STEP) {
        let d = s[at + j] - t[at + j];
        loss += inner(d, d);
#if GRAD
        if row.live {
            put(at + j, (2.0 * unit) * d);
        }
#endif
    }
    loss = row_sum(loss, lane);
    if row.writes {
        row_loss[row.index] = unit * loss;
    }
#else
    let unit = p.weight / f32(p.rows);
    var squares = vec2<f32>(0.0);
    for (var j = row.first; j < columns; j += STEP) {
        squares += vec2<f32>(inner(s[at + j], s[at + j]), inner(t[at + j], t[at + j]));
    }
    let norm = sqrt(row_sum2(squares, lane));
    let a = 1.0 / max(norm, vec2<f32>(p.eps));
    // ‖δ‖² and ŝ·δ.
    var fold = vec2<f32>(0.0);
    for (var j = row.first; j < columns; j += STEP) {
        let n = s[at + j] * a.x;
        let d = n - t[at + j] * a.y;
        fold += vec2<f32>(inner(d, d), inner(n, d));
    }
    fold = row_sum2(fold, lane);
    if row.writes {
        row_loss[row.index] = unit * fold.x;
    }
#if GRAD
    if row.live {
        // Below ε the norm is a constant.
        let along = select(0.0, fold.y, norm.x > p.eps);
        for (var j = row.first; j < columns; j += STEP) {
            let n = s[at + j] * a.x;
            let d = n - t[at + j] * a.y;
            put(at + j, (2.0 * unit * a.x) * (d - n * along));
        }
    }
#endif
#endif
}
