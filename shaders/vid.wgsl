// Variational information distillation (Ahn 2019): the negative log-likelihood of the teacher's features under a normal
// distribution around the student's, with a variance for each channel: v_c = log(1 + e^{ρ_c}) + ε,
//   loss = mean over all elements of ½ [ (m − t)² / v + log v ]
//   dm = weight/count · (m − t) / v;  dρ_c = Σ_rows weight/count · ½ (1/v − (m − t)²/v²) σ(ρ_c)
//
// m, t, dm [rows, columns], ρ [columns]; row_loss [rows] receives weight · the row's share, `terms` [rows, columns] the summands of
// dρ. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1). Memory: reads both maps once, writes two (GRAD = 1).

#import shared/rows
#import shared/finite
#import shared/logistic

struct Params { rows: u32, columns: u32, accumulate: u32, eps: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read> rho: array<f32>;
@group(0) @binding(4) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(5) var<storage, read_write> dm: array<f32>;
@group(0) @binding(6) var<storage, read_write> terms: array<f32>;
#endif

@compute @workgroup_size(64)
fn vid(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let unit = p.weight / (f32(p.rows) * f32(p.columns));
    var loss = 0.0;
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let d = m[at + j] - t[at + j];
        let v = softplus(vec2<f32>(rho[j])).x + p.eps;
        most = max(most, max(magnitude(d), magnitude(rho[j])));
        loss += 0.5 * (d * d / v + log(v));
#if GRAD
        if row.live {
            var g = unit * d / v;
            if p.accumulate != 0u {
                g += dm[at + j];
            }
            dm[at + j] = g;
            terms[at + j] = unit * 0.5 * (1.0 - d * d / v) / v * sigmoid(vec2<f32>(rho[j])).x;
        }
#endif
    }
    loss = row_sum(told(loss, most), lane);
    if row.writes {
        row_loss[row.index] = unit * loss;
    }
}
