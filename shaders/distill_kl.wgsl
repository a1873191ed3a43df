// Distillation (Hinton 2015):  loss = T²/b Σ_i KL( softmax(t_i / T) ‖ softmax(s_i / T) );  dzs = weight · T (p_s − p_t) / b.
// STANDARDISE = 1 (Sun 2024): s and t are first z ← (z − mean) / (std + ε) of their row, std unbiased; with u = z − mean,
// d = std + ε and g the gradient above (Σ g = 0):  dzs = g / d − u Σ(g·u) / (d² (C − 1) std).
//
// zs, zt, dzs [rows, columns]; row_loss [rows] receives weight · loss_i. A row is one invocation's (WIDE = 0) or one
// workgroup's (WIDE = 1). Memory: reads both logits three times (five when standardising), writes dzs once (GRAD = 1).

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, accumulate: u32, temperature: f32, eps: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> zs: array<f32>;
@group(0) @binding(2) var<storage, read> zt: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> dzs: array<f32>;
#endif

// Student and teacher side by side.
fn logits(i: u32) -> vec2<f32> {
    return vec2<f32>(zs[i], zt[i]);
}

@compute @workgroup_size(64)
fn distill_kl(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var top = vec2<f32>(LOWEST);
#if STANDARDISE
    var mean = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = logits(at + j);
        top = max(top, v);
        mean += v;
    }
    mean = row_sum2(mean, lane) / f32(p.columns);
    var squares = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let u = logits(at + j) - mean;
        squares += u * u;
    }
    let deviation = sqrt(row_sum2(squares, lane) / f32(p.columns - 1u));
    let spread = deviation + p.eps;
    let scale = 1.0 / (spread * p.temperature);
#else
    for (var j = row.first; j < p.columns; j += STEP) {
        top = max(top, logits(at + j));
    }
    let scale = vec2<f32>(1.0 / p.temperature);
#endif
    // The mean falls out of every difference to the maximum, so it is not subtracted again.
    top = row_max2(top, lane);
    var sum = vec2<f32>(0.0);
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        most = max(most, magnitude2(logits(at + j)));
        sum += exp((logits(at + j) - top) * scale);
    }
    sum.x = told(sum.x, most);
    sum = row_sum2(sum, lane);
    let inverse = 1.0 / sum;
    let shift = log(sum);
    // Σ p_t (log p_t − log p_s), and Σ (p_s − p_t) u for the gradient through the standardisation.
    var fold = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = (logits(at + j) - top) * scale;
        let teacher = exp(v.y) * inverse.y;
        fold.x += teacher * ((v.y - shift.y) - (v.x - shift.x));
#if STANDARDISE
        fold.y += (exp(v.x) * inverse.x - teacher) * (zs[at + j] - mean.x);
#endif
    }
    fold = row_sum2(fold, lane);
    let unit = p.weight * p.temperature / f32(p.rows);
    if row.writes {
        row_loss[row.index] = told(unit * p.temperature * fold.x, magnitude(sum.x));
    }
#if GRAD
    if row.live {
#if STANDARDISE
        let direct = unit / spread.x;
        // A row without spread has no direction to push its spread in.
        let through = unit * fold.y / max(spread.x * spread.x * f32(p.columns - 1u) * deviation.x, 1e-30);
#endif
        for (var j = row.first; j < p.columns; j += STEP) {
            let e = exp((logits(at + j) - top) * scale) * inverse;
#if STANDARDISE
            var g = direct * (e.x - e.y) - through * (zs[at + j] - mean.x);
#else
            var g = unit * (e.x - e.y);
#endif
            if p.accumulate != 0u {
                g += dzs[at + j];
            }
            dzs[at + j] = g;
        }
    }
#endif
}
