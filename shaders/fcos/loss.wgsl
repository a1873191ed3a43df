// The losses of a detector without anchors on what its places are to say.
//   focal   −α_t (1 − p_t)^γ log p_t over all classes of all judged places, / max(norm[0], 1)   (Lin et al. 2017, arXiv 1708.02002)
//   giou    centre-ness · (2 − I/U − U/C) at places with an object, / max(norm[1], 10⁻⁶)         (Rezatofighi et al. 2019, arXiv 1902.09630)
//   centre  binary cross entropy of centre-ness at places with an object, / max(norm[0], 1)

#import shared/detection

struct Focal { rows: u32, classes: u32, accumulate: u32, alpha: f32, gamma: f32, weight: f32 }

@group(0) @binding(0) var<uniform> f: Focal;

@compute @workgroup_size(64)
fn focal(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= f.rows {
        return;
    }
    let columns = f.classes + 5u;
    let label = targets[6u * id];
    let scale = select(f.weight / max(norm[0], 1.0), 0.0, label < -1.5);
    var loss = 0.0;
    var most = 0u;
    for (var c = 0u; c < columns; c++) {
        var g = 0.0;
        if c < f.classes {
            let v = z[id * columns + c];
            most = max(most, magnitude(v));
            // log p and log (1 − p) of the true side, whichever that is.
            let hit = label == f32(c);
            let log_true = -softplus(select(v, -v, hit));
            let log_false = -softplus(select(-v, v, hit));
            let part = scale * select(1.0 - f.alpha, f.alpha, hit) * exp(f.gamma * log_false);
            loss -= part * log_true;
            let turned = part * (f.gamma * exp(log_true) * log_true - exp(log_false));
            g = select(-turned, turned, hit);
        }
        put(id * columns + c, g, f.accumulate);
    }
    row_loss[id] = told(loss, most);
}

struct Params { rows: u32, classes: u32, accumulate: u32, weight: f32 }

@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn giou(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.rows {
        return;
    }
    let columns = p.classes + 5u;
    let first = id * columns + p.classes;
    let found = targets[6u * id] >= 0.0;
    let scale = select(0.0, p.weight * targets[6u * id + 5u] / max(norm[1], 1e-6), found);
    let t = vec4<f32>(targets[6u * id + 1u], targets[6u * id + 2u], targets[6u * id + 3u], targets[6u * id + 4u]);
    let raw = vec4<f32>(z[first], z[first + 1u], z[first + 2u], z[first + 3u]);
    let d = exp(clamp(raw, vec4<f32>(-15.0), vec4<f32>(15.0)));
    let near = min(d, t);
    let far = max(d, t);
    let overlap = near.xy + near.zw;
    let around = far.xy + far.zw;
    let own = d.xy + d.zw;
    let inter = overlap.x * overlap.y;
    let all = own.x * own.y + (t.x + t.z) * (t.y + t.w) - inter;
    let hull = max(around.x * around.y, 1e-12);
    let union_ = max(all, 1e-12);
    row_loss[id] = told(scale * (2.0 - inter / union_ - union_ / hull), max(magnitude2(raw.xy), magnitude2(raw.zw)));
    for (var c = 0u; c < columns; c++) {
        var g = 0.0;
        if c >= p.classes && c < p.classes + 4u {
            // Along x for left and right, along y for the others.
            let k = c - p.classes;
            let across = k == 0u || k == 2u;
            let d_inter = select(0.0, select(overlap.x, overlap.y, across), d[k] < t[k]);
            let d_hull = select(0.0, select(around.x, around.y, across), d[k] > t[k]);
            let d_union = select(own.x, own.y, across) - d_inter;
            let slope = -(d_inter * union_ - inter * d_union) / (union_ * union_) - (d_union * hull - union_ * d_hull) / (hull * hull);
            g = select(0.0, scale * slope * d[k], abs(raw[k]) < 15.0 && found);
        }
        put(id * columns + c, g, p.accumulate);
    }
}

@compute @workgroup_size(64)
fn centre(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.rows {
        return;
    }
    let columns = p.classes + 5u;
    let scale = select(0.0, p.weight / max(norm[0], 1.0), targets[6u * id] >= 0.0);
    let v = z[id * columns + columns - 1u];
    let wanted = targets[6u * id + 5u];
    row_loss[id] = told(scale * (softplus(v) - wanted * v), magnitude(v));
    for (var c = 0u; c < columns; c++) {
        let g = scale * (exp(-softplus(-v)) - wanted);
        put(id * columns + c, select(0.0, g, c + 1u == columns), p.accumulate);
    }
}
