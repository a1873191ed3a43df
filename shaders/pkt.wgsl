// Probabilistic knowledge transfer (Passalis & Tefas 2018) on cosine similarities s, t [rows, rows] of the samples of a batch:
//   p_ij = (s_ij + 1) / Σ_k (s_ik + 1), q so of t;  loss = 1/b² Σ_ij q log((q + ε) / (p + ε))
//   ds_ij = weight/b² · (g_ij − Σ_k g_ik p_ik) / Σ_k (s_ik + 1),  g = −q / (p + ε)
//
// row_loss [rows] receives weight · the row's share. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: reads both matrices twice, writes ds once (GRAD = 1).

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, eps: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> ds: array<f32>;
#endif

@compute @workgroup_size(64)
fn pkt(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = my_row(wid, groups, lane, p.rows);
    let at = row.index * p.columns;
    var sum = vec2<f32>(0.0);
    var most = 0u;
    for (var j = row.first; j < p.columns; j += STEP) {
        most = max(most, max(magnitude(s[at + j]), magnitude(t[at + j])));
        sum += vec2<f32>(s[at + j], t[at + j]) + 1.0;
    }
    // A sample's similarity to itself keeps it at 2 at least.
    let scale = 1.0 / row_sum2(sum, lane);
    // The loss, and Σ g p.
    var fold = vec2<f32>(0.0);
    for (var j = row.first; j < p.columns; j += STEP) {
        let v = (vec2<f32>(s[at + j], t[at + j]) + 1.0) * scale;
        fold += vec2<f32>(v.y * (log(v.y + p.eps) - log(v.x + p.eps)), -v.y / (v.x + p.eps) * v.x);
    }
    fold.x = told(fold.x, most);
    fold = row_sum2(fold, lane);
    let unit = p.weight / (f32(p.rows) * f32(p.columns));
    if row.writes {
        row_loss[row.index] = unit * fold.x;
    }
#if GRAD
    if row.live {
        for (var j = row.first; j < p.columns; j += STEP) {
            let v = (vec2<f32>(s[at + j], t[at + j]) + 1.0) * scale;
            ds[at + j] = unit * scale.x * (-v.y / (v.x + p.eps) - fold.y);
        }
    }
#endif
}
