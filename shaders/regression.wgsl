// Losses of numbers, mean over the elements that have a target; with e = z − t:
//   KIND 0 (squared):  loss = e²;                                       d = 2 e
//   KIND 1 (absolute): loss = |e|;                                      d = sign e
//   KIND 2 (Huber):    loss = e²/2 where |e| ≤ δ, else δ (|e| − δ/2);   d = clamp(e, −δ, δ)
//
// z, targets, dz [rows, columns]; a target of 1e30 or more marks an element without one; row_loss [rows] receives the sum of
// weight · loss / count over the row, dz weight · d / count. A row is one invocation's (WIDE = 0) or one workgroup's (WIDE = 1).
// Memory: reads z and targets once, writes dz once (GRAD = 1).

#import shared/rows
#import shared/finite

struct Params { rows: u32, columns: u32, samples: u32, accumulate: u32, delta: f32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> row_loss: array<f32>;
#if GRAD
@group(0) @binding(4) var<storage, read_write> dz: array<f32>;
#endif

fn share(i: u32) -> f32 {
    return select(0.0, 1.0, targets[i] < 1e30);
}

#import shared/present

@compute @workgroup_size(64)
fn regression(
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
        let wanted = targets[at + j] < 1e30;
        most = max(most, magnitude(z[at + j]));
        let e = select(0.0, z[at + j] - targets[at + j], wanted);
#if KIND == 0
        loss += e * e;
        let d = 2.0 * e;
#elif KIND == 1
        loss += abs(e);
        let d = sign(e);
#else
        let d = clamp(e, -p.delta, p.delta);
        loss += d * (e - 0.5 * d);
#endif
#if GRAD
        if row.live {
            var g = scale * d;
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
