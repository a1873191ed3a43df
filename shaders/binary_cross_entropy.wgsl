// Binary cross entropy on logits, mean over the elements that have a target:
//   loss = max(z, 0) − z·t + log(1 + exp(−|z|));  dz = weight (σ(z) − t) / count.
//   POSITIVE = 1: what speaks for yes counts positive_weights [columns] times:
//   loss = (1 − t) softplus(z) + w t softplus(−z), softplus(z) = max(z, 0) + log(1 + exp(−|z|));
//   dz = weight ((1 − t) σ(z) − w t σ(−z)) / count.
//
// z, targets, dz [rows, columns]; a negative target marks an element without one; row_loss [rows] receives the sum of
// weight · loss / count over the row. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: reads z and targets once, writes dz once (GRAD = 1).

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, samples: u32, accumulate: u32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> dz: array<f32>;
#endif
#if POSITIVE
@group(0) @binding(5) var<storage, read> positive_weights: array<f32>;
#endif

fn share(i: u32) -> f32 {
    return select(0.0, 1.0, targets[i] >= 0.0);
}

#import shared/present

// log(1 + e) for 0 < e <= 1, by its series where the sum would round e away.
fn log_one_plus(e: f32) -> f32 {
    let series = e * (1.0 - e * (0.5 - e * (0.33333334 - e * (0.25 - e * 0.2))));
    return select(log(1.0 + e), series, e < 0.05);
}

@compute @workgroup_size(64)
fn binary_cross_entropy(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let scale = p.weight / max(count_of_present(lane), 1.0);
    var loss = 0.0;
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = z[at + j];
        most = max(most, magnitude(v));
        let t = targets[at + j];
        let wanted = t >= 0.0;
        let e = exp(-abs(v));
#if POSITIVE
        // Two sums of parts that are not negative, so that nothing cancels where the loss is small.
        let w = positive_weights[j] * t;
        let rest = log_one_plus(e);
        loss += select(0.0, (1.0 - t) * (max(v, 0.0) + rest) + w * (max(-v, 0.0) + rest), wanted);
#else
        loss += select(0.0, max(v, 0.0) - v * t + log_one_plus(e), wanted);
#endif
#if GRAD
        if row.live {
#if POSITIVE
            let pull = ((1.0 - t) * select(e, 1.0, v >= 0.0) - w * select(1.0, e, v >= 0.0)) / (1.0 + e);
#else
            let pull = select(e, 1.0, v >= 0.0) / (1.0 + e) - t;
#endif
            var g = select(0.0, scale * pull, wanted);
            if p.accumulate != 0u {
                g += dz[at + j];
            }
            dz[at + j] = g;
        }
#endif
    }
    loss = row_sum(told(loss, most), lane);
    if row.writes {
        row_loss[row.index] = scale * loss;
    }
}
