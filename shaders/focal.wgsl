// Focal loss over classes with a weight for each, mean over the labelled rows by their weights, or Poly-1 (POLY = 1):
//   loss_i = w_y (1 − p_y)^γ (−log p_y) / Σ w,  p = softmax(z);
//   dz_j = weight w_y / Σ w · (γ (1 − p_y)^(γ−1) p_y log p_y − (1 − p_y)^γ) ([j = y] − p_j).
//   POLY adds ε (1 − p_y)^(γ+1) to the loss, and −ε (γ + 1) (1 − p_y)^γ p_y to the factor of ([j = y] − p_j).
//
// z, dz [rows, columns]; labels [rows], a label of `columns` or more marks a row without one; class_weights [columns]; row_loss [rows]
// receives weight · loss_i, so that its sum is the loss. γ is 0 (cross entropy) or at least 1. A row is one invocation's (WIDE = 0) or
// one workgroup's (WIDE = 1). Memory: reads z three times, writes dz once (GRAD = 1).

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, samples: u32, accumulate: u32, gamma: f32, epsilon: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> dz: array<f32>;
#endif
@group(0) @binding(5) var<storage, read> class_weights: array<f32>;

fn share(i: u32) -> f32 {
    let label = labels[i];
    return select(0.0, class_weights[min(label, p.columns - 1u)], label < p.columns);
}

#import shared/present

// base^exponent for 0 <= base <= 1; 1 where the exponent is 0, whatever the base.
fn power(base: f32, exponent: f32) -> f32 {
    if exponent == 0.0 {
        return 1.0;
    }
    return select(0.0, exp(exponent * log(max(base, 1.0e-37))), base > 0.0);
}

@compute @workgroup_size(64)
fn focal(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let sum_of_weights = count_of_present(lane);
    var top = LOWEST;
    for (var j = row.first; j < p.columns; j += STEP) {
        top = max(top, z[at + j]);
    }
    top = row_max(top, lane);
    let label = labels[row.index];
    // Σ exp(z − top) of all classes, and of all but the label: 1 − p_y loses nothing where p_y is close to 1.
    var sums = vec2<f32>(0.0);
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let e = exp(z[at + j] - top);
        most = max(most, magnitude(z[at + j]));
        sums += vec2<f32>(e, select(e, 0.0, j == label));
    }
    sums.x = told(sums.x, most);
    sums = row_sum2(sums, lane);
    // Weights may all be 0.
    let norm = select(0.0, p.weight / sum_of_weights, sum_of_weights > 0.0);
    let scale = norm * share(row.index);
    let log_p = z[at + min(label, p.columns - 1u)] - top - log(sums.x);
    let rest = sums.y / sums.x;
    let damped = power(rest, p.gamma);
    var loss = -damped * log_p;
#if POLY
    loss += p.epsilon * damped * rest;
#endif
    if row.writes {
        row_loss[row.index] = told(select(0.0, scale * loss, scale != 0.0), magnitude(sums.x));
    }
#if GRAD
    if row.live {
        let inverse = 1.0 / sums.x;
        var pull = -damped;
        if p.gamma > 0.0 {
            pull += p.gamma * power(rest, p.gamma - 1.0) * exp(log_p) * log_p;
        }
#if POLY
        pull -= p.epsilon * (p.gamma + 1.0) * damped * exp(log_p);
#endif
        for (var j = row.first; j < p.columns; j += STEP) {
            // [j = y] − p_j; of the label itself the sum of the others.
            let toward = select(-exp(z[at + j] - top) * inverse, rest, j == label);
            var g = select(0.0, scale * pull * toward, scale != 0.0);
            if p.accumulate != 0u {
                g += dz[at + j];
            }
            dz[at + j] = g;
        }
    }
#endif
}
