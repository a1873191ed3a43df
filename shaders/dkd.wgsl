// Decoupled distillation (Zhao 2022). With y the target, q_j the softmax over the other classes, u = z_y / T − log Σ_{j≠y} e^{z_j/T}
// the log-odds of the target and p = σ(u):
//   loss = T²/b Σ_i [ α KL(p_t ‖ p_s) + β KL(q_t ‖ q_s) ],  the first between two classes, the second between the others
//   dzs_y = weight · T/b · α (p_s − p_t)
//   dzs_j = weight · T/b · (β (q_s,j − q_t,j) − α (p_s − p_t) q_s,j)
//
// zs, zt, dzs [rows, columns]; labels [rows], where a label beyond the classes stands for none: the teacher's most probable class
// is the target then. row_loss [rows] receives weight · loss_i. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: reads both logits four times (and the teacher's twice more), writes dzs once (GRAD = 1).

#import shared/rows
#import shared/finite
#import shared/logistic

struct Params { rows: u32, columns: u32, accumulate: u32, temperature: f32, alpha: f32, beta: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> zs: array<f32>;
@group(0) @binding(2) var<storage, read> zt: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(5) var<storage, read_write> dzs: array<f32>;
#endif

// Student and teacher side by side.
fn logits(i: u32) -> vec2<f32> {
    return vec2<f32>(zs[i], zt[i]);
}

@compute @workgroup_size(64)
fn dkd(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var best = LOWEST;
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        best = max(best, zt[at + j]);
        most = max(most, magnitude2(logits(at + j)));
    }
    best = row_max(best, lane);
    // The first of the largest; a class's number is exact in f32.
    var place = LOWEST;
    for (var j = row.first; j < p.columns; j += STEP) {
        if zt[at + j] >= best {
            place = max(place, -f32(j));
        }
    }
    place = row_max(place, lane);
    let label = labels[row.index];
    // Where no logit is a number none is the largest.
    let y = select(label, min(u32(-place), p.columns - 1u), label >= p.columns);

    var top = vec2<f32>(LOWEST);
    for (var j = row.first; j < p.columns; j += STEP) {
        if j != y {
            top = max(top, logits(at + j));
        }
    }
    top = row_max2(top, lane);
    let scale = 1.0 / p.temperature;
    var others = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        if j != y {
            others += exp((logits(at + j) - top) * scale);
        }
    }
    others = row_sum2(others, lane);
    let shift = log(others);
    let inverse = 1.0 / others;
    var between = 0.0;
    for (var j = row.first; j < p.columns; j += STEP) {
        if j != y {
            let v = (logits(at + j) - top) * scale;
            between += exp(v.y) * inverse.y * ((v.y - shift.y) - (v.x - shift.x));
        }
    }
    between = row_sum(told(between, most), lane);
    let odds = (logits(at + y) - top) * scale - shift;
    let log_target = -softplus(-odds);
    let log_rest = -softplus(odds);
    let chance = exp(log_target);
    let binary = chance.y * (log_target.y - log_target.x) + exp(log_rest.y) * (log_rest.y - log_rest.x);
    let unit = p.weight * p.temperature / f32(p.rows);
    if row.writes {
        row_loss[row.index] = told(unit * p.temperature * (p.alpha * binary + p.beta * between), magnitude(between));
    }
#if GRAD
    if row.live {
        // By the smaller of the two parts, which does not lose its digits.
        let rest = exp(log_rest);
        let pull = p.alpha * select(chance.x - chance.y, rest.y - rest.x, chance.x + chance.y > 1.0);
        for (var j = row.first; j < p.columns; j += STEP) {
            var g = unit * pull;
            if j != y {
                let q = exp((logits(at + j) - top) * scale) * inverse;
                g = unit * (p.beta * (q.x - q.y) - pull * q.x);
            }
            if p.accumulate != 0u {
                g += dzs[at + j];
            }
            dzs[at + j] = g;
        }
    }
#endif
}
