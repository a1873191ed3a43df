// One minus Pearson's correlation of the rows of two matrices: with x = (a − mean) / max(‖a − mean‖, ε) and y so of b,
//   loss_i = weight · (1 − x·y);  da = −weight · (y − x (x·y)) / max(‖a − mean‖, ε)
//
// a, b, da: row i, column j at i · row_stride + j · column_stride, so that columns can be the rows; row_loss[first + i] receives
// loss_i. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: reads both matrices three times, writes da once (GRAD = 1).

#import shared/rows

struct Params { rows: u32, columns: u32, row_stride: u32, column_stride: u32, first: u32, accumulate: u32, eps: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> da: array<f32>;
#endif

fn both(i: u32) -> vec2<f32> {
    return vec2<f32>(a[i], b[i]);
}

@compute @workgroup_size(64)
fn correlation(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.row_stride;
    var mean = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        mean += both(at + j * p.column_stride);
    }
    mean = row_sum2(mean, lane) / f32(p.columns);
    var squares = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = both(at + j * p.column_stride) - mean;
        squares += v * v;
    }
    let length = sqrt(row_sum2(squares, lane));
    let scale = 1.0 / max(length, vec2<f32>(p.eps));
    // |x − y|² and x·y: one minus the latter is half the former where both have length 1, without its cancellation.
    var fold = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = (both(at + j * p.column_stride) - mean) * scale;
        fold += vec2<f32>((v.x - v.y) * (v.x - v.y), v.x * v.y);
    }
    fold = row_sum2(fold, lane);
    let whole = length.x > p.eps && length.y > p.eps;
    if row.writes {
        row_loss[p.first + row.index] = p.weight * select(1.0 - fold.y, 0.5 * fold.x, whole);
    }
#if GRAD
    if row.live {
        // Below ε the length is a constant.
        let along = select(0.0, fold.y, length.x > p.eps);
        for (var j = row.first; j < p.columns; j += STEP) {
            let i = at + j * p.column_stride;
            let v = (both(i) - mean) * scale;
            var g = -p.weight * scale.x * (v.y - v.x * along);
            if p.accumulate != 0u {
                g += da[i];
            }
            da[i] = g;
        }
    }
#endif
}
