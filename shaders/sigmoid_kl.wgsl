// Distillation of independent attributes:
//   loss = T²/b Σ_i Σ_j KL( σ(t_ij / T) ‖ σ(s_ij / T) ), each between an attribute and its absence
//   dzs  = weight · T/b · (σ(s / T) − σ(t / T))
//
// zs, zt, dzs [rows, columns]; row_loss [rows] receives weight · loss_i. A row is one invocation's (WIDE = 0) or one workgroup's
// (WIDE = 1). Memory: reads both logits once, writes dzs once (GRAD = 1).

#import shared/rows
#import shared/finite
#import shared/logistic

struct Params { rows: u32, columns: u32, accumulate: u32, temperature: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> zs: array<f32>;
@group(0) @binding(2) var<storage, read> zt: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> dzs: array<f32>;
#endif

@compute @workgroup_size(64)
fn sigmoid_kl(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    let unit = p.weight * p.temperature / f32(p.rows);
    var loss = 0.0;
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        let z = vec2<f32>(zs[at + j], zt[at + j]) / p.temperature;
        most = max(most, magnitude2(z));
        // log σ(z) and log σ(−z).
        let yes = -softplus(-z);
        let no = -softplus(z);
        loss += exp(yes.y) * (yes.y - yes.x) + exp(no.y) * (no.y - no.x);
#if GRAD
        if row.live {
            var g = unit * (exp(yes.x) - exp(yes.y));
            if p.accumulate != 0u {
                g += dzs[at + j];
            }
            dzs[at + j] = g;
        }
#endif
    }
    loss = row_sum(told(loss, most), lane);
    if row.writes {
        row_loss[row.index] = unit * p.temperature * loss;
    }
}
