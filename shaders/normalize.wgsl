// Rows of length 1:  y = x / max(‖x‖, ε);  with a = 1 / max(‖x‖, ε):  dx (+)= a (dy − y (y·dy)), the last part where ‖x‖ > ε.
//
// x, y, dy, dx [rows, columns]. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: x is read twice, in the gradient three times as dy.

#import shared/rows

struct Params { rows: u32, columns: u32, accumulate: u32, eps: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn normalize_rows(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var squares = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
        squares = fma(x[at + j], x[at + j], squares);
    }
    let scale = 1.0 / max(sqrt(row_sum(squares, lane)), p.eps);
    if row.live {
        for (var j = row.first; j < p.columns; j += STEP) {
            y[at + j] = x[at + j] * scale;
        }
    }
}

@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn normalize_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    // ‖x‖² and x·dy.
    var fold = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        fold += x[at + j] * vec2<f32>(x[at + j], dy[at + j]);
    }
    fold = row_sum2(fold, lane);
    let length = sqrt(fold.x);
    let scale = 1.0 / max(length, p.eps);
    let along = select(0.0, fold.y * scale * scale, length > p.eps);
    if row.live {
        for (var j = row.first; j < p.columns; j += STEP) {
            var g = scale * (dy[at + j] - x[at + j] * along);
            if p.accumulate != 0u {
                g += dx[at + j];
            }
            dx[at + j] = g;
        }
    }
}
