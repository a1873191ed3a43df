// Cross entropy with label smoothing ε, mean over the labelled rows:
//   loss_i = −(1 − ε) log p_i[y_i] − ε/C Σ_j log p_i[j],  p = softmax(z);  dz = weight (p − (1 − ε)[j = y] − ε/C) / count.
//
// z, dz [rows, columns]; labels [rows], a label of `columns` or more marks a row without one; row_loss [rows] receives
// weight · loss_i / count, so that its sum is the loss. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: reads z three times, writes dz once (GRAD = 1).

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, samples: u32, accumulate: u32, smoothing: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> dz: array<f32>;
#endif

fn share(i: u32) -> f32 {
    return select(0.0, 1.0, labels[i] < p.columns);
}

#import shared/present

@compute @workgroup_size(64)
fn cross_entropy(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let count = count_of_present(lane);
    var top = LOWEST;
    for (var j = row.first; j < p.columns; j += STEP) {
        top = max(top, z[at + j]);
    }
    top = row_max(top, lane);
    // Σ exp(z − top), and Σ (z − top) for the smoothed part.
    var sums = vec2<f32>(0.0);
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = z[at + j] - top;
        most = max(most, magnitude(z[at + j]));
        sums += vec2<f32>(exp(v), v);
    }
    sums.y = told(sums.y, most);
    sums = row_sum2(sums, lane);
    let label = labels[row.index];
    let labelled = label < p.columns;
    let scale = select(0.0, p.weight / max(count, 1.0), labelled);
    let uniform_part = p.smoothing / f32(p.columns);
    if row.writes {
        let logit = z[at + min(label, p.columns - 1u)] - top;
        let shift = log(sums.x);
        let loss = (1.0 - p.smoothing) * (shift - logit) + uniform_part * (f32(p.columns) * shift - sums.y);
        row_loss[row.index] = told(scale * loss, magnitude(sums.y));
    }
#if GRAD
    if row.live {
        let inverse = 1.0 / sums.x;
        for (var j = row.first; j < p.columns; j += STEP) {
            let wanted = uniform_part + select(0.0, 1.0 - p.smoothing, j == label);
            var g = scale * (exp(z[at + j] - top) * inverse - wanted);
            if p.accumulate != 0u {
                g += dz[at + j];
            }
            dz[at + j] = g;
        }
    }
#endif
}
