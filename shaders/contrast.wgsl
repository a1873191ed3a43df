// Contrastive distillation (Tian 2020): is a teacher's embedding that of the same sample? With u_ij the product of student i and bank
// entry j, both of length 1, and m_i the number of entries of another class (all where a side has none):
//   v = u/τ − ln m_i − 1/(2dτ²);   loss_i = log(1 + e^{−v_ii}) + Σ_j log(1 + e^{v_ij}) over those entries
//   du_ij = weight/n · σ(v_ij)/τ;   ds_i (+)= −weight/n · σ(−v_ii)/τ · t_i,  the rest of ds is du times the bank
//   contrast  a row (a sample) is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1)
//
// A sample without negatives has no loss. s, t, ds [rows, depth]; scores, dscores [rows, columns]; labels [rows]; classes [columns],
// −1 for none; row_loss [rows] receives weight · the row's share. Memory: the scores are read once and written once, the classes twice.

#import shared/rows
#import shared/finite
#import shared/logistic

struct Params { rows: u32, columns: u32, depth: u32, accumulate: u32, weight: f32, per_tau: f32, log_z: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read> scores: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read> classes: array<f32>;
@group(0) @binding(6) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(7) var<storage, read_write> dscores: array<f32>;
@group(0) @binding(8) var<storage, read_write> ds: array<f32>;
#endif

@compute @workgroup_size(64)
fn contrast(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let here = row.index * p.depth;
    // No class is as high as the word for "none", so that a sample without one differs from all.
    let label = f32(labels[row.index]);
    // s·t and the number of negatives.
    var fold = vec2<f32>(0.0);
    for (var j = row.first; j < p.depth; j += STEP) {
        fold.x = fma(s[here + j], t[here + j], fold.x);
    }
    for (var j = row.first; j < p.columns; j += STEP) {
        fold.y += select(0.0, 1.0, classes[j] != label);
    }
    fold = row_sum2(fold, lane);
    let offset = log(max(fold.y, 1.0)) + p.log_z;
    let unit = select(0.0, p.weight / f32(p.rows), fold.y > 0.0);
    let positive = fold.x * p.per_tau - offset;
    var loss = 0.0;
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = scores[at + j] * p.per_tau - offset;
        let other = classes[j] != label;
        most = max(most, magnitude(v));
        loss += select(0.0, softplus(vec2<f32>(v)).x, other);
#if GRAD
        if row.live {
            dscores[at + j] = select(0.0, unit * sigmoid(vec2<f32>(v)).x * p.per_tau, other);
        }
#endif
    }
    loss = row_sum(told(loss, most), lane) + softplus(vec2<f32>(-positive)).x;
    if row.writes {
        row_loss[row.index] = told(unit * loss, max(magnitude(loss), magnitude(fold.x)));
    }
#if GRAD
    if row.live {
        let pull = -unit * sigmoid(vec2<f32>(-positive)).x * p.per_tau;
        for (var j = row.first; j < p.depth; j += STEP) {
            var g = pull * t[here + j];
            if p.accumulate != 0u {
                g += ds[here + j];
            }
            ds[here + j] = g;
        }
    }
#endif
}
